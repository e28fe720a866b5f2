"""Asking before something is done that cannot be undone."""

from __future__ import annotations

import sys

import click

from voiceid.cli.console import Console
from voiceid.cli.streams import is_terminal
from voiceid.cli.text import printable


def require_answer(*, yes: bool) -> None:
    """Raise click.UsageError when ``--yes`` is missing and there is no terminal to ask on."""
    if not yes and not is_terminal(sys.stdin):
        raise click.UsageError("There is no terminal to ask on; --yes goes on without asking.")


def confirmed(console: Console, question: str, *, yes: bool) -> bool:
    """Whether to go on: ``--yes`` was given, or a person at the terminal says so."""
    if yes or click.confirm(printable(question), err=True):
        return True
    console.complain("nothing was changed")
    return False
