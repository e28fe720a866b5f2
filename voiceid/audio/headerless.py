"""Telephone recordings without a header: only the file's name, or the user, says the format.

Asterisk and FreeSWITCH write them.  Any bytes can be decoded as any of these formats, so the
format is never guessed from content.  A file with a header is read by its header.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from types import MappingProxyType

from voiceid.audio.containers import is_container
from voiceid.audio.heads import HEAD_BYTES
from voiceid.audio.media import AudioOptions, Media
from voiceid.audio.mpeg import MP3_HEAD_BYTES, is_mp3
from voiceid.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Headerless:
    """A format of one channel without a header.

    - `demuxer`: FFmpeg's name for it; empty: libsndfile reads it.
    - `rate_hz`: the sample rate.
    - `options`: for the demuxer.
    """

    demuxer: str
    rate_hz: int
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def _pcm(demuxer: str, rate_hz: int) -> Headerless:
    return Headerless(demuxer, rate_hz, {"sample_rate": str(rate_hz), "ch_layout": "mono"})


_SLN_KHZ = (12, 16, 24, 32, 44, 48, 96, 192)

FORMATS: Mapping[str, Headerless] = MappingProxyType(
    {
        "ulaw": _pcm("mulaw", 8000),
        "alaw": _pcm("alaw", 8000),
        "gsm": Headerless("gsm", 8000),
        "g722": Headerless("g722", 16_000),
        "g729": Headerless("g729", 8000),
        **{
            f"g726-{8 * bits}": Headerless(
                "g726le", 8000, {"code_size": str(bits), "sample_rate": "8000"}
            )
            for bits in (2, 3, 4, 5)
        },
        "sln": _pcm("s16le", 8000),
        **{f"sln{khz}": _pcm("s16le", 44_100 if khz == 44 else 1000 * khz) for khz in _SLN_KHZ},  # noqa: PLR2004
        "vox": Headerless("", 8000),
    }
)
"""Formats by the name that ``--format`` takes, which is also an ending of their files.

Rates as Asterisk's and FreeSWITCH's format modules have them; ``g726`` is packed as RFC 3551 says,
``vox`` is Dialogic's ADPCM, ``sln`` is signed 16-bit PCM of least byte first.
"""

ENDINGS: Mapping[str, str] = MappingProxyType(
    {name: name for name in FORMATS}
    | dict.fromkeys(("ul", "ulw", "mulaw", "pcmu"), "ulaw")
    | dict.fromkeys(("al", "alw", "pcma"), "alaw")
    | {"sln8": "sln", "r8": "sln", "r16": "sln16"}
)
"""The format of each ending of a file's name; ``raw`` and ``pcm`` may be anything."""


def headerless(media: Media, options: AudioOptions) -> Headerless | None:
    """Return the format of a source without a header, by name or options; None if it has one.

    Raises `ConfigError`: the options name an unknown format.
    """
    name = options.format or ENDINGS.get(PurePath(media.name).suffix[1:].lower())
    if name is None:
        return None
    named = format_named(name)
    if is_container(media.head(HEAD_BYTES)) or is_mp3(media.head(MP3_HEAD_BYTES)):
        return None
    return named


def format_named(name: str) -> Headerless:
    """Return the format that ``--format`` names; raises `ConfigError`: it is unknown."""
    if name not in ENDINGS:
        raise ConfigError(
            f"{name!r} is not a format of recordings without a header",
            hint=f"Use one of {', '.join(FORMATS)}.",
        )
    return FORMATS[ENDINGS[name]]
