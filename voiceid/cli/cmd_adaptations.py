"""``voiceid adaptations``."""

from __future__ import annotations

import click

from voiceid.cli import exit_codes
from voiceid.cli.calibration_text import adaptations_table
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import NumberOrNone, common_options
from voiceid.cli.tree import Command, Group


@click.group(
    "adaptations",
    cls=Group,
    short_help="List, choose and remove adaptations.",
    examples=["voiceid adaptations use none"],
)
@common_options
def command() -> None:
    """List, choose and remove adaptations."""


@command.command("list", cls=Command, examples=["voiceid adaptations list --json"])
@common_options
@click.pass_obj
def list_command(console: Console) -> int:
    """List the adaptations, oldest first.

    With --json: one object a line for each.
    """
    with open_voiceid(console) as vid:
        found = vid.adaptations.list()
    if console.settings.as_json:
        for one in found:
            console.json(one.to_dict())
    else:
        console.result(adaptations_table(found))
    return exit_codes.DONE


@command.command("use", cls=Command, examples=["voiceid adaptations use 1"])
@click.argument("number", metavar="ID|none", type=NumberOrNone())
@common_options
@click.pass_obj
def use_command(console: Console, number: int | None) -> int:
    """Decide by an adaptation from now on, or by none; each has calibrations of its own."""
    with open_voiceid(console) as vid:
        found = vid.adaptations.use(number)
        space_id = vid.models.space.id if found is None else found.space_id
    if console.settings.as_json:
        console.json({"in_use": None if found is None else found.id, "embedding_space": space_id})
    else:
        named = "no adaptation" if found is None else f"adaptation {found.id}"
        console.result(f"in use  {named} of {space_id}")
    return exit_codes.DONE


@command.command("remove", cls=Command, examples=["voiceid adaptations remove 1"])
@click.argument("number", metavar="ID", type=int)
@common_options
@click.pass_obj
def remove_command(console: Console, number: int) -> int:
    """Remove an adaptation that is not in use, and its calibrations."""
    with open_voiceid(console) as vid:
        found = vid.adaptations.remove(number)
    if console.settings.as_json:
        console.json({"removed": found.to_dict()})
    else:
        console.result(f"removed  adaptation {found.id}, learned from {found.source}")
    return exit_codes.DONE
