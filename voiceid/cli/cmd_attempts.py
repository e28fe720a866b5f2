"""``voiceid attempts``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import SPEAKER_NAME, branch, leaf
from voiceid.cli.text import minute, printable, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voiceid.domain import FailedAttempts


@branch("attempts", examples=["voiceid attempts list"])
def command() -> None:
    """List failed attempts, and end the locks that they cause.

    `verify --attempts CALLER` and the service count them.
    """


@leaf("list", examples=["voiceid attempts list --json"], group=command)
def list_command(console: Console) -> None:
    """List the attempts that count now: by the claimed name, then by caller."""
    with open_voiceid(console) as vid:
        attempts = vid.attempts.list()
    console.answers(
        [row.to_dict() for row in attempts], _table(attempts), none="no failed attempts"
    )


@leaf(
    "unlock",
    examples=["voiceid attempts unlock alice", 'voiceid attempts unlock --caller "front door"'],
    group=command,
)
@click.argument("name", metavar="[NAME]", type=SPEAKER_NAME, required=False)
@click.option("--caller", metavar="CALLER", help="Forget the attempts of this caller.")
def unlock_command(console: Console, *, name: str | None, caller: str | None) -> None:
    """Forget the failed attempts as a speaker, or of a caller, which ends the lock."""
    if (name is None) == (caller is None):
        raise click.UsageError("Name a speaker, or a caller with --caller.")
    with open_voiceid(console) as vid:
        n = vid.attempts.unlock_caller(caller) if name is None else vid.attempts.unlock(name)  # type: ignore[arg-type]  # one of the two is given
    facts = {"name": name, "caller": caller, "forgotten": n}
    who = f"as {name}" if name is not None else f"of {caller}"
    console.answer(facts, printable(f"forgotten  {n} attempt{'s' * (n != 1)} {who}"))


def _table(attempts: Sequence[FailedAttempts]) -> str:
    rows = [
        [row.name, row.caller, row.failures, row.locked_until and minute(row.locked_until)]
        for row in attempts
    ]
    return table(["name", "caller", "failures", "locked until"], rows)
