"""Reading of untrusted files in a separate process, with limits on its memory and time.

A file of a few hundred bytes can make some libraries fill any amount of memory, or run a program,
and they have no limits.  A process that exceeds its limits ends, and this one continues.
Memory is limited on Linux, time on all systems with limits (not on Windows).
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
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # other pools reserve more than they use
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_VALUE, _ERROR, _NO_MEMORY, _END = range(4)


@dataclass(frozen=True, slots=True)
class Allowance:
    """The limits of a process, in addition to its libraries: bytes of memory, seconds of CPU.

    - `libraries`: loaded before the limits apply, beside those of the function's module.
    """

    memory_bytes: int
    cpu_s: int
    libraries: tuple[str, ...] = ()


class Exhausted(Exception):
    """A process exceeded its limits, or died; the message says which."""


def results(function: str, arguments: tuple[Any, ...], allowance: Allowance) -> Iterator[Any]:
    """Yield the values of a generator function (``module:name``) that runs in a separate process.

    Raises the function's VoiceIDError, or `Exhausted`.
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
            with contextlib.suppress(BrokenPipeError), process.stdin as task:
                pickle.dump((function, arguments, allowance), task)
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
    """Run the separate process: read the task from standard input, and write its results."""
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)  # the output of a library must not mix with answers
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
    """Limit the further memory and CPU time of this process."""
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
    return Exhausted(f"it needs more than {allowance.memory_bytes >> 20} MiB of memory, the limit")


def _end(code: int, allowance: Allowance) -> Exhausted:
    """Return why a process ended without an answer."""
    import signal  # noqa: PLC0415 - rarely used

    if code == -getattr(signal, "SIGXCPU", 0):
        return Exhausted(f"it needs more than {allowance.cpu_s} s of processor time, the limit")
    if code == -getattr(signal, "SIGABRT", 0):  # C++ is out of memory
        return _too_much_memory(allowance)
    return Exhausted(f"the process that read it ended with code {code}")
