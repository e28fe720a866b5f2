"""Recordings without a header are what their name or the options say, and are never guessed."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from sounds import RATE, decoded, delay, encode, encode_ffmpeg, melody

from voiceid.audio import AudioOptions
from voiceid.audio.headerless import ENDINGS, FORMATS
from voiceid.errors import AudioUnreadable, ConfigError


def raw(name: str, seconds: float = 2.0) -> bytes:
    """Return a melody in a format, as an encoder writes it."""
    rate = FORMATS[name].rate_hz
    sound = melody(seconds, rate)
    if name.startswith("sln"):
        return np.round(sound * 32767).astype("<i2").tobytes()
    if name == "g722":
        return encode_ffmpeg(sound, "g722", "g722", rate)
    if name.startswith("g726"):
        bits = int(name.removeprefix("g726-")) // 8
        return encode_ffmpeg(sound, "g726le", "g726le", rate, code_size=str(bits))
    subtype = {"ulaw": "ULAW", "alaw": "ALAW", "gsm": "GSM610", "vox": "VOX_ADPCM"}[name]
    return encode(sound, "RAW", rate, subtype=subtype)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "g729"])
def test_a_recording_is_decoded_by_the_ending_of_its_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"call.{name.upper()}"
    path.write_bytes(raw(name))
    heard, stream = decoded(path)
    assert (stream.sample_rate_hz, stream.channels) == (FORMATS[name].rate_hz, 1)
    sent = decoded((melody(2.0, FORMATS[name].rate_hz), FORMATS[name].rate_hz))[0]
    late = delay(heard, sent)
    both = min(len(heard) - late, len(sent))
    assert both > 1.9 * RATE
    assert np.corrcoef(heard[late : late + both], sent[:both])[0, 1] > 0.8
    assert (stream.truncated, stream.unheard) == (False, {})


def test_g729_which_nothing_here_encodes_is_at_least_decoded(tmp_path: Path) -> None:
    path = tmp_path / "call.g729"
    path.write_bytes(np.random.default_rng(0).bytes(1000))  # 100 frames of 10 ms
    heard, stream = decoded(path)
    assert (len(heard), stream.sample_rate_hz) == (RATE, 8000)


def test_endings_of_asterisk_and_freeswitch_are_known() -> None:
    for ending in ("ul", "pcmu", "al", "pcma", "gsm", "g722", "sln", "sln8", "sln16", "vox"):
        assert ENDINGS[ending] in FORMATS
    assert not {"raw", "pcm"} & ENDINGS.keys()


@pytest.mark.parametrize("name", ["ulaw", "g722", "sln16", "vox"])
def test_bytes_are_decoded_as_the_options_say(name: str) -> None:
    data = raw(name)
    heard = decoded(data, AudioOptions(format=name))[0]
    assert len(heard) == pytest.approx(2 * RATE, abs=200)
    assert len(decoded(io.BytesIO(data), AudioOptions(format=name))[0]) == len(heard)
    with pytest.raises(AudioUnreadable):
        decoded(data)


def test_a_name_without_a_known_ending_is_never_guessed(tmp_path: Path) -> None:
    for name in ("call.raw", "call.pcm", "call", "call.ul.bak", "ul"):
        (tmp_path / name).write_bytes(raw("ulaw"))
        with pytest.raises(AudioUnreadable):
            decoded(tmp_path / name)
    assert decoded(tmp_path / "call.raw", AudioOptions(format="ulaw"))[1].duration_s == 2.0


def test_what_is_asked_for_wins_over_the_ending(tmp_path: Path) -> None:
    path = tmp_path / "call.ul"
    path.write_bytes(raw("alaw"))
    as_asked = decoded(path, AudioOptions(format="alaw"))[0]
    assert np.array_equal(as_asked, decoded(raw("alaw"), AudioOptions(format="alaw"))[0])


@pytest.mark.parametrize("name", ["WAV", "FLAC", "OGG", "MP3", "AU", "m4a", "amr", "mkv"])
def test_a_header_wins_over_the_ending_and_the_options(name: str, tmp_path: Path) -> None:
    other = {"m4a": ("ipod", "aac", 44_100), "amr": ("amr", "libopencore_amrnb", 8000)}
    other["mkv"] = ("matroska", "flac", 44_100)
    data = (
        encode(melody(), name)
        if name not in other
        else encode_ffmpeg(melody(2.0, other[name][2]), *other[name])
    )
    path = tmp_path / "call.ul"
    path.write_bytes(data)
    expected = decoded(data)[1].pcm_sha256
    assert decoded(path)[1].pcm_sha256 == expected
    assert decoded(data, AudioOptions(format="gsm"))[1].pcm_sha256 == expected


def test_silence_in_mu_law_is_not_an_mp3(tmp_path: Path) -> None:
    # 0xFF is silence, and 0xFF 0xFB begins a frame of MPEG layer III.
    path = tmp_path / "call.ulaw"
    path.write_bytes(b"\xff\xfb\x90\x7e" * 4000)
    assert decoded(path)[1].duration_s == 2.0


def test_a_format_that_there_is_not_is_an_error() -> None:
    with pytest.raises(ConfigError, match="'opus24' is not a format"):
        decoded(b"x" * 1000, AudioOptions(format="opus24"))


def test_gsm_has_the_samples_of_the_same_frames_in_a_wav(tmp_path: Path) -> None:
    # libsndfile and FFmpeg are two decoders of one standard (ETSI EN 300 961).
    path = tmp_path / "call.gsm"
    path.write_bytes(raw("gsm"))
    oracle, _ = soundfile.read(
        path, samplerate=8000, channels=1, format="RAW", subtype="GSM610", dtype="float32"
    )
    expected = decoded((oracle, 8000))[0]
    assert np.abs(decoded(path)[0] - expected).max() < 2e-3
