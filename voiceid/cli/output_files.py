"""Result files, which may name people: written whole, and private (0600)."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from voiceid.cli.console import Console
from voiceid.errors import FileNotWritten
from voiceid.foreign_files import Unfit, opened
from voiceid.whole_files import whole_file

_DATABASE = b"SQLite format 3"


def agreed_format(console: Console, form: str | None) -> str:
    """Return the format from ``--format`` and ``--json``; text if neither is given."""
    settings = console.settings
    if settings.as_json and form not in {None, "json"}:
        raise click.UsageError(f"Give only one of --json and --format {form}.")
    settings.as_json = settings.as_json or form == "json"  # errors are JSON then, too
    return "json" if settings.as_json else form or "text"


def save(path: Path, data: bytes) -> None:
    """Write a private file (0600), whole; or write into an existing pipe or device."""
    try:
        _require_own_link(path)
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        if path.exists():
            with opened(path) as before:
                if before.read(len(_DATABASE)) == _DATABASE:
                    raise Unfit("it is a database: name another file")  # noqa: TRY301 - as `opened`
        with whole_file(Path(os.path.realpath(path))) as file:  # a link stays, and a loop goes
            file.write(data)
    except (OSError, Unfit) as error:
        raise FileNotWritten(
            f"{path} cannot be written: {getattr(error, 'strerror', error)}",
            hint="Choose a file in an existing folder that you may write to.",
        ) from error


def _require_own_link(path: Path) -> None:
    """Raise PermissionError for a link that another user made, as in /tmp: Linux follows none."""
    if os.name == "posix" and path.is_symlink():
        owners = {os.geteuid(), path.parent.stat().st_uid}
        if path.lstat().st_uid not in owners:
            raise PermissionError(errno.EACCES, "it is a link of another user")


def make_folder(folder: Path) -> None:
    """Create a folder unless it exists."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileNotWritten(
            f"the folder {folder} cannot be created: {error.strerror}",
            hint="Choose one in a folder that you may write to.",
        ) from error


def picture_files(
    output: str | None, stem: str, suffixes: Sequence[str], *, force: bool
) -> list[Path]:
    """Return the files to write: one with that name, or one of each kind in a folder.

    ``suffixes`` are the possible kinds; without ``output`` there are no files.
    """
    if output is None:
        return []
    path = Path(output)
    if path.suffix.lower() in {".png", ".html", ".svg", ".jpg", ".jpeg", ".pdf", ".htm"}:
        if path.suffix.lower() not in suffixes:
            raise FileNotWritten(
                f"{output} cannot be drawn: {path.suffix} is not a supported suffix",
                hint=f"Name a folder, or a file that ends with {' or '.join(suffixes)}.",
            )
        files = [path]
    else:
        files = [path / f"{stem}{suffix}" for suffix in suffixes]
    for file in files:
        if not force and os.path.lexists(file):
            raise FileNotWritten(
                f"{file} exists already, and was not changed",
                hint="Choose another file with -o, or replace it with --force.",
            )
    return files


def write_pictures(pictures: Mapping[Path, bytes], console: Console) -> None:
    """Write files, each whole or not at all, and report each."""
    for path, data in pictures.items():
        make_folder(path.parent)
        save(path, data)
        if not console.settings.as_json:
            console.result(f"wrote {path}")
