"""Where the recordings in a file begin and end, byte by byte."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable

import numpy as np
import pytest
from sounds import encode, encode_ffmpeg, melody, streamed

from voiceid.audio import AudioOptions, frames
from voiceid.audio.containers import _is_placeholder, is_container
from voiceid.audio.heads import HEAD_BYTES
from voiceid.audio.media import open_media
from voiceid.audio.parts import Layout, Part, layout_of

WAV = encode(melody(0.1), "WAV")
OGG = encode(melody(0.5), "OGG")


def layout(data: bytes) -> Layout:
    return layout_of(open_media(data, AudioOptions()))


def ends(data: bytes) -> list[tuple[int, int]]:
    return [(part.start, part.end) for part in layout(data).parts]


def chunk(name: bytes, data: bytes, order: str = "<") -> bytes:
    return name + struct.pack(f"{order}I", len(data)) + data + b"\0" * (len(data) % 2)


def sized(data: bytes, name: bytes, size: int, order: str = "<") -> bytes:
    """Return a file in which a chunk says another size."""
    at = data.index(name) + 4
    return data[:at] + struct.pack(f"{order}I", size) + data[at + 4 :]


@pytest.mark.parametrize(
    ("size", "says_nothing"),
    [
        *((0, True), (1, False), (0x7FFF_EFFF, False), (0x7FFF_F000, True), (0xFFFF_FFFF, True)),
        *((10**9 - 1, False), (10**9, True), (10**9 + 64, True), (10**9 + 65, False)),
        *((10**9 - 10**6, False), (2 * 10**9 - 64, True), (2 * 10**9 - 65, False)),
    ],
)
def test_a_size_is_a_placeholder_from_its_very_limit_on(size: int, says_nothing: bool) -> None:
    assert _is_placeholder(size) == says_nothing


KINDS: dict[str, Callable[[], bytes]] = {
    **{name: lambda name=name: encode(melody(0.1), name) for name in ("WAV", "AIFF", "AU", "CAF")},
    **{name: lambda name=name: encode(melody(0.3), name) for name in ("FLAC", "OGG", "W64", "VOC")},
    "RF64": lambda: encode(melody(0.1), "RF64"),
    "NIST": lambda: encode(melody(0.1), "NIST"),
    "m4a": lambda: encode_ffmpeg(melody(0.5, 44_100), "ipod", "aac", 44_100),
    "webm": lambda: encode_ffmpeg(melody(0.5, 48_000), "webm", "libopus", 48_000),
    "flv": lambda: encode_ffmpeg(melody(0.5, 44_100), "flv", "aac", 44_100),
    "wavpack": lambda: encode_ffmpeg(melody(0.5), "wv", "wavpack"),
    "tta": lambda: encode_ffmpeg(melody(0.5), "tta", "tta"),
    "sox": lambda: encode_ffmpeg(melody(0.1), "sox", "pcm_s32le"),
    "nut": lambda: encode_ffmpeg(melody(0.5), "nut", "pcm_s16le"),
    "wtv": lambda: encode_ffmpeg(melody(0.5, 48_000), "wtv", "mp2", 48_000),
    "amr": lambda: encode_ffmpeg(melody(1.0, 8000), "amr", "libopencore_amrnb", 8000),
    "wma": lambda: encode_ffmpeg(melody(0.5, 44_100), "asf", "wmav2", 44_100),
    "8svx": lambda: iff(b"8SVX"),
    "maud": lambda: iff(b"MAUD", b"MDAT"),
}


def iff(kind: bytes, sound: bytes = b"BODY") -> bytes:
    form = kind + chunk(b"VHDR", bytes(20), ">") + chunk(sound, bytes(range(1, 201)), ">")
    return chunk(b"FORM", form, ">")


@pytest.mark.parametrize("kind", KINDS)
def test_three_files_in_one_are_found_where_they_begin(kind: str) -> None:
    one = KINDS[kind]()
    n = len(one)
    found = layout(one * 3)
    tag = one.find(b"APETAGEX")  # FFmpeg writes one behind some
    sound = n if tag < 0 else tag
    assert [(part.start, part.end) for part in found.parts] == [
        (start, start + sound) for start in (0, n, 2 * n)
    ]
    assert (found.is_cut, found.n_unheard) == (False, 0)
    assert is_container(one[:HEAD_BYTES])


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_found_behind_bytes_that_fill_up_or_are_no_sound(kind: str) -> None:
    one, n = KINDS[kind](), len(WAV)
    for between, n_unheard in (
        *((bytes(n_zeros), 0) for n_zeros in (1, 2, 3, 4, 5, 512, 1 << 20)),
        *((noise, len(noise)) for noise in (b"\x07", b"\x07" * 100, bytes(9) + b"\x07" * 5000)),
    ):
        found = layout(WAV + between + one)
        assert found.parts[1].start == n + len(between)
        assert (len(found.parts), found.is_cut, found.n_unheard) == (2, False, n_unheard)


def test_a_file_is_not_looked_for_behind_very_much_that_is_no_sound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("voiceid.audio.heads._MAX_LOOKED_BYTES", 1 << 20)
    found = layout(WAV + b"\x07" * (3 << 20) + WAV)
    assert (len(found.parts), found.n_unheard) == (1, (3 << 20) + len(WAV))
    assert len(layout(WAV + bytes(3 << 20) + WAV).parts) == 2, "zeros take no time"


def test_a_wav_ends_with_its_last_chunk_also_where_no_byte_makes_it_even() -> None:
    odd = WAV + chunk(b"LIST", b"INF")
    assert ends(odd + WAV) == [(0, len(odd)), (len(odd), len(odd) + len(WAV))]
    bare = odd[:-1]
    assert ends(bare + WAV) == [(0, len(bare)), (len(bare), len(bare) + len(WAV))]


@pytest.mark.parametrize(("kind", "name", "order"), [("WAV", b"data", "<"), ("AIFF", b"SSND", ">")])
def test_a_file_is_cut_where_its_sound_has_a_byte_less_than_it_says(
    kind: str, name: bytes, order: str
) -> None:
    data = encode(melody(0.1), kind)
    at = data.index(name)
    size = struct.unpack(f"{order}I", data[at + 4 : at + 8])[0]
    whole = data[: at + 8 + size]
    assert not layout(whole).is_cut
    assert layout(whole[:-1]).is_cut
    assert layout(WAV + whole[:-1]).is_cut, "the last of several"
    assert not layout(whole[:-1] + bytes(1)).is_cut


@pytest.mark.parametrize("size", [0, 0xFFFF_FFFF])
def test_the_sound_of_a_size_that_is_not_known_goes_to_the_end_or_to_the_next_wav(
    size: int,
) -> None:
    streamed = sized(sized(WAV, b"RIFF", size), b"data", size)
    for more in (b"", bytes(2), WAV):
        found = layout(streamed + more)
        assert (found.has_placeholder, found.is_cut, found.n_unheard) == (True, False, 0)
        n = len(streamed) + (0 if more == WAV else len(more))
        assert (found.parts[0].start, found.parts[0].end) == (0, n)
        assert len(found.parts) == (2 if more == WAV else 1)


def test_a_size_that_looks_like_a_placeholder_and_fits_is_a_size() -> None:
    """A recording of two gigabytes may be so long: bytes behind it are another file."""

    class Large:
        size = 3_000_000_000

        def __init__(self) -> None:
            self.at = 0

        def seek(self, at: int) -> None:
            self.at = at

        def read(self, n: int) -> bytes:
            head = sized(WAV[:44], b"data", 2_000_000_000)
            data = head[self.at :] if self.at < 44 else b""
            data += WAV[: max(0, n)] if self.at == 44 + 2_000_000_000 else b""
            return data.ljust(min(n, self.size - self.at), b"\0")[:n]

    found = layout_of(Large())  # type: ignore[arg-type]
    assert found.parts[0].end == 44 + 2_000_000_000
    assert not found.has_placeholder


def test_a_riff_that_does_not_know_its_size_is_not_cut_for_its_data_of_another_size() -> None:
    at = WAV.index(b"data")
    short = sized(WAV, b"data", 10 * len(WAV))[: at + 1000]
    for size, is_cut in ((0xFFFF_FFFF, False), (0, True), (len(WAV), True)):
        found = layout(sized(short, b"RIFF", size))
        assert (found.is_cut, found.has_placeholder) == (is_cut, not is_cut)


def test_a_long_wav_has_its_size_in_a_chunk_of_its_own() -> None:
    data = encode(melody(0.1), "RF64")
    at, n = data.index(b"data"), len(data)
    assert data[at + 4 : at + 8] == b"\xff\xff\xff\xff", "the encoder of this test has changed"
    assert ends(data + WAV) == [(0, n), (n, n + len(WAV))]
    assert layout(data[:-1]).is_cut
    bare = data[: data.index(b"ds64")] + chunk(b"JUNK", bytes(28)) + data[data.index(b"fmt ") :]
    found = layout(bare)
    assert (found.has_placeholder, found.parts[0].head) == (True, b"RIFF")


def test_what_is_behind_the_sound_is_metadata_or_was_not_heard() -> None:
    noise = b"\x07" + bytes(99)
    long_tag = b"ID3\x04\x00\x00" + bytes([0, 0, 2, 0])
    for more, n_unheard in (
        *((b"", 0), (bytes(100), 0), (noise, 100), (b"TAG" + noise, 0), (b"APETAGEX" + noise, 0)),
        *((long_tag + bytes(256), 0), (b"TAG" + noise[:1] * 225, 100)),
        *((long_tag + bytes(256) + noise, 100), (bytes(1 << 20) + noise, (1 << 20) + 100)),
    ):
        found = layout(WAV + more)
        assert found.n_unheard == n_unheard, more[:12]
        assert len(found.parts) == 1


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "8svx", "CAF", "m4a"])
def test_text_behind_the_sound_is_no_chunk_of_it(kind: str) -> None:
    text = b"written by the recorder of the front door\n" * 100
    found = layout(KINDS[kind]() + text)
    assert (found.n_unheard, found.is_cut) == (len(text), False)
    big, size = kind != "WAV", 300
    name = {"CAF": b"info", "m4a": b"free"}.get(kind, b"ANNO")
    length = size.to_bytes(8 if kind == "CAF" else 4, "big" if big else "little")
    cut = (length + name if kind == "m4a" else name + length) + bytes(range(1, 101))
    found = layout(KINDS[kind]() + cut)
    assert (found.n_unheard, found.is_cut) == (0, False), "metadata that is cut, and no sound"


def test_a_length_beyond_all_files_is_a_cut() -> None:
    data = FRAMES["mxf"]()
    for size in (b"\x88" + b"\xff" * 8, b"\xff" * 200):
        assert layout(data + data[:16] + size).is_cut


def test_an_ogg_is_cut_where_its_last_page_is() -> None:
    assert not layout(OGG).is_cut
    assert layout(OGG[:-1]).is_cut
    assert layout(OGG + OGG[:-1]).is_cut
    last = OGG.rindex(b"OggS")
    assert not layout(OGG[:last]).is_cut, "whole pages: how much there was is not said"
    assert layout(OGG[: last + 10]).is_cut
    for n_more in (0, 1000):
        assert not layout(OGG + bytes(n_more)).is_cut
        assert layout(OGG[: last + 100] + bytes(len(OGG) - last - 100 + n_more)).is_cut, n_more


FRAMES: dict[str, Callable[[], bytes]] = {
    "mp2": lambda: encode_ffmpeg(melody(0.5, 48_000), "mp2", "mp2", 48_000),
    "mp2 of 24 kHz": lambda: encode_ffmpeg(melody(0.5, 24_000), "mp2", "mp2", 24_000, b="64000"),
    "bare mp3": lambda: encode_ffmpeg(
        melody(0.5), "mp3", "libmp3lame", muxer={"id3v2_version": "0", "write_xing": "0"}
    ),
    "adts": lambda: encode_ffmpeg(melody(0.5), "adts", "aac"),
    "latm": lambda: encode_ffmpeg(melody(0.5), "latm", "aac"),
    "ac3": lambda: encode_ffmpeg(melody(0.5, 48_000), "ac3", "ac3", 48_000),
    "ac3 of 44 kHz": lambda: encode_ffmpeg(melody(0.5, 44_100), "ac3", "ac3", 44_100),
    "eac3": lambda: encode_ffmpeg(melody(0.5, 48_000), "eac3", "eac3", 48_000),
    "dts": lambda: dts_frame(1006) * 5,  # no encoder is at hand: any bits are sound
    "ts": lambda: encode_ffmpeg(melody(0.5), "mpegts", "aac"),
    "m2ts": lambda: encode_ffmpeg(melody(0.5), "mpegts", "aac", muxer={"mpegts_m2ts_mode": "1"}),
    "amr": KINDS["amr"],
    "flv": KINDS["flv"],
    "program stream": lambda: encode_ffmpeg(melody(0.5, 48_000), "mpeg", "mp2", 48_000),
    "program stream of MPEG-2": lambda: encode_ffmpeg(melody(0.5, 48_000), "vob", "ac3", 48_000),
    "mxf": lambda: encode_ffmpeg(melody(0.5, 48_000), "mxf_opatom", "pcm_s16le", 48_000),
    "ogg": lambda: OGG,
    "wavpack": lambda: encode_ffmpeg(melody(10.0), "wv", "wavpack").partition(b"APETAGEX")[0],
}


def dts_frame(n: int) -> bytes:
    head = b"\x7f\xfe\x80\x01" + (1 << 63 | n - 1 << 36 | 1 << 32).to_bytes(8, "big")
    return head + (bytes(range(1, 201)) * 6)[: n - len(head)]


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_are_followed_to_the_last_which_may_be_cut(kind: str) -> None:
    data = FRAMES[kind]()
    n, noise = len(data), np.random.default_rng(3).bytes(5000)
    for more, n_unheard in ((b"", 0), (bytes(70_000), 0), (noise, 5000), (b"TAG" + bytes(125), 0)):
        found = layout(data + more)
        assert (found.parts, found.is_cut) == ((Part(0, n),), False), more[:4]
        assert found.n_unheard == n_unheard
    for n_left in (n - 1, n - 20, n // 2 - 98 | 1):
        assert layout(data[:n_left]).is_cut, n_left
    assert layout(data[:-10] + bytes(200)).is_cut, "filled up"
    assert ends(data + WAV) == [(0, n), (n, n + len(WAV))]
    n_left = n // 2 - 98 | 1
    found = layout(data[:n_left] + WAV)
    assert found == Layout(
        (Part(0, n_left), Part(n_left, n_left + len(WAV))),
        is_cut=True,
        has_placeholder=False,
        n_unheard=0,
    )
    middle = n // 2
    damaged = data[:middle] + noise[:60] + data[middle + 60 :]
    assert ends(damaged + WAV) == [(0, n), (n, n + len(WAV))]


@pytest.mark.parametrize("kind", ["mp2", "bare mp3", "adts", "ac3"])
def test_the_first_bytes_of_a_frame_are_a_cut_and_nothing_unheard(kind: str) -> None:
    data = FRAMES[kind]()
    cut = layout(data + data[:3])
    assert (cut.parts, cut.is_cut, cut.n_unheard) == ((Part(0, len(data) + 3),), True, 0)


@pytest.mark.parametrize("n_zeros", [100, 3000])
def test_frames_that_all_end_with_zeros_are_not_cut_by_zeros_behind(n_zeros: int) -> None:
    data = encode_ffmpeg(melody(4.0), "mp2", "mp2", b="160000")
    assert data.endswith(bytes(8)), "the test needs padding in the frames"
    assert not layout(data + bytes(n_zeros)).is_cut
    assert layout(data[:-1000] + bytes(n_zeros)).is_cut


def test_the_keys_behind_damage_of_an_mxf_are_followed() -> None:
    data, key = FRAMES["mxf"](), b"\x06\x0e\x2b\x34"
    at = data.index(key, 16)
    found = layout(data[:at] + bytes(range(100, 160)) + data[at:] + b"behind" * 10)
    assert (found.n_unheard, found.is_cut) == (60, False)


def test_a_variant_whose_frames_are_not_known_is_one_part() -> None:
    for head in (b"#!AMR\n", b"FLV\x01\x04\0\0\0\x09\0\0\0\0"):
        data = head + b"\xf0" * 1000
        assert (ends(data), layout(data).is_cut) == ([(0, len(data))], False)


def test_the_extension_of_a_dts_frame_belongs_to_it() -> None:
    for size in (19 << 37 | 99 << 21, 1 << 45 | 19 << 33 | 99 << 13):  # short fields and long ones
        extension = (b"\x64\x58\x20\x25\0" + size.to_bytes(6, "big")).ljust(100, b"\x01")
        data = (dts_frame(1006) + extension) * 3
        assert not layout(data).is_cut
        assert layout(data[:-1]).is_cut
        assert ends(data + WAV) == [(0, len(data)), (len(data), len(data) + len(WAV))]


def test_a_wav_behind_truehd_is_found() -> None:
    data = b"\x81\x0c\x12\x34\xf8\x72\x6f\xba" + bytes(range(1, 201)) * 9
    assert ends(data + WAV) == [(0, len(data)), (len(data), len(data) + len(WAV))]


def test_a_tta_is_as_long_as_its_frames_are_said_to_be() -> None:
    tta = KINDS["tta"]().partition(b"APETAGEX")[0]
    assert not layout(tta).is_cut
    assert layout(tta[:-1]).is_cut
    assert layout(tta + b"x" * 100).n_unheard == 100


def test_what_is_behind_many_files_of_one_frame_is_looked_through_once() -> None:
    class Counted(io.BytesIO):
        n_reads = 0

        def read(self, size: int | None = -1) -> bytes:
            self.n_reads += 1
            return super().read(size)

    frame = FRAMES["bare mp3"]()[:216]
    file = Counted((frame + encode(melody(0.001), "WAV")) * 50 + b"\xff\xfb\0\0" * 2000)
    assert len(layout_of(open_media(file, AudioOptions())).parts) == 101
    assert 2000 < file.n_reads < 10_000


def test_frames_are_looked_for_at_a_bounded_number_of_places_of_a_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames, "_MAX_TRIED", 500)
    gap = FRAMES["bare mp3"]() + b"\xff\xfb\x90\0\0\0\0" * 200
    media = open_media(io.BytesIO(gap * 9), AudioOptions())
    assert layout_of(media).n_unheard > 3 * len(gap)
    assert media.n_tried < 520  # each part that is left looks at one place


def test_an_au_ends_where_it_says_unless_it_does_not_know() -> None:
    au = encode(melody(0.1), "AU")
    n_header = struct.unpack(">I", au[4:8])[0]
    assert not layout(au).is_cut
    assert layout(au[:-1]).is_cut
    for size in (0xFFFF_FFFF, 0):
        found = layout(au[:8] + struct.pack(">I", size) + au[12:])
        assert (found.has_placeholder, found.is_cut) == (True, False)
        assert found.parts[0].head == au[:8] + b"\xff\xff\xff\xff"
    short = au[:8] + struct.pack(">I", 100) + au[12:]
    assert layout(short).n_unheard == len(au) - n_header - 100


def test_a_sphere_file_ends_where_its_counts_say() -> None:
    nist = encode(melody(0.1), "NIST")
    whole = nist[: 1024 + 2 * len(melody(0.1))]
    assert not layout(whole).is_cut
    assert layout(whole[:-1]).is_cut
    assert layout(WAV + whole[:-1]).is_cut
    compressed = whole.replace(b"sample_coding -s3 pcm", b"sample_coding -s9 pcm,embedded")[:-500]
    assert not layout(compressed).is_cut, "how much there is of it is not said"


def test_a_wave64_ends_with_its_data_unless_it_does_not_know_where() -> None:
    for seconds in (0.1, 0.1001):
        w64 = encode(melody(seconds), "W64")
        at = w64.index(b"data")
        size = struct.unpack("<Q", w64[at + 16 : at + 24])[0]
        whole = w64[: at + size]
        assert not layout(whole).is_cut
        assert layout(whole[:-1]).is_cut
        odd = bytes(16) + struct.pack("<Q", 24 + 3) + bytes(8)  # a chunk of three bytes, and five
        more = w64[:at] + odd + w64[at:]
        assert not layout(more[: at + 32 + size]).is_cut
        assert layout(more[: at + 31 + size]).is_cut
        for unknown in (0, 1 << 62, (1 << 64) - 1):
            streamed = w64[: at + 16] + struct.pack("<Q", unknown) + w64[at + 24 :]
            assert not layout(streamed[:-100]).is_cut


def test_a_creative_voice_file_is_followed_block_by_block() -> None:
    voc = encode_ffmpeg(melody(0.5), "voc", "pcm_u8")
    assert not layout(voc).is_cut
    assert not layout(voc[:-1]).is_cut, "only the zero at its end is missing"
    assert layout(voc[:-2]).is_cut


def test_a_wma_is_as_long_as_it_says_unless_it_is_a_stream() -> None:
    wma = KINDS["wma"]()
    at = wma.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    assert not layout(wma).is_cut
    assert layout(wma[:-1]).is_cut
    assert layout(WAV + wma[:-1]).is_cut
    stream = bytearray(wma[:-1])
    stream[at + 88] |= 1
    assert not layout(bytes(stream)).is_cut
    assert not layout(wma[: at + 60]).is_cut


def test_a_caf_is_cut_within_its_sound_and_may_leave_its_size_open() -> None:
    caf = encode(melody(0.1), "CAF")
    at = caf.index(b"data", caf.index(b"desc"))
    size = struct.unpack(">q", caf[at + 4 : at + 12])[0]
    whole = caf[: at + 12 + size]
    assert not layout(whole).is_cut
    assert layout(whole[:-1]).is_cut
    opened = layout(caf[: at + 4] + struct.pack(">q", -1) + caf[at + 12 :])
    assert (opened.has_placeholder, opened.is_cut) == (True, False)


def test_a_box_of_an_mp4_may_have_a_long_size_or_go_to_the_end() -> None:
    m4a = KINDS["m4a"]()
    at = m4a.index(b"mdat") - 4
    size = struct.unpack(">I", m4a[at : at + 4])[0]
    long = m4a[:at] + struct.pack(">I4sQ", 1, b"mdat", size + 8) + m4a[at + 8 :]
    assert ends(long + m4a) == [(0, len(long)), (len(long), len(long) + len(m4a))]
    to_end = m4a[:at] + bytes(4) + m4a[at + 4 :]
    assert ends(to_end + m4a) == [(0, len(to_end) + len(m4a))]


def test_of_very_many_files_the_first_thousand_are_parts() -> None:
    tiny = encode(np.zeros(2, np.float32), "WAV")
    for n, parts in ((999, 999), (1000, 1000), (1001, 1000)):
        found = layout(tiny * n)
        assert (len(found.parts), found.n_unheard) == (parts, (n - parts) * len(tiny))


def test_what_names_no_format_is_one_part() -> None:
    for data in (b"x" * 100, b"\0" * 5000):
        expected = Layout((Part(0, len(data)),), is_cut=False, has_placeholder=False, n_unheard=0)
        assert layout(data) == expected
        assert not is_container(data[:HEAD_BYTES])


def test_what_stands_in_a_segment_ends_with_it() -> None:
    webm = KINDS["webm"]()
    assert layout(webm + b"\xec\x84" + bytes(4)).n_unheard == 0
    block = b"\xa3\x88" + b"x" * 8
    assert layout(webm + block).n_unheard == len(block)
    assert layout(webm[:-1]).is_cut


def test_damage_between_the_clusters_of_a_stream_ends_no_file() -> None:
    webm = streamed("webm", "libopus", 48_000, seconds=3.5)
    clusters = [found.start() for found in re.finditer(rb"\x1fC\xb6u", webm)]
    assert len(clusters) > 2, "the encoder of this test has changed"
    for at in clusters[1:]:
        damaged = webm[:at] + bytes(range(100, 160)) + webm[at:]
        n = len(damaged)
        assert ends(damaged + WAV) == [(0, n), (n, n + len(WAV))]
        assert layout(damaged + WAV).n_unheard == 0


def test_chunks_behind_the_data_of_a_wave64_belong_to_it() -> None:
    w64 = encode(melody(0.1), "W64")
    more = w64 + b"levl" + bytes(12) + struct.pack("<Q", 32) + b"x" * 8
    whole = more[:16] + struct.pack("<Q", len(more)) + more[24:]
    assert (ends(whole), layout(whole).n_unheard) == ([(0, len(more))], 0)
    assert layout(more).n_unheard == 32


def test_a_flac_whose_check_sum_ends_with_a_zero_is_whole() -> None:
    files = (encode(melody(0.1, seed=seed), "FLAC") for seed in range(5000))
    data = next(data for data in files if data[-1] == 0)
    assert ends(data) == [(0, len(data))]
    assert ends(data + data) == [(0, len(data)), (len(data), 2 * len(data))]
