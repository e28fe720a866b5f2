"""Processes that are started fast, say what they do through a pipe, and may be killed.

They are forked from one that has every module loaded, no thread and no database open.
"""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from typing import Any

FAULT = "fault"
_FORK = multiprocessing.get_context("fork")
_PATIENCE_S = 300.0
"""Nothing here takes so long but what hangs."""


@dataclass
class Worker:
    """A process and the two pipes to it."""

    process: ForkProcess
    orders: Connection
    said: Connection

    def tell(self, order: object = None) -> None:
        """Send a message; to one that is dead already it does not matter."""
        try:
            self.orders.send(order)
        except (BrokenPipeError, ConnectionResetError):
            return

    def hear(self) -> Any:
        """Wait for the next message."""
        if not self.said.poll(_PATIENCE_S):
            self.kill()
            return (FAULT, f"a process has not answered for {_PATIENCE_S:g} s")
        try:
            return self.said.recv()
        except EOFError:
            return (FAULT, "a process ended without an answer")

    def kill(self) -> None:
        """End it as a power cut would, from inside whatever it does (SIGKILL)."""
        self.process.kill()

    def rest(self) -> list[Any]:
        """Wait for its end; return everything that it had said and that was not heard yet."""
        messages = []
        try:
            while self.said.poll(_PATIENCE_S):
                messages.append(self.said.recv())
            messages.append((FAULT, f"a process did not end within {_PATIENCE_S:g} s"))
            self.kill()
        except EOFError:
            pass
        self.process.join()
        self.orders.close()
        self.said.close()
        return messages


def pipe() -> tuple[Connection, Connection]:
    """Return a pipe's end to read from, and the one to write to."""
    return _FORK.Pipe(duplex=False)


def start(target: Callable[..., None], *values: object) -> Worker:
    """Start ``target(orders, say, *values)``; an exception in it is said as a fault."""
    orders, tell = pipe()
    hear, say = pipe()
    process = _FORK.Process(target=_guarded, args=(target, orders, say, values), daemon=True)
    process.start()
    orders.close()
    say.close()  # so that the end of the process is the end of the pipe
    return Worker(process, tell, hear)


def _guarded(
    target: Callable[..., None], orders: Connection, say: Connection, values: tuple[object, ...]
) -> None:
    try:
        target(orders, say, *values)
    except BaseException:  # noqa: BLE001 - whatever it is, it reached the user
        say.send((FAULT, traceback.format_exc()))


def faults_among(messages: list[Any]) -> list[str]:
    """Return what was said of faults."""
    return [said for kind, *rest in messages if kind == FAULT for said in rest]
