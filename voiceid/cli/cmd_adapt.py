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
@click.option("--dry-run", is_flag=True, help="Only measure, change nothing.")
def command(
    console: Console,
    *,
    input: Path | None,  # noqa: A002 - as the help names it
    target_fmr: float | None,
    cache: Path | None,
    dry_run: bool,
) -> None:
    """Learn how the site changes voices, and remove that from every comparison.

    INPUT is a list (name, path, session) or a folder as for `voiceid evaluate`; without INPUT it
    learns from the enrolled samples.  The adaptation is adopted only if it separates other speakers
    better, by more than chance; otherwise nothing changes and the exit code is 60.  `voiceid
    adaptations use none` reverts it.  See docs/adaptation.md.
    """
    with open_voiceid(console) as vid:
        fit = vid.adaptations.fit(
            None if input is None else recordings_of(input, console),
            cache=cache,
            source="the enrolled" if input is None else input.resolve().name,
            target_fmr=target_fmr,
            dry_run=dry_run,
            tell=console.hearing,
        )
    console.answer(fit.to_dict(), adapted_text(fit.measured))
    if not fit.adopted:
        raise FitRefused(
            f"no adaptation was adopted: {fit.reason}",
            hint="Nothing was changed. More speakers, or several days of each, may show a gain.",
        )
    if fit.adaptation is not None and fit.calibration is not None:
        console.note(
            f"adaptation {fit.adaptation.id} decides: {fit.reason}; its thresholds are of"
            f" calibration {fit.calibration.id}"
        )
