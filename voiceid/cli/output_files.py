"""Results that are written to a file, and in which format."""

from __future__ import annotations

from pathlib import Path

import click

from voiceid.cli.console import Console
from voiceid.errors import VoiceIDError
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
        raise VoiceIDError(
            f"{path} could not be written: {error.strerror}",
            hint="Name a file in a folder that exists and may be written to.",
        ) from error


def make_folder(folder: Path) -> None:
    """Make a folder unless it is there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VoiceIDError(
            f"the folder {folder} could not be made: {error.strerror}",
            hint="Name one in a folder that may be written to.",
        ) from error
