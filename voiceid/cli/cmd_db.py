"""``voiceid db``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.options import common_options
from voiceid.cli.session import open_voiceid
from voiceid.cli.text import fields
from voiceid.cli.tree import Command, Group

if TYPE_CHECKING:
    from pathlib import Path

    from voiceid.store.migrate import SchemaStatus


@click.group(
    "db",
    cls=Group,
    short_help="Show and upgrade the database's schema.",
    example="voiceid db status",
)
@common_options
def command() -> None:
    """Show and upgrade the database's schema."""


@command.command("status", cls=Command, example="voiceid db status --json")
@common_options
@click.pass_obj
def status_command(console: Console) -> int:
    """Show where the database is, its schema revision, and the one this program writes."""
    with open_voiceid(console) as vid:
        _tell(vid.db_status(), vid.database, console)
    return exit_codes.DONE


@command.command("upgrade", cls=Command, example="voiceid db upgrade")
@common_options
@click.pass_obj
def upgrade_command(console: Console) -> int:
    """Bring the database to this program's schema; a newer one is refused, untouched."""
    with open_voiceid(console) as vid:
        _tell(vid.db_upgrade(), vid.database, console)
    return exit_codes.DONE


def _tell(status: SchemaStatus, database: Path, console: Console) -> None:
    facts = {"current": status.current, "head": status.head, "state": str(status.state)}
    if console.settings.as_json:
        console.json({"database": str(database), **facts})
    else:
        shown = {key: "-" if value is None else value for key, value in facts.items()}
        console.result(fields({"database": str(database), **shown}))
