"""A PostgreSQL server under the galleries: a database of its own for each, and kills of it."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import psycopg
from postgres_server import Databases, Server, own_server

from voiceid.domain import DatabaseUrl

URLS: dict[Path, DatabaseUrl] = {}
"""The database of each data folder; one that is not here has a file."""
_SERVERS: list[tuple[Server, Databases]] = []
_PATIENCE_S = 60.0
_CLIENTS = (
    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
    " AND pid <> pg_backend_pid()"
)


@contextmanager
def under_a_server() -> Iterator[None]:
    """Keep the galleries that are made meanwhile in a server."""
    with own_server() as server:
        _SERVERS.append((server, Databases(server.admin)))
        try:
            yield
        finally:
            _SERVERS.clear()


@contextmanager
def gallery_folder() -> Iterator[Path]:
    """Return a folder for a new gallery, whose data folder is ``data`` in it."""
    with tempfile.TemporaryDirectory(prefix="voiceid-torture-") as folder:
        data = Path(folder) / "data"
        for _, databases in _SERVERS:
            URLS[data] = databases.empty()
        yield Path(folder)
        for _, databases in _SERVERS:
            databases.drop(URLS.pop(data))


def has_server() -> bool:
    """Whether galleries are in a server now."""
    return bool(_SERVERS)


def server_files() -> list[Path]:
    """Return the folder of everything that the server wrote: tables, its own log, messages."""
    return [server.folder for server, _ in _SERVERS]


def kill_server(rng: np.random.Generator) -> None:
    """End the server, or one of its processes, in whatever it does, and wait for the next."""
    [(server, _)] = _SERVERS
    if rng.integers(2):
        server.stop(signal.SIGQUIT)
        server.start()
        return
    with psycopg.connect(server.admin) as connection:
        pids = [pid for (pid,) in connection.execute(_CLIENTS)]
    for pid in pids[:1]:
        with suppress(ProcessLookupError):  # its client has just gone
            os.kill(pid, signal.SIGKILL)  # the server ends all others, and recovers
    _wait_for(server, "SELECT 1")


def settle() -> None:
    """Wait until the server has ended what killed clients asked for: a commit goes on without."""
    for server, _ in _SERVERS:
        _wait_for(server, f"SELECT 1 WHERE NOT EXISTS ({_CLIENTS} AND state <> 'idle')")


def _wait_for(server: Server, query: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with psycopg.connect(server.admin) as connection:
                if connection.execute(query).fetchone():
                    return
        except psycopg.OperationalError:
            pass  # it recovers
        if time.monotonic() > deadline:
            raise TimeoutError(f"the server does not come back, or is not done: {query}")
        time.sleep(0.01)
