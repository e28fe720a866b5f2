"""Fits on a site's own recordings: calibrations and adaptations."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, RowMapping, Table, delete, insert, select, text, true, update

from voiceid.decision.adaptation import StoredAdaptation, adapted_space
from voiceid.decision.calibration import Calibration, HeldOut, StoredCalibration
from voiceid.decision.transforms import Transform
from voiceid.domain import EmbeddingSpace
from voiceid.errors import ChangeRefused, FitNotFound
from voiceid.store import stored_rows
from voiceid.store.bound_rows import bound_row, plain_row
from voiceid.store.centroid_table import CentroidWriter
from voiceid.store.learned_from import LearnedFrom
from voiceid.store.protection import Protection, values_of
from voiceid.store.snapshot import Rows, Snapshot
from voiceid.store.tables import adaptations, calibrations

T = TypeVar("T", StoredAdaptation, StoredCalibration)

_COLUMNS = (*adaptations.c, *calibrations.c)
_IN_USE = text(
    f"""
    SELECT (SELECT count(*) FROM model_changes WHERE switched_at IS NOT NULL) AS n_switches,
        {", ".join(f"{column} AS {column.table.name}_{column.name}" for column in _COLUMNS)}
    FROM (SELECT 1) AS one LEFT JOIN embedding_spaces AS s ON s.id = :space_id
    LEFT JOIN adaptations ON adaptations.space_id = s.id AND adaptations.used_since IS NOT NULL
    LEFT JOIN calibrations ON calibrations.space_id = coalesce(adaptations.adapted_id, s.id)
        AND calibrations.used_since IS NOT NULL
    """  # noqa: S608 - no input
)
"""A text, since every decision runs it: SQLAlchemy would traverse a select each time."""


class FitsInUse(NamedTuple):
    """The fits that decide in the space of a model.

    The calibration is of the adapted space if there is an adaptation, else of the model's space.
    """

    adaptation: StoredAdaptation | None
    calibration: StoredCalibration | None


def fits_in_use(snapshot: Snapshot, space_id: str) -> FitsInUse:
    """Return the fits that decide in the space of a model; raises StoreError if damaged.

    Raises SpaceMismatch when another space has replaced this one.
    """
    row = snapshot.connection.execute(_IN_USE, {"space_id": space_id}).mappings().one()
    if row["n_switches"]:
        snapshot.spaces.require_current(space_id)
    return FitsInUse(
        _part(snapshot.protection, row, adaptations, stored_rows.adaptation),
        _part(snapshot.protection, row, calibrations, stored_rows.calibration),
    )


def _part(
    protection: Protection, row: RowMapping, table: Table, read: Callable[[Any], T]
) -> T | None:
    """Return the object of one table's columns in a joined row, or None for no row."""
    values = {column.name: row[f"{table.name}_{column.name}"] for column in table.c}
    if values["id"] is None:
        return None
    return read(plain_row(protection, table, SimpleNamespace(**values)))


