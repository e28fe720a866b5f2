"""What was fitted on a site's own recordings: calibrations and adaptations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy import Connection, Table, delete, insert, select, update

from voiceid.decision.adaptation import StoredAdaptation
from voiceid.decision.calibration import Calibration, HeldOut, StoredCalibration
from voiceid.domain import EmbeddingSpace
from voiceid.store import rows
from voiceid.store.tables import adaptations, calibrations, embedding_spaces


class FittedReader:
    """Reads what was fitted, in one snapshot of the database."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def calibrations(self) -> list[StoredCalibration]:
        """Return all calibrations, of all spaces, oldest first; raises StoreError if damaged."""
        found = self._connection.execute(select(calibrations).order_by(calibrations.c.id))
        return [rows.calibration(row) for row in found]

    def calibration_in_use(self, space_id: str) -> StoredCalibration | None:
        """Return the calibration that decides in a space, or None; raises StoreError if damaged."""
        mine = calibrations.c.space_id == space_id
        row = self._connection.execute(
            select(calibrations).where(mine, calibrations.c.used_since.is_not(None))
        ).first()
        return None if row is None else rows.calibration(row)

    def adaptations(self, space_id: str | None = None) -> list[StoredAdaptation]:
        """Return the adaptations of a space, or of all, oldest first; StoreError if damaged."""
        query = select(adaptations).order_by(adaptations.c.id)
        if space_id is not None:
            query = query.where(adaptations.c.space_id == space_id)
        return [rows.adaptation(row) for row in self._connection.execute(query)]

    def adaptation_in_use(self, space_id: str) -> StoredAdaptation | None:
        """Return the adaptation that decisions in a space are made by, or None."""
        mine = adaptations.c.space_id == space_id
        row = self._connection.execute(
            select(adaptations).where(mine, adaptations.c.used_since.is_not(None))
        ).first()
        return None if row is None else rows.adaptation(row)


class FittedWriter(FittedReader):
    """Changes what was fitted; everything is committed at once, or nothing."""

    def know_space(self, space: EmbeddingSpace) -> None:
        """Write down an embedding space, if it is not known yet."""
        known = select(embedding_spaces.c.id).where(embedding_spaces.c.id == space.id)
        if self._connection.execute(known).first() is None:
            facts = json.dumps(space.to_dict())
            self._connection.execute(
                insert(embedding_spaces).values(id=space.id, dim=space.dim, facts=facts)
            )

    def add_calibration(
        self,
        space: EmbeddingSpace,
        calibration: Calibration,
        held_out: HeldOut,
        source: str,
        target_fmr: float | None,
    ) -> int:
        """Add a calibration, which decides nothing yet, and return its number."""
        self.know_space(space)
        facts = {"calibration": calibration.to_dict(), "held_out": asdict(held_out)}
        return self._added(
            calibrations,
            space.id,
            source,
            {"target_fmr": target_fmr, "facts": json.dumps(facts, allow_nan=False)},
        )

    def use_calibration(self, space_id: str, calibration_id: int | None) -> None:
        """Let one calibration, or None, decide in a space from now on."""
        self._use(calibrations, space_id, calibration_id)

    def remove_calibrations(self, ids: Sequence[int]) -> None:
        """Remove calibrations."""
        self._connection.execute(delete(calibrations).where(calibrations.c.id.in_(ids)))

    def _added(self, table: Table, space_id: str, source: str, more: dict[str, object]) -> int:
        now = datetime.now(UTC).isoformat()
        made = self._connection.execute(
            insert(table).values(space_id=space_id, created_at=now, source=source, **more)
        ).inserted_primary_key
        return int(made[0]) if made else 0

    def _use(self, table: Table, space_id: str, row_id: int | None) -> None:
        mine = table.c.space_id == space_id
        self._connection.execute(update(table).where(mine).values(used_since=None))
        if row_id is not None:
            now = datetime.now(UTC).isoformat()
            self._connection.execute(
                update(table).where(mine, table.c.id == row_id).values(used_since=now)
            )
