"""``voiceid database``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import common_options, yes_option
from voiceid.cli.streams import is_terminal
from voiceid.cli.text import counted, fields, megabytes, printable
from voiceid.cli.tree import Command, Group
from voiceid.errors import StoreError

if TYPE_CHECKING:
    from voiceid.client import VoiceID
    from voiceid.domain import DatabaseUrl
    from voiceid.store.upgrade import SchemaStatus


@click.group(
    "database",
    cls=Group,
    short_help="Show, upgrade, check, back up, restore and copy the database.",
    examples=["voiceid database status"],
)
@common_options
def command() -> None:
    """Show, upgrade, check, back up, restore and copy the database."""


@command.command("status", cls=Command, examples=["voiceid database status --json"])
@common_options
@click.pass_obj
def status_command(console: Console) -> int:
    """Show where the database is, its schema revision, and the one this program writes."""
    with open_voiceid(console) as vid:
        _tell(vid.database.status(), vid.database.location, console)
    return exit_codes.DONE


@command.command("upgrade", cls=Command, examples=["voiceid database upgrade"])
@common_options
@click.pass_obj
def upgrade_command(console: Console) -> int:
    """Bring the database to this program's schema; a newer one is refused, untouched."""
    with open_voiceid(console) as vid:
        _tell(vid.database.upgrade(), vid.database.location, console)
    return exit_codes.DONE


@command.command(
    "backup", cls=Command, examples=["voiceid database backup voices-2026-11-24.sqlite3"]
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@common_options
@click.pass_obj
def backup_command(console: Console, file: Path) -> int:
    """Copy the database to a new file, one consistent state of it, while others write.

    The copy is made for its owner alone.  `voiceid database restore` puts it back.
    """
    with open_voiceid(console) as vid:
        _require_database(vid)
        size = vid.database.backup(file)
    if console.settings.as_json:
        console.json({"backup": str(file), "size_bytes": size})
    else:
        console.result(f"backed up  {file}, {megabytes(size)}")
    return exit_codes.DONE


@command.command(
    "restore", cls=Command, examples=["voiceid database restore voices-2026-11-24.sqlite3 --yes"]
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@yes_option
@common_options
@click.pass_obj
def restore_command(console: Console, file: Path, *, yes: bool) -> int:
    """Put a backup back, checked first; others may have the database open.

    What it replaces is saved beside it.  Asks first on a terminal; elsewhere --yes is needed.
    """
    if not yes and not is_terminal(sys.stdin):
        raise click.UsageError("There is no terminal to ask on; --yes restores without asking.")
    if not file.is_file():
        raise StoreError(f"there is no file {file}", hint="`voiceid database backup` makes one.")
    with open_voiceid(console) as vid:
        if not yes and not _confirmed(file, vid.database.location):
            console.complain("nothing was changed")
            return exit_codes.INTERRUPTED
        restored = vid.database.restore(file)
    saved = None if restored.saved is None else str(restored.saved)
    if console.settings.as_json:
        facts = {"database": str(restored.database), "speakers": restored.n_speakers}
        console.json({"restored": str(file), **facts, "saved": saved})
    else:
        console.result(f"restored  {file}, {counted(restored.n_speakers, 'speaker')}")
        console.result(f"saved     {saved or 'nothing: there was no database'}")
    return exit_codes.DONE


@command.command("check", cls=Command, examples=["voiceid database check"])
@common_options
@click.pass_obj
def check_command(console: Console) -> int:
    """Check every page, sample and centroid; exits with 50 when something is wrong."""
    with open_voiceid(console) as vid:
        _require_database(vid)
        problems = vid.database.check()
        n_speakers = 0 if problems else vid.speakers.count()
    if problems:
        raise StoreError(
            f"the database is damaged:\n  {chr(10).join(problems)}",
            hint="Put back a backup with `voiceid database restore FILE`.",
        )
    if console.settings.as_json:
        console.json({"ok": True, "speakers": n_speakers})
    else:
        console.result(f"ok  {counted(n_speakers, 'speaker')}, every sample and centroid")
    return exit_codes.DONE


@command.command(
    "copy",
    cls=Command,
    examples=[
        "voiceid database copy data/voiceid.sqlite3 postgresql+psycopg://door@db.example/voices"
    ],
)
@click.argument("source", metavar="SOURCE")
@click.argument("target", metavar="TARGET")
@common_options
@click.pass_obj
def copy_command(console: Console, source: str, target: str) -> int:
    """Move a gallery from one database to another, and check that it is the same there.

    Each is a file or a postgresql+psycopg:// URL, and nobody may be enrolled in TARGET.  What
    goes wrong leaves it as it was.  Passwords are better in PGPASSWORD or ~/.pgpass than here.
    """
    with open_voiceid(console) as vid:
        copied = vid.database.copy(source, target)
    if console.settings.as_json:
        facts = {"rows": copied.rows, "sha256": copied.sha256}
        console.json({"copied": copied.source, "to": copied.target, **facts})
    else:
        counts = ", ".join(f"{n} in {name}" for name, n in copied.rows.items() if n)
        console.result(f"copied    {copied.source} to {copied.target}")
        console.result(f"verified  {counts or 'nothing is there'}")
        console.result(f"sha256    {copied.sha256} on both sides")
    return exit_codes.DONE


def _confirmed(file: Path, database: Path | DatabaseUrl) -> bool:
    question = f"Put {printable(str(file))} in the place of {printable(str(database))}?"
    return click.confirm(f"{question} What is there is saved beside it.", err=True)


def _require_database(vid: VoiceID) -> None:
    """Refuse to make an empty database only to look after it."""
    if vid.database.status().current is None:
        raise StoreError(
            f"there is no database {vid.database.location}",
            hint="Check --data, or enrol somebody first.",
        )


def _tell(status: SchemaStatus, database: Path | DatabaseUrl, console: Console) -> None:
    facts = {"current": status.current, "head": status.head, "state": str(status.state)}
    if console.settings.as_json:
        console.json({"database": str(database), **facts})
    else:
        shown = {key: "-" if value is None else value for key, value in facts.items()}
        console.result(fields({"database": str(database), **shown}))
