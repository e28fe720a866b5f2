"""One transaction, and the state that its tables share."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Table, text

from voiceid.domain import EMPTY_REVISION, Revision
from voiceid.protection import KeyRing
from voiceid.store.effects import Effects
from voiceid.store.protection import Protection
from voiceid.store.space_table import Spaces
from voiceid.store.tables import protection


def columns_of(table: Table) -> str:
    """Return the columns of a table, for a text; a prepared ``*`` fails if one is added."""
    return ", ".join(f"{table.name}.{column.name}" for column in table.columns)


_STATE = text(
    f"""
    SELECT {columns_of(protection)}, newest.revision, newest.token,
        (SELECT min(created_at) FROM erasures) AS erasing_since
    FROM (SELECT 1) AS one
    LEFT JOIN protection ON 1 = 1
    LEFT JOIN (SELECT revision, token FROM changes ORDER BY revision DESC LIMIT 1) AS newest
        ON 1 = 1
    """  # noqa: S608 - names of columns
)
"""A text, since every decision runs it: SQLAlchemy would traverse a select each time."""


class Snapshot:
    """State that is read once in a transaction, on first use."""

    effects: Effects
    """Only in a change: what it did beside its rows."""

    def __init__(self, connection: Connection, key_ring: KeyRing) -> None:
        self.connection, self.key_ring = connection, key_ring
        self.protection = Protection(connection, key_ring, self)
        """Converts plain rows to stored rows, and stored rows to plain ones."""

    @cached_property
    def state(self) -> Any:
        """The state of the gallery when the transaction began; see `read_state`."""
        return read_state(self.connection)

    @cached_property
    def revision(self) -> Revision:
        """The newest point of the change feed."""
        return revision_in(self.state)

    @cached_property
    def spaces(self) -> Spaces:
        """The embedding spaces."""
        return Spaces(self.connection)


class Rows:
    """Rows of one kind, in one transaction."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._connection, self._protection = snapshot.connection, snapshot.protection

    @property
    def _effects(self) -> Effects:
        return self._snapshot.effects


def read_state(connection: Connection) -> Any:
    """Return one row about the whole gallery; missing values are None.

    The columns of ``protection``, the newest ``revision`` of the change feed with its ``token``,
    and ``erasing_since``: when the oldest unfinished erasure began.
    """
    return connection.execute(_STATE).one()


def revision_in(state: Any) -> Revision:
    """Return the newest point of the change feed in a state."""
    return EMPTY_REVISION if state.revision is None else Revision(state.revision, state.token)
