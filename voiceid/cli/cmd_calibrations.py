"""``voiceid calibrations``."""

from __future__ import annotations

import click

from voiceid.cli import exit_codes
from voiceid.cli.calibration_text import calibration_text, calibrations_table
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import NumberOrNone, common_options
from voiceid.cli.tree import Command, Group


@click.group(
    "calibrations",
    cls=Group,
    examples=["voiceid calibrations use 2"],
)
@common_options
def command() -> None:
    """List, show, choose and remove calibrations."""


@command.command("list", cls=Command, examples=["voiceid calibrations list --json"])
@common_options
@click.pass_obj
def list_command(console: Console) -> int:
    """List the calibrations, oldest first.

    With --json: one object a line for each.
    """
    with open_voiceid(console) as vid:
        found = vid.calibrations.list()
    if console.settings.as_json:
        for one in found:
            console.json(one.to_dict())
    else:
        console.result(calibrations_table(found))
    return exit_codes.DONE


@command.command("show", cls=Command, examples=["voiceid calibrations show 2"])
@click.argument("number", metavar="ID", type=int)
@common_options
@click.pass_obj
def show_command(console: Console, number: int) -> int:
    """Show a calibration: what it was worth, and what each target takes."""
    with open_voiceid(console) as vid:
        found = vid.calibrations.get(number)
    if console.settings.as_json:
        console.json(found.to_dict())
    else:
        console.result(calibration_text(found))
    return exit_codes.DONE


@command.command("use", cls=Command, examples=["voiceid calibrations use 2"])
@click.argument("number", metavar="ID|none", type=NumberOrNone())
@common_options
@click.pass_obj
def use_command(console: Console, number: int | None) -> int:
    """Let a calibration decide from now on, or none: the model's card decides then."""
    with open_voiceid(console) as vid:
        found = vid.calibrations.use(number)
        adapted = any(
            one.in_use and one.space_id == vid.models.space.id for one in vid.adaptations.list()
        )
    if console.settings.as_json:
        console.json({"in_use": None if found is None else found.id})
    elif found is None:
        then = (
            "no speaker is accepted in the adapted space" if adapted else "the model's card decides"
        )
        console.result(f"in use  none: {then}")
    else:
        console.result(f"in use  calibration {found.id} of {found.space_id}")
    return exit_codes.DONE


@command.command("remove", cls=Command, examples=["voiceid calibrations remove 1"])
@click.argument("number", metavar="ID", type=int)
@common_options
@click.pass_obj
def remove_command(console: Console, number: int) -> int:
    """Remove a calibration that is not in use."""
    with open_voiceid(console) as vid:
        found = vid.calibrations.remove(number)
    if console.settings.as_json:
        console.json({"removed": found.to_dict()})
    else:
        console.result(f"removed  calibration {found.id}, fitted on {found.source}")
    return exit_codes.DONE
