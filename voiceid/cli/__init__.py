"""The command line: parse, call one method of `VoiceID`, render.

Results go to standard output, everything else to standard error.  Exit codes: see
`voiceid.cli.exit_codes` and `voiceid.errors`.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Sequence

from voiceid.cli.exit_codes import INTERRUPTED

_OF_A_START = 200_000
"""More objects than one question creates, most of which live until the end."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; ``sys.argv`` when ``argv`` is None."""
    try:
        # Inside the try: Ctrl-C during start-up must not print a traceback either.
        from voiceid.cli.run import run  # noqa: PLC0415

        return run(argv)
    except KeyboardInterrupt:
        return INTERRUPTED


def collect_after_start() -> None:
    """Delay garbage collection until the start is over, since it leaves hardly any garbage."""
    usual = gc.get_threshold()

    def as_usual(*_: object) -> None:
        gc.set_threshold(*usual)
        gc.callbacks.remove(as_usual)

    gc.set_threshold(_OF_A_START, *usual[1:])
    gc.callbacks.append(as_usual)


def program() -> None:
    """Run the command that the process was started for, and end the process.

    Everything is closed and flushed by then.  A normal exit would take the engines apart piece by
    piece, a sixth of the time of an identification.
    """
    collect_after_start()
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)
