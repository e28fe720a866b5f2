"""What was fitted on a site's own recordings: calibrations and adaptations."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Row, Table, bindparam, delete, func, insert, select, update

from voiceid.decision.adaptation import StoredAdaptation, adapted_space
from voiceid.decision.calibration import Calibration, HeldOut, StoredCalibration
from voiceid.decision.transforms import Transform
from voiceid.domain import EmbeddingSpace
from voiceid.errors import FitNotFound
from voiceid.store import stored_rows
from voiceid.store.centroid_table import CentroidWriter
from voiceid.store.change_feed import Effects
from voiceid.store.space_table import SpaceWriter
from voiceid.store.tables import adaptations, calibrations, embedding_spaces

T = TypeVar("T")

_IN_USE = (
    select(
        *(column.label(f"a_{column.name}") for column in adaptations.c),
        *(column.label(f"c_{column.name}") for column in calibrations.c),
    )
    .select_from(embedding_spaces)
    .outerjoin(
        adaptations,
        (adaptations.c.space_id == embedding_spaces.c.id) & adaptations.c.used_since.is_not(None),
    )
    .outerjoin(
        calibrations,
        (calibrations.c.space_id == func.coalesce(adaptations.c.adapted_id, embedding_spaces.c.id))
        & calibrations.c.used_since.is_not(None),
    )
    .where(embedding_spaces.c.id == bindparam("space_id"))
)
"""Built once: it is asked with every decision."""


class FitsInUse(NamedTuple):
    """What decisions in the space of a model are made by; see `Reader.fits`.

    Attributes
    ----------
    adaptation : StoredAdaptation or None
    calibration : StoredCalibration or None
        Of the adapted space if there is an adaptation, else of the model's.
    """

    adaptation: StoredAdaptation | None
    calibration: StoredCalibration | None


def fits_in_use(connection: Connection, space_id: str) -> FitsInUse:
    """Return what decisions in a space are made by; raises StoreError if damaged."""
    row = connection.execute(_IN_USE, {"space_id": space_id}).first()
    if row is None:
        return FitsInUse(None, None)
    return FitsInUse(
        _part(row, "a_", adaptations, stored_rows.adaptation),
        _part(row, "c_", calibrations, stored_rows.calibration),
    )


def _part(row: Row[Any], prefix: str, table: Table, made: Callable[[Any], T]) -> T | None:
    """Return what is made of the columns of one table in a joined row, or None for no row."""
    values = {name: row._mapping[prefix + name] for name in table.c.keys()}  # noqa: SLF001, SIM118
    return None if values["id"] is None else made(SimpleNamespace(**values))


class Calibrations:
    """Reads calibrations; one that is damaged is a StoreError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> list[StoredCalibration]:
        """Return all calibrations, of all spaces, oldest first."""
        rows = self._connection.execute(select(calibrations).order_by(calibrations.c.id))
        return [stored_rows.calibration(row) for row in rows]

    def get(self, number: int) -> StoredCalibration:
        """Return the calibration of that number; raises FitNotFound."""
        row = _numbered(self._connection, calibrations, number, "calibration")
        return stored_rows.calibration(row)

    def in_use(self, space_id: str) -> StoredCalibration | None:
        """Return the calibration that decides in a space, or None."""
        row = _used(self._connection, calibrations, space_id)
        return None if row is None else stored_rows.calibration(row)


class CalibrationWriter(Calibrations):
    """Changes calibrations."""

    def __init__(self, effects: Effects, spaces: SpaceWriter) -> None:
        super().__init__(effects.connection)
        self._now = effects.now
        self._spaces = spaces

    def add(
        self,
        space: EmbeddingSpace,
        calibration: Calibration,
        held_out: HeldOut,
        source: str,
        target_fmr: float | None,
    ) -> int:
        """Add a calibration, which decides nothing yet, and return its number."""
        self._spaces.know(space)
        facts = {"calibration": calibration.to_dict(), "held_out": asdict(held_out)}
        return _added(
            self._connection,
            calibrations,
            space_id=space.id,
            created_at=self._now,
            source=source,
            target_fmr=target_fmr,
            facts=json.dumps(facts, allow_nan=False),
        )

    def use(self, space_id: str, number: int | None) -> None:
        """Let one calibration, or None, decide in a space from now on."""
        _use(self._connection, calibrations, space_id, number, self._now)

    def remove(self, number: int) -> None:
        """Remove a calibration."""
        self._connection.execute(delete(calibrations).where(calibrations.c.id == number))


