"""Files of pictures, which name people: where they go, written whole, for their owner (0600)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from voiceid.cli.console import Console
from voiceid.errors import PictureNotWritten
from voiceid.whole_files import whole_file


def targets(output: str | None, stem: str, suffixes: Sequence[str], *, force: bool) -> list[Path]:
    """Return the files to write: one of that very name, or one of each kind in a folder.

    ``suffixes`` are the kinds that there are; without ``output`` there are no files.
    """
    if output is None:
        return []
    path = Path(output)
    if path.suffix.lower() in {".png", ".html", ".svg", ".jpg", ".jpeg", ".pdf", ".htm"}:
        if path.suffix.lower() not in suffixes:
            raise PictureNotWritten(
                f"{output} cannot be drawn: {path.suffix} is not one of its kinds",
                hint=f"Name a folder, or a file that ends with {' or '.join(suffixes)}.",
            )
        files = [path]
    else:
        files = [path / f"{stem}{suffix}" for suffix in suffixes]
    for file in files:
        if not force and os.path.lexists(file):
            raise PictureNotWritten(
                f"{file} is there already, and was left as it is",
                hint="Name another with -o, or replace it with --force.",
            )
    return files


def write(pictures: Mapping[Path, bytes], console: Console) -> None:
    """Write files, each whole or not at all, and tell of each."""
    for path, data in pictures.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as file:
                file.write(data)
        except OSError as error:
            raise PictureNotWritten(
                f"{path} cannot be written: {error.strerror}",
                hint="Name a file in a folder that may be written to.",
            ) from error
        if not console.settings.as_json:
            console.result(f"wrote {path}")
