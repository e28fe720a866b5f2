"""Labelled recordings as arguments of commands."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from voiceid.cli.clip_arguments import people_in
from voiceid.cli.console import Console
from voiceid.cli.options import COUNT, FILE, FOLDER, RATE, READABLE_FILE, gathered, together

if TYPE_CHECKING:
    from voiceid.evaluation import Protocol
    from voiceid.evaluation.protocol import Recording

LISTS = frozenset({".csv", ".jsonl", ".ndjson", ".json"})


class Asked(NamedTuple):
    """The values of ``INPUT``, ``--enrolled MAP`` and ``--enroll-first N``."""

    input: Path
    enrolled: Path | None
    enroll_first: int | None

    @property
    def source(self) -> str:
        """The name of the recordings."""
        return self.input.resolve().name


input_options = gathered(
    "asked",
    Asked,
    click.argument("input", metavar="INPUT", type=FILE),
    click.option(
        "--enrolled",
        type=READABLE_FILE,
        metavar="MAP",
        help="INPUT is `MODEL PATH target|nontarget`, and MAP says `MODEL PATH...`.",
    ),
    click.option(
        "--enroll-first",
        type=COUNT,
        help="From a list or folder, enrol the first N recordings of each speaker, and test with"
        " the others.",
    ),
)
"""The recordings to compare: ``asked``."""

fitting_options = together(
    click.option(
        "--target-fmr",
        type=RATE,
        help="Target FMR from now on; refused if there are too few trials.",
    ),
    click.option(
        "--cache",
        type=FOLDER,
        help="Folder of cached embeddings, as for evaluate (default: no cache).",
    ),
)
"""``--target-fmr RATE`` and ``--cache DIR``, for fits."""


def protocol_of(
    console: Console,
    asked: Asked,
    of_manifest: Callable[[Sequence[Recording]], Protocol] | None = None,
) -> Protocol:
    """Read the trials; ``of_manifest`` makes them from a manifest without a protocol."""
    from voiceid import evaluation  # noqa: PLC0415 - loads the engines

    path, enrolled, first = asked
    if enrolled is not None and first is not None:
        raise click.UsageError("--enrolled is for trials, --enroll-first for a list or folder.")
    if enrolled is not None:
        protocol = evaluation.read_models(path, enrolled)
    elif path.suffix.lower() not in LISTS and not os.path.isdir(path):
        if first is not None:
            raise click.UsageError("--enroll-first is for a list (.csv or .jsonl) or a folder.")
        protocol = evaluation.read_trials(path)
    elif first is None:
        protocol = (of_manifest or evaluation.all_pairs)(recordings_of(path, console))
    else:
        protocol = evaluation.enroll_first(recordings_of(path, console), first)
    return replace(protocol, source=asked.source)


def recordings_of(path: Path, console: Console) -> tuple[Recording, ...]:
    """Return the recordings of a list, or of a folder with a folder for each speaker.

    A folder inside a speaker's folder is a session.
    """
    from voiceid.evaluation import Recording, read_manifest  # noqa: PLC0415 - loads the engines

    if not os.path.isdir(path):
        return read_manifest(path)
    recordings = []
    for speaker, clips in people_in(path, console).items():
        for clip in clips:
            name = Path(clip).relative_to(path)
            session = name.parts[1] if len(name.parts) > 2 else ""  # noqa: PLR2004 - speaker, session, file
            recordings.append(Recording(clip, str(name), speaker, session))
    return tuple(recordings)
