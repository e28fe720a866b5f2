"""Every format comes in as the same sound, whatever its name says."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from sounds import RATE, decoded, delay, encode, encode_ffmpeg, film, melody

from voiceid.errors import AudioError

LOSSLESS = {
    "wav 16 bit": ("WAV", "PCM_16"),
    "wavex": ("WAVEX", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "aiff": ("AIFF", "PCM_16"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "w64": ("W64", "PCM_16"),
    "rf64": ("RF64", "PCM_16"),
    "wav float": ("WAV", "FLOAT"),
    "wav 24 bit": ("WAV", "PCM_24"),
    "wav 32 bit": ("WAV", "PCM_32"),
}
FFMPEG = {
    "m4a": ("ipod", "aac", 44100),
    "mp4": ("mp4", "aac", 48000),
    "aac": ("adts", "aac", 44100),
    "webm": ("webm", "libopus", 48000),
    "mkv": ("matroska", "flac", 44100),
    "wma": ("asf", "wmav2", 44100),
    "amr": ("amr", "libopencore_amrnb", 8000),
    "alac": ("ipod", "alac", 44100),
    "ac3": ("ac3", "ac3", 48000),
    "wavpack": ("wv", "wavpack", 16000),
    "flv": ("flv", "aac", 44100),
    "mpegts": ("mpegts", "aac", 44100),
    "mp2": ("mp2", "mp2", 48000),
    "ircam": ("ircam", "pcm_s16le", 16000),
    "wtv": ("wtv", "mp2", 48000),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_have_the_hash_of_their_samples(name: str) -> None:
    pcm = np.round(melody() * 32768).astype(np.int16)
    file_format, subtype = LOSSLESS[name]
    samples = (pcm / 32768).astype(np.float32)
    heard, stream = decoded(encode(samples, file_format, subtype=subtype))
    assert np.array_equal(heard, samples)
    assert stream.pcm_sha256 == decoded((pcm, RATE))[1].pcm_sha256
    assert (stream.duration_s, stream.truncated) == (2.0, False)


@pytest.mark.parametrize(
    ("file_format", "subtype"),
    [("MP3", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("WAV", "ULAW"), ("WAV", "IMA_ADPCM")],
)
def test_lossy_formats_of_libsndfile_keep_the_sound_in_place(
    file_format: str, subtype: str | None
) -> None:
    sent = melody()
    heard, stream = decoded(encode(sent, file_format, subtype=subtype))
    assert abs(len(heard) - len(sent)) < 1024
    assert abs(delay(heard, sent)) <= 1
    assert not stream.truncated


@pytest.mark.parametrize("name", FFMPEG)
def test_formats_of_ffmpeg_keep_the_sound(name: str) -> None:
    container, codec, rate = FFMPEG[name]
    sent = melody(2.0)
    heard, stream = decoded(encode_ffmpeg(melody(2.0, rate), container, codec, rate))
    assert stream.sample_rate_hz == rate
    assert not stream.truncated
    late = delay(heard, sent)
    assert abs(late) < 0.05 * RATE  # an encoder's delay, and the first packet of wma
    heard, sent = heard[max(late, 0) :], sent[max(-late, 0) :]
    both = min(len(heard), len(sent))
    assert both > 1.9 * RATE
    likeness = np.corrcoef(heard[:both], sent[:both])[0, 1]
    assert likeness > (0.6 if name == "amr" else 0.97)


def test_what_dictation_machines_and_old_telephones_write_is_decoded() -> None:
    noise = np.random.default_rng(0)
    dss = bytearray(b"\x02dss".ljust(1024, b"\0"))  # no encoder is at hand: any bits are sound
    dss[0x26:0x3E] = b"261130120000261130120005"
    dss += b"".join(b"\0\0\x0c\0\0\0" + noise.bytes(506) for _ in range(20))
    facts = b"\1\0" + bytes.fromhex("416d7f5e15b1d011ba9100805fb4b97e") + b"\1\0"
    facts += b"Qcelp".ljust(80, b"\0") + struct.pack("<5H", 13_000, 35, 160, 8000, 16)
    facts += struct.pack("<I10B", 5, 34, 4, 16, 3, 7, 2, 3, 1, 0, 1)
    sound = b"".join(b"\x04" + noise.bytes(34) for _ in range(200))
    chunks = [(b"fmt ", facts.ljust(150, b"\0")), (b"vrat", struct.pack("<II", 1, 200))]
    body = b"QLCM" + b"".join(
        name + struct.pack("<I", len(data)) + data for name, data in [*chunks, (b"data", sound)]
    )
    qcp = b"RIFF" + struct.pack("<I", len(body)) + body
    for data, duration_s in ((bytes(dss), 64_944 / 11_025), (qcp, 4.0)):
        stream = decoded(data)[1]
        assert stream.duration_s == pytest.approx(duration_s)
        assert (stream.truncated, stream.unheard) == (False, {})


def test_a_sphere_file_of_24_bits_is_decoded() -> None:
    sent = melody(0.5)
    pcm = np.round(sent * 2**23).astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()
    facts = {"channel_count": 1, "sample_count": len(sent), "sample_n_bytes": 3}
    facts |= {"sample_rate": RATE, "sample_sig_bits": 24}
    lines = [f"{name} -i {value}" for name, value in facts.items()]
    head = [
        "NIST_1A",
        "   1024",
        *lines,
        "sample_byte_format -s2 01",
        "sample_coding -s3 pcm",
        "end_head",
        "",
    ]
    data = "\n".join(head).encode().ljust(1024) + pcm
    heard, stream = decoded(data)
    assert np.abs(heard - sent).max() < 1e-6
    assert not stream.truncated
    assert decoded(data[:-3000])[1].truncated


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_an_mp3_has_its_exact_length_and_agrees_with_another_decoder(rate: int, mode: str) -> None:
    sent = np.stack([melody(1.5, rate), melody(1.5, rate, seed=1)], axis=1)
    data = encode(sent, "MP3", rate, bitrate_mode=mode)
    with av.open(io.BytesIO(data)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    oracle = np.concatenate(frames, axis=1).mean(axis=0)
    heard, stream = decoded(data)
    assert stream.duration_s == pytest.approx(1.5, abs=1e-6)
    if rate == RATE:
        assert np.abs(heard - oracle).max() < 1e-4
    assert len(oracle) == len(sent)


def test_a_tag_in_front_of_an_mp3_changes_nothing() -> None:
    data = encode(melody(), "MP3")
    tag = b"ID3\x04\x00\x00\x00\x00\x10\x00" + b"\x81" * 2048
    tail = b"TAG" + b"x" * 125
    plain, tagged = decoded(data)[1], decoded(tag + data + tail)[1]
    assert tagged.pcm_sha256 == plain.pcm_sha256


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_an_mp3_without_its_header_is_heard_whole(mode: str) -> None:
    data = bytearray(encode(melody(4.0), "MP3", bitrate_mode=mode))
    at = max(data.find(b"Xing"), data.find(b"Info"))
    data[at : at + 4] = bytes(4)
    heard, stream = decoded(bytes(data))
    assert len(heard) >= 4 * RATE  # libsndfile stops at 2.3 s
    assert not stream.truncated


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_two_mp3s_in_one_file_are_both_heard(mode: str) -> None:
    loud = encode(melody(4.0), "MP3", bitrate_mode=mode)
    quiet = encode(melody(6.0) / 8, "MP3", bitrate_mode=mode)
    for first, second in ((loud, quiet), (quiet, loud)):
        heard, stream = decoded(first + second)
        assert len(heard) == pytest.approx(10 * RATE, abs=0.3 * RATE)
        assert not stream.truncated


@pytest.mark.parametrize("file_format", ["WAV", "FLAC", "MP3", "OGG"])
def test_bytes_a_file_and_a_stream_give_the_same_samples(file_format: str, tmp_path: Path) -> None:
    data = encode(melody(), file_format)
    path = tmp_path / "clip"
    path.write_bytes(data)
    with path.open("rb") as file:
        hashes = {decoded(source)[1].pcm_sha256 for source in (data, path, str(path), file)}
    hashes.add(decoded(bytearray(data))[1].pcm_sha256)
    hashes.add(decoded(memoryview(data))[1].pcm_sha256)
    assert len(hashes) == 1


@pytest.mark.parametrize("name", ["clip.raw", "clip.txt", "clip.mp3", "clip", "clip.wav.png"])
def test_the_content_decides_and_not_the_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(encode(melody(), "FLAC"))
    heard, stream = decoded(path)
    assert (len(heard), stream.name) == (2 * RATE, name)


def test_names_may_be_in_any_script(tmp_path: Path) -> None:
    path = tmp_path / "trñ00 录音 🎙.wav"
    path.write_bytes(encode(melody(), "WAV"))
    assert decoded(path)[1].name == path.name


@pytest.mark.parametrize("declared", [0, 0xFFFF_FFFF, 0x7FFF_FFFF])
@pytest.mark.parametrize("riff", [0, 36, 0xFFFF_FFFF])
def test_a_streamed_wav_without_its_size_decodes_whole(declared: int, riff: int) -> None:
    data = bytearray(encode(melody(), "WAV"))
    at = data.index(b"data")
    data[4:8] = riff.to_bytes(4, "little")
    data[at + 4 : at + 8] = declared.to_bytes(4, "little")
    heard, stream = decoded(bytes(data))
    assert (len(heard), stream.truncated) == (2 * RATE, False)


def test_a_track_that_turns_into_stereo_at_another_rate_goes_on() -> None:
    one = encode_ffmpeg(melody(1.0, 44100), "adts", "aac", 44100)
    stereo = np.stack([melody(1.0, 48000)] * 2, axis=1)
    two = encode_ffmpeg(stereo, "adts", "aac", 48000)
    heard, stream = decoded(one + two)
    assert stream.sample_rate_hz == 44100
    assert stream.channels == 1
    assert len(heard) == pytest.approx(2 * RATE, rel=0.1)
    assert np.sqrt(np.mean(heard[-RATE // 2 : -2000] ** 2)) > 0.05


def test_the_sound_of_a_film_is_taken() -> None:
    whole = film("matroska", "pcm_s16le", 1.0, rate=25, n_pictures=5)
    assert len(decoded(whole)[0]) == RATE


def test_blocks_read_in_order_equal_one_read_of_an_mp3() -> None:
    # SoundFile.read() seeks after every block, which damages an MP3 at each border.
    data = encode(melody(3.0), "MP3")
    oracle, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    heard, _ = decoded(data, block_values=1000)
    assert np.abs(heard - oracle).max() < 1e-6


def test_a_library_that_cannot_be_loaded_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)  # as where its files are damaged
    monkeypatch.delitem(sys.modules, "voiceid.audio.ffmpeg", raising=False)
    with pytest.raises(AudioError, match="codec library cannot be loaded"):
        decoded(b"ID3 and what is behind it")
