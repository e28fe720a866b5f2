"""Running the command line on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

from cli_running import environment

from voiceid.cli import main

_CONTROLLED = (
    "import os, sys, runpy; os.open(os.ttyname(0), os.O_RDWR);"
    " runpy.run_module('voiceid', run_name='__main__', alter_sys=True)"
)
"""The first terminal that the leader of a session opens is that of the session: /dev/tty."""


def asked_on_terminal(*words: str, answers: Sequence[tuple[bytes, bytes]]) -> tuple[int, bytes]:
    """Run a command on a terminal of its own; type each answer when its question was shown."""
    controller, terminal = pty.openpty()
    ends = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    program = [sys.executable, "-c", _CONTROLLED, *words]
    process = subprocess.Popen(program, env=environment(), start_new_session=True, **ends)
    os.close(terminal)
    shown = b""
    for question, answer in answers:
        start = len(shown)
        while question not in shown[start:]:
            shown += os.read(controller, 4096)
        os.write(controller, answer)
    shown += _shown(controller)
    return process.wait(timeout=60), shown


def on_terminal(*words: str, typed: bytes = b"", **env: str) -> tuple[int, bytes]:
    """Run a command in this process on a terminal; return its exit code and all that was shown."""
    controller, terminal = pty.openpty()
    os.write(controller, typed)
    with ThreadPoolExecutor(1) as pool:
        shown = pool.submit(_shown, controller)
        with (
            open(os.dup(terminal), encoding="utf-8") as given,  # noqa: PTH123 - not a path
            open(terminal, "w", encoding="utf-8") as stream,  # noqa: PTH123
            patch.dict(os.environ, env),
            patch("sys.stdin", given),
            redirect_stdout(stream),
            redirect_stderr(stream),
        ):
            code = main(words)
        return code, shown.result()


def _shown(controller: int) -> bytes:
    """Return everything that a terminal showed until its other end was closed."""
    shown = b""
    while True:
        try:
            part = os.read(controller, 4096)
        except OSError:  # Linux's way of saying that the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(controller)
    return shown
