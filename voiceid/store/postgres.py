"""PostgreSQL: connections, transactions, and the meaning of its errors.

A read is one snapshot (REPEATABLE READ).  A write first takes a lock that all writers of the
database take, so that they take turns, as with SQLite's ``BEGIN IMMEDIATE``: the feed's numbers are
committed in order.  ``synchronous_commit`` puts a commit, with all before it, on the server's disk
before it is reported.  Settings last for one transaction, and statements are prepared on a direct
connection only, so that a pooler (PgBouncer) may stand between.
"""

from __future__ import annotations

import logging
from enum import Enum, auto
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from voiceid.domain import DatabaseUrl
from voiceid.errors import (
    ConfigError,
    ExtraMissing,
    StoreBusy,
    StoreError,
    StoreReadOnly,
    StoreUnreachable,
)
from voiceid.store.pgvector import speak_binary
from voiceid.store.tables import metadata

logging.getLogger("psycopg").addHandler(logging.NullHandler())  # voiceid reports failures itself
BEGIN_OPTION = "voiceid_begin"
"""Execution option of a connection: how its transaction begins."""


class Begin(Enum):
    """How a transaction begins."""

    READ = auto()
    WRITE = auto()  # on the disk, with all before it, when it is committed
    WRITE_UNSYNCED = auto()  # the operating system writes it to the disk later

    @property
    def writes(self) -> bool:
        """Whether the transaction takes the lock of writers."""
        return self is not Begin.READ


_WRITERS = 0x766F696365
"""The number of the lock that writers take: "voice"."""
_CONNECTING_S = 10
_PLANS_S = 300
"""A connection is used for this time: the plans of its statements are for tables of their size."""
_VANISHED_S = 60
"""A client that vanished during a write loses the lock after this time."""

_READ = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
    " SET LOCAL max_parallel_workers_per_gather = 4;"  # for exact search; the default is 2
    " SET LOCAL jit = off"  # compiling a search takes longer than running it
)
_WRITE = (
    "BEGIN ISOLATION LEVEL READ COMMITTED;"  # sees what others wrote while it waited
    " SET LOCAL lock_timeout = {busy_timeout_ms};"
    " SET LOCAL synchronous_commit = {sync};"
    f" SET LOCAL idle_in_transaction_session_timeout = '{_VANISHED_S}s';"
    f" SELECT pg_advisory_xact_lock({_WRITERS})"
)

_FOREIGN = """
    WITH ours AS (SELECT to_regclass(name) AS id, name FROM unnest(%s::text[]) AS name)
    SELECT 'table ' || name FROM ours LEFT JOIN pg_class AS c ON c.oid = id
        WHERE c.relkind IS DISTINCT FROM 'r'
    UNION ALL SELECT 'row security of ' || name FROM ours JOIN pg_class AS c ON c.oid = id
        WHERE c.relrowsecurity
    UNION ALL SELECT 'rule ' || r.rulename || ' on ' || name FROM ours
        JOIN pg_rewrite AS r ON r.ev_class = id
    UNION ALL SELECT 'trigger ' || t.tgname || ' on ' || name FROM ours
        JOIN pg_trigger AS t ON t.tgrelid = id JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE NOT t.tgisinternal AND (t.tgname <> 'samples_are_immutable'
            OR p.prosrc NOT LIKE '%% BEGIN RAISE EXCEPTION ''samples are immutable''; END ')
    ORDER BY 1
"""
"""Lists objects on voiceid's tables that voiceid did not make, by kind and name."""


def rewrite_tables(engine: Engine) -> None:
    """Rewrite every table without dead rows: a plain VACUUM only marks them as free.

    The server's statistics too, which quote rows, if the user owns the database.
    """
    with engine.connect() as connection:
        for table in metadata.tables:
            connection.exec_driver_sql(f"VACUUM (FULL, ANALYZE) {table}")
        connection.exec_driver_sql("VACUUM (FULL) pg_catalog.pg_statistic")


_BUSY = {
    "55P03": "is being written to by another process",  # lock_not_available
    "40001": "was changed by another process meanwhile",  # serialization_failure
    "40P01": "was changed by another process meanwhile",  # deadlock_detected
    "53300": "has no connection left for another client",  # too_many_connections
}
_READ_ONLY = {"25006", "53100"}
"""read_only_sql_transaction, disk_full"""
_DAMAGED = {"42P01", "42703", "XX001", "XX002"}
"""undefined_table, undefined_column, data_corrupted, index_corrupted"""
_HINTS = {
    "0A000": "Install pgvector (0.7 or newer) on the database server.",
    "58P01": "Install pgvector (0.7 or newer) on the database server.",
    "42501": "The first use makes the tables and, with CREATE EXTENSION, pgvector: let the user of"
    " database_url do that, or have an administrator run `CREATE EXTENSION vector` once.",
    "25006": "This server is a replica: point database_url at the primary.",
    "53100": "The disk of the database server is full: free some space. Nothing was changed.",
    "53200": "The database server is out of memory. Nothing was changed.",
    "57014": "The server's statement_timeout, or an administrator, ended it. Nothing was changed.",
}
_CONNECTING = {  # libpq reports these only as text
    "password authentication failed": "Check the user and the password in database_url.",
    "no password supplied": "Give the password in database_url, PGPASSWORD or ~/.pgpass.",
    "role ": "Check the user in database_url.",
    "database ": "Create the database first: CREATE DATABASE.",
    "starting up": "Try again in a moment.",
    "shutting down": "Try again in a moment.",
}
_DOWN = "Check that the server of database_url runs, and that this host can reach it."


