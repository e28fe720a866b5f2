"""The audio arguments of a command: files, folders, patterns and standard input."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from voiceid.cli.streams import is_terminal
from voiceid.errors import AudioNotFound, ManifestInvalid

STDIN = "-"

_AUDIO = re.compile(
    r"\.(3gp|aac|aif|aifc|aiff|amr|ape|au|caf|flac|m4a|m4b|mka|mkv|mov|mp2|mp3|mp4|oga|ogg|opus"
    r"|ra|snd|spx|tta|w64|wav|weba|webm|wma|wv)"
)
"""What is taken from a folder; a file that is named is taken whatever it is called."""


def checked(sources: Sequence[str]) -> Sequence[str]:
    """Return audio arguments of one recording each; raises click.UsageError as `clips` does."""
    if list(sources).count(STDIN) > 1:
        raise click.UsageError("Standard input (-) can be read once only.")
    if STDIN in sources and is_terminal(sys.stdin):
        raise click.UsageError("Standard input (-) is a terminal; pipe audio into it.")
    return sources


def clips(sources: Sequence[str]) -> list[str]:
    """Return the recordings that the audio arguments stand for, in order.

    A folder stands for the audio files in it and below, by name; a pattern that the shell
    did not expand for what it matches.
    """
    return [clip for source in checked(sources) for clip in _expanded(source)]


def entries_of(folder: Path) -> list[Path]:
    """Return what is in a folder, in order; raises AudioNotFound."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise AudioNotFound(
            f"the folder {folder} cannot be read: {error.strerror}",
            hint="Check its name and its permissions.",
        ) from error


def people_in(folder: Path) -> dict[str, list[str]]:
    """Return the recordings in a folder by speaker.

    Each folder in it is a speaker, called like the folder, with all that lies below; a folder
    of recordings alone is one speaker itself.
    """
    from voiceid.domain import speaker_key  # noqa: PLC0415 - loads numpy

    entries = [entry for entry in entries_of(folder) if entry.name[0] != "."]
    folders = [entry for entry in entries if os.path.isdir(entry)]
    if not folders:
        return {folder.resolve().name: clips([str(folder)])}
    if beside := [entry for entry in entries if _is_audio(Path(entry.name), entry)]:
        raise ManifestInvalid(
            f"{beside[0]} lies beside the folders of speakers",
            hint="Move it into the folder of its speaker.",
        )
    first: dict[str, Path] = {}
    for person in folders:
        if (other := first.setdefault(speaker_key(person.name), person)) != person:
            raise ManifestInvalid(
                f"the folders {other} and {person} make one name",
                hint="Rename one, or put the recordings of one speaker into one folder.",
            )
    return {person.name: clips([str(person)]) for person in folders}


def _expanded(source: str) -> Iterator[str]:
    path = Path(source)
    if source == STDIN or not source or os.path.isfile(source):
        yield source
        return
    if os.path.isdir(path):
        found = sorted(str(p) for p in path.rglob("*") if _is_audio(p.relative_to(path), p))
        if not found:
            raise AudioNotFound(
                f"the folder {source} holds no audio file", hint="Name the files to take others."
            )
        yield from found
    elif glob.has_magic(source):
        found = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - any str may come
        if not found:
            raise AudioNotFound(
                f"no file matches {source}", hint="Check the pattern and the folder."
            )
        yield from found
    else:
        yield source


def _is_audio(inside: Path, path: Path) -> bool:
    hidden = any(part.startswith(".") for part in inside.parts)
    is_audio = _AUDIO.fullmatch(path.suffix.lower()) is not None
    return is_audio and not hidden and os.path.isfile(path)
