"""The audio arguments of a command: files, folders, patterns and standard input."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from voiceid.cli.console import Console
from voiceid.cli.streams import is_terminal
from voiceid.errors import AudioNotFound, ManifestInvalid

STDIN = "-"

_AUDIO = re.compile(
    r"3g2|3ga|3gpp?|aa3|aac|ac3|adts|aif[cf]?|aiff|amr|ape|asf|au|avi|awb|bwf|caf|dsf|dss|dts|eac3"
    r"|f4[av]|flac|flv|ilbc|ircam|loas|m2ts|m4[abrv]|mk[av]|mlp|mov|mp[1234acg]|mpeg|mpga|mts|mxf"
    r"|nist|nut|og[agv]|oma|opus|qcp|qta?|ra|rf64|rm|sf|snd|sox|spdif|sph|spx|tak|thd|ts|tta|voc|vob"
    r"|w64|wave?|web[am]|wm[av]|wtv|wv|xwma"
)
"""Suffixes of the files taken from a folder, beside those of `voiceid.audio.headerless`; a file
that is named itself is always taken."""


def checked(sources: Sequence[str]) -> Sequence[str]:
    """Return audio arguments of one recording each; raises click.UsageError as `clips` does."""
    if list(sources).count(STDIN) > 1:
        raise click.UsageError("Standard input (-) can be read only once.")
    if STDIN in sources and is_terminal(sys.stdin):
        raise click.UsageError("Standard input (-) is a terminal; pipe audio into it.")
    return sources


def clips(sources: Sequence[str], console: Console) -> list[str]:
    """Return the recordings that the audio arguments stand for, in order.

    A folder stands for the audio files in it and below, by name; the console warns about all other
    files.  A pattern that the shell did not expand stands for its matches.
    """
    return [clip for source in checked(sources) for clip in _expanded(source, console)]


def entries_of(folder: Path) -> list[Path]:
    """Return the entries of a folder, in order; raises AudioNotFound."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise AudioNotFound(
            f"the folder {folder} cannot be read: {error.strerror}",
            hint="Check its name and its permissions.",
        ) from error


def people_in(folder: Path, console: Console) -> dict[str, list[str]]:
    """Return the recordings in a folder by speaker.

    Each folder in it is a speaker, named by the folder, with all recordings below; a folder that
    only has recordings is one speaker.
    """
    from voiceid.domain import speaker_key  # noqa: PLC0415 - loads numpy

    entries = entries_of(folder)
    folders = [entry for entry in entries if os.path.isdir(entry) and entry.name[0] != "."]
    if not folders:
        return {folder.resolve().name: clips([str(folder)], console)}
    for entry in [entry for entry in entries if entry not in folders]:
        if (why := _why_left_out(entry)) is None:
            raise ManifestInvalid(
                f"{entry} lies beside the folders of speakers",
                hint="Move it into the folder of its speaker.",
            )
        _warn(entry, why, console)
    first: dict[str, Path] = {}
    for person in folders:
        if (other := first.setdefault(speaker_key(person.name), person)) != person:
            raise ManifestInvalid(
                f"the folders {other} and {person} give the same name",
                hint="Rename one of them, or put the recordings of one speaker into one folder.",
            )
    return {person.name: clips([str(person)], console) for person in folders}


def _expanded(source: str, console: Console) -> Iterator[str]:
    path = Path(source)
    if source == STDIN or not source or os.path.isfile(source):
        yield source
        return
    if os.path.isdir(path):
        paths = sorted(_audio_in(path, console))
        if not paths:
            message = f"the folder {source} has no audio files (.wav, .mp3, ...)"
            raise AudioNotFound(message, hint="To use files with another suffix, name the files.")
        yield from paths
    elif glob.has_magic(source):
        paths = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - any str may come
        if not paths:
            raise AudioNotFound(
                f"no file matches {source}", hint="Check the pattern and the folder."
            )
        yield from paths
    else:
        yield source


def _audio_in(folder: Path, console: Console) -> Iterator[str]:
    """Yield the audio files in a folder and below; warn about all other entries."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        _warn(folder, f"it cannot be listed: {error.strerror}", console)
        return
    for entry in entries:
        hidden = entry.name.startswith(".")
        if os.path.isdir(entry) and not os.path.islink(entry) and not hidden:
            yield from _audio_in(entry, console)
        elif (why := _why_left_out(entry)) is None:
            yield str(entry)
        else:
            _warn(entry, why, console)


def _why_left_out(path: Path) -> str | None:
    """Return why an entry of a folder is not used as a recording, or None if it is used."""
    from voiceid.audio.headerless import ENDINGS  # noqa: PLC0415 - loads numpy

    ending = path.suffix[1:].lower()
    if path.name.startswith("."):
        return "it is hidden: its name begins with a dot"
    if os.path.islink(path) and not os.path.exists(path):
        return "it is a link to a missing file"
    if os.path.isdir(path):
        return "it is a link to a folder, and such links are not followed"
    if not os.path.isfile(path):
        return "it is not a file, but a pipe, a socket or a device"
    if _AUDIO.fullmatch(ending) is None and ending not in ENDINGS:
        kind = f"files that end in .{ending} are" if ending else "a file without an ending is"
        return f"{kind} not known as audio; name the file itself to use it"
    return None


def _warn(path: Path, why: str, console: Console) -> None:
    console.warn(f"{path} left out: {why}")
