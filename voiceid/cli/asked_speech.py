"""Speech that is recorded now, instead of existing recordings."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import click

from voiceid.cli.console import Console

_WORD = re.compile(r"\w[\w'-]*")

mic_option = click.option(
    "--mic",
    "source",
    is_flag=False,
    flag_value="mic",
    metavar="[SOURCE]",
    help="Record now, from the microphone or from a SOURCE as for `listen`.",
)
"""A source to record from: ``source``."""


def require_order(
    name: str, audio: Sequence[str], console: Console, *, may_be_new: bool = False
) -> None:
    """Refuse a file instead of a name; warn about a name that was not quoted."""
    at = Path(name)
    if audio and at.suffix and at.is_file() and (may_be_new or not Path(audio[0]).exists()):
        raise click.UsageError(f"NAME comes first, then AUDIO; {name} is a file.")
    words = list(takewhile(lambda a: _WORD.fullmatch(a) and not os.path.exists(a), audio))
    if words:
        whole = " ".join([name, *words])
        console.warn(f'there is no file {words[0]}; quote a name of several words: "{whole}"')
