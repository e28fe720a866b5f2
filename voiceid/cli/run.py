"""From ``argv`` to an exit code; the one place where exceptions end."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Sequence

import click

from voiceid.cli import exit_codes, failures
from voiceid.cli.asking import NotConfirmed
from voiceid.cli.console import Console, OutputClosed, Settings
from voiceid.cli.root import COMPLETION, PROGRAM, root
from voiceid.cli.streams import abandon_stdout, prepare
from voiceid.errors import VoiceIDError


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code and never raise (but for a second Ctrl-C)."""
    stdout_open = prepare()
    words = sys.argv[1:] if argv is None else argv
    settings = Settings(as_json=_has("--json", words), no_color=_has("--no-color", words))
    console = Console(settings, stdout_open=stdout_open)
    try:
        return _command(argv, console)
    except (KeyboardInterrupt, click.Abort):
        return failures.interrupted(console)
    except (NotConfirmed, OutputClosed) as end:
        return end.exit_code
    except click.ClickException as error:
        return failures.usage(error, console)
    except VoiceIDError as error:
        return failures.failure(error, console)
    except Exception as error:  # noqa: BLE001 - the last line of defence: never exit 0 by accident
        return failures.unexpected(error, console)


def _command(argv: Sequence[str] | None, console: Console) -> int:
    try:
        code = root.main(
            None if argv is None else list(argv), PROGRAM, standalone_mode=False, obj=console
        )
    except SystemExit as stop:
        # Without `standalone_mode` click ends the process itself in only two cases: it has
        # answered a shell that asked for completions, or the reader of a help text went away.
        if COMPLETION in os.environ:
            return stop.code if isinstance(stop.code, int) else exit_codes.INTERNAL
        abandon_stdout()
        return exit_codes.OUTPUT_CLOSED
    if isinstance(code, bool) or not isinstance(code, int):
        raise TypeError(f"a command ended with {code!r} instead of an exit code")
    return code


def _has(option: str, argv: Sequence[str]) -> bool:
    """Whether an option is given, even if the rest cannot be parsed."""
    return option in itertools.takewhile(lambda word: word != "--", argv)
