"""``voiceid index``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import common_options
from voiceid.cli.text import table
from voiceid.cli.tree import Command, Group

if TYPE_CHECKING:
    from voiceid.index.base import IndexStatus


@click.group(
    "index",
    cls=Group,
    short_help="Show and rebuild the search index.",
    example="voiceid index status",
)
@common_options
def command() -> None:
    """Show and rebuild the search index, a cache of the database."""


@command.command("status", cls=Command, example="voiceid index status")
@common_options
@click.pass_obj
def status_command(console: Console) -> int:
    """Show, for each embedding space, what the index file holds and whether it is current.

    An index that is behind needs no care: the next search brings it up to date.
    """
    with open_voiceid(console) as vid:
        _tell(vid.index.status(), console)
    return exit_codes.DONE


@command.command("rebuild", cls=Command, example="voiceid index rebuild")
@common_options
@click.pass_obj
def rebuild_command(console: Console) -> int:
    """Make every index file anew from the database."""
    with open_voiceid(console) as vid:
        _tell(vid.index.rebuild(), console)
    return exit_codes.DONE


@command.command("seal", cls=Command, example="voiceid index seal")
@common_options
@click.pass_obj
def seal_command(console: Console) -> int:
    """Write the index files of large galleries that are due, at a low priority.

    Commands that change a gallery start this in the background.
    """
    with open_voiceid(console) as vid:
        return exit_codes.DONE if vid.index.seal() else exit_codes.INTERNAL


def _tell(statuses: Sequence[IndexStatus], console: Console) -> None:
    rows = [{key: _plain(v) for key, v in dataclasses.asdict(s).items()} for s in statuses]
    if console.settings.as_json:
        for row in rows:
            console.json(row)
    elif not rows:
        console.note("nobody is enrolled, so there is no index")
    else:
        header = [key.replace("_", " ") for key in rows[0]]
        console.result(table(header, [[_shown(v) for v in row.values()] for row in rows]))


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)
