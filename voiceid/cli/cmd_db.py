"""``voiceid db``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.options import common_options
from voiceid.cli.session import open_voiceid
from voiceid.cli.text import counted, fields, megabytes
from voiceid.cli.tree import Command, Group
from voiceid.errors import StoreError

if TYPE_CHECKING:
    from voiceid.app import VoiceID
    from voiceid.store.migrate import SchemaStatus


@click.group(
    "db",
    cls=Group,
    short_help="Show, upgrade, check and back up the database.",
    example="voiceid db status",
)
@common_options
def command() -> None:
    """Show, upgrade, check and back up the database."""


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


@command.command("backup", cls=Command, example="voiceid db backup voices-2026-11-24.sqlite3")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@common_options
@click.pass_obj
def backup_command(console: Console, file: Path) -> int:
    """Copy the database to a new file, one consistent state of it, while others write.

    The copy is made for its owner alone.  To put it back, see data/README.md.
    """
    with open_voiceid(console) as vid:
        _require_database(vid)
        size = vid.db_backup(file)
    if console.settings.as_json:
        console.json({"backup": str(file), "size_bytes": size})
    else:
        console.result(f"backed up  {file}, {megabytes(size)}")
    return exit_codes.DONE


@command.command("check", cls=Command, example="voiceid db check")
@common_options
@click.pass_obj
def check_command(console: Console) -> int:
    """Check every page, sample and centroid; exits with 50 when something is wrong."""
    with open_voiceid(console) as vid:
        _require_database(vid)
        problems = vid.db_check()
        n_speakers = 0 if problems else len(vid.speakers())
    if problems:
        raise StoreError(
            f"the database is damaged:\n  {chr(10).join(problems)}",
            hint="Put back a backup; `voiceid db backup` makes one.",
        )
    if console.settings.as_json:
        console.json({"ok": True, "speakers": n_speakers})
    else:
        console.result(f"ok  {counted(n_speakers, 'speaker')}, every sample and centroid")
    return exit_codes.DONE


def _require_database(vid: VoiceID) -> None:
    """Refuse to make an empty database only to look after it."""
    if vid.db_status().current is None:
        raise StoreError(
            f"there is no database {vid.database}", hint="Check --data, or enrol somebody first."
        )


def _tell(status: SchemaStatus, database: Path, console: Console) -> None:
    facts = {"current": status.current, "head": status.head, "state": str(status.state)}
    if console.settings.as_json:
        console.json({"database": str(database), **facts})
    else:
        shown = {key: "-" if value is None else value for key, value in facts.items()}
        console.result(fields({"database": str(database), **shown}))
