"""Reading what others made in a process of its own, with limits on its memory and time.

Some libraries take from a file of some hundred bytes how much memory to fill, or a program to run,
and know no limits of their own.  A process that exceeds its limits ends, and this one goes on.
Memory is limited on Linux, time where there are limits at all (not on Windows).
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceid.errors import VoiceIDError

_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    " from voiceid.limited_process import serve; serve()"
)
_ALONE = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # the others reserve more than they use
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_VALUE, _ERROR, _NO_MEMORY, _END = range(4)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a process may take beyond what its libraries do: bytes of memory, seconds of CPU.

    - `libraries`: loaded before that counts, beside those of the function's module.
    """

    memory_bytes: int
    cpu_s: int
    libraries: tuple[str, ...] = ()


class Exhausted(Exception):
    """A process exceeded its limits, or died; the message says which."""


def results(function: str, arguments: tuple[Any, ...], allowance: Allowance) -> Iterator[Any]:
    """Yield what a function (``module:name``) yields in a process of its own.

    Raises its VoiceIDError, or `Exhausted`.
    """
    command = [sys.executable, "-P", "-c", _PROGRAM, str(Path(__file__).parents[1])]
    with subprocess.Popen(  # noqa: S603 - this interpreter
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **_ALONE},
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("a process was started without its pipes")
        try:
            with contextlib.suppress(BrokenPipeError), process.stdin as given:
                pickle.dump((function, arguments, allowance), given)
            while True:
                try:
                    kind, value = pickle.load(process.stdout)  # noqa: S301 - of this program
                except (EOFError, pickle.UnpicklingError):
                    raise _end(process.wait(), allowance) from None
                if kind == _END:
                    return
                if kind == _ERROR:
                    raise value
                if kind == _NO_MEMORY:
                    raise _too_much_memory(allowance)
                yield value
        finally:
            process.kill()


def serve() -> None:
    """Be the process: read what to do from standard input, and write what comes of it."""
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # what a library prints is no answer
        for answer in _answers(*pickle.load(sys.stdin.buffer)):  # noqa: S301 - of this program
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()


def _answers(
    function: str, arguments: tuple[Any, ...], allowance: Allowance
) -> Iterator[tuple[int, Any]]:
    module, _, name = function.partition(":")
    try:
        act = getattr(importlib.import_module(module), name)
        for library in allowance.libraries:
            importlib.import_module(library)
        _limit(allowance)
        for value in act(*arguments):
            yield _VALUE, value
    except VoiceIDError as error:
        yield _ERROR, error
    except MemoryError:
        yield _NO_MEMORY, None
    else:
        yield _END, None


def _limit(allowance: Allowance) -> None:
    """Limit what this process takes from here on."""
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return
    spent = resource.getrusage(resource.RUSAGE_SELF)
    cpu_s = int(spent.ru_utime + spent.ru_stime) + 1 + allowance.cpu_s
    limits = {resource.RLIMIT_CPU: cpu_s}
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + allowance.memory_bytes
    for kind, most in limits.items():
        hard = resource.getrlimit(kind)[1]
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, hard))


def _too_much_memory(allowance: Allowance) -> Exhausted:
    return Exhausted(f"it takes more than {allowance.memory_bytes >> 20} MiB of memory, the limit")


def _end(code: int, allowance: Allowance) -> Exhausted:
    """Return why a process ended without an answer."""
    import signal  # noqa: PLC0415 - rarely

    if code == -getattr(signal, "SIGXCPU", 0):
        return Exhausted(f"it takes more than {allowance.cpu_s} s of processor time, the limit")
    if code == -getattr(signal, "SIGABRT", 0):  # C++ without memory
        return _too_much_memory(allowance)
    return Exhausted(f"the process that read it ended with {code}")
