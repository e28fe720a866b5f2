"""``voiceid cohort``."""

from __future__ import annotations

import click

from voiceid.cli import exit_codes
from voiceid.cli.calibration_text import cohorts_table
from voiceid.cli.console import Console
from voiceid.cli.options import audio_arguments, audio_options, common_options
from voiceid.cli.session import open_voiceid
from voiceid.cli.sources import clips
from voiceid.cli.text import counted
from voiceid.cli.tree import Command, Group


@click.group(
    "cohort",
    cls=Group,
    short_help="Keep voices of strangers, by which scores can be normalised.",
    example="voiceid cohort build strangers/",
)
@common_options
def command() -> None:
    """Keep voices of strangers, by which scores can be normalised (AS-Norm)."""


@command.command("build", cls=Command, example="voiceid cohort build strangers/")
@audio_arguments
@audio_options
@click.pass_obj
def build_command(console: Console, audio: tuple[str, ...]) -> int:
    """Keep the embeddings of strangers' clips, one of each, and nothing else of them.

    It decides nothing by itself: the next `voiceid calibrate` takes it in if that tells
    held-out speakers apart better, and `voiceid evaluate` says whether it helps.
    """
    sources = clips(audio)
    with open_voiceid(console) as vid:
        found = vid.build_cohort(sources, source=_named(audio))
    if console.settings.as_json:
        console.json(found.to_dict())
    else:
        console.result(f"cohort  {found.id} of {found.space_id}: {counted(found.size, 'voice')}")
    return exit_codes.DONE


def _named(audio: tuple[str, ...]) -> str:
    more = f" and {len(audio) - 1} more" if len(audio) > 1 else ""
    return audio[0] + more


@command.command("list", cls=Command, example="voiceid cohort list --json")
@common_options
@click.pass_obj
def list_command(console: Console) -> int:
    """List the cohorts, oldest first.

    With --json: one object a line for each.
    """
    with open_voiceid(console) as vid:
        found = vid.cohorts()
    if console.settings.as_json:
        for one in found:
            console.json(one.to_dict())
    else:
        console.result(cohorts_table(found))
    return exit_codes.DONE


@command.command("remove", cls=Command, example="voiceid cohort remove 1")
@click.argument("number", metavar="ID", type=int)
@common_options
@click.pass_obj
def remove_command(console: Console, number: int) -> int:
    """Remove a cohort that no calibration needs."""
    with open_voiceid(console) as vid:
        found = vid.remove_cohort(number)
    if console.settings.as_json:
        console.json({"removed": found.to_dict()})
    else:
        console.result(f"removed  cohort {found.id}, made of {found.source}")
    return exit_codes.DONE
