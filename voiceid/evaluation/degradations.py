"""Degradations of a clip: noise, rooms, codecs, telephones, levels.

Everything is made at run time and is the same on every run.  The codecs are real ones:
libsndfile writes MP3, Opus, GSM 06.10 and G.711, PyAV writes AMR; the files are decoded like any
other recording.  There is no real call, lost packet or real room among them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.audio.coding import Amr, Coding, resampled
from voiceid.domain import Float32Array

Floats: TypeAlias = npt.NDArray[np.floating]

SPEED_OF_SOUND_M_S = 343.0
WALL_M = 0.8
"""Speakers and microphones keep this distance from each wall."""

HIGH_PASS_HZ = 50.0
"""Below this, images of one sign add up, unlike in a room (Allen and Berkley)."""

_SILENT = 1e-30
"""Least mean square that is used as a divisor."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A piece of one speaker's speech.

    Parameters
    ----------
    recording : str
        Its source: two clips of one recording share words and noise.  A number after a slash
        counts its pieces.
    speaker : str
    sex : str
        ``F``, ``M``, or empty where it is not known.
    samples : (n,) float32, in [-1, 1]
    rate_hz : int
    coding : Coding, Amr or None
        How the samples are compressed; None: not at all.
    """

    recording: str
    speaker: str
    sex: str
    samples: Float32Array
    rate_hz: int
    coding: Coding | Amr | None = None

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate_hz

    @property
    def source(self) -> bytes | tuple[Float32Array, int]:
        """The audio to hear: a file's bytes, or samples and rate."""
        if self.coding is None:
            return self.samples, self.rate_hz
        return self.coding.encode(self.samples, self.rate_hz)


def cut(clip: Clip, seconds: float, place: float = 0.5) -> Clip:
    """Return ``seconds`` of a clip; ``place`` 0 is its start, 1 its end.  Shorter clips whole."""
    length = round(seconds * clip.rate_hz)
    start = round(max(len(clip.samples) - length, 0) * place)
    return replace(clip, samples=clip.samples[start : start + length])


def split(clip: Clip, parts: int) -> list[Clip]:
    """Return a clip in ``parts`` pieces of one length, each a recording of its own name."""
    pieces = np.array_split(clip.samples, parts)
    return [
        replace(clip, recording=f"{clip.recording}/{i}", samples=piece)
        for i, piece in enumerate(pieces)
    ]


@dataclass(frozen=True, slots=True)
class Room:
    """A box with six walls that reflect alike.

    Parameters
    ----------
    size_m : tuple of 3 float
    reflection : float
        Share of the pressure that a wall gives back, 0 to 1.
    t60_s : float
        Reverberation time in seconds, by Schroeder's integration of its responses: Eyring's
        formula is off by a quarter for such boxes.
    """

    size_m: tuple[float, float, float]
    reflection: float
    t60_s: float


OFFICE = Room((4.2, 3.4, 2.6), 0.846, 0.3)
HALL = Room((8.0, 6.0, 3.2), 0.898, 0.8)
PLACES = 8
"""Places of speaker and microphone in a room; a recording has one of them."""


@lru_cache(maxsize=8 * PLACES)
def room_response(room: Room, place: int, rate_hz: int) -> Floats:
    """Return the impulse response of a room, (n,), by the image-source method.

    J. B. Allen and D. A. Berkley, Image method for efficiently simulating small-room
    acoustics, JASA 65(4), 1979; every image at the nearest sample.
    """
    rng = np.random.default_rng(place)
    size = np.array(room.size_m)
    ends = rng.uniform(WALL_M, size - WALL_M, (2, 3))
    reach_m = SPEED_OF_SOUND_M_S * 1.2 * room.t60_s
    squared, reflections = np.zeros((1, 1, 1)), np.zeros((1, 1, 1))
    for axis, (side, source, microphone) in enumerate(zip(size, *ends, strict=True)):
        n = np.arange(-np.ceil(reach_m / (2 * side)), np.ceil(reach_m / (2 * side)) + 1)
        mirrored = np.array([[0], [1]])
        offset = (1 - 2 * mirrored) * source + 2 * n * side - microphone
        shape = np.roll((-1, 1, 1), axis)
        squared = squared + (offset**2).reshape(shape)
        reflections = reflections + (np.abs(n - mirrored) + np.abs(n)).reshape(shape)
    distance = np.sqrt(squared)
    near = distance < reach_m
    gain = room.reflection ** reflections[near] / distance[near]
    delay = np.rint(distance[near] / SPEED_OF_SOUND_M_S * rate_hz).astype(np.intp)
    spectrum = np.fft.rfft(np.bincount(delay, weights=gain))
    spectrum[: round(HIGH_PASS_HZ * len(spectrum) * 2 / rate_hz)] = 0
    return np.fft.irfft(spectrum)