def make_engine(url: DatabaseUrl, busy_timeout_ms: int) -> Engine:
    """Return an engine for a database on a server; nothing is opened yet."""
    settings = {"connect_timeout": _CONNECTING_S, "application_name": "voiceid"}
    try:
        # No connection limit: a thread waits for the database, never for the pool.
        # The driver sends no BEGIN: it would cost a round trip of its own.
        engine = create_engine(
            url.text,
            connect_args=settings,
            isolation_level="AUTOCOMMIT",
            max_overflow=-1,
            pool_recycle=_PLANS_S,
        )
    except ImportError as error:
        raise ExtraMissing(
            "database_url needs the PostgreSQL driver psycopg, which is not installed",
            hint="Install it with `pip install 'voiceid[postgres]'`.",
        ) from error
    except ArgumentError as error:
        raise ConfigError(f"database_url {url} cannot be read") from error
    statements = {
        Begin.READ: _READ,
        Begin.WRITE: _WRITE.format(busy_timeout_ms=busy_timeout_ms, sync="on"),
        Begin.WRITE_UNSYNCED: _WRITE.format(busy_timeout_ms=busy_timeout_ms, sync="off"),
    }

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: object) -> None:
        speak_binary(connection)
        # A pooler names a process of its own, and may give each transaction another session.
        session = connection.execute("SELECT pg_backend_pid()").fetchone()
        if session != (connection.info.backend_pid,):
            connection.prepare_threshold = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        kind = connection.get_execution_options().get(BEGIN_OPTION)
        if kind is not None:  # without a kind each statement is a transaction
            connection.exec_driver_sql(statements[kind])

    return engine


def revision(connection: Connection, url: DatabaseUrl) -> str | None:
    """Return the revision of the schema, or None where voiceid has made no tables yet."""
    is_there = "SELECT to_regclass(%s) IS NOT NULL"
    ours, versions = (
        connection.exec_driver_sql(is_there, (name,)).scalar()
        for name in ("embedding_spaces", "alembic_version")
    )
    if ours != versions:
        raise StoreError(
            f"{url} holds the tables of another program", hint="Give voiceid a separate database."
        )
    if not versions:
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def require_own(connection: Connection, url: DatabaseUrl) -> None:
    """Raise StoreError when a table of voiceid has a trigger, rule or policy that is foreign."""
    names = [*metadata.tables, "alembic_version"]
    if foreign := connection.exec_driver_sql(_FOREIGN, (names,)).scalars().all():
        raise StoreError(
            f"the schema of {url} is not the one that voiceid writes, so it is not used:\n  "
            + "\n  ".join(f"{name} is not voiceid's" for name in foreign),
            hint="Drop these objects; nothing was changed.",
        )


def typed(error: DBAPIError, url: DatabaseUrl) -> StoreError:
    """Return voiceid's error for a driver's error; it says what to do."""
    cause = error.orig
    code = getattr(cause, "sqlstate", None) or ""
    message = _said(cause, url)
    if code in _BUSY:
        return StoreBusy(f"the database {url} {_BUSY[code]}")
    if code in _DAMAGED:
        return StoreError(
            f"{url} is damaged, or is not a database of voiceid: {message}",
            hint="Restore a backup of the server.",
        )
    if code.startswith("23"):
        return StoreError(
            f"the database {url} refused a change that breaks its rules: {message}",
            hint="Nothing was changed.",
        )
    if is_cut(error):
        return StoreUnreachable(
            f"the connection to {url} broke: {message}", hint="Nothing was changed. Try again."
        )
    if not code and isinstance(error, OperationalError):
        hint = next((hint for words, hint in _CONNECTING.items() if words in message), _DOWN)
        return StoreUnreachable(f"the database {url} cannot be reached: {message}", hint=hint)
    kind = StoreReadOnly if code in _READ_ONLY else StoreError
    return kind(
        f"the database {url} failed: {message}",
        hint=_HINTS.get(code, "Nothing was changed. The server's log may say more."),
    )


def is_cut(error: DBAPIError) -> bool:
    """Whether the connection broke, or the server ended the session."""
    code = getattr(error.orig, "sqlstate", None) or ""
    return error.connection_invalidated or code.startswith(("57P", "08"))


def unknown_outcome(error: DBAPIError, url: DatabaseUrl) -> StoreError:
    """Return the error for a connection that broke between a commit and its answer."""
    return StoreError(
        f"the connection to {url} broke while a change was being committed: whether it was made"
        f" is not known: {_said(error.orig, url)}",
        hint="See whether the change is there (`voiceid speakers list`) before you repeat it.",
    )


def _said(cause: BaseException | None, url: DatabaseUrl) -> str:
    """Return the server's message, without values of rows and without secrets."""
    diagnosis = getattr(cause, "diag", None)
    message = " ".join((getattr(diagnosis, "message_primary", None) or str(cause)).split())
    for secret in url.secrets:
        message = message.replace(secret, "***")
    return message
