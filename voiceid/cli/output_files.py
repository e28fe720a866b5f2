"""Results that are written to files, which may name people: whole, and for their owner (0600)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from voiceid.cli.console import Console
from voiceid.errors import FileNotWritten
from voiceid.whole_files import whole_file


def agreed_format(console: Console, form: str | None) -> str:
    """Return what ``--format`` and ``--json`` ask for together; text if neither is given."""
    settings = console.settings
    if settings.as_json and form not in {None, "json"}:
        raise click.UsageError(f"--json and --format {form} contradict each other.")
    settings.as_json = settings.as_json or form == "json"  # errors are JSON then, too
    return "json" if settings.as_json else form or "text"


def save(path: Path, data: bytes) -> None:
    """Write a file for its owner alone (0600), whole; or into a pipe or a device that is there."""
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        with whole_file(path.resolve()) as file:
            file.write(data)
    except OSError as error:
        raise FileNotWritten(
            f"{path} cannot be written: {error.strerror}",
            hint="Name a file in a folder that exists and may be written to.",
        ) from error


def make_folder(folder: Path) -> None:
    """Make a folder unless it is there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileNotWritten(
            f"the folder {folder} cannot be made: {error.strerror}",
            hint="Name one in a folder that may be written to.",
        ) from error


def picture_files(
    output: str | None, stem: str, suffixes: Sequence[str], *, force: bool
) -> list[Path]:
    """Return the files to write: one of that very name, or one of each kind in a folder.

    ``suffixes`` are the kinds that there are; without ``output`` there are no files.
    """
    if output is None:
        return []
    path = Path(output)
    if path.suffix.lower() in {".png", ".html", ".svg", ".jpg", ".jpeg", ".pdf", ".htm"}:
        if path.suffix.lower() not in suffixes:
            raise FileNotWritten(
                f"{output} cannot be drawn: {path.suffix} is not one of its kinds",
                hint=f"Name a folder, or a file that ends with {' or '.join(suffixes)}.",
            )
        files = [path]
    else:
        files = [path / f"{stem}{suffix}" for suffix in suffixes]
    for file in files:
        if not force and os.path.lexists(file):
            raise FileNotWritten(
                f"{file} is there already, and was left as it is",
                hint="Name another with -o, or replace it with --force.",
            )
    return files


def write_pictures(pictures: Mapping[Path, bytes], console: Console) -> None:
    """Write files, each whole or not at all, and tell of each."""
    for path, data in pictures.items():
        make_folder(path.parent)
        save(path, data)
        if not console.settings.as_json:
            console.result(f"wrote {path}")
