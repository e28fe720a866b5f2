"""The source of a file's passphrase: never the command line, which others can read."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from voiceid.cli.streams import is_terminal

F = TypeVar("F", bound=Callable[..., Any])
PROMPT = "prompt"


def passphrase_option(text: str) -> Callable[[F], F]:
    """Return the option for the place of a passphrase."""
    return click.option(
        "--passphrase",
        metavar="PLACE",
        help=f"{text}: file:PATH, env:NAME, keyring:NAME, command:PROGRAM, or prompt.",
    )


def passphrase_at(place: str | None, *, is_new: bool = False) -> str | None:
    """Return the passphrase from a place; a new one must be typed twice.

    Raises click.UsageError, GalleryKeyMissing.
    """
    if place is None:
        return None
    if place == PROMPT:
        if not is_terminal(sys.stdin):
            raise click.UsageError("There is no terminal to ask for the passphrase.")
        passphrase: str = click.prompt(
            "Passphrase", hide_input=True, err=True, confirmation_prompt=is_new
        )
        return passphrase
    from voiceid.protection.key_source import PASSPHRASE, KeySource  # noqa: PLC0415 - loaded by now

    try:
        return KeySource.parse(place, what=PASSPHRASE).passphrase()
    except ValueError as error:
        raise click.UsageError(f"--passphrase is {error}, or prompt.") from error
