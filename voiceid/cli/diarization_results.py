"""Where who spoke when goes: standard output, and files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

from voiceid.cli.clip_arguments import STDIN
from voiceid.cli.console import Console
from voiceid.cli.diarization_text import diarization_text, warn_of_unheard
from voiceid.cli.output_files import make_folder, save
from voiceid.cli.streams import is_terminal
from voiceid.cli.text import json_line

if TYPE_CHECKING:
    from voiceid.domain import Diarization
    from voiceid.transcripts import Transcript

_ENDINGS = {"text": "txt", "json": "json", "audacity": "txt"}
"""Of files in a folder; the other formats end as they are called."""
_ONE_A_FILE = frozenset({"srt", "vtt", "audacity"})
"""Formats of which two in one file are none."""


@dataclass(frozen=True)
class Results:
    """Writes results to standard output, a file, or a file each in a folder.

    - `transcript`: names are written into it, and it is the result.
    """

    sources: Sequence[str]
    form: str
    output: str | None
    transcript: Transcript | None

    def __post_init__(self) -> None:
        if self.transcript is not None and len(self.sources) != 1:
            raise click.UsageError("--transcript is of one recording; name that one alone.")
        if len(self.sources) > 1 and self._folder is None and self.form in _ONE_A_FILE:
            raise click.UsageError(
                f"--format {self.form} of several recordings needs a folder for its files:"
                " -o FOLDER."
            )
        names = [self._name(source) for source in self.sources]
        twice = [name for name in names if names.count(name) > 1]
        if self._folder is not None and twice:
            raise click.UsageError(f"Two of the recordings would both be written to {twice[0]}.")

    @cached_property
    def _folder(self) -> Path | None:
        if self.output is None or self.output == "-":
            return None
        path = Path(self.output)
        return path if len(self.sources) > 1 or path.is_dir() else None

    def _name(self, source: str) -> str:
        if self.transcript is not None:
            return PurePath(self.transcript.name).name
        stem = "stdin" if source == STDIN else PurePath(source).stem
        return f"{stem}.{_ENDINGS.get(self.form, self.form)}"

    def write(self, console: Console, source: str, found: Diarization) -> None:
        """Write the result of one recording."""
        data = self._data(console, source, found)
        if self.output is None or self.output == "-":
            self._print(console, source, found, data)
            return
        if self._folder is not None:
            make_folder(self._folder)
        target = Path(self.output) if self._folder is None else self._folder / self._name(source)
        save(target, data)
        console.note(f"wrote {target}")

    def _data(self, console: Console, source: str, found: Diarization) -> bytes:
        if self.form == "json":
            return json_line({**found.to_dict(), "clip": source}).encode() + b"\n"
        if self.form != "text":
            return found.text(self.form).encode()
        warn_of_unheard(found.unheard, console)
        if self.transcript is None:
            return diarization_text(found).encode() + b"\n"
        named = self.transcript.named(found)
        for why in named.unused:
            console.warn(f"{self.transcript.name}: {why}")
        return named.data

    def _print(self, console: Console, source: str, found: Diarization, data: bytes) -> None:
        if self.form == "json":
            console.json({**found.to_dict(), "clip": source})
        elif self.form == "text" and (self.transcript is None or is_terminal(sys.stdout)):
            # A terminal obeys what others may have written into a transcript.
            text = data.decode(errors="replace").removesuffix("\n")
            console.result(text + "\n" * (len(self.sources) > 1))
        else:
            console.binary(data)
