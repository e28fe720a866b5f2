"""Where who spoke when goes: standard output, and files."""

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
"""Of files in a folder; the other formats end as they are called."""
_ONE_A_FILE = frozenset({"srt", "vtt", "audacity"})
"""Formats of which two in one file are none."""
_PAGES, _PICTURES = (".html", ".htm"), (".png", ".svg")


class Results:
    """Writes results to standard output, a file, or a file each in a folder.

    - `transcript`: names are written into it, and it is the result.
    - `picture`, `page`: files, or folders of them, beside the result.

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
        output = None if output == "-" else output
        if transcript is not None and self._several:
            raise click.UsageError("--transcript is of one recording; name that one alone.")
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
            console.binary(self._data(source, result))

    def _data(self, source: str, result: Diarization) -> bytes:
        if self._form == "json":
            return json_line({**result.to_dict(), "clip": source}).encode() + b"\n"
        if self._form == "text":
            return diarization_text(result).encode() + b"\n"
        return result.text(self._form).encode()


def _files(
    sources: Sequence[str], given: str | None, kinds: Sequence[str], *, any_kind: bool = False
) -> dict[str, Path]:
    """Return the file for each recording: the one that is given, or each its own in a folder."""
    if given is None:
        return {}
    if given == "-":
        raise click.UsageError(f"Standard output takes no {kinds[0]}: name a file or a folder.")
    path = Path(given)
    if len(sources) == 1 and not path.is_dir() and (any_kind or path.suffix):
        if not any_kind and path.suffix.lower() not in kinds:
            raise FileNotWritten(
                f"{given} cannot be written: {path.suffix} is not {' or '.join(kinds)}",
                hint=f"Name a folder, or a file that ends with {kinds[0]}.",
            )
        return {sources[0]: path}
    stems = [("stdin" if source == STDIN else PurePath(source).stem) for source in sources]
    twice = [stem for stem in stems if stems.count(stem) > 1]
    if twice:
        name = f"{twice[0]}{kinds[0]}"
        raise click.UsageError(f"Two of the recordings would both be written to {name}.")
    return {s: path / f"{stem}{kinds[0]}" for s, stem in zip(sources, stems, strict=True)}


def _save(path: Path, data: bytes, console: Console) -> None:
    make_folder(path.parent)
    save(path, data)
    console.note(f"wrote {path}")


def _print(console: Console, data: bytes) -> None:
    """Print a transcript; a terminal obeys what others may have written into it, so not as is."""
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
        except ValueError:  # it is on another drive
            audio = Path(source).absolute().as_uri()
    lines = () if named is None else named.lines
    return talk_page(result, lines, audio).encode()


def _picture(path: Path, result: Diarization) -> bytes:
    from voiceid import pictures  # noqa: PLC0415 - matplotlib, an extra

    figure = pictures.lanes(result)
    return pictures.png(figure) if path.suffix.lower() == ".png" else pictures.svg(figure)
