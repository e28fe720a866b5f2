"""Asking before something is done that cannot be undone."""

from __future__ import annotations

import sys

import click

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.streams import is_terminal
from voiceid.cli.text import printable


class NotConfirmed(Exception):
    """A question was answered with no."""

    exit_code = exit_codes.INTERRUPTED


def require_answer(*, yes: bool) -> None:
    """Raise click.UsageError when ``--yes`` is missing and there is no terminal to ask on."""
    if not yes and not is_terminal(sys.stdin):
        raise click.UsageError("There is no terminal to ask on; --yes goes on without asking.")


def confirm(console: Console, question: str, *, yes: bool) -> None:
    """Raise NotConfirmed unless ``--yes`` was given, or a person at the terminal says so."""
    if not (yes or click.confirm(printable(question), err=True)):
        console.complain("nothing was changed")
        raise NotConfirmed
