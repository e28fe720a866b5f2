"""``voiceid adapt``."""

from __future__ import annotations

from pathlib import Path

import click

from voiceid.cli.calibration_text import adapted_text
from voiceid.cli.console import Console
from voiceid.cli.labelled import fitting_options, recordings_of
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import FILE, leaf
from voiceid.errors import FitRefused


@leaf("adapt", examples=["voiceid adapt people.csv --target-fmr 1e-3"], audio=True)
@click.argument("input", metavar="[INPUT]", type=FILE, required=False)
@fitting_options
@click.option("--dry-run", is_flag=True, help="Measure, and change nothing.")
def command(
    console: Console,
    *,
    input: Path | None,  # noqa: A002 - as the help names it
    target_fmr: float | None,
    cache: Path | None,
    dry_run: bool,
) -> None:
    """Learn what the site does to voices, and take it out of every comparison.

    INPUT is a list (name, path, session) or a folder as of `voiceid evaluate`; without it the
    samples that are enrolled are learned from.  It is adopted only if it separates speakers whom
    it has not heard better, by more than chance; else it exits with 60 and changes nothing.
    `voiceid adaptations use none` takes it back.  See docs/adaptation.md.
    """
    with open_voiceid(console) as vid:
        found = vid.adaptations.fit(
            None if input is None else recordings_of(input, console),
            cache=cache,
            source="the enrolled" if input is None else input.resolve().name,
            target_fmr=target_fmr,
            dry_run=dry_run,
            tell=console.hearing,
        )
    console.answer(found.to_dict(), adapted_text(found.measured))
    if not found.adopted:
        raise FitRefused(
            f"no adaptation was adopted: {found.reason}",
            hint="Nothing was changed. More speakers, or several days of each, may show a gain.",
        )
    if found.adaptation is not None and found.calibration is not None:
        console.note(
            f"adaptation {found.adaptation.id} decides: {found.reason}; its thresholds are of"
            f" calibration {found.calibration.id}"
        )
