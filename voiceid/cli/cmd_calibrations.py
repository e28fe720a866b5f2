"""``voiceid calibrations``."""

from __future__ import annotations

import click

from voiceid.cli.calibration_text import calibration_text, calibrations_table
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import NUMBER_OR_NONE, branch, leaf


@branch("calibrations", examples=["voiceid calibrations use 2"])
def command() -> None:
    """List, show, choose and remove calibrations."""


@leaf("list", examples=["voiceid calibrations list --json"], group=command)
def list_command(console: Console) -> None:
    """List the calibrations, oldest first."""
    with open_voiceid(console) as vid:
        calibrations = vid.calibrations.list()
    console.answers([fit.to_dict() for fit in calibrations], calibrations_table(calibrations))


@leaf("show", examples=["voiceid calibrations show 2"], group=command)
@click.argument("number", metavar="ID", type=int)
def show_command(console: Console, number: int) -> None:
    """Show a calibration: its measured quality, and the threshold of each target."""
    with open_voiceid(console) as vid:
        calibration = vid.calibrations.get(number)
    console.answer(calibration.to_dict(), calibration_text(calibration))


@leaf("use", examples=["voiceid calibrations use 2"], group=command)
@click.argument("number", metavar="ID|none", type=NUMBER_OR_NONE)
def use_command(console: Console, number: int | None) -> None:
    """Use a calibration from now on, or none: then the model's card decides."""
    with open_voiceid(console) as vid:
        calibration = vid.calibrations.use(number)
        adapted = any(
            fit.in_use and fit.space_id == vid.models.space.id for fit in vid.adaptations.list()
        )
    if calibration is not None:
        text = f"calibration {calibration.id} of {calibration.space_id}"
    elif adapted:
        text = "none: no speaker is accepted in the adapted space"
    else:
        text = "none: the model's card decides"
    console.answer({"in_use": None if calibration is None else calibration.id}, f"in use  {text}")


@leaf("remove", examples=["voiceid calibrations remove 1"], group=command)
@click.argument("number", metavar="ID", type=int)
def remove_command(console: Console, number: int) -> None:
    """Remove a calibration that is not in use."""
    with open_voiceid(console) as vid:
        fit = vid.calibrations.remove(number)
    console.answer(
        {"removed": fit.to_dict()}, f"removed  calibration {fit.id}, fitted on {fit.source}"
    )
