"""``voiceid diarize``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import click

from voiceid.cli import exit_codes
from voiceid.cli.clip_arguments import STDIN, clips
from voiceid.cli.console import Console
from voiceid.cli.diarization_text import diarization_text, warn_of_unheard
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import (
    Parsed,
    audio_arguments,
    leaf,
    refuse_both,
    target_fmr_option,
    target_fpir_option,
    threshold_option,
)
from voiceid.cli.output_files import agreed_format, make_folder, save
from voiceid.cli.text import json_line
from voiceid.errors import AudioError

if TYPE_CHECKING:
    from voiceid.domain import Diarization

_ENDINGS = {"text": "txt", "json": "json", "audacity": "txt"}
"""Of files in a folder; the other formats end as they are called."""
_ONE_A_FILE = frozenset({"srt", "vtt", "audacity"})
"""Formats of which two in one file are none."""


def _speakers(value: object) -> tuple[int, int]:
    if isinstance(value, tuple):
        return value
    low, dash, high = str(value).partition("-")
    try:
        found = int(low), int(high if dash else low)
    except ValueError as error:
        raise ValueError("not N or MIN-MAX, as in 2 or 2-4") from error
    if not 1 <= found[0] <= found[1]:
        raise ValueError("not 1 or more, the lower number first")
    return found


@leaf(
    "diarize",
    short_help="Say who speaks when in a recording.",
    examples=[
        "voiceid diarize meeting.mp3",
        "voiceid diarize meeting.mp3 --speakers 2-4 --format rttm -o meeting.rttm",
    ],
    audio=True,
)
@audio_arguments
@click.option(
    "--speakers",
    type=Parsed("number", _speakers),
    metavar="N|MIN-MAX",
    help="How many people speak, where that is known: 2, or 2-4.",
)
@click.option("--no-names", is_flag=True, help="Do not look for the voices among the enrolled.")
@click.option("--group", metavar="GROUP", help="Look for names among this group only.")
@target_fmr_option
@target_fpir_option
@threshold_option
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "rttm", "srt", "vtt", "csv", "audacity"]),
    help="text (default), json, rttm (NIST), srt or vtt (subtitles), csv, or audacity (labels).",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE|FOLDER",
    help="Write to this file, or a file for each recording to this folder.",
)
def command(  # noqa: PLR0913 - one parameter an option
    console: Console,
    *,
    audio: tuple[str, ...],
    speakers: tuple[int, int] | None,
    no_names: bool,
    group: str | None,
    target_fmr: float | None,
    target_fpir: float | None,
    threshold: float | None,
    form: str | None,
    output: str | None,
) -> int:
    """Say who speaks when in a recording of several people, by name where they are enrolled.

    AUDIO is a file, a folder (the audio files in it and below), a pattern, or - for standard
    input.  A voice that is not accepted as an enrolled speaker is called unknown-1, unknown-2 and
    so on, in the order in which they first speak.  Exits with 0, however many are unknown; of many
    recordings the first error decides.
    """
    refuse_both(threshold, target_fmr, "--target-fmr")
    refuse_both(threshold, target_fpir, "--target-fpir")
    form = agreed_format(console, form)
    sources = clips(audio, console)
    target = _Target(output, form, sources)
    codes: list[int] = []
    with open_voiceid(console) as vid:
        for source in sources:
            try:
                found = vid.diarize(
                    source,
                    speakers=speakers,
                    names=not no_names,
                    group=group,
                    target_fmr=target_fmr,
                    target_fpir=target_fpir,
                    threshold=threshold,
                    progress=partial(_show, console, source),
                )
            except AudioError as error:
                if len(sources) == 1:
                    raise
                codes.append(error.exit_code)
                _complain(console, source, error)
                continue
            target.write(console, source, found)
    return next(iter(codes), exit_codes.DONE)


class _Target:
    """Where the results go: standard output, a file, or a file each in a folder."""

    def __init__(self, output: str | None, form: str, sources: Sequence[str]) -> None:
        self._form, self._several = form, len(sources) > 1
        self._folder = self._file = None
        if output is not None and output != "-":
            path = Path(output)
            if self._several or path.is_dir():
                self._folder = path
            else:
                self._file = path
        if self._several and self._folder is None and form in _ONE_A_FILE:
            raise click.UsageError(
                f"--format {form} of several recordings needs a folder for its files: -o FOLDER."
            )
        names = [self._path_in(Path(), source) for source in sources]
        twice = [name for name in names if names.count(name) > 1]
        if self._folder is not None and twice:
            raise click.UsageError(f"Two of the recordings would both be written to {twice[0]}.")

    def write(self, console: Console, source: str, found: Diarization) -> None:
        """Write one result."""
        target = self._file or (self._folder and self._path_in(self._folder, source))
        if self._form == "json":
            facts = {**found.to_dict(), "clip": source}
            if target is None:
                console.json(facts)
                return
            text = json_line(facts) + "\n"
        elif self._form == "text":
            text = diarization_text(found)
            warn_of_unheard(found.unheard, console)
            if target is None:
                console.result(text + ("\n" if self._several else ""))
                return
            text += "\n"
        else:
            text = found.text(self._form)
        if target is None:
            console.binary(text.encode())
            return
        if self._folder is not None:
            make_folder(self._folder)
        save(target, text.encode())
        console.note(f"wrote {target}")

    def _path_in(self, folder: Path, source: str) -> Path:
        stem = "stdin" if source == STDIN else PurePath(source).stem
        return folder / f"{stem}.{_ENDINGS.get(self._form, self._form)}"


def _show(console: Console, source: str, done_s: float, total_s: float | None) -> None:
    if total_s is not None:  # some containers do not say how long they are
        console.count(f"listening to {source}", round(done_s), round(total_s))


def _complain(console: Console, source: str, error: AudioError) -> None:
    if console.settings.as_json:
        console.json({"clip": source, **error.to_dict()})
    else:
        console.complain(f"error: {source}: {error.message}", "error")
