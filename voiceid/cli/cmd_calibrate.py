"""``voiceid calibrate``."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from voiceid.cli import exit_codes
from voiceid.cli.calibration_text import told
from voiceid.cli.console import Console
from voiceid.cli.labelled import fitting_options, input_options, protocol_of
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import common_options
from voiceid.cli.tree import Command


@click.command(
    "calibrate",
    cls=Command,
    short_help="Fit the thresholds to recordings whose speakers are known.",
    example="voiceid calibrate people.csv --target-fmr 1e-3",
)
@input_options
@fitting_options
@click.option("--no-use", is_flag=True, help="Keep the calibration, and decide as before.")
@common_options
@click.pass_obj
def command(  # noqa: PLR0913 - one parameter an option
    console: Console,
    *,
    input: Path,  # noqa: A002 - as the help names it
    enrolled: Path | None,
    enroll_first: int | None,
    target_fmr: float | None,
    cache: Path | None,
    no_use: bool,
) -> int:
    """Fit the thresholds to recordings whose speakers are known.

    INPUT is as of `voiceid evaluate`; of a list or folder, one to three recordings of each speaker
    are enrolled in turn and compared with all others.  Recordings should come from the
    microphones and lines that the decisions are about.  Decisions use the calibration at once.
    See docs/calibrating.md.
    """
    with open_voiceid(console) as vid, tempfile.TemporaryDirectory() as none:
        from voiceid import evaluation  # noqa: PLC0415 - loads the engines

        found = vid.calibrations.fit(
            protocol_of(input, enrolled, enroll_first, evaluation.enroll_in_turn),
            cache=cache or none,
            source=input.resolve().name,
            target_fmr=target_fmr,
            tell=lambda done, total: console.count("hearing", done, total),
        )
        if not no_use:
            found = vid.calibrations.use(found.id) or found
    if console.settings.as_json:
        console.json(found.to_dict())
    else:
        console.result(told(found))
    return exit_codes.DONE
