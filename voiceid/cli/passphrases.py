"""Where the passphrase of a file comes from: never from the command line, which others can read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from voiceid.cli.streams import is_terminal

F = TypeVar("F", bound=Callable[..., Any])
PROMPT = "prompt"


def passphrase_option(text: str) -> Callable[[F], F]:
    """Return the option that says where a passphrase is."""
    return click.option(
        "--passphrase",
        metavar="PLACE",
        help=f"{text}: file:PATH, env:NAME, keyring:NAME, command:PROGRAM, or prompt.",
    )


def passphrase_at(place: str | None, *, is_new: bool = False) -> str | None:
    """Return the passphrase that is at a place; a new one is asked for twice.

    Raises click.UsageError, GalleryKeyMissing.
    """
    if place is None:
        return None
    if place == PROMPT:
        if not is_terminal(sys.stdin):
            raise click.UsageError("There is no terminal to ask for the passphrase on.")
        asked: str = click.prompt(
            "Passphrase", hide_input=True, err=True, confirmation_prompt=is_new
        )
        return asked
    from voiceid.protection.key_source import PASSPHRASE, KeySource  # noqa: PLC0415 - loaded by now

    try:
        return KeySource.parse(place, what=PASSPHRASE).passphrase()
    except ValueError as error:
        raise click.UsageError(f"--passphrase is {error}, or prompt.") from error
