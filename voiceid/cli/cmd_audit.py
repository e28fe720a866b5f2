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
    """List, verify and export the record of what was done.

    Each row names the hash of the row before it, so that none can be changed, put in or taken out
    without notice.  See docs/audit.md.
    """


@leaf("list", examples=["voiceid audit list --speaker alice --json"], group=command)
@click.option(
    "--since", metavar="TIME", type=Parsed("time", moment), help="From this time on, in ISO 8601."
)
@click.option("--speaker", type=SPEAKER_NAME, help="What is about this speaker alone.")
@click.option("--kind", metavar="KIND", help="Events of this kind alone, e.g. decision or enroll.")
def list_command(
    console: Console, *, since: datetime | None, speaker: str | None, kind: str | None
) -> None:
    """List what was done, oldest first: number, time, kind, and by whom."""
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
    help="A hash that `voiceid audit head` printed: nothing up to there was changed or cut off.",
)
@click.option(
    "--file", type=FILE, help="Verify a chain that was exported, in place of the database's."
)
def verify_command(console: Console, *, head: str | None, file: Path | None) -> None:
    """Verify the whole chain; exits with 75 when a row was changed, removed or put in.

    Who may write to the database can cut the end off, or write all of it again: with a head that
    was kept elsewhere that is found too.
    """
    with open_voiceid(console) as vid:
        report = vid.audit.verify(head) if file is None else vid.audit.verify_file(file, head)
    if not report.ok:
        what = "the audit chain" if file is None else file
        raise AuditBroken(f"{what} is not as it was written:\n  " + "\n  ".join(report.problems))
    shown = {
        "ok": f"{counted(report.rows, 'row')}, none changed, removed or put in",
        "erased": f"the content of {counted(report.erased, 'row')}, with the speakers or by age",
        "head": f"{report.number}  {report.hash}",
    }
    console.answer(report.to_dict(), fields(shown))


@leaf("head", examples=["voiceid audit head"], group=command)
def head_command(console: Console) -> None:
    """Print the number and the hash of the last row.

    Kept elsewhere, it proves later that nothing up to there was changed: `audit verify --head`.
    """
    with open_voiceid(console) as vid:
        head = vid.audit.head()
    console.answer({"number": head.number, "hash": head.hash}, f"{head.number}  {head.hash}")


@leaf("export", examples=["voiceid audit export audit.jsonl"], group=command)
@click.argument("file", type=FILE)
def export_command(console: Console, file: Path) -> None:
    """Write the whole chain to a new file, as JSON Lines, for its owner alone.

    It can be verified without the database.  It is not encrypted, also where the gallery is.
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
    named = "" if row.speaker_id is None else f"speaker {row.speaker_id}"
    who = str(facts.pop("speaker", named))
    by = facts.pop("by")
    facts.pop("settings", None)  # too long for a line
    rest = " ".join(f"{name}={value}" for name, value in facts.items())
    return "  ".join(part for part in (start, who, f"by {by}", rest) if part)
