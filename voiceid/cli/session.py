"""From the options to an open `VoiceID`."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from voiceid.cli.console import Console
from voiceid.cli.streams import is_terminal
from voiceid.errors import AudioNotFound

if TYPE_CHECKING:
    from voiceid.app import VoiceID

STDIN = "-"


def open_voiceid(console: Console, **settings: object) -> VoiceID:
    """Return the facade, set up as the options say.

    Parameters
    ----------
    console : Console
    **settings : object
        More settings that an option of the command gives, with ``__`` for the dot; None
        means that the option was not given.
    """
    console.require_stdout()
    # Imported here: the engines take longer to load than a help text takes to read.
    from voiceid.app import VoiceID  # noqa: PLC0415

    given = console.settings
    overrides: dict[str, object] = {
        "model": given.model,
        "offline": True if given.offline else None,
        "audio.channel": given.channel,
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    return VoiceID.open(
        given.data,
        home=given.home,
        overrides={key: value for key, value in overrides.items() if value is not None},
        notify=console.note,
        progress=console.progress,
    )


def clips(sources: Sequence[str]) -> list[str]:
    """Return the audio arguments, checked for what only the command line can know.

    Raises
    ------
    AudioNotFound
        A pattern that the shell could not expand.
    click.UsageError
        Standard input cannot be what was asked for.
    """
    if sources.count(STDIN) > 1:
        raise click.UsageError("Standard input (-) can be read once only.")
    if STDIN in sources and is_terminal(sys.stdin):
        raise click.UsageError("Standard input (-) is a terminal; pipe audio into it.")
    for source in sources:
        if glob.has_magic(source) and not os.path.exists(source):  # noqa: PTH110 - any str may come
            raise AudioNotFound(
                f"no file matches {source}",
                hint="The shell found nothing for this pattern and passed it on as it stands.",
            )
    return list(sources)
