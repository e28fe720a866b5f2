"""Printing of errors: a line and a hint on standard error, an object with ``--json``."""

from __future__ import annotations

import contextlib
import re
import traceback
from typing import TYPE_CHECKING, cast

import click

from voiceid.cli import exit_codes
from voiceid.cli.console import Console, OutputClosed
from voiceid.errors import EnrollmentRefused, VoiceIDError

if TYPE_CHECKING:  # numpy is not needed to tell an error
    from voiceid.domain import EnrollmentReport


_PASSWORD = re.compile(r"://\S*@")
"""The user and the password of a URL, which a usage error may repeat."""


def failure(error: VoiceIDError, console: Console) -> int:
    """Print an error of voiceid; return its exit code."""
    facts = error.to_dict()
    config = re.compile(r"(?<![/\\\w])config\.yaml")
    facts["hint"] = config.sub(lambda _: console.config_name, error.hint)
    if isinstance(error, EnrollmentRefused):
        report = cast("EnrollmentReport", error.report)
        facts["report"] = report.to_dict()
        _tell_refusal(report, console)
    _tell(facts, console)
    _trace(error, console)
    return error.exit_code


def usage(error: click.ClickException, console: Console) -> int:
    """Print an error of the command line."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = _PASSWORD.sub("://...@", error.format_message())
    hint = _usage_hint(error, context)
    facts = _facts("UsageError", message, hint, exit_codes.USAGE)
    if context is not None:
        console.complain(context.get_usage())
    _tell(facts, console)
    return exit_codes.USAGE


def interrupted(console: Console) -> int:
    """Print that Ctrl-C was pressed."""
    console.complain("interrupted")
    return exit_codes.INTERRUPTED


def unexpected(error: Exception, console: Console) -> int:
    """Print a fault of this program in one line; the traceback only with ``-v``.

    An engine whose import Ctrl-C cuts short raises ImportError: that is no fault.
    """
    if _began_as_interrupt(error):
        return interrupted(console)
    if isinstance(error, OSError) and error.filename is not None:  # the system refused a file
        hint = "Check its name, its permissions, and the free space on its disk."
        refused = VoiceIDError(f"{error.filename} cannot be used: {error.strerror}", hint=hint)
        return failure(refused.with_traceback(error.__traceback__), console)
    message = f"internal error: {type(error).__name__}: {error}"
    hint = "Please report this, with the output of the same command with -v."
    _tell(_facts("InternalError", message, hint, exit_codes.INTERNAL), console)
    _trace(error, console)
    return exit_codes.INTERNAL


def _began_as_interrupt(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _facts(error: str, message: str, hint: str, exit_code: int) -> dict[str, object]:
    return {"error": error, "message": message, "hint": hint, "exit_code": exit_code}


def _tell(facts: dict[str, object], console: Console) -> None:
    console.complain(f"error: {facts['message']}", "error")
    if facts["hint"]:
        console.complain(f"hint: {facts['hint']}")
    if console.settings.as_json:
        # The message is printed already; a broken standard output can be ignored.
        with contextlib.suppress(OutputClosed, VoiceIDError):
            console.json(facts)


def _tell_refusal(report: EnrollmentReport, console: Console) -> None:
    from voiceid.cli.enrollment_text import clips_table, problem_lines  # noqa: PLC0415

    for line in [*clips_table(report).split("\n"), *problem_lines(report)]:
        console.complain(line)


def _usage_hint(error: click.ClickException, context: click.Context | None) -> str:
    command = context.command_path if context is not None else "voiceid"
    hint = f"See `{command} --help`."
    if isinstance(error, click.NoSuchOption):
        hint += " Put `--` before a name or a file that begins with a dash."
    return hint


def _trace(error: Exception, console: Console) -> None:
    if console.settings.verbose:
        for part in traceback.format_exception(error):
            for line in part.rstrip("\n").split("\n"):
                console.complain(line)
