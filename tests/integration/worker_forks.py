"""Starts gallery workers as forks of one process that has imported everything.

A worker of its own would spend more time on imports than on its work.  The process that forks
does nothing else and has no threads.  Each worker has a guardian, which reports how it ended.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import NoReturn, Self

HERE = Path(__file__).resolve().parent
_COMMAND_BYTES = 65_536


class Worker:
    """A running worker: what is used of `subprocess.Popen`."""

    def __init__(self, command: Sequence[object]) -> None:
        (stdin, to_worker), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
        self._ended, ended = os.pipe()
        self.stdin = os.fdopen(to_worker, "w", encoding="utf-8")
        self.stdout = os.fdopen(out, encoding="utf-8")
        self.stderr = os.fdopen(err, encoding="utf-8")
        given = [stdin, stdout, stderr, ended]
        socket.send_fds(_server(), [json.dumps(list(map(str, command))).encode()], given)
        for number in given:
            os.close(number)
        self._pid = int(os.read(self._ended, 32).split(b"\n")[0])
        self.returncode: int | None = None

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def wait(self, timeout: float = 60) -> int:
        """Wait for the end; return the exit code, or the signal's number less than zero."""
        if self.returncode is None:
            ready, _, _ = select.select([self._ended], [], [], timeout)
            assert ready, f"the worker still runs after {timeout} s"
            self.returncode = os.waitstatus_to_exitcode(int(os.read(self._ended, 32)))
        return self.returncode

    def communicate(self, timeout: float = 60) -> tuple[str, str]:
        """Close its input, and return what it says until its end."""
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        with ThreadPoolExecutor(2) as pool:
            texts = [pool.submit(file.read) for file in (self.stdout, self.stderr)]
            said, errors = (text.result(timeout) for text in texts)
        self.wait(timeout)
        return said, errors

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self.stdout, self.stderr):
            file.close()
        with contextlib.suppress(BrokenPipeError):
            self.stdin.close()
        self.wait()
        os.close(self._ended)


@cache
def _server() -> socket.socket:
    """Start the process that forks; return the socket on which it is asked to."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    paths = [str(HERE.parents[1]), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    process = subprocess.Popen(
        [sys.executable, __file__, str(its.fileno())],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"},
        pass_fds=[its.fileno()],
    )
    its.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(asked: socket.socket) -> None:
    while True:
        data, numbers, _, _ = socket.recv_fds(asked, _COMMAND_BYTES, 4)
        if not data:
            return
        if os.fork() == 0:
            asked.close()
            _guard(json.loads(data), numbers)
        for number in numbers:
            os.close(number)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _guard(command: list[str], numbers: list[int]) -> NoReturn:
    worker = os.fork()
    if worker == 0:
        _work(command, numbers)
    *streams, ended = numbers
    for number in streams:
        os.close(number)
    os.write(ended, f"{worker}\n".encode())
    _, status = os.waitpid(worker, 0)
    os.write(ended, str(status).encode())
    os._exit(0)


def _work(command: list[str], numbers: list[int]) -> NoReturn:
    for number, given in enumerate(numbers[:3]):
        os.dup2(given, number)
    for given in numbers:
        os.close(given)
    sys.argv, code = ["gallery_worker", *command], 0
    try:
        gallery_worker.main()
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - it is the whole program
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    import gallery_worker

    with socket.socket(fileno=int(sys.argv[1])) as connection:
        _serve(connection)
