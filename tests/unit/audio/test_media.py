"""Whatever is handed in is opened, or refused with a reason."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sounds import RATE, decoded, encode, melody

from voiceid.audio import AudioOptions
from voiceid.audio.media import display_name
from voiceid.errors import AudioError, AudioInvalid, AudioNotFound, AudioTooLong, AudioUnreadable

WAV = encode(melody(1.0), "WAV")


def test_a_missing_file_is_not_found_and_its_name_is_harmless(tmp_path: Path) -> None:
    with pytest.raises(AudioNotFound) as caught:
        decoded(tmp_path / "no\nsuch\x1b[31m \udcff.wav")
    assert "no\\nsuch\\x1b[31m \\udcff.wav" in caught.value.message


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 5000, "/dev/null/x"])
def test_impossible_paths_are_not_found(path: str) -> None:
    with pytest.raises(AudioNotFound):
        decoded(path)


def test_a_directory_a_device_and_a_loop_are_not_found(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path, tmp_path / "loop", Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(AudioNotFound):
            decoded(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_not_found(tmp_path: Path) -> None:
    path = tmp_path / "secret.wav"
    path.write_bytes(WAV)
    path.chmod(0)
    with pytest.raises(AudioNotFound, match="permission denied"):
        decoded(path)


def test_a_pipe_with_a_writer_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(WAV,))
    writer.start()
    heard, stream = decoded(path)
    writer.join()
    assert (len(heard), stream.name) == (RATE, "pipe")


def test_a_pipe_without_a_writer_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AudioUnreadable, match=r"nothing arrived on the pipe .* for 0\.1 s"):
        decoded(tmp_path / "pipe", AudioOptions(stall_timeout_s=0.1))


@pytest.mark.parametrize("how", ["file", "pipe"])
def test_standard_input_is_read(how: str, tmp_path: Path) -> None:
    program = (
        "from voiceid.audio import open_audio\n"
        "with open_audio('-') as s: print(s.name, sum(map(len, s.blocks())))"
    )
    (tmp_path / "clip.wav").write_bytes(WAV)
    with (tmp_path / "clip.wav").open("rb") as file:
        given_in = {"stdin": file} if how == "file" else {"input": WAV}
        result = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, **given_in
        )
    assert result.stdout.split() == [b"<stdin>", b"16000"]
    assert result.stderr == b""


def test_a_closed_standard_input_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(AudioNotFound, match="standard input"):
        decoded("-")


class Unseekable(io.RawIOBase):
    """A stream such as a socket gives: it can be read, in odd pieces, and nothing else."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        piece, self.rest = self.rest[: min(777, len(view))], self.rest[min(777, len(view)) :]
        view[: len(piece)] = piece
        return len(piece)


def test_a_stream_that_cannot_seek_is_read() -> None:
    heard, stream = decoded(Unseekable(WAV))
    assert (len(heard), stream.name) == (RATE, "<file>")


def test_a_file_object_is_read_from_where_it_stands() -> None:
    file = io.BytesIO(b"junk before" + WAV)
    file.seek(len(b"junk before"))
    assert len(decoded(file)[0]) == RATE
    assert not file.closed


class Failing(io.BytesIO):
    """A file on a disk that breaks."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 2000:
            raise OSError("the disk is gone")
        return super().read(size)

    readinto = None  # type: ignore[assignment]


def test_a_file_object_that_fails_in_the_middle_is_marked_or_refused(
    capfd: pytest.CaptureFixture[str],
) -> None:
    at = WAV.index(b"data") + 4
    endless = WAV[:at] + b"\xff\xff\xff\xff" + WAV[at + 4 :]
    for data in (WAV, endless, encode(melody(), "FLAC"), encode(melody(), "MP3")):
        try:
            assert decoded(Failing(data))[1].truncated
        except AudioUnreadable as error:
            assert "the disk is gone" in error.message  # noqa: PT017
    assert capfd.readouterr().err == ""


def test_a_closed_file_object_is_not_found() -> None:
    file = io.BytesIO(WAV)
    file.close()
    with pytest.raises(AudioNotFound):
        decoded(file)


@pytest.mark.parametrize("source", [None, 5, 2.5, object(), ["a.wav"], (1, 2, 3), io.StringIO("x")])
def test_what_is_no_source_is_invalid(source: object) -> None:
    with pytest.raises(AudioInvalid):
        decoded(source)  # type: ignore[arg-type]


def test_the_limit_on_bytes_holds_for_every_kind_of_source(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(WAV)
    options = AudioOptions(max_bytes=len(WAV) - 1)
    for source in (path, WAV, io.BytesIO(WAV), Unseekable(WAV)):
        with pytest.raises(AudioTooLong, match="bytes"):
            decoded(source, options)
    assert len(decoded(path, AudioOptions(max_bytes=len(WAV)))[0]) == RATE


def test_a_stream_is_not_read_far_beyond_the_limit() -> None:
    stream = Unseekable(WAV + bytes(5 << 20))
    with pytest.raises(AudioTooLong):
        decoded(stream, AudioOptions(max_bytes=100_000))
    assert len(stream.rest) > 3 << 20


def test_endless_input_meets_the_limit() -> None:
    with Path("/dev/zero").open("rb") as zeros, pytest.raises(AudioTooLong):
        decoded(zeros, AudioOptions(max_bytes=20 << 20))


def test_files_are_closed_whatever_happens(tmp_path: Path) -> None:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("no list of open files here")
    sources = {"good.wav": WAV, "bad.wav": WAV[:30], "nan.wav": b"RIFF", "text": b"hello"}
    before = len(list(folder.iterdir()))
    for name, data in sources.items():
        (tmp_path / name).write_bytes(data)
        for options in (AudioOptions(), AudioOptions(channel=5), AudioOptions(max_duration_s=0.1)):
            try:
                decoded(tmp_path / name, options)
            except AudioError as error:
                assert error.hint  # noqa: PT017
    assert len(list(folder.iterdir())) == before


@given(st.text(alphabet=st.characters(), max_size=300))
def test_a_displayed_name_is_one_short_line_of_printable_characters(text: str) -> None:
    shown = display_name(text)
    assert shown.isprintable()
    assert len(shown) <= 201
    shown.encode()


def test_importing_audio_loads_no_codec_and_no_resampler() -> None:
    program = (
        "import sys, voiceid.audio, voiceid.speech.vad, voiceid.speech.quality\n"
        "print({'soundfile', 'soxr', 'av', 'onnxruntime', 'librosa'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stdout.strip() == b"set()"
