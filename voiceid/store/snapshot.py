"""One transaction, and what its tables share."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from sqlalchemy import Connection, func, literal, select, true

from voiceid.protection import KeyRing
from voiceid.store.effects import Effects
from voiceid.store.protection import Protection
from voiceid.store.space_table import Spaces
from voiceid.store.tables import changes, erasures, protection

_NEWEST = (
    select(changes.c.revision, changes.c.token)
    .order_by(changes.c.revision.desc())
    .limit(1)
    .subquery("newest")
)
_STATE = select(
    protection,
    _NEWEST,
    select(func.min(erasures.c.created_at)).scalar_subquery().label("erasing_since"),
).select_from(
    select(literal(1)).subquery("one").outerjoin(protection, true()).outerjoin(_NEWEST, true())
)


class Snapshot:
    """What is read once a transaction, when it is first asked for."""

    effects: Effects
    """Of a change alone: what it did beside its rows."""

    def __init__(self, connection: Connection, key_ring: KeyRing) -> None:
        self.connection, self.key_ring = connection, key_ring

    @cached_property
    def state(self) -> Any:
        """How the gallery was when the transaction began; see `read_state`."""
        return read_state(self.connection)

    @cached_property
    def protection(self) -> Protection:
        """What makes stored rows of plain ones, and plain ones of stored."""
        return Protection(self.connection, self.key_ring, lambda: self.state)

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
    """Return a row of what concerns the whole gallery; what is not there is None.

    The columns of ``protection``, the newest ``revision`` of the change feed with its ``token``,
    and ``erasing_since``: when the oldest erasure began that is not finished.
    """
    return connection.execute(_STATE).one()
