"""Several recordings in one file are all heard; sizes that say "not known" are no damage."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from sounds import RATE, decoded, encode, encode_ffmpeg, film, melody, streamed, tracks

from voiceid.audio import AudioOptions
from voiceid.errors import AudioInvalid

LIBSNDFILE = [
    "WAV",
    "WAVEX",
    "RF64",
    "W64",
    "AIFF",
    "AU",
    "CAF",
    "FLAC",
    "OGG",
    "OPUS",
    "NIST",
    "VOC",
]
FFMPEG = {
    "m4a": ("ipod", "aac"),
    "mov": ("mov", "pcm_s16le"),
    "3gp": ("3gp", "aac"),
    "webm": ("webm", "libopus"),
    "mkv": ("matroska", "flac"),
    "wma": ("asf", "wmav2"),
    "wavpack": ("wv", "wavpack"),
    "flv": ("flv", "aac"),
    "tta": ("tta", "tta"),
    "mp3": ("mp3", "libmp3lame"),
    "ogg flac": ("ogg", "flac"),
}


def clip(name: str, seconds: float, rate: int, seed: int = 0) -> bytes:
    sound = melody(seconds, rate, seed)
    if name in FFMPEG:
        return encode_ffmpeg(sound, *FFMPEG[name], rate)
    if name == "OPUS":
        return encode(sound, "OGG", rate, subtype="OPUS")
    return encode(sound, name, rate)


@pytest.mark.parametrize("name", [*LIBSNDFILE, *FFMPEG])
def test_files_one_behind_the_other_are_heard_to_the_end(name: str) -> None:
    rates = (48_000, 48_000) if name in {"webm", "OPUS"} else (22_050, 44_100)
    data = clip(name, 1.0, rates[0]) + clip(name, 1.5, rates[1], seed=1)
    heard, stream = decoded(data, block_values=5000)
    assert len(heard) == pytest.approx(2.5 * RATE, abs=0.2 * RATE)
    assert np.sqrt(np.mean(heard[-RATE:-2000] ** 2)) > 0.05
    assert (stream.truncated, stream.unheard) == (False, {})


def test_files_of_two_kinds_are_heard_at_the_rate_and_with_the_channels_of_the_first() -> None:
    stereo = np.stack([melody(1.0, 48_000), melody(1.0, 48_000)], axis=1)
    data = clip("WAV", 1.0, RATE) + encode(stereo, "FLAC", 48_000)
    heard, stream = decoded(data)
    assert (stream.sample_rate_hz, stream.channels) == (RATE, 1)
    assert len(heard) == 2 * RATE
    assert np.corrcoef(heard[:RATE], heard[RATE : 2 * RATE])[0, 1] > 0.99


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def test_the_last_of_several_files_may_be_cut() -> None:
    for name in ("WAV", "OGG", "AIFF"):
        data = clip(name, 1.0, RATE) + _half(clip(name, 8.0, RATE))
        heard, stream = decoded(data)
        assert len(heard) > 2 * RATE
        assert stream.truncated


def test_what_cannot_be_decoded_behind_the_sound_is_said() -> None:
    noise = np.random.default_rng(0).bytes(5000)
    for data in (clip("WAV", 1.0, RATE) + noise, clip("m4a", 1.0, 44_100) + noise):
        _, stream = decoded(data)
        assert stream.unheard == {"unheard_data": "5000 bytes behind the sound"}
        assert not stream.truncated
    too_small = bytearray(clip("WAV", 2.0, RATE))
    at = too_small.index(b"data")
    too_small[at + 4 : at + 8] = (RATE).to_bytes(4, "little")  # half a second of two
    assert decoded(bytes(too_small))[1].unheard["unheard_data"] == "48000 bytes behind the sound"


OTHERS: dict[str, Callable[[], bytes]] = {
    **{name: partial(clip, name, 1.0, RATE) for name in ("WAV", "FLAC", "OGG", "mkv", "wavpack")},
    **{name: partial(clip, name, 1.0, 44_100) for name in ("m4a", "flv", "wma")},
    "mp3": partial(clip, "mp3", 1.0, 48_000),
    "bare mp3": lambda: encode_ffmpeg(
        melody(1.0), "mp3", "libmp3lame", muxer={"id3v2_version": "0", "write_xing": "0"}
    ),
    "adts": lambda: encode_ffmpeg(melody(1.0), "adts", "aac"),
    "ac3": lambda: encode_ffmpeg(melody(1.0, 48_000), "ac3", "ac3", 48_000),
    "ts": lambda: encode_ffmpeg(melody(1.0), "mpegts", "aac"),
    "amr": lambda: encode_ffmpeg(melody(1.0, 8000), "amr", "libopencore_amrnb", 8000),
    "tta": partial(clip, "tta", 1.0, RATE),
    "streamed wav": lambda: streamed("wav", "pcm_s16le"),
    "streamed webm": lambda: streamed("webm", "libopus", 48_000),
    "streamed flac": lambda: streamed("flac", "flac"),
}
NAMELESS = {"bare mp3", "adts", "ac3", "ts"}
LOOKED_THROUGH = {"streamed wav"}
"""They do not state an end: what names itself is found in them, and nothing else."""


@pytest.fixture(scope="module")
def others() -> dict[str, bytes]:
    return {name: make() for name, make in OTHERS.items()}


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_any_kind_is_heard_behind_any_other(name: str, others: dict[str, bytes]) -> None:
    tags = b"TAG" + b"x" * 125 + bytes(512)
    unknown = NAMELESS if name in LOOKED_THROUGH else set()
    for number, behind in enumerate(sorted(others.keys() - unknown)):
        between = tags if number % 2 else b""
        heard, stream = decoded(others[name] + between + others[behind])
        assert len(heard) > 1.85 * RATE, behind
        assert (stream.truncated, stream.unheard) == (False, {}), behind


@pytest.mark.parametrize("name", sorted(OTHERS.keys() - LOOKED_THROUGH))
def test_what_is_no_sound_behind_a_file_is_said(name: str, others: dict[str, bytes]) -> None:
    noise = np.random.default_rng(3).bytes(40_000)
    heard, stream = decoded(others[name] + noise)
    assert len(heard) > 0.95 * RATE
    assert 39_000 < int(stream.unheard["unheard_data"].split()[0]) <= 40_000


@pytest.mark.parametrize("name", OTHERS)
def test_tails_that_programs_write_are_no_loss(name: str, others: dict[str, bytes]) -> None:
    for tail in TAILS:
        stream = decoded(others[name] + tail)[1]
        assert not stream.truncated, tail[:16]
        heard = {"gap"} if name == "streamed wav" and not any(tail) else set()  # zeros are sound
        assert stream.unheard.keys() == heard, tail[:16]


def _ape(*, header: bool) -> bytes:
    item = (5).to_bytes(4, "little") + bytes(4) + b"Title\0voice"
    facts = (2000).to_bytes(4, "little") + (32 + len(item)).to_bytes(4, "little") + b"\1\0\0\0"
    ends = [b"APETAGEX" + facts + bytes([0, 0, 0, flag]) + bytes(8) for flag in (0xA0, 0x80)]
    return (ends[0] if header else b"") + item + ends[1]


_ID3V1 = b"TAG" + b"x" * 125
_LYRICS = b"LYRICSBEGIN" + b"LYR00005voice000024LYRICS200"
TAILS = [
    *(_ID3V1, _ape(header=True), _ape(header=True) + _ID3V1, _LYRICS + _ID3V1, bytes(70_000)),
    b"TAG+" + b"x" * 223 + _ID3V1,
    b"ID3\x04\x00\x10\x00\x00\x02\x00" + bytes(256) + b"3DI\x04\x00\x10\x00\x00\x02\x00",
]


def test_bytes_that_are_damaged_in_the_middle_end_no_file() -> None:
    for name in ("OGG", "FLAC", "mp3", "wavpack", "ogg flac", "webm", "adts", "streamed webm"):
        if name == "adts":
            data = bytearray(encode_ffmpeg(melody(5.0), "adts", "aac"))
        elif name == "streamed webm":
            data = bytearray(streamed("webm", "libopus", 48_000, 5.0))
        else:
            data = bytearray(clip(name, 5.0, 48_000))
        middle = len(data) // 2
        data[middle : middle + 60] = bytes(range(100, 160))
        stream = decoded(bytes(data))[1]
        assert stream.duration_s > (2.5 if name == "webm" else 3.9), name
        assert stream.unheard.keys() <= {"gap"}, name
        # A streamed file does not say how long it is; FFmpeg repairs an MP3 without a word.
        assert stream.truncated or stream.duration_s > 4.9 or name == "streamed webm", name


def test_files_within_a_file_are_no_files_behind_it() -> None:
    """Covers, attachments, and the head of the WAV that `flac --keep-foreign-metadata` keeps."""
    flac, wav = clip("FLAC", 1.0, RATE), clip("WAV", 1.0, RATE)
    kept = b"riff" + wav[:44] + clip("OGG", 0.5, RATE)
    block = b"\x02" + len(kept).to_bytes(3, "big") + kept
    cover = b"ID3\x03\x00\x00" + bytes([0, 0, len(kept) >> 7, len(kept) & 127]) + kept
    for data in (
        flac[:42] + block + flac[42:],
        cover + clip("mp3", 1.0, RATE),
        cover + flac,
        cover + encode_ffmpeg(melody(1.0), "adts", "aac"),
    ):
        heard, stream = decoded(data)
        assert len(heard) == pytest.approx(RATE, abs=0.15 * RATE)
        assert (stream.truncated, stream.unheard) == (False, {})


@pytest.mark.parametrize("name", ["FLAC", "streamed flac"])
def test_a_flac_that_is_cut_ends_where_the_next_begins(name: str) -> None:
    data = clip("FLAC", 4.0, RATE) if name == "FLAC" else streamed("flac", "flac", seconds=4.0)
    bare = b"fLaC\x80" + data[5:42] + data[data.index(b"\xff\xf8", 42) :]
    for following in (data, bare):
        heard, stream = decoded(data[: len(data) * 6 // 10] + following)
        assert stream.truncated
        assert not stream.unheard
        assert len(heard) > 6 * RATE


def test_metadata_behind_the_sound_is_not_missed() -> None:
    tag = b"TAG" + b"x" * 125
    id3 = b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256)
    chunk = b"LIST" + (4).to_bytes(4, "little") + b"INFO"
    for more in (bytes(4096), tag, id3, chunk, chunk + bytes(3)):
        assert decoded(clip("WAV", 0.5, RATE) + more)[1].unheard == {}
    odd = encode(melody(0.5)[:-1], "WAV", subtype="PCM_U8")  # a byte makes its chunk even
    assert decoded(odd + clip("WAV", 0.5, RATE))[1].duration_s == pytest.approx(1, abs=1e-3)
    assert decoded(odd[:-1] + clip("WAV", 0.5, RATE))[1].duration_s == pytest.approx(1, abs=1e-3)


PLACEHOLDERS = [0, 0xFFFF_FFFF, 0x7FFF_FFFF, 0x8000_0000, 0x7FFF_FFBB, 2_000_000_000, 2_000_000_036]


@pytest.mark.parametrize(
    ("name", "subtype"),
    [("WAV", "PCM_16"), ("WAV", "MS_ADPCM"), ("AIFF", "PCM_16"), ("AU", "PCM_16")],
)
@pytest.mark.parametrize("size", PLACEHOLDERS)
def test_a_size_that_says_not_known_is_no_damage(name: str, subtype: str, size: int) -> None:
    data = bytearray(encode(melody(), name, subtype=subtype))
    at = 8 if name == "AU" else data.index(b"data" if name == "WAV" else b"SSND") + 4
    data[at : at + 4] = size.to_bytes(4, "little" if name == "WAV" else "big")
    heard, stream = decoded(bytes(data))
    assert len(heard) == pytest.approx(2 * RATE, abs=0.05 * RATE)
    assert not stream.truncated


@pytest.mark.parametrize("codec", ["pcm_mulaw", "adpcm_ima_wav", "libmp3lame"])
def test_a_wav_that_only_ffmpeg_reads_needs_no_size_and_is_called_cut_when_it_is(
    codec: str,
) -> None:
    whole = encode_ffmpeg(melody(), "wav", codec)
    assert not decoded(whole)[1].truncated
    data = bytearray(whole)
    at = data.index(b"data")
    data[at + 4 : at + 8] = (2_000_000_000).to_bytes(4, "little")
    assert not decoded(bytes(data))[1].truncated
    assert decoded(whole[: len(whole) // 2])[1].truncated


@pytest.mark.parametrize(("first", "second"), [("CAF", "W64"), ("m4a", "VOC")])
def test_a_file_whose_start_could_name_a_chunk_is_heard(first: str, second: str) -> None:
    head = encode_ffmpeg(melody(1.0), "ipod", "aac") if first == "m4a" else clip(first, 1.0, RATE)
    heard, stream = decoded(head + clip(second, 1.0, RATE))
    assert len(heard) == pytest.approx(2 * RATE, abs=0.1 * RATE)
    assert (stream.truncated, stream.unheard) == (False, {})


def test_an_avi_that_is_cut_is_called_so() -> None:
    data = film("avi", "pcm_s16le", 2.0, rate=5, n_pictures=10)
    assert not decoded(data)[1].truncated
    assert decoded(data[: len(data) // 2])[1].truncated


def test_an_ogg_that_stops_within_a_page_does_not_hide_the_next() -> None:
    cut = clip("OGG", 4.0, RATE)
    heard, stream = decoded(cut[: len(cut) * 3 // 5] + clip("OGG", 4.0, RATE))
    assert len(heard) >= 5 * RATE
    assert stream.truncated


def test_the_second_data_of_a_wav_is_said_to_be_unheard() -> None:
    data = clip("WAV", 2.0, RATE)
    at = data.index(b"data")
    heard, stream = decoded(data + data[at:])
    assert len(heard) == 2 * RATE
    assert "unheard_data" in stream.unheard


@pytest.mark.parametrize("name", ["WAV", "AIFF", "CAF", "FLAC"])
def test_a_tag_may_stand_before_a_file_of_any_kind(name: str) -> None:
    heard, stream = decoded(
        b"ID3\x03\0\0\0\0\0\x15TIT2\0\0\0\x0b\0\0" + bytes(11) + clip(name, 1.0, RATE)
    )
    assert (len(heard), stream.truncated, stream.unheard) == (RATE, False, {})


def test_a_streamed_rf64_has_no_sizes() -> None:
    data = bytearray(clip("RF64", 2.0, RATE))
    at = data.index(b"ds64")
    data[at + 8 : at + 36] = bytes(28)
    heard, stream = decoded(bytes(data))
    assert (len(heard), stream.truncated) == (2 * RATE, False)


def test_two_streamed_wavs_are_told_apart() -> None:
    data = bytearray(clip("WAV", 1.0, RATE))
    at = data.index(b"data")
    data[4:8] = data[at + 4 : at + 8] = b"\xff\xff\xff\xff"
    heard, stream = decoded(bytes(data) + clip("WAV", 1.0, 8000))
    assert (len(heard), stream.truncated) == (2 * RATE, False)


def mp3(seconds: float, **how: str) -> bytearray:
    muxer = {"write_xing": how.pop("xing", "1"), "id3v2_version": how.pop("id3", "0")}
    quiet_then_loud = np.concatenate([np.zeros(4 * RATE, np.float32), melody(seconds - 4)])
    return bytearray(encode_ffmpeg(quiet_then_loud, "mp3", "libmp3lame", muxer=muxer, **how))


MP3 = [
    {"abr": "1", "b": "48000"},
    {"b": "32000"},
    {"compression_level": "2", "global_quality": "500"},
]


@pytest.mark.parametrize("how", MP3, ids=["abr", "cbr", "vbr"])
def test_an_mp3_is_heard_whole_whatever_its_header_counts(how: dict[str, str]) -> None:
    counted = mp3(8.0, **how)
    at = max(counted.find(b"Xing"), counted.find(b"Info"))
    n_frames = int.from_bytes(counted[at + 8 : at + 12], "big")
    half, none, uncounted = (bytearray(counted) for _ in range(3))
    half[at + 8 : at + 12] = (n_frames // 2).to_bytes(4, "big")
    none[at + 8 : at + 12] = bytes(4)
    uncounted[at + 4 : at + 8] = bytes(4)  # as lame writes into a pipe
    for data in (
        counted,
        half,
        none,
        uncounted,
        mp3(8.0, xing="0", **how),
        mp3(8.0, id3="4", **how),
    ):
        heard, stream = decoded(bytes(data))
        assert len(heard) == pytest.approx(8 * RATE, abs=0.2 * RATE)
        assert (stream.truncated, stream.unheard) == (False, {})


@pytest.mark.parametrize("how", MP3, ids=["abr", "cbr", "vbr"])
def test_an_mp3_that_is_cut_is_called_so_with_a_header_and_without(how: dict[str, str]) -> None:
    for xing in ("0", "1"):
        data = bytes(mp3(8.0, xing=xing, **how))
        for share in (0.4, 0.7):
            assert decoded(data[: int(share * len(data)) | 1])[1].truncated


def test_the_length_of_a_film_is_not_that_of_its_sound() -> None:
    stream = decoded(film("mp4", "aac", 1.0, rate=5, n_pictures=25))[1]  # 5 s of pictures
    assert stream.duration_s == pytest.approx(1.0, abs=0.1)
    assert not stream.truncated


@pytest.mark.parametrize("container", ["matroska", "mp4", "mpegts", "flv"])
def test_a_piece_of_a_long_recording_is_as_long_as_its_sound(container: str) -> None:
    data = encode_ffmpeg(melody(2.0), container, "aac", muxer={"output_ts_offset": "7200"})
    heard, stream = decoded(data)
    assert len(heard) == pytest.approx(2 * RATE, abs=0.2 * RATE)
    assert not stream.truncated


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("matroska", "flac", 44_100), ("webm", "libopus", 48_000), ("mp4", "aac", 44_100)],
)
def test_a_recording_that_was_paused_is_whole(container: str, codec: str, rate: int) -> None:
    data = encode_ffmpeg(melody(4.0, rate), container, codec, rate, pause_s="100")
    heard, stream = decoded(data)
    assert len(heard) == pytest.approx(4 * RATE, abs=0.1 * RATE)
    assert not stream.truncated
    assert stream.unheard == {"gap": "100.0 s that its time stamps skip"}
    if container != "mp4":  # its index is at the end
        assert decoded(data[: len(data) * 2 // 5])[1].truncated, "before the pause"
        assert decoded(data[: len(data) * 4 // 5])[1].truncated


def test_the_default_track_is_heard_or_the_one_that_is_asked_for() -> None:
    sounds = [melody(1.0), melody(2.0, seed=1), melody(3.0, seed=2)]
    languages = ["eng", "deu", "fra"]
    for default, track, heard in [(None, None, 0), (1, None, 1), (1, 0, 0), (1, 2, 2)]:
        data = tracks(sounds, default, languages)
        samples, stream = decoded(data, AudioOptions(track=track))
        assert len(samples) == (heard + 1) * RATE
        others = [n for n in range(3) if n != heard]
        said = stream.unheard["other_tracks"]
        assert all(f"track {n} (pcm_s16le, {languages[n]})" in said for n in others)
        assert f"track {heard}" not in said
    with pytest.raises(AudioInvalid, match="has 3 audio tracks, so there is no track 3"):
        decoded(data, AudioOptions(track=3))
    with pytest.raises(AudioInvalid, match="has 1 audio track, so there is no track 1"):
        decoded(clip("WAV", 1.0, RATE), AudioOptions(track=1))
    assert decoded(clip("WAV", 1.0, RATE), AudioOptions(track=0))[1].unheard == {}


def test_a_file_of_ten_thousand_files_does_not_keep_a_reader_busy() -> None:
    tiny = clip("WAV", 0.001, RATE)
    chunks = tiny + b"LIST\0\0\0\0" * 500_000
    started = time.process_time()
    stream = decoded(tiny * 10_000)[1]
    assert stream.unheard["unheard_data"] == f"{9000 * len(tiny)} bytes behind the sound"
    assert decoded(chunks)[1].unheard
    assert time.process_time() - started < 10
