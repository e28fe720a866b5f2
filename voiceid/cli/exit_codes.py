"""Exit codes of the command line, beside those of the exception tree in `voiceid.errors`."""

from __future__ import annotations

DONE = 0
"""Accepted, or done."""
USAGE = 2
"""The command line itself is wrong; nothing was attempted."""
REJECTED = 10
"""The decision is ``rejected``: another voice, unknown, or no speaker is enrolled."""
INCONCLUSIVE = 11
"""The decision is ``inconclusive``: too little speech, a runner-up too close, or several voices."""
INTERNAL = 20
"""A fault of this program, or the result could not be written."""
INTERRUPTED = 130
"""Ctrl-C, or a question that was answered with no: 128 + SIGINT."""
OUTPUT_CLOSED = 141
"""The reader of standard output went away (``| head``): 128 + SIGPIPE."""
