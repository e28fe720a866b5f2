"""Starts processes that run a module's `main`, as forks of one that has imported the module.

A process of its own would spend more time on imports than on its work.  The process that forks
does nothing else and has no threads.  Each of its workers has a guardian, which reports how the
worker ended.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, NoReturn, Self

_TESTS = Path(__file__).resolve().parent
_FOLDERS = (_TESTS.parent, _TESTS, _TESTS / "integration")
_COMMAND_BYTES = 65_536
Main = Callable[[], None]


class Worker:
    """A running worker: what is used of `subprocess.Popen`."""

    def __init__(
        self, module: str, command: Sequence[object] = (), *, text: bool = True, **env: str
    ) -> None:
        (stdin, to_worker), (out, stdout), (err, stderr) = os.pipe(), os.pipe(), os.pipe()
        self._ended, ended = os.pipe()
        binary, encoding = ("", "utf-8") if text else ("b", None)
        self.stdin: Any = os.fdopen(to_worker, f"w{binary}", encoding=encoding)
        self.stdout: Any = os.fdopen(out, f"r{binary}", encoding=encoding)
        self.stderr: Any = os.fdopen(err, f"r{binary}", encoding=encoding)
        given = [stdin, stdout, stderr, ended]
        server = _server(module, tuple(env.items()))
        socket.send_fds(server, [json.dumps(list(map(str, command))).encode()], given)
        for number in given:
            os.close(number)
        self._pid = int(os.read(self._ended, 32).split(b"\n")[0])
        self.returncode: int | None = None

    def kill(self) -> None:
        """Send SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM, unless it has ended."""
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)

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
        self.stdout.close()
        self.stderr.close()
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


def start_voiceid(*words: object, cwd: Path | None = None) -> Worker:
    """Start a command of voiceid."""
    ask = "import sys; from voiceid.cli import main; sys.exit(main(sys.argv[1:]))"
    return program(ask, *words, cwd=cwd)


def program(program: str, *arguments: object, cwd: Path | None = None) -> Worker:
    """Start a program as ``python -c`` does, with the settings that are in the environment."""
    settings = {name: value for name, value in os.environ.items() if name.startswith("VOICEID_")}
    place = [str(cwd or Path.cwd()), json.dumps(settings)]
    return Worker("program_worker", [*place, program, *arguments])


@cache
def _server(module: str, env: tuple[tuple[str, str], ...]) -> socket.socket:
    """Start the process that forks; return the socket on which it is asked to."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    paths = os.pathsep.join([*map(str, _FOLDERS), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, __file__, module, str(its.fileno())],
        env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", **dict(env)},
        pass_fds=[its.fileno()],
    )
    its.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(asked: socket.socket, main: Main) -> None:
    while True:
        data, numbers, _, _ = socket.recv_fds(asked, _COMMAND_BYTES, 4)
        if not data:
            return
        if os.fork() == 0:
            asked.close()
            _guard(main, json.loads(data), numbers)
        for number in numbers:
            os.close(number)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _guard(main: Main, command: list[str], numbers: list[int]) -> NoReturn:
    worker = os.fork()
    if worker == 0:
        _work(main, command, numbers)
    *streams, ended = numbers
    for number in streams:
        os.close(number)
    os.write(ended, f"{worker}\n".encode())
    _, status = os.waitpid(worker, 0)
    os.write(ended, str(status).encode())
    os._exit(0)


def _work(main: Main, command: list[str], numbers: list[int]) -> NoReturn:
    for number, given in enumerate(numbers[:3]):
        os.dup2(given, number)
    for given in numbers:
        os.close(given)
    sys.stdin, sys.stdout, sys.stderr = (
        os.fdopen(n, m, closefd=False) for n, m in enumerate("rww")
    )
    sys.argv, code = ["worker", *command], 0
    try:
        main()
        sys.stdout.flush()
    except SystemExit as ended:
        code = int(ended.code or 0)
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - it is the whole program
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[2])) as connection:
        _serve(connection, importlib.import_module(sys.argv[1]).main)
