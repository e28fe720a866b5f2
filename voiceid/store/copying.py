"""Copying a gallery from one database to another, of the same or another kind.

Row by row, with all ids and the change feed, in one transaction on each side: on any error the
target stays empty.  At the end the rows of the target are read back and compared.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Table, func, insert, select, text

from voiceid.domain import DatabaseUrl
from voiceid.errors import SchemaOutdated, StoreError
from voiceid.protection import KeyRing
from voiceid.store import upgrade
from voiceid.store.connections import opened
from voiceid.store.postgres import Begin
from voiceid.store.protection import Protection
from voiceid.store.snapshot import Snapshot
from voiceid.store.tables import centroids, metadata
from voiceid.store.upgrade import SchemaState

_BUSY_TIMEOUT_MS = 10_000
_BATCH = 500
"""Rows in memory at a time."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied, and verified to be the same on both sides.

    Parameters
    ----------
    source, target : str
        Without passwords.
    rows : dict of str to int
        Of each table.
    sha256 : str
        Over all rows, table by table, in the order of their keys.
    """

    source: str
    target: str
    rows: dict[str, int]
    sha256: str


def copy(source: Path | DatabaseUrl, target: Path | DatabaseUrl, keys: KeyRing) -> Copied:
    """Copy everything in one database into another, which must be empty.

    The source must have this program's schema; it is only read, and may be in use.  Missing tables
    of the target are created; on an error it is unchanged.
    """
    _require_current(source)
    upgrade.upgrade(target, _BUSY_TIMEOUT_MS)
    with (
        opened(source, _BUSY_TIMEOUT_MS) as reading,
        opened(target, _BUSY_TIMEOUT_MS, Begin.WRITE) as writing,
    ):
        _require_empty(writing, target)
        digest, rows = hashlib.sha256(), {}
        protection = Snapshot(reading, keys).protection
        copied = Protection.by(writing, keys, protection.vault)
        copied.wrapped = protection.wrapped
        for table in metadata.sorted_tables:
            summed = _moved(reading, writing, table, source, protection)
            if summed != _summed(writing, table, copied):
                raise StoreError(
                    f"{table.name} in {target} is not what it is in {source}",
                    hint="Nothing was copied. Check both: `voiceid database check`.",
                )
            rows[table.name] = summed[0]
            digest.update(summed[1])
        if isinstance(target, DatabaseUrl):
            writing.exec_driver_sql("ANALYZE")
    return Copied(str(source), str(target), rows, digest.hexdigest())


def _require_current(source: Path | DatabaseUrl) -> None:
    schema = upgrade.known_status(source, _BUSY_TIMEOUT_MS)
    if schema.state is SchemaState.OUTDATED:
        raise SchemaOutdated(
            f"{source} has schema {schema.current}, and this voiceid copies only {schema.head}"
        )
    if schema.state is SchemaState.MISSING:
        raise StoreError(f"there is no gallery in {source}", hint="Check the path or URL.")


def _require_empty(connection: Connection, target: Path | DatabaseUrl) -> None:
    for table in metadata.sorted_tables:
        if connection.execute(select(table).limit(1)).first() is not None:
            raise StoreError(
                f"{target} is not empty: it has rows in the table {table.name}",
                hint="Copy into a new file, or into a new database of the server.",
            )


def _moved(
    reading: Connection,
    writing: Connection,
    table: Table,
    source: Path | DatabaseUrl,
    protection: Protection,
) -> tuple[int, bytes]:
    """Copy the rows of a table and its next number; return count and checksum."""
    try:
        summed = _summed(reading, table, protection, writing)
    except (ValueError, TypeError) as error:  # SQLite also stores values of other types
        raise StoreError(
            f"a row of {table.name} in {source} is damaged", hint="Run `voiceid database check`."
        ) from error
    if table.dialect_options["sqlite"]["autoincrement"]:
        _go_on_from(writing, table, _last_number(reading, table))
    return summed


def _summed(
    connection: Connection, table: Table, protection: Protection, into: Connection | None = None
) -> tuple[int, bytes]:
    """Return the count and the checksum of a table's rows; insert them into another database.

    Centroids are opened: not every kind of database seals them.
    """
    count, digest = 0, hashlib.sha256()
    query = select(table).order_by(*table.primary_key).execution_options(yield_per=_BATCH)
    for rows in connection.execute(query).partitions():
        batch = [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name
        if table is centroids:
            opened = zip(batch, protection.centroids.opened(rows), strict=True)
            batch = [row | {"vector": vector} for row, vector in opened]
        for row in batch:
            digest.update(repr(tuple(row.values())).encode())
        if into is not None:
            if table is centroids:
                batch = [protection.centroids.sealed_for(into.dialect.name, row) for row in batch]
            into.execute(insert(table), batch)
        count += len(batch)
    return count, digest.digest()


def _last_number(connection: Connection, table: Table) -> int:
    """Return the highest number that a row of a table ever had: no number is reused."""
    [key] = table.primary_key
    highest = connection.execute(select(func.coalesce(func.max(key), 0))).scalar_one()
    if connection.dialect.name == "sqlite":
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        last = connection.execute(query, {"name": table.name}).scalar()
    else:
        sequence = _sequence(connection, table)
        query = text(f"SELECT last_value FROM {sequence} WHERE is_called")  # noqa: S608
        last = connection.execute(query).scalar()
    return max(int(highest), int(last or 0))


def _go_on_from(connection: Connection, table: Table, number: int) -> None:
    if number == 0:
        return
    values = {"name": table.name, "number": number}
    if connection.dialect.name == "sqlite":
        connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
        new = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :number)")
        connection.execute(new, values)
    else:
        sequence = _sequence(connection, table)
        connection.execute(text("SELECT setval(:name, :number)"), {**values, "name": sequence})


def _sequence(connection: Connection, table: Table) -> str:
    """Return the name of the sequence that numbers a table's rows on PostgreSQL."""
    [key] = table.primary_key
    name = select(func.pg_get_serial_sequence(table.name, key.name))
    return str(connection.execute(name).scalar_one())
