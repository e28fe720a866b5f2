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
"""Endings of what is taken from a folder, beside those of `voiceid.audio.headerless`; a file that
is named is taken whatever it is called."""


def checked(sources: Sequence[str]) -> Sequence[str]:
    """Return audio arguments of one recording each; raises click.UsageError as `clips` does."""
    if list(sources).count(STDIN) > 1:
        raise click.UsageError("Standard input (-) can be read once only.")
    if STDIN in sources and is_terminal(sys.stdin):
        raise click.UsageError("Standard input (-) is a terminal; pipe audio into it.")
    return sources


def clips(sources: Sequence[str], console: Console) -> list[str]:
    """Return the recordings that the audio arguments stand for, in order.

    A folder stands for the audio files in it and below, by name, and the console warns of all
    others; a pattern that the shell did not expand stands for what it matches.
    """
    return [clip for source in checked(sources) for clip in _expanded(source, console)]


def entries_of(folder: Path) -> list[Path]:
    """Return what is in a folder, in order; raises AudioNotFound."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise AudioNotFound(
            f"the folder {folder} cannot be read: {error.strerror}",
            hint="Check its name and its permissions.",
        ) from error


def people_in(folder: Path, console: Console) -> dict[str, list[str]]:
    """Return the recordings in a folder by speaker.

    Each folder in it is a speaker, called like the folder, with all that lies below; a folder
    of recordings alone is one speaker itself.
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
                f"the folders {other} and {person} make one name",
                hint="Rename one, or put the recordings of one speaker into one folder.",
            )
    return {person.name: clips([str(person)], console) for person in folders}


def _expanded(source: str, console: Console) -> Iterator[str]:
    path = Path(source)
    if source == STDIN or not source or os.path.isfile(source):
        yield source
        return
    if os.path.isdir(path):
        found = sorted(_audio_in(path, console))
        if not found:
            what = f"the folder {source} holds no file that ends like audio (.wav, .mp3, ...)"
            raise AudioNotFound(
                what, hint="Name files themselves to take those that end otherwise."
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


def _audio_in(folder: Path, console: Console) -> Iterator[str]:
    """Yield the audio files in a folder and below; warn of everything else that is there."""
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
    """Return why an entry of a folder is not taken for a recording, None if it is."""
    from voiceid.audio.headerless import ENDINGS  # noqa: PLC0415 - loads numpy

    ending = path.suffix[1:].lower()
    if path.name.startswith("."):
        return "it is hidden: its name begins with a dot"
    if os.path.islink(path) and not os.path.exists(path):
        return "it is a link to nothing"
    if os.path.isdir(path):
        return "it is a link to a folder, and such links are not followed"
    if not os.path.isfile(path):
        return "it is not a file, but a pipe, a socket or a device"
    if _AUDIO.fullmatch(ending) is None and ending not in ENDINGS:
        named = f"files that end in .{ending} are" if ending else "a file without an ending is"
        return f"{named} not known as audio; name the file to take it"
    return None


def _warn(path: Path, why: str, console: Console) -> None:
    console.warn(f"{path} left out: {why}")