def reverberant(clip: Clip, room: Room) -> Clip:
    """Return the clip as a microphone in a room hears it, as long and as loud as it was."""
    place = zlib.crc32(clip.recording.partition("/")[0].encode()) % PLACES
    response = room_response(room, place, clip.rate_hz)
    n = len(clip.samples) + len(response)
    wet = np.fft.irfft(np.fft.rfft(clip.samples, n) * np.fft.rfft(response, n), n)
    start = int(np.argmax(np.abs(response)))  # the sound takes time to travel
    wet = wet[start : start + len(clip.samples)]
    wet *= np.sqrt(np.mean(clip.samples**2) / np.maximum(np.mean(wet**2), _SILENT))
    return replace(clip, samples=unclipped(wet))


def narrowband(clip: Clip) -> Clip:
    """Return the clip at a telephone's rate: 8 kHz, then upsampled again."""
    low = resampled(clip.samples, clip.rate_hz, 8000)
    return replace(clip, samples=resampled(low, 8000, clip.rate_hz))


def raised(clip: Clip, rate_hz: int, *, lines: bool) -> Clip:
    """Return the clip at a lower rate, and without a filter at its own again, as programs do.

    What is above half of the lower rate is then an image of what is below.

    - `lines`: by straight lines between the samples; else each time has the last sample.
    """
    low = resampled(clip.samples, clip.rate_hz, rate_hz)
    times = np.arange(len(clip.samples)) * rate_hz
    if lines:
        between = np.interp(times / clip.rate_hz, np.arange(len(low)), low)
        return replace(clip, samples=between.astype(np.float32))
    return replace(clip, samples=low[np.minimum(times // clip.rate_hz, len(low) - 1)])


def telephone(clip: Clip, coding: Coding | Amr) -> Clip:
    """Return the clip at 8 kHz with a coding, like the recording of a call."""
    low = resampled(clip.samples, clip.rate_hz, 8000)
    return replace(clip, samples=low, rate_hz=8000, coding=coding)


def noisy(clip: Clip, snr_db: float) -> Clip:
    """Return the clip with pink noise at a signal-to-noise ratio over the whole clip."""
    rng = np.random.default_rng(len(clip.samples))
    spectrum = np.fft.rfft(rng.standard_normal(len(clip.samples)))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1.0))
    noise = np.fft.irfft(spectrum, len(clip.samples))
    gain = np.sqrt(np.mean(clip.samples**2) / np.maximum(np.mean(noise**2), _SILENT))
    gain *= 10 ** (-snr_db / 20)
    return replace(clip, samples=unclipped(clip.samples + gain * noise))


def overdriven(clip: Clip, over_db: float) -> Clip:
    """Return the clip clipped hard: its peak would be this far above full scale."""
    gain = 10 ** (over_db / 20) / np.maximum(np.max(np.abs(clip.samples)), _SILENT)
    return replace(clip, samples=np.clip(gain * clip.samples, -1.0, 1.0).astype(np.float32))


def amplified(clip: Clip, gain_db: float) -> Clip:
    """Return the clip louder or softer, in the 16 bits of a recorder."""
    steps = np.rint(clip.samples * 10 ** (gain_db / 20) * 32768)
    return replace(clip, samples=(np.clip(steps, -32768, 32767) / 32768).astype(np.float32))


def compressed(clip: Clip, coding: Coding) -> Clip:
    """Return the clip with a coding, which is applied when the clip is listened to."""
    return replace(clip, coding=coding)


def unclipped(samples: Floats) -> Float32Array:
    """Return samples (n,), scaled down if they would exceed full scale."""
    return (samples / max(1.0, float(np.max(np.abs(samples))))).astype(np.float32)


TELEPHONES: Mapping[str, Callable[[Clip], Clip]] = {
    "8 kHz": narrowband,
    "mu-law 64 kbit/s": partial(telephone, coding=Coding("WAV", "ULAW")),
    "GSM 13 kbit/s": partial(telephone, coding=Coding("WAV", "GSM610")),
    "AMR 12.2 kbit/s": partial(telephone, coding=Amr(12200)),
    "AMR 4.75 kbit/s": partial(telephone, coding=Amr(4750)),
    "opus 6 kbit/s": partial(telephone, coding=Coding("OGG", "OPUS", 1.0)),
}
"""Telephones: all are at 8 kHz, most with a codec of the telephone network."""


def noisy_line(clip: Clip, snr_db: float, coding: Coding) -> Clip:
    """Return the clip over a bad line: 300 to 3400 Hz of clip and noise, and a codec."""
    spectrum = np.fft.rfft(clip.samples)
    frequencies_hz = np.fft.rfftfreq(len(clip.samples), 1 / clip.rate_hz)
    passed = 1 / (1 + np.exp((300.0 - frequencies_hz) / 30.0))
    passed /= 1 + np.exp((frequencies_hz - 3400.0) / 60.0)
    limited = np.fft.irfft(spectrum * passed, len(clip.samples)).astype(np.float32)
    return telephone(noisy(replace(clip, samples=limited), snr_db), coding)


UNFILTERED: Mapping[str, Callable[[Clip], Clip]] = {
    "8 kHz, raised by straight lines": partial(raised, rate_hz=8000, lines=True),
    "11,025 Hz, raised by the last sample": partial(raised, rate_hz=11_025, lines=False),
}
"""Rates that were raised without a filter: the image makes strangers alike."""

BAD_LINES: Mapping[str, Callable[[Clip], Clip]] = {
    "bad line, mu-law, 20 dB": partial(noisy_line, snr_db=20.0, coding=Coding("WAV", "ULAW")),
    "bad line, GSM, 15 dB": partial(noisy_line, snr_db=15.0, coding=Coding("WAV", "GSM610")),
    **UNFILTERED,
}
"""A compensation is learned from these too; thresholds are not measured on them."""

CONDITIONS: Mapping[str, Callable[[Clip], Clip]] = {
    "clean": lambda clip: clip,
    "noise 20 dB": partial(noisy, snr_db=20.0),
    "noise 10 dB": partial(noisy, snr_db=10.0),
    "noise 5 dB": partial(noisy, snr_db=5.0),
    "room 0.3 s": partial(reverberant, room=OFFICE),
    "room 0.8 s": partial(reverberant, room=HALL),
    "mp3 33 kbit/s": partial(compressed, coding=Coding("MP3", "MPEG_LAYER_III", 0.5)),
    "opus 20 kbit/s": partial(compressed, coding=Coding("OGG", "OPUS", 0.95)),
    "clipped by 12 dB": partial(overdriven, over_db=12.0),
    "gain -30 dB": partial(amplified, gain_db=-30.0),
    **TELEPHONES,
}
"""Degradations by name: none, eight in wideband, the telephones."""

LINES: Mapping[str, Callable[[Clip], Clip]] = {**CONDITIONS, **BAD_LINES}
"""All of them."""


def is_telephone(condition: str) -> bool:
    """Whether a condition is a telephone, or a bad line."""
    return condition in TELEPHONES or condition in BAD_LINES


def is_available(condition: str) -> bool:
    """Whether the installed codec libraries can make a condition."""
    coding = getattr(LINES[condition], "keywords", {}).get("coding")
    return coding is None or bool(coding.is_available)
