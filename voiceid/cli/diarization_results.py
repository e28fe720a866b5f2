"""The output of a diarization: standard output, and files."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

from voiceid.cli.clip_arguments import STDIN
from voiceid.cli.console import Console
from voiceid.cli.diarization_text import diarization_text, warn_of_unheard
from voiceid.cli.output_files import make_folder, save
from voiceid.cli.streams import is_terminal
from voiceid.cli.text import json_line
from voiceid.errors import FileNotWritten

if TYPE_CHECKING:
    from voiceid.domain import Diarization
    from voiceid.transcripts import NamedTranscript, Transcript

_ENDINGS = {"text": ".txt", "json": ".json", "audacity": ".txt"}
"""Suffixes of files in a folder; other formats have their own name as suffix."""
_ONE_A_FILE = frozenset({"srt", "vtt", "audacity"})
"""Formats that allow only one result per file."""
_PAGES, _PICTURES = (".html", ".htm"), (".png", ".svg")


class Results:
    """Writes results to standard output, to a file, or to one file each in a folder.

    - `transcript`: if given, the result is this transcript with names.
    - `picture`, `page`: files or folders for more output.

    Raises click.UsageError, FileNotWritten and ExtraMissing before anything is heard.
    """

    def __init__(
        self,
        sources: Sequence[str],
        form: str,
        output: str | None,
        transcript: Transcript | None,
        *,
        picture: str | None,
        page: str | None,
    ) -> None:
        self._form, self._transcript, self._several = form, transcript, len(sources) > 1
        self._is_begun = False
        output = None if output == "-" else output
        if transcript is not None and self._several:
            raise click.UsageError("--transcript is for one recording; give only that one.")
        if self._several and output is None and form in _ONE_A_FILE:
            raise click.UsageError(
                f"--format {form} of several recordings needs a folder for its files: -o FOLDER."
            )
        ending = _ENDINGS.get(form, f".{form}")
        if transcript is not None:
            ending = PurePath(transcript.name).suffix
        self._files = _files(sources, output, (ending,), any_kind=True)
        self._pages = _files(sources, page, _PAGES)
        self._pictures = _files(sources, picture, _PICTURES)
        if self._pictures:
            from voiceid import pictures  # noqa: F401, PLC0415 - an extra, which may be missing

    def write(self, console: Console, source: str, result: Diarization) -> None:
        """Write the result of one recording."""
        named = None
        if (transcript := self._transcript) is not None:
            named = transcript.named(result)
            for why in named.unused:
                console.warn(f"{transcript.name}: {why}")
        if page := self._pages.get(source):
            _save(page, _page(page, source, result, named), console)
        if picture := self._pictures.get(source):
            _save(picture, _picture(picture, result), console)
        if self._form == "text":
            warn_of_unheard(result.unheard, console)
        if target := self._files.get(source):
            _save(target, self._data(source, result) if named is None else named.data, console)
        elif named is not None:
            _print(console, named.data)
        elif self._form == "json":
            console.json({**result.to_dict(), "clip": source})
        elif self._form == "text":
            console.result(diarization_text(result) + "\n" * self._several)
        else:
            console.binary(self._printed(source, result))

    def _printed(self, source: str, result: Diarization) -> bytes:
        """Return a result for standard output: CSV of several is one table, with one header."""
        data = self._data(source, result)
        if self._form == "csv" and self._is_begun:
            data = data.partition(b"\n")[2]
        self._is_begun = True
        return data

    def _data(self, source: str, result: Diarization) -> bytes:
        if self._form == "json":
            return json_line({**result.to_dict(), "clip": source}).encode() + b"\n"
        if self._form == "text":
            return diarization_text(result).encode() + b"\n"
        return result.text(self._form).encode()


def _files(
    sources: Sequence[str], target: str | None, kinds: Sequence[str], *, any_kind: bool = False
) -> dict[str, Path]:
    """Return the file for each recording: the given one, or one each in a folder."""
    if target is None:
        return {}
    if target == "-":
        raise click.UsageError(f"{kinds[0]} cannot go to standard output: give a file or folder.")
    path = Path(target)
    if len(sources) == 1 and not path.is_dir() and (any_kind or path.suffix):
        if not any_kind and path.suffix.lower() not in kinds:
            raise FileNotWritten(
                f"{target} cannot be written: {path.suffix} is not {' or '.join(kinds)}",
                hint=f"Name a folder, or a file that ends with {kinds[0]}.",
            )
        return {sources[0]: path}
    stems = [("stdin" if source == STDIN else PurePath(source).stem) for source in sources]
    twice = [stem for stem in stems if stems.count(stem) > 1]
    if twice:
        name = f"{twice[0]}{kinds[0]}"
        raise click.UsageError(f"Two recordings would both be written to {name}.")
    return {s: path / f"{stem}{kinds[0]}" for s, stem in zip(sources, stems, strict=True)}


def _save(path: Path, data: bytes, console: Console) -> None:
    make_folder(path.parent)
    save(path, data)
    console.note(f"wrote {path}")


def _print(console: Console, data: bytes) -> None:
    """Print a transcript; on a terminal, control characters in it are escaped."""
    if is_terminal(sys.stdout):
        console.result(data.decode(errors="replace").removesuffix("\n"))
    else:
        console.binary(data)


def _page(path: Path, source: str, result: Diarization, named: NamedTranscript | None) -> bytes:
    from voiceid.transcripts.talk_page import talk_page  # noqa: PLC0415 - for this alone

    audio = None
    if source != STDIN:
        try:
            audio = Path(os.path.relpath(source, path.parent)).as_posix()
        except ValueError:  # another drive
            audio = Path(source).absolute().as_uri()
    lines = () if named is None else named.lines
    return talk_page(result, lines, audio).encode()


def _picture(path: Path, result: Diarization) -> bytes:
    from voiceid import pictures  # noqa: PLC0415 - matplotlib, an extra

    figure = pictures.lanes(result)
    return pictures.png(figure) if path.suffix.lower() == ".png" else pictures.svg(figure)
