"""What is damaged, hostile or not audio gives a typed error, and nothing on stderr."""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from many_texts import flac_with, flv_with, names
from sounds import RATE, decoded, encode, encode_ffmpeg, melody, silent_film, streamed, tracks

from voiceid.audio import AudioOptions, open_audio
from voiceid.errors import AudioError, AudioInvalid, AudioTooLong, AudioUnreadable

FORMATS = ["WAV", "FLAC", "MP3", "OGG", "OPUS", "AIFF", "aac", "m4a", "webm"]


@pytest.fixture(autouse=True)
def silent_libraries(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    assert capfd.readouterr() == ("", "")


def clip(name: str, seconds: float = 4.0) -> bytes:
    if name == "OPUS":
        return encode(melody(seconds), "OGG", subtype="OPUS")
    if name in {"aac", "m4a"}:
        container = {"aac": "adts", "m4a": "ipod"}[name]
        return encode_ffmpeg(melody(seconds, 44100), container, "aac", 44100)
    if name == "webm":
        return encode_ffmpeg(melody(seconds, 48000), "webm", "libopus", 48000)
    return encode(melody(seconds), name)


@pytest.mark.parametrize("name", FORMATS)
def test_half_a_file_is_an_error_or_marked_as_truncated(name: str) -> None:
    data = clip(name)
    try:
        heard, stream = decoded(data[: len(data) // 2 + 7])
    except AudioUnreadable:
        assert name == "m4a"  # its index is at the end
    else:
        assert 0.5 * RATE < len(heard) < 3.0 * RATE
        assert stream.truncated


def test_a_flac_that_stops_or_has_zeros_behind_it_is_heard_up_to_there() -> None:
    data = encode(melody(20.0), "FLAC")  # more than a block
    heard, stream = decoded(data + bytes(1000))
    assert (len(heard), stream.truncated) == (20 * RATE, False)
    heard, stream = decoded(data[: len(data) * 97 // 100])
    assert len(heard) > 18.5 * RATE
    assert stream.truncated


def test_a_flac_of_short_blocks_from_which_a_piece_is_lost_is_truncated() -> None:
    data = encode_ffmpeg(melody(8.0), "flac", "flac", frame_size="16")
    heard, stream = decoded(data[: len(data) // 2] + data[len(data) * 3 // 4 :])
    assert len(heard) < 7 * RATE
    assert stream.truncated


def test_an_mp3_that_lacks_half_a_second_of_what_it_counts_is_truncated() -> None:
    data = encode(melody(8.0), "MP3")
    assert not decoded(data)[1].truncated
    heard, stream = decoded(data[: len(data) * 92 // 100])
    assert 7 * RATE < len(heard) < 7.5 * RATE
    assert stream.truncated


@pytest.mark.parametrize("codec", ["tta", "wavpack"])
def test_a_check_sum_tells_that_a_lossless_file_was_filled_up(codec: str) -> None:
    data = encode_ffmpeg(melody(6.0), {"wavpack": "wv"}.get(codec, codec), codec)
    middle = len(data) * 3 // 4
    for broken in (
        data[:middle] + bytes(len(data) - middle),
        data[:middle] + bytes(40) + data[middle + 40 :],
    ):
        heard, stream = decoded(broken)
        assert stream.truncated
        assert len(heard) < 5.5 * RATE


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        *(("WAV", subtype) for subtype in ("PCM_16", "PCM_U8", "ULAW", "IMA_ADPCM", "FLOAT")),
        *(("AIFF", "PCM_24"), ("CAF", "ALAW"), ("AU", "PCM_16")),
    ],
)
def test_pcm_of_which_a_part_is_zeros_has_a_gap(name: str, subtype: str) -> None:
    data = encode(melody(6.0), name, subtype=subtype)
    assert "gap" not in decoded(data)[1].unheard
    whole = len(data) // 2
    for n_filled in (len(data) - whole, len(data) // 4):
        broken = data[:whole] + bytes(n_filled) + data[whole + n_filled :]
        said = decoded(broken)[1].unheard["gap"]
        assert said.endswith("s of one constant value")
        assert float(said.split()[0]) == pytest.approx(6 * n_filled / len(data), abs=0.2)


def test_zeros_in_eight_bits_are_told_from_digital_silence() -> None:
    sound, silence = melody(2.0), np.zeros(RATE // 2, np.float32)
    data = encode(np.concatenate([sound, silence, sound, sound]), "WAV", subtype="PCM_U8")
    assert decoded(data)[1].unheard == {}
    assert "gap" in decoded(data[: len(data) * 3 // 4].ljust(len(data), b"\0"))[1].unheard


def test_digital_silence_that_somebody_made_is_no_gap() -> None:
    sound, silence = melody(3.0), np.zeros(2 * RATE, np.float32)
    faded = sound * np.linspace(1, 0, len(sound), dtype=np.float32)
    for made in (
        [silence, sound],
        [sound, silence, sound, silence],
        [silence[:RATE], sound, silence],
        [faded, silence],
        [sound, silence[: RATE // 2]],
        [silence],
    ):
        assert decoded(encode(np.concatenate(made), "WAV"))[1].unheard == {}


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [("webm", "libopus", 48_000), ("flv", "aac", 44_100), ("nut", "aac", 44_100)],
)
def test_whole_frames_that_are_lost_leave_a_gap_in_time(
    container: str, codec: str, rate: int
) -> None:
    def muxed(*lost: int) -> bytes:
        file = io.BytesIO()
        with (
            av.open(io.BytesIO(encode_ffmpeg(melody(6.0, rate), container, codec, rate))) as whole,
            av.open(file, "w", format=container, options=live) as output,
        ):
            track = output.add_stream_from_template(whole.streams.audio[0])
            for number, packet in enumerate(whole.demux(whole.streams.audio[0])):
                if packet.dts is not None and number not in range(*lost):
                    packet.stream = track
                    output.mux(packet)
        return file.getvalue()

    live = {"live": "1"} if container == "webm" else {}
    assert decoded(muxed(0, 0))[1].unheard == {}
    said = decoded(muxed(80, 180))[1].unheard["gap"]
    assert float(said.split()[0]) == pytest.approx(
        100 * (960 if rate == 48_000 else 1024) / rate, abs=0.1
    )


@pytest.mark.parametrize("name", FORMATS)
def test_the_first_bytes_alone_are_an_error(name: str) -> None:
    data = clip(name)
    for n in (1, 4, 11, 30):
        with pytest.raises(AudioUnreadable):
            decoded(data[:n])


@pytest.mark.parametrize("name", ["WAV", "FLAC", "OGG", "OPUS", "AIFF", "aac", "m4a", "webm"])
def test_random_damage_never_gives_anything_but_audio_or_a_typed_error(name: str) -> None:
    rng = np.random.default_rng(3)
    data = clip(name, 1.0)
    for _ in range(25):
        broken = bytearray(data)
        for at in rng.integers(0, len(broken), 8):
            broken[at] = rng.integers(256)
        start, stop = sorted(rng.integers(0, len(broken), 2))
        del broken[start : start + (stop - start) // 8]
        try:
            decoded(bytes(broken))
        except AudioError as error:
            assert error.message  # noqa: PT017
            assert error.hint  # noqa: PT017


@pytest.mark.parametrize(("container", "codec"), [("webm", "libopus"), ("matroska", "aac")])
def test_a_stream_whose_end_was_filled_with_zeros_is_cut(container: str, codec: str) -> None:
    data = streamed(container, codec, 48_000)
    end = len(data) * 2 // 3
    assert decoded(data[:end] + bytes(len(data) - end))[1].truncated
    assert not decoded(data + bytes(5000))[1].truncated


def test_an_mp3_with_a_broken_chain_of_frames_is_decoded_without_a_word() -> None:
    data = bytearray(encode(melody(4.0), "MP3"))
    data[len(data) // 2 : len(data) // 2 + 600] = bytes(600)
    heard, stream = decoded(bytes(data))
    assert len(heard) > 3 * RATE
    assert stream.truncated


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"Dear Sir or Madam,\nhere is my voice.\n" * 50, "text"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "PNG"),
        (b"PK\x03\x04" + bytes(range(256)) * 20, "ZIP"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 20, "PDF"),
        (b"\xff\xd8\xff\xe0" + bytes(range(256)) * 20, "JPEG"),
        (bytes(100_000), "not audio"),
        (np.random.default_rng(0).bytes(200_000), "not audio"),
        (b"\xff\xfb" + np.random.default_rng(1).bytes(200_000), "not audio"),
        (silent_film(), "no audio track"),
        (clip("m4a")[:20_000], "is cut short: the index at the end of the MP4 is missing"),
        (encode_ffmpeg(melody(), "adx", "adpcm_adx"), "in an unsupported format"),
    ],
    ids=[
        "empty",
        "text",
        "png",
        "zip",
        "pdf",
        "jpeg",
        "zeros",
        "random",
        "mp?",
        "film",
        "cut",
        "adx",
    ],
)
def test_what_is_not_audio_is_called_by_its_name(data: bytes, word: str) -> None:
    with pytest.raises(AudioUnreadable, match=word) as caught:
        decoded(data)
    assert caught.value.hint


def test_a_program_is_not_audio() -> None:
    with pytest.raises(AudioUnreadable, match="a program"):
        decoded(Path(os.path.realpath(sys.executable)))


def header(rate: int = 16000, channels: int = 1, n_bytes: int = 3200) -> bytes:
    block = 2 * max(1, channels)
    return b"".join(
        (
            b"RIFF" + struct.pack("<I", 36 + n_bytes) + b"WAVE",
            b"fmt "
            + struct.pack(
                "<IHHIIHH", 16, 1, channels, rate, rate * block % 2**32, block % 2**16, 16
            ),
            b"data" + struct.pack("<I", n_bytes) + bytes(n_bytes),
        )
    )


def test_a_header_with_absurd_facts_is_refused() -> None:
    for rate in (0, 1, 999, 768_001, 4_000_000_000):
        with pytest.raises((AudioInvalid, AudioUnreadable)):
            decoded(header(rate=rate))
    for channels in (0, 300, 65535):
        with pytest.raises((AudioInvalid, AudioUnreadable)):
            decoded(header(channels=channels))


def test_a_wav_without_samples_is_an_error() -> None:
    with pytest.raises(AudioUnreadable):
        decoded(header(n_bytes=0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_a_sample_that_is_not_a_number_is_named_with_its_place(value: float) -> None:
    samples = melody()
    samples[8000] = value
    with pytest.raises(AudioInvalid, match=r"0\.500 s"):
        decoded(encode(samples, "WAV", subtype="FLOAT"))


def test_a_long_file_is_refused_by_its_header() -> None:
    """Only the header is long: of the sound there are four seconds."""
    data = bytearray(encode(melody(4.0), "FLAC"))
    assert len(decoded(bytes(data), AudioOptions(max_duration_s=60))[0]) == 4 * RATE
    n_samples = 7200 * RATE  # STREAMINFO: 36 bits behind rate, channels and bits (RFC 9639, 8.2)
    data[21:26] = (data[21] & 0xF0 | n_samples >> 32).to_bytes(1, "big") + (
        n_samples & 0xFFFF_FFFF
    ).to_bytes(4, "big")
    with pytest.raises(AudioTooLong, match="limit of 60 s"):
        decoded(bytes(data), AudioOptions(max_duration_s=60))
    with open_audio(bytes(data), AudioOptions(max_duration_s=9000)) as stream:
        assert sum(len(block) for block in stream.blocks()) == 4 * RATE
        assert stream.truncated


def tagged(name: str, n: int) -> bytes:
    """Return a recording with so many texts, each of a name of its own."""
    if name == "MP3":
        body = b"".join(b"TXXX\0\0\0\x09\0\0\0" + text + b"\0b" for text in names(n))
        size = bytes(len(body) >> shift & 127 for shift in (21, 14, 7, 0))
        return b"ID3\4\0\0" + size + body + clip("MP3", 0.5)
    if name == "flac":
        return flac_with(n, encode(melody(0.5), "FLAC"))
    if name == "flv":
        return flv_with(n, encode_ffmpeg(melody(0.5, 44_100), "flv", "aac", 44_100))
    tags = b"".join(b"\x67\xc8\x8d\x45\xa3\x86" + text + b"\x44\x87\x81b" for text in names(n))
    for ids in (b"\x73\x73", b"\x12T\xc3g"):
        tags = ids + b"\x01" + len(tags).to_bytes(7, "big") + tags
    data = streamed("matroska", "libopus", 48_000)
    at = data.index(b"\x18S\x80g") + 12  # its size is open
    return data[:at] + tags + data[at:]


@pytest.mark.parametrize("name", ["flac", "mkv", "flv"])
def test_very_many_texts_in_the_metadata_are_refused_in_seconds(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceid.audio.ffmpeg.MAX_OPEN_S", 0.5)
    assert decoded(tagged(name, 2000))[1].duration_s > 0.4
    before_s = time.process_time()
    with pytest.raises(AudioUnreadable, match=r"its metadata|opening it"):
        decoded(tagged(name, 100_000))
    with pytest.raises(AudioUnreadable, match=r"its metadata|opening it"):
        decoded(tagged(name, 25_000))
    assert time.process_time() - before_s < 10


def test_sound_that_looks_like_texts_is_not_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiceid.audio.metadata._MAX_TEXTS", 20)
    noise = np.random.default_rng(1).uniform(-1, 1, 48_000).astype(np.float32)
    loud = (np.round(noise * 2**15) / 2**15).astype(np.float32)  # the last two bytes are zeros
    data = encode_ffmpeg(loud, "matroska", "pcm_s32le", 48_000)
    assert len(re.findall(rb"\0\0[^\0=]*=", data)) > 100
    assert decoded(data)[1].duration_s == pytest.approx(1.0)


def test_a_tag_of_very_many_texts_is_passed_over() -> None:
    before_s = time.process_time()
    assert decoded(tagged("MP3", 250_000))[1].duration_s == pytest.approx(0.5)
    assert time.process_time() - before_s < 5


def test_of_very_many_tracks_a_few_are_named() -> None:
    unheard = decoded(tracks([melody(0.1)] * 12))[1].unheard
    assert unheard["other_tracks"].endswith("and 3 more")


def test_ten_hours_of_silence_in_a_small_flac_meet_the_limit(tmp_path: Path) -> None:
    silence = np.zeros(RATE * 3600 * 2, np.int16)
    data = encode(silence, "FLAC")
    assert len(data) < silence.nbytes / 500
    hidden = bytearray(data)  # without the number of samples, so that it must be decoded
    hidden[21] &= 0xF0
    hidden[22:26] = bytes(4)
    path = tmp_path / "bomb.flac"
    path.write_bytes(hidden)
    with pytest.raises(AudioTooLong):
        decoded(path, AudioOptions(max_duration_s=600))


def test_memory_does_not_grow_with_the_length_of_the_recording(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "long.flac"
    path.write_bytes(encode(np.zeros(44100 * 1200, np.int16), "FLAC", 44100))
    with open_audio(path) as stream:
        blocks = stream.blocks()
        next(blocks)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        n_samples = sum(len(block) for block in blocks)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert n_samples > 1100 * RATE  # 73 MiB as float32
    assert (after - before) * 1024 < 16 << 20


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}/a.wav", asked
        httpd.shutdown()
        thread.join()


def test_playlists_are_not_followed(server: tuple[str, list[str]], tmp_path: Path) -> None:
    url, asked = server
    secret = tmp_path / "secret.wav"
    secret.write_bytes(encode(melody(), "WAV"))
    for target in (url, secret.as_uri(), str(secret), "secret.wav"):
        for name, text in {
            "list.m3u8": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n"
            f"#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n",
            "list.ffconcat": f"ffconcat version 1.0\nfile '{target}'\n",
            "list.mpd": '<?xml version="1.0"?><MPD type="static"><Period><AdaptationSet>'
            f'<Representation id="1"><BaseURL>{target}</BaseURL></Representation>'
            "</AdaptationSet></Period></MPD>",
            "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
            "m=audio 5004 RTP/AVP 0\n",
            "list.pls": f"[playlist]\nFile1={target}\nNumberOfEntries=1\n",
        }.items():
            path = tmp_path / name
            path.write_text(text)
            for source in (path, text.encode()):
                with pytest.raises(AudioUnreadable):
                    decoded(source)
    assert asked == []


def test_ffmpeg_is_given_one_file_and_may_open_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A playlist is refused by the one list, and what it names by the other."""
    told: list[dict[str, str]] = []
    really = av.open

    def opening(*given: object, **how: Any) -> object:
        told.append(how["options"])
        return really(*given, **how)

    monkeypatch.setattr("voiceid.audio.ffmpeg.av.open", opening)
    decoded(encode(melody(1.0), "MP3"))
    [options] = told
    assert options["protocol_whitelist"] == "none"
    demuxers = set(options["format_whitelist"].split(","))
    assert {"mp3", "mov", "matroska", "ogg"} <= demuxers
    others = {"concat", "concatf", "hls", "applehttp", "dash", "sdp", "rtsp", "rtp", "tedcaptions"}
    others |= {
        "lavfi",
        "alsa",
        "pulse",
        "v4l2",
        "image2",
        "imf",
        "webm_dash_manifest",
        "ffmetadata",
    }
    assert not demuxers & others
