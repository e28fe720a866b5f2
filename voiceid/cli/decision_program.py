"""A program that runs on each decision about live sound."""

from __future__ import annotations

import queue
import shutil
import subprocess
import sys
import threading
from typing import Self

from voiceid.cli.console import Console
from voiceid.errors import ConfigError, VoiceIDError

_LONGEST_S = 30.0
"""A program that takes longer is killed."""
_MOST_WAITING = 100
"""The limit of waiting decisions; beyond it the program is not run on the newest."""


class DecisionProgram:
    """Runs a program on one decision after the other, with its JSON on standard input.

    No shell is used.  Listening does not wait for the program.

    Raises `ConfigError` if there is no such program.
    """

    def __init__(self, program: str, console: Console) -> None:
        path = shutil.which(program)
        if path is None:
            raise ConfigError(
                f"the program {program} does not exist or is not executable",
                hint="Give an executable file; it gets no arguments.",
            )
        self._path, self._console = path, console
        self._waiting: queue.Queue[bytes | None] = queue.Queue(_MOST_WAITING)
        self._runner = threading.Thread(target=self._run_all, daemon=True)
        self._runner.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Wait for running and waiting programs, unless the listening was stopped."""
        if exc[1] is None or isinstance(exc[1], VoiceIDError):
            self._waiting.put(None)
            self._runner.join()

    def run(self, text: str) -> None:
        """Run the program on the JSON of a decision."""
        try:
            self._waiting.put_nowait(text.encode())
        except queue.Full:
            self._console.warn(
                f"{self._path} is {_MOST_WAITING} decisions behind, and was not run on one"
            )

    def _run_all(self) -> None:
        while (data := self._waiting.get()) is not None:
            try:
                done = subprocess.run(  # noqa: S603 - a program of the caller, no shell
                    [self._path], input=data, stdout=sys.stderr, timeout=_LONGEST_S, check=False
                )
            except subprocess.TimeoutExpired:
                self._console.warn(f"{self._path} took more than {_LONGEST_S:g} s and was ended")
            except OSError as error:
                self._console.warn(f"{self._path} could not be run: {error.strerror}")
            else:
                if done.returncode != 0:
                    self._console.warn(f"{self._path} exited with {done.returncode}")
