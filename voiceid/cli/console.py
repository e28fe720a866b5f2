"""The output of a command: results to standard output, all else to standard error."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voiceid.cli import exit_codes
from voiceid.cli.progress import ProgressBar, duration
from voiceid.cli.streams import abandon_stdout, is_terminal, shows_colours, speaks_utf8
from voiceid.cli.text import coloured, json_line, megabytes, printable, printable_lines
from voiceid.errors import VoiceIDError

if TYPE_CHECKING:  # a help text needs none
    from voiceid.config import Config


class OutputClosed(Exception):
    """The reader of standard output is gone, so no message would reach it."""

    exit_code = exit_codes.OUTPUT_CLOSED


@dataclass(slots=True)
class Settings:
    """The options of every command, given before or after the command."""

    home: str | None = None
    data: str | None = None
    model: str | None = None
    channel: str | None = None
    track: int | None = None
    audio_format: str | None = None
    offline: bool = False
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    no_color: bool = False
    log: str | None = None


class Console:
    """The two streams, and the options that say how to use them."""

    def __init__(self, settings: Settings, *, stdout_open: bool = True) -> None:
        self.settings = settings
        self._config: Config | None = None
        self._stdout_open = stdout_open
        self._bar: ProgressBar | None = None

    @property
    def config(self) -> Config:
        """The settings of the gallery that the command has opened."""
        if self._config is None:
            raise TypeError("no gallery was opened")
        return self._config

    @config.setter
    def config(self, config: Config) -> None:
        self._config = config

    @property
    def config_name(self) -> str:
        """The name of config.yaml in hints: its path, once known."""
        return "config.yaml" if self._config is None else str(self._config.file)

    def result(self, text: str, word: str = "", at: int = 0) -> None:
        """Write lines of a result for people, with the word at position ``at`` coloured."""
        safe = "\n".join(printable(line) for line in text.split("\n"))
        if self._colours(sys.stdout):
            safe = coloured(safe, word, at)
        self._clear_bar()
        self._to_stdout((safe + "\n").encode(sys.stdout.encoding or "utf-8", "backslashreplace"))

    def json(self, value: Mapping[str, object]) -> None:
        """Write one JSON object on one line."""
        ascii_only = not speaks_utf8(sys.stdout)
        self.result(json_line(value, ascii_only=ascii_only))

    def answer(self, facts: Mapping[str, object], text: str, word: str = "", at: int = 0) -> None:
        """Write a result: ``facts`` with ``--json``, else ``text`` as `result` does."""
        if self.settings.as_json:
            self.json(facts)
        else:
            self.result(text, word, at)

    def answers(self, facts: Sequence[Mapping[str, object]], text: str, none: str = "") -> None:
        """Write a list as `answer` does: one object per line with ``--json``, else ``text``.

        For an empty list, people see the note ``none`` instead.
        """
        if self.settings.as_json:
            for item in facts:
                self.json(item)
        elif facts or not none:
            self.result(text)
        else:
            self.note(none)

    def binary(self, data: bytes) -> None:
        """Write bytes unchanged."""
        self._clear_bar()
        self._to_stdout(data)

    def note(self, text: str) -> None:
        """Write a note, neither a result nor an error; not with ``--quiet``."""
        if not self.settings.quiet:
            self.complain(text)

    def warn(self, text: str) -> None:
        """Warn, on standard error; not with ``--quiet``."""
        if not self.settings.quiet:
            self.complain(f"warning: {text}", "warning")

    def complain(self, text: str, word: str = "") -> None:
        """Write to standard error, with any options; the first word, ``word``, is coloured."""
        safe = printable_lines(text)
        if self._colours(sys.stderr):
            safe = coloured(safe, word)
        self._clear_bar()
        self._to_stderr(safe + "\n")

    def progress(self, stage: str, done_bytes: int, total_bytes: int | None) -> None:
        """Show progress on standard error; not with ``--quiet``."""
        self._show(stage, done_bytes, total_bytes, megabytes)

    def hearing(self, done: int, total: int) -> None:
        """Show the progress of hearing recordings."""
        self.count("hearing", done, total)

    def count(self, stage: str, done: int, total: int) -> None:
        """Show the progress of a count."""
        self._show(stage, done, total, str)

    def listening(self, source: str, stage: str, done_s: float, total_s: float | None) -> None:
        """Show the progress of hearing, or naming, a long recording."""
        text = {"hear": "listening to", "name": "naming the voices of"}[stage]
        total = None if total_s is None else round(total_s)
        self._show(f"{text} {source}", round(done_s), total, duration)

    def _show(self, stage: str, done: int, total: int | None, amount: Callable[[int], str]) -> None:
        if not self.settings.quiet:
            if self._bar is None:
                self._bar = ProgressBar(self._to_stderr, terminal=is_terminal(sys.stderr))
            self._bar.show(stage, done, total, amount)

    def require_stdout(self) -> None:
        """Raise VoiceIDError if a result could not be printed."""
        if not self._stdout_open:
            raise VoiceIDError(
                "standard output is closed, so no result could be printed; nothing was done",
                hint="Redirect it to a file, or to the null device if you only need the exit code.",
            )

    def _colours(self, stream: object) -> bool:
        return not self.settings.no_color and shows_colours(stream)

    def _clear_bar(self) -> None:
        if self._bar is not None:
            self._bar.clear()

    def _to_stdout(self, data: bytes) -> None:
        try:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError as error:
            abandon_stdout()
            raise OutputClosed from error
        except OSError as error:
            abandon_stdout()
            raise VoiceIDError(
                f"the result could not be written to standard output: {error.strerror}",
                hint="The command itself succeeded; only its result is lost.",
            ) from error

    def _to_stderr(self, text: str) -> None:
        # A broken standard error cannot be reported.
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()
