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
    """Show where the database is, its schema revision, and the one this program writes."""
    with open_voiceid(console) as vid:
        _tell(vid.database.status(), vid.database.location, console)


@leaf("upgrade", examples=["voiceid database upgrade"], group=command)
def upgrade_command(console: Console) -> None:
    """Bring the database to this program's schema; a newer one is refused, untouched."""
    with open_voiceid(console) as vid:
        upgraded = vid.database.upgrade()
        _tell(upgraded, vid.database.location, console)
    for sentence in upgraded.removed:
        console.warn(sentence)


@leaf("backup", examples=["voiceid database backup voices.sqlite3"], group=command)
@click.argument("file", type=FILE)
def backup_command(console: Console, file: Path) -> None:
    """Copy the database to a new file, one consistent state of it, while others write.

    The copy is made for its owner alone, and signed.  `voiceid database restore` puts it back.
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
    help="Put it back though it is sealed otherwise than the gallery, or not at all.",
)
@asks_first
def restore_command(
    console: Console, file: Path, *, signed_by: str | None, change_protection: bool
) -> None:
    """Put a backup back, checked first; others may have the database open.

    It must be signed by this gallery or by --signed-by, and as it was signed (exit code 76).
    What it replaces is saved beside it, unsigned.
    """
    if not os.path.lexists(file):
        raise StoreError(
            f"there is no file {file}, or it may not be read",
            hint="`voiceid database backup` makes one.",
        )
    with open_voiceid(console) as vid:
        question = (
            f"Put {file} in the place of {vid.database.location}? What is there is saved beside it."
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
    """Check every page, sample and centroid; exits with 50 when something is wrong."""
    with open_voiceid(console) as vid:
        _require_database(vid)
        problems = vid.database.check()
        n_speakers = 0 if problems else vid.speakers.count()
    if problems:
        raise StoreError(
            f"the database is damaged:\n  {chr(10).join(problems)}",
            hint="Put back a backup with `voiceid database restore FILE`; without one, `voiceid"
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
    """Move a gallery from one database to another, and check that it is the same there.

    Each is a file, a postgresql+psycopg:// URL, the word `settings` for the database that the
    settings name, or env:NAME for a URL in the environment.  No speaker may be enrolled in TARGET.
    If something goes wrong, TARGET stays as it was.  Others on this machine can read a command
    line: a URL with a password belongs into the settings or the environment.
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


def _place(vid: VoiceID, given: str) -> str | Path | DatabaseUrl:
    """Return the database that a word of `copy` means."""
    kind, _, name = given.partition(":")
    if given == "settings":
        return vid.database.location
    if kind != "env":
        return given
    if not os.environ.get(name):
        raise click.UsageError(f"there is no variable {name} in the environment")
    return os.environ[name]


def _require_database(vid: VoiceID) -> None:
    """Refuse to make an empty database only to look after it."""
    if vid.database.status().current is None:
        raise StoreError(
            f"there is no database {vid.database.location}",
            hint="Check --home and --data, or enrol a speaker first.",
        )


def _tell(status: SchemaStatus, database: Path | DatabaseUrl, console: Console) -> None:
    facts = {"current": status.current, "head": status.head, "state": str(status.state)}
    facts = {"database": str(database), **facts}
    console.answer({**facts, "removed": list(status.removed)}, fields(facts))
