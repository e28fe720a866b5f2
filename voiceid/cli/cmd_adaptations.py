"""``voiceid adaptations``."""

from __future__ import annotations

import click

from voiceid.cli.calibration_text import adaptations_table
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import NUMBER_OR_NONE, branch, leaf


@branch("adaptations", examples=["voiceid adaptations use none"])
def command() -> None:
    """List, choose and remove adaptations."""


@leaf("list", examples=["voiceid adaptations list --json"], group=command)
def list_command(console: Console) -> None:
    """List the adaptations, oldest first."""
    with open_voiceid(console) as vid:
        adaptations = vid.adaptations.list()
    console.answers([one.to_dict() for one in adaptations], adaptations_table(adaptations))


@leaf("use", examples=["voiceid adaptations use 1"], group=command)
@click.argument("number", metavar="ID|none", type=NUMBER_OR_NONE)
def use_command(console: Console, number: int | None) -> None:
    """Decide by an adaptation from now on, or by none; each has calibrations of its own."""
    with open_voiceid(console) as vid:
        found = vid.adaptations.use(number)
        space_id = vid.models.space.id if found is None else found.space_id
    named = "no adaptation" if found is None else f"adaptation {found.id}"
    console.answer(
        {"in_use": None if found is None else found.id, "embedding_space": space_id},
        f"in use  {named} of {space_id}",
    )


@leaf("remove", examples=["voiceid adaptations remove 1"], group=command)
@click.argument("number", metavar="ID", type=int)
def remove_command(console: Console, number: int) -> None:
    """Remove an adaptation that is not in use, and its calibrations."""
    with open_voiceid(console) as vid:
        found = vid.adaptations.remove(number)
    console.answer(
        {"removed": found.to_dict()}, f"removed  adaptation {found.id}, learned from {found.source}"
    )
