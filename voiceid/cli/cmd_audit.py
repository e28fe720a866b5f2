"""``voiceid audit``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import FILE, SPEAKER_NAME, Parsed, branch, leaf
from voiceid.cli.text import counted, fields
from voiceid.domain import moment
from voiceid.domain.audit_chain import DECISION
from voiceid.errors import AuditBroken

if TYPE_CHECKING:
    from voiceid.domain.audit_chain import AuditRow

_HASH_DIGITS = 64


def _hash(value: str) -> str:
    if len(value) != _HASH_DIGITS or set(value.lower()) - set("0123456789abcdef"):
        raise ValueError(f"not a hash of {_HASH_DIGITS} hex digits")
    return value.lower()


@branch("audit", examples=["voiceid audit list --since 2026-11-01", "voiceid audit verify"])
def command() -> None:
    """List, verify and export the record of changes and decisions.

    Each row has the hash of the row before it, so that changed, inserted or removed rows are
    detected.  See docs/audit.md.
    """


@leaf("list", examples=["voiceid audit list --speaker alice --json"], group=command)
@click.option(
    "--since", metavar="TIME", type=Parsed("time", moment), help="Only since this time, ISO 8601."
)
@click.option("--speaker", type=SPEAKER_NAME, help="Only events about this speaker.")
@click.option("--kind", metavar="KIND", help="Only events of this kind, e.g. decision or enroll.")
def list_command(
    console: Console, *, since: datetime | None, speaker: str | None, kind: str | None
) -> None:
    """List the events, oldest first: number, time, kind, speaker and author."""
    with open_voiceid(console) as vid:
        for row in vid.audit.list(since=since, speaker=speaker, kind=kind):
            console.answer(row.to_dict(), _text(row))


@leaf(
    "verify",
    examples=["voiceid audit verify", "voiceid audit verify --file audit.jsonl"],
    group=command,
)
@click.option(
    "--head",
    metavar="HASH",
    type=Parsed("hash", _hash),
    help="A hash from `voiceid audit head`: verify that all rows up to it are unchanged.",
)
@click.option("--file", type=FILE, help="Verify an exported chain instead of the database's.")
def verify_command(console: Console, *, head: str | None, file: Path | None) -> None:
    """Verify the whole chain; exits with 75 when a row was changed, removed or inserted.

    A person who can write to the database could cut off the end or rewrite the whole chain; a head
    that is kept elsewhere (--head) detects that too.
    """
    with open_voiceid(console) as vid:
        report = vid.audit.verify(head) if file is None else vid.audit.verify_file(file, head)
    if not report.ok:
        chain = "the audit chain" if file is None else file
        raise AuditBroken(f"{chain} was changed:\n  " + "\n  ".join(report.problems))
    shown = {
        "ok": f"{counted(report.rows, 'row')}, none changed, removed or inserted",
        "erased": f"the content of {counted(report.erased, 'row')}, with the speakers or by age",
        "head": f"{report.number}  {report.hash}",
    }
    console.answer(report.to_dict(), fields(shown))


@leaf("head", examples=["voiceid audit head"], group=command)
def head_command(console: Console) -> None:
    """Print the number and the hash of the last row.

    If you keep it elsewhere, `audit verify --head` can later prove that no row up to it changed.
    """
    with open_voiceid(console) as vid:
        head = vid.audit.head()
    console.answer({"number": head.number, "hash": head.hash}, f"{head.number}  {head.hash}")


@leaf("export", examples=["voiceid audit export audit.jsonl"], group=command)
@click.argument("file", type=FILE)
def export_command(console: Console, file: Path) -> None:
    """Write the whole chain to a new private file, as JSON Lines.

    It can be verified without the database.  It is not encrypted, even if the gallery is.
    """
    with open_voiceid(console) as vid:
        n_rows = vid.audit.export(file)
    console.answer(
        {"exported": str(file), "rows": n_rows}, f"exported  {counted(n_rows, 'row')} to {file}"
    )


def _text(row: AuditRow) -> str:
    facts = row.facts
    start = f"{row.number:>6}  {row.time[:19]}  {row.kind}"
    if facts is None:
        by_age = row.speaker_id is None or row.kind == DECISION
        return f"{start}  (erased{'' if by_age else f' with speaker {row.speaker_id}'})"
    numbered = "" if row.speaker_id is None else f"speaker {row.speaker_id}"
    who = str(facts.pop("speaker", numbered))
    by = facts.pop("by")
    facts.pop("settings", None)  # too long for a line
    others = " ".join(f"{name}={value}" for name, value in facts.items())
    return "  ".join(part for part in (start, who, f"by {by}", others) if part)
