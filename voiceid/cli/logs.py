"""The log of a command: standard error, a file, or none."""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voiceid.cli.console import Console
from voiceid.errors import ConfigError, VoiceIDError

if TYPE_CHECKING:
    from voiceid.config import Config


def log_to(console: Console, config: Config) -> None:
    """Write the events of this command where the settings say, until it ends."""
    handlers = _handlers(console, config)
    if not handlers:
        return
    logger = logging.getLogger("voiceid")
    before = logger.level
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)

    def end() -> None:
        logger.setLevel(before)
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()

    click.get_current_context().call_on_close(end)


def _handlers(console: Console, config: Config) -> list[logging.Handler]:
    from voiceid.observability import EventFormatter  # noqa: PLC0415 - loaded by now

    command = click.get_current_context().command_path.partition(" ")[2]
    handlers: list[logging.Handler] = []
    if config.log_format != "off":
        to_stderr = _ToStderr(console)
        to_stderr.setFormatter(
            EventFormatter(command, ascii_only=True) if config.log_format == "json" else _human()
        )
        handlers.append(to_stderr)
    if config.log_file is not None:
        to_file = _ToFile(config.log_file)
        to_file.setFormatter(EventFormatter(command))
        handlers.append(to_file)
    return handlers


def _human() -> logging.Formatter:
    human = logging.Formatter("{asctime} {levelname} {message}", "%Y-%m-%dT%H:%M:%SZ", style="{")
    human.converter = time.gmtime
    return human


class _ToStderr(logging.Handler):
    """Writes like notes: it clears the progress bar, and is safe for a terminal."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.complain(self.format(record))


class _ToFile(logging.Handler):
    """Appends one line per event, each in one write, so that processes can share the file.

    The log must be complete: a decision that cannot be written raises, so that no speaker is
    accepted without a record.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.fdopen(_opened(path), "r+b", buffering=0)
        except OSError as error:
            why = "it is a symbolic link" if os.path.islink(path) else error.strerror
            raise ConfigError(
                f"log.file: {path} cannot be written: {why}; nothing was done",
                hint="Choose another file, or null.",
            ) from error

    def emit(self, record: logging.LogRecord) -> None:
        line = (self.format(record) + "\n").encode("utf-8", "backslashreplace")
        cause: OSError | None = None
        try:
            self._end_last_line()
            if self._file.write(line) == len(line):
                return
        except OSError as error:
            cause = error
        event = getattr(record, "event", "message")
        if event != "error":  # the command already fails with its own error
            reason = "the disk is full" if cause is None else cause.strerror
            done = "the change was made" if event == "change" else "no speaker was accepted"
            raise VoiceIDError(
                f"log.file: {self._path} cannot be written: {reason}; {done}",
                hint="Free some space, or choose another file.",
            ) from cause

    def close(self) -> None:
        self._file.close()
        super().close()

    def _end_last_line(self) -> None:
        """End an incomplete last line, which a full disk or a kill may have left."""
        size = os.fstat(self._file.fileno()).st_size
        if size:
            self._file.seek(size - 1)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")


def _opened(path: Path) -> int:
    """Open or create a private file; raises OSError for a link, a pipe or a folder."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    number = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o600)
    kind = os.fstat(number).st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISCHR(kind)):
        os.close(number)
        raise OSError(errno.EINVAL, "it is not a file")
    return number