class Fits(Rows, Generic[T]):
    """Reads fits of one kind; a damaged row is a StoreError."""

    _table: ClassVar[Table]
    _kind: ClassVar[str]
    _read: Callable[[Any], T]

    def get(self, number: int) -> T:
        """Return the fit with that number; raises FitNotFound."""
        id_ = self._table.c.id
        if fits := self._where(id_ == number):
            return fits[0]
        ids = self._connection.execute(select(id_).order_by(id_)).scalars()
        raise FitNotFound(
            f"there is no {self._kind} {number}; there are: {', '.join(map(str, ids)) or 'none'}",
            hint=f"`voiceid {self._kind}s list` shows them.",
        )

    def get_unused(self, number: int) -> T:
        """Return the fit with that number; raises FitNotFound, or ChangeRefused if it decides."""
        fit = self.get(number)
        if fit.in_use:
            raise ChangeRefused(
                f"{self._kind} {number} decides in {fit.space_id}",
                hint=f"Use another first: `voiceid {self._kind}s use N`, or `use none`.",
            )
        return fit

    def in_use(self, space_id: str) -> T | None:
        """Return the fit that decides in a space, or None."""
        used = self._table.c.used_since.is_not(None)
        return next(iter(self._where((self._table.c.space_id == space_id) & used)), None)

    def _where(self, condition: ColumnElement[bool]) -> list[T]:
        query = select(self._table).where(condition).order_by(self._table.c.id)
        rows = self._connection.execute(query).all()
        return [self._read(plain_row(self._protection, self._table, row)) for row in rows]

    def _add(self, space_id: str, source: str, **values: object) -> int:
        now = self._effects.now
        values |= {"space_id": space_id, "created_at": now, "source": source, "used_since": None}
        id_ = self._table.c.id
        query = insert(self._table).values(**values | {"facts": ""}).returning(id_)
        number = int(self._connection.execute(query).scalar_one())
        stored = bound_row(self._protection, self._table, {**values, "id": number})
        its = update(self._table).where(id_ == number)
        self._connection.execute(its.values(facts=stored["facts"]))
        return number

    def use(self, space_id: str, number: int | None) -> None:
        """Let a fit, or no fit, decide in a space from now on: in a change."""
        now = self._effects.now
        used = self._table.c.used_since.is_not(None)
        chosen = (self._table.c.space_id == space_id) & (used | (self._table.c.id == number))
        rows = self._connection.execute(select(self._table).where(chosen)).all()
        for row in sorted(rows, key=lambda row: row.id == number):  # one at a time is in use
            plain = values_of(plain_row(self._protection, self._table, row))
            since = now if row.id == number else None
            values = bound_row(self._protection, self._table, {**plain, "used_since": since})
            query = update(self._table).where(self._table.c.id == row.id)
            self._connection.execute(query.values(used_since=since, facts=values["facts"]))

    def list(self, space_id: str | None = None) -> list[T]:
        """Return the fits of a space, or of all spaces, oldest first."""
        return self._where(true() if space_id is None else self._table.c.space_id == space_id)


class Calibrations(Fits[StoredCalibration]):
    """Reads calibrations, and changes them in a change."""

    _table, _kind, _read = calibrations, "calibration", staticmethod(stored_rows.calibration)

    def add(
        self,
        space: EmbeddingSpace,
        calibration: Calibration,
        held_out: HeldOut,
        source: str,
        target_fmr: float | None,
    ) -> int:
        """Add a calibration, which decides nothing yet, and return its number."""
        self._snapshot.spaces.know(space)
        facts = {"calibration": calibration.to_dict(), "held_out": asdict(held_out)}
        stored = json.dumps(facts, allow_nan=False)
        return self._add(space.id, source, target_fmr=target_fmr, facts=stored)

    def remove(self, number: int) -> None:
        """Remove a calibration."""
        self._connection.execute(delete(calibrations).where(calibrations.c.id == number))
        LearnedFrom(self._snapshot).forget("calibration", [number])


class Adaptations(Fits[StoredAdaptation]):
    """Reads adaptations, and changes them in a change; the centroids of adapted spaces follow."""

    _table, _kind, _read = adaptations, "adaptation", staticmethod(stored_rows.adaptation)

    def add(
        self, space: EmbeddingSpace, transform: Transform, measured: dict[str, object], source: str
    ) -> int:
        """Add an adaptation of a space, which decides nothing yet, and return its number.

        All speakers in that space have a centroid in the adapted space from now on.  Raises
        StoreError when this adaptation exists already, or a sample is damaged.
        """
        adapted = adapted_space(space, transform)
        self._snapshot.spaces.know(space)
        self._snapshot.spaces.know(adapted)
        fitted = {"transform": transform.to_bytes(), "facts": json.dumps(measured)}
        number = self._add(space.id, source, adapted_id=adapted.id, **fitted)
        CentroidWriter(self._snapshot).adapt(space.id, adapted.id, transform)
        return number

    def remove(self, gone: StoredAdaptation) -> None:
        """Remove an adaptation, its centroids and its calibrations."""
        self._effects.erase(())
        CentroidWriter(self._snapshot).remove_space(gone.adapted_id)
        of_space = calibrations.c.space_id == gone.adapted_id
        query = delete(calibrations).where(of_space).returning(calibrations.c.id)
        learned = LearnedFrom(self._snapshot)
        learned.forget("calibration", self._connection.execute(query).scalars().all())
        learned.forget("adaptation", [gone.id])
        self._connection.execute(delete(adaptations).where(adaptations.c.id == gone.id))