class Adaptations:
    """Reads adaptations; one that is damaged is a StoreError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, space_id: str | None = None) -> list[StoredAdaptation]:
        """Return the adaptations of a space, or of all, oldest first."""
        query = select(adaptations).order_by(adaptations.c.id)
        if space_id is not None:
            query = query.where(adaptations.c.space_id == space_id)
        return [stored_rows.adaptation(row) for row in self._connection.execute(query)]

    def get(self, number: int) -> StoredAdaptation:
        """Return the adaptation of that number; raises FitNotFound."""
        row = _numbered(self._connection, adaptations, number, "adaptation")
        return stored_rows.adaptation(row)

    def in_use(self, space_id: str) -> StoredAdaptation | None:
        """Return the adaptation that decisions in a space are made by, or None."""
        row = _used(self._connection, adaptations, space_id)
        return None if row is None else stored_rows.adaptation(row)


class AdaptationWriter(Adaptations):
    """Changes adaptations; the centroids of adapted spaces follow in the same transaction."""

    def __init__(self, effects: Effects, spaces: SpaceWriter, centroids: CentroidWriter) -> None:
        super().__init__(effects.connection)
        self._effects = effects
        self._spaces = spaces
        self._centroids = centroids

    def add(
        self, space: EmbeddingSpace, transform: Transform, measured: dict[str, object], source: str
    ) -> int:
        """Add an adaptation of a space, which decides nothing yet, and return its number.

        All speakers in that space have a centroid in the adapted one from now on.

        Raises
        ------
        StoreError
            There is this very adaptation already, or a sample is damaged.
        """
        adapted = adapted_space(space, transform)
        self._spaces.know(space)
        self._spaces.know(adapted)
        number = _added(
            self._connection,
            adaptations,
            space_id=space.id,
            created_at=self._effects.now,
            source=source,
            adapted_id=adapted.id,
            transform=transform.to_bytes(),
            facts=json.dumps(measured),
        )
        self._centroids.adapt(space.id, adapted.id, transform)
        return number

    def use(self, space_id: str, number: int | None) -> None:
        """Let decisions in a space be made by one adaptation, or None, from now on."""
        _use(self._connection, adaptations, space_id, number, self._effects.now)

    def remove(self, gone: StoredAdaptation) -> None:
        """Remove an adaptation, its centroids and its calibrations."""
        self._effects.erase(())
        self._centroids.remove_space(gone.adapted_id)
        mine = calibrations.c.space_id == gone.adapted_id
        self._connection.execute(delete(calibrations).where(mine))
        self._connection.execute(delete(adaptations).where(adaptations.c.id == gone.id))


def _numbered(connection: Connection, table: Table, number: int, what: str) -> Row[Any]:
    row = connection.execute(select(table).where(table.c.id == number)).first()
    if row is None:
        ids = connection.execute(select(table.c.id).order_by(table.c.id)).scalars()
        there = ", ".join(map(str, ids)) or "none"
        raise FitNotFound(
            f"there is no {what} {number}; there is: {there}",
            hint=f"`voiceid {what}s list` shows them.",
        )
    return row


def _used(connection: Connection, table: Table, space_id: str) -> Row[Any] | None:
    mine = (table.c.space_id == space_id) & table.c.used_since.is_not(None)
    return connection.execute(select(table).where(mine)).first()


def _added(connection: Connection, table: Table, **values: object) -> int:
    query = insert(table).values(**values).returning(table.c.id)
    return int(connection.execute(query).scalar_one())


def _use(connection: Connection, table: Table, space_id: str, number: int | None, now: str) -> None:
    mine = table.c.space_id == space_id
    connection.execute(update(table).where(mine).values(used_since=None))
    if number is not None:
        query = update(table).where(mine, table.c.id == number)
        connection.execute(query.values(used_since=now))
