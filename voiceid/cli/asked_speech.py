"""Speech that is recorded now, instead of existing recordings."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import click

from voiceid.cli.console import Console
from voiceid.cli.options import together

_WORD = re.compile(r"\w[\w'-]*")

audio_or_mic = together(
    click.argument("audio", metavar="[AUDIO...]", nargs=-1),
    click.option(
        "--mic",
        "source",
        is_flag=False,
        flag_value="mic",
        metavar="[SOURCE]",
        help="Record now, from the microphone or from a SOURCE as for `listen`.",
    ),
)
"""Clips, or a source to record from."""


def require_one(name: str, audio: Sequence[str], source: str | None, console: Console) -> None:
    """Raise click.UsageError unless either recordings or a source are given."""
    if (source is None) == (not audio):
        raise click.UsageError("Give NAME and AUDIO, or NAME and --mic to record now.")
    require_order(name, audio, console)


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
