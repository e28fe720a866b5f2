"""Confirmation before an action that cannot be undone."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import click

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.streams import is_terminal
from voiceid.cli.text import printable


class NotConfirmed(Exception):
    """A question was answered with no."""

    exit_code = exit_codes.INTERRUPTED


def asks_first(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Add ``--yes`` to a command; without it, or a dry run, the command needs a terminal.

    The command calls `confirm`.
    """

    @functools.wraps(command)
    def asking(*args: Any, yes: bool, **kwargs: Any) -> int | None:
        del yes
        if not _goes_on() and not is_terminal(sys.stdin):
            raise click.UsageError(
                "There is no terminal to ask on; --yes continues without asking."
            )
        return command(*args, **kwargs)

    text = "Do not ask; required without a terminal."
    return click.option("-y", "--yes", is_flag=True, help=text)(asking)


def confirm(console: Console, question: str) -> None:
    """Raise NotConfirmed unless ``--yes`` was given or the person at the terminal agrees."""
    if not (_goes_on() or click.confirm(printable(question), err=True)):
        console.complain("nothing was changed")
        raise NotConfirmed


def _goes_on() -> bool:
    options = click.get_current_context().params
    return bool(options["yes"] or options.get("dry_run"))
