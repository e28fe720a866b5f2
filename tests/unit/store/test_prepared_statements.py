"""Statements are prepared on a direct connection to PostgreSQL, and not behind a pooler."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from postgres_server import ask, plain_url, unprivileged
from psycopg.conninfo import conninfo_to_dict
from random_voices import SPACE, random_unit, sample
from sqlalchemy import Connection, event

from voiceid.domain import DatabaseUrl
from voiceid.store import Store

POOLER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
PORT = 6543
READS = 8
"""More than the driver waits for before it prepares a statement."""


@pytest.fixture
def pooled(url: DatabaseUrl) -> Iterator[DatabaseUrl]:
    """The database behind a pooler with two sessions, which change after each transaction."""
    if POOLER is None:
        pytest.skip("there is no PgBouncer")
    server = conninfo_to_dict(plain_url(url.text))
    target = " ".join(f"{key}={value}" for key, value in server.items() if key != "dbname")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pooler.ini").write_text(
            f"[databases]\n* = {target}\n[pgbouncer]\nlisten_addr =\nlisten_port = {PORT}\n"
            f"unix_socket_dir = {name}\nauth_type = any\npool_mode = transaction\n"
            "default_pool_size = 2\n"
        )
        folder.chmod(0o777)
        command = [POOLER, "-q", folder / "pooler.ini"]
        with subprocess.Popen(command, **unprivileged()) as pooler:
            while not list(folder.glob(".s.PGSQL.*")):
                assert pooler.poll() is None
                time.sleep(0.05)
            path = urlsplit(url.text).path
            yield DatabaseUrl(f"postgresql+psycopg://postgres@:{PORT}{path}?host={name}")
            pooler.terminate()


def prepared(store: Store) -> list[str]:
    """Return the prepared statements of the session that reads."""
    with store.read() as reader:
        names = reader.connection.exec_driver_sql("SELECT statement FROM pg_prepared_statements")
        return list(names.scalars())


def state_of(store: Store) -> object:
    with store.read() as reader:
        return reader.revision


def test_a_direct_connection_prepares_what_each_decision_asks(url: DatabaseUrl) -> None:
    store = Store.open(url)
    assert not prepared(store)
    for _ in range(READS):
        state_of(store)
    assert any("protection" in statement for statement in prepared(store))
    store.close()


def test_a_column_that_a_newer_program_added_is_no_error(url: DatabaseUrl) -> None:
    store = Store.open(url)
    for _ in range(READS):
        before = state_of(store)
    ask(
        url,
        *(f"ALTER TABLE {table} ADD COLUMN added text" for table in ("protection", "audit_head")),
    )
    assert state_of(store) == before
    store.close()


def test_a_search_is_planned_for_its_values_each_time(url: DatabaseUrl) -> None:
    store = Store.open(url)
    [vector] = random_unit(np.random.default_rng(1), 1)
    with store.write() as writer:
        writer.samples.add(writer.speakers.add("alice").id, SPACE, [sample(vector)])
    for _ in range(2 * READS):
        with store.read() as reader:
            assert len(reader.search.nearest(SPACE.id, vector, 1).ids) == 1
    with store.read() as reader:
        kept = (
            "SELECT generic_plans FROM pg_prepared_statements"
            " WHERE statement LIKE '%%vector_send(c.%%'"
        )
        assert reader.connection.exec_driver_sql(kept).scalars().all() == [0]
    store.close()


def test_after_an_import_the_rows_are_counted(url: DatabaseUrl) -> None:
    store = Store.open(url)
    with store.write() as writer, writer.bulk.at_scale():
        for n in range(300):
            writer.speakers.add(f"speaker {n}")
    rows = "SELECT reltuples FROM pg_class WHERE relname = 'speakers'"
    with store.read() as reader:
        assert reader.connection.exec_driver_sql(rows).scalar() == 300
    store.close()


def test_behind_a_pooler_each_transaction_may_have_another_session(pooled: DatabaseUrl) -> None:
    store = Store.open(pooled)
    vectors = iter(random_unit(np.random.default_rng(0), 24))
    sessions = set()

    @event.listens_for(store._engine, "begin")
    def _(connection: Connection) -> None:
        sessions.add(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar())

    def enroll(number: int) -> None:
        with store.write() as writer:
            speaker = writer.speakers.add(f"speaker {number}").id
            writer.samples.add(speaker, SPACE, [sample(next(vectors))])
        for _ in range(READS):
            state_of(store)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(enroll, range(24)))
    assert len(sessions) == 2
    assert not prepared(store)
    with store.read() as reader:
        assert len(reader.speakers.all()) == 24
    store.close()
