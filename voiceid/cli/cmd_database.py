"""``voiceid database``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voiceid.cli.asking import asks_first, confirm
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import FILE, branch, leaf, signed_by_option
from voiceid.cli.text import counted, fields, megabytes
from voiceid.errors import StoreError

if TYPE_CHECKING:
    from voiceid.client import VoiceID
    from voiceid.domain import DatabaseUrl
    from voiceid.store.upgrade import SchemaStatus


@branch("database", examples=["voiceid database status"])
def command() -> None:
    """Show, upgrade, check, back up, restore and copy the database."""


@leaf("status", examples=["voiceid database status --json"], group=command)
def status_command(console: Console) -> None:
    """Show the database's location, its schema revision, and this program's revision."""
    with open_voiceid(console) as vid:
        _tell(vid.database.status(), vid.database.location, console)


@leaf("upgrade", examples=["voiceid database upgrade"], group=command)
def upgrade_command(console: Console) -> None:
    """Upgrade the database to this program's schema; a newer schema is refused."""
    with open_voiceid(console) as vid:
        upgraded = vid.database.upgrade()
        _tell(upgraded, vid.database.location, console)
    for sentence in upgraded.removed:
        console.warn(sentence)


@leaf("backup", examples=["voiceid database backup voices.sqlite3"], group=command)
@click.argument("file", type=FILE)
def backup_command(console: Console, file: Path) -> None:
    """Copy one consistent state of the database to a new file, while others may write.

    The copy is private and signed.  `voiceid database restore` restores it.
    """
    with open_voiceid(console) as vid:
        _require_database(vid)
        size = vid.database.backup(file)
    console.answer(
        {"backup": str(file), "size_bytes": size}, f"backed up  {file}, {megabytes(size)}"
    )


@leaf(
    "restore", examples=["voiceid database restore voices-2026-11-24.sqlite3 --yes"], group=command
)
@click.argument("file", type=FILE)
@signed_by_option
@click.option(
    "--change-protection",
    is_flag=True,
    help="Restore even if its protection differs from the gallery's.",
)
@asks_first
def restore_command(
    console: Console, file: Path, *, signed_by: str | None, change_protection: bool
) -> None:
    """Check a backup and restore it; others may have the database open.

    It must be signed by this gallery or by --signed-by, and unchanged since (exit code 76).  The
    replaced database is saved beside it, unsigned.
    """
    if not os.path.lexists(file):
        raise StoreError(
            f"there is no file {file}, or you may not read it",
            hint="Create a backup with `voiceid database backup`.",
        )
    with open_voiceid(console) as vid:
        question = (
            f"Replace {vid.database.location} by {file}? The present database is saved beside it."
        )
        confirm(console, question)
        restored = vid.database.restore(
            file, signed_by=signed_by, change_protection=change_protection
        )
    saved = None if restored.saved is None else str(restored.saved)
    facts = {"database": str(restored.database), "speakers": restored.n_speakers, "saved": saved}
    console.answer(
        {"restored": str(file), **facts},
        f"restored  {file}, {counted(restored.n_speakers, 'speaker')}\n"
        f"saved     {saved or 'nothing: there was no database'}",
    )


@leaf("check", examples=["voiceid database check"], group=command)
def check_command(console: Console) -> None:
    """Check every page, sample and centroid; exits with 50 if there are problems."""
    with open_voiceid(console) as vid:
        _require_database(vid)
        problems = vid.database.check()
        n_speakers = 0 if problems else vid.speakers.count()
    if problems:
        raise StoreError(
            f"the database is damaged:\n  {chr(10).join(problems)}",
            hint="Restore a backup with `voiceid database restore FILE`; without one, `voiceid"
            " speakers purge --damaged` erases speakers who cannot be read.",
        )
    console.answer(
        {"ok": True, "speakers": n_speakers},
        f"ok  {counted(n_speakers, 'speaker')}, every sample and centroid",
    )


@leaf(
    "copy",
    examples=[
        "voiceid database copy data/voiceid.sqlite3 postgresql+psycopg://door@db.example/voices",
        "voiceid database copy data/voiceid.sqlite3 env:VOICEID_DATABASE_URL",
    ],
    group=command,
)
@click.argument("source")
@click.argument("target")
def copy_command(console: Console, source: str, target: str) -> None:
    """Copy a gallery from one database to another, and verify the copy.

    Each is a file, a postgresql+psycopg:// URL, the word `settings` for the database in the
    settings, or env:NAME for a URL in the environment.  TARGET must be empty; on an error it is
    unchanged.  Others on this machine can read a command line: put a URL with a password into the
    settings or the environment.
    """
    with open_voiceid(console) as vid:
        copied = vid.database.copy(_place(vid, source), _place(vid, target))
    counts = ", ".join(f"{n} in {name}" for name, n in copied.rows.items() if n)
    facts = {"rows": copied.rows, "sha256": copied.sha256}
    console.answer(
        {"copied": copied.source, "to": copied.target, **facts},
        f"copied    {copied.source} to {copied.target}\n"
        f"verified  {counts or 'the gallery is empty'}\n"
        f"sha256    {copied.sha256} on both sides",
    )


def _place(vid: VoiceID, word: str) -> str | Path | DatabaseUrl:
    """Return the database for an argument of `copy`."""
    kind, _, name = word.partition(":")
    if word == "settings":
        return vid.database.location
    if kind != "env":
        return word
    if not os.environ.get(name):
        raise click.UsageError(f"the environment variable {name} is not set")
    return os.environ[name]


def _require_database(vid: VoiceID) -> None:
    """Refuse to create an empty database for a maintenance command."""
    if vid.database.status().current is None:
        raise StoreError(
            f"there is no database {vid.database.location}",
            hint="Check --home and --data, or enrol a speaker first.",
        )


def _tell(status: SchemaStatus, database: Path | DatabaseUrl, console: Console) -> None:
    facts = {"current": status.current, "head": status.head, "state": str(status.state)}
    facts = {"database": str(database), **facts}
    console.answer({**facts, "removed": list(status.removed)}, fields(facts))
