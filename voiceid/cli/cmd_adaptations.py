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
    console.answers([fit.to_dict() for fit in adaptations], adaptations_table(adaptations))


@leaf("use", examples=["voiceid adaptations use 1"], group=command)
@click.argument("number", metavar="ID|none", type=NUMBER_OR_NONE)
def use_command(console: Console, number: int | None) -> None:
    """Use an adaptation from now on, or none; each has its own calibrations."""
    with open_voiceid(console) as vid:
        adaptation = vid.adaptations.use(number)
        space_id = vid.models.space.id if adaptation is None else adaptation.space_id
    shown = "no adaptation" if adaptation is None else f"adaptation {adaptation.id}"
    console.answer(
        {"in_use": None if adaptation is None else adaptation.id, "embedding_space": space_id},
        f"in use  {shown} of {space_id}",
    )


@leaf("remove", examples=["voiceid adaptations remove 1"], group=command)
@click.argument("number", metavar="ID", type=int)
def remove_command(console: Console, number: int) -> None:
    """Remove an adaptation that is not in use, and its calibrations."""
    with open_voiceid(console) as vid:
        fit = vid.adaptations.remove(number)
    console.answer(
        {"removed": fit.to_dict()}, f"removed  adaptation {fit.id}, learned from {fit.source}"
    )
