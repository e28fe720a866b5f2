"""Running the command line on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from cli_running import environment


def on_terminal(*words: str, typed: bytes = b"", **env: str) -> tuple[int, bytes]:
    """Run a command on a terminal; return its exit code and everything that was shown."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "voiceid", *words],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment(**env),
    )
    os.close(terminal)
    os.write(controller, typed)
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
    return process.wait(timeout=60), shown
