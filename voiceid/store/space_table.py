"""Embedding spaces, and the one in use."""

from __future__ import annotations

import json
from dataclasses import fields

from sqlalchemy import Connection, insert, select

from voiceid.domain import EmbeddingSpace, joined, space_in_use
from voiceid.errors import SpaceMismatch
from voiceid.store import stored_rows
from voiceid.store.tables import embedding_spaces, model_changes

_PAIRS = select(model_changes.c.from_space, model_changes.c.to_space).order_by(model_changes.c.id)
_SPACES = (
    select(embedding_spaces.c.id, embedding_spaces.c.dim, model_changes.c.to_space)
    .outerjoin(
        model_changes,
        (model_changes.c.from_space == embedding_spaces.c.id)
        & model_changes.c.switched_at.is_not(None),
    )
    .order_by(model_changes.c.id)
)
"""Each space with the space that replaced it, if any, in the order of the switches."""


class Spaces:
    """Reads embedding spaces, and adds new ones in a change."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dims: dict[str, int] | None = None
        self._switches: list[tuple[str, str]] = []

    def dims(self) -> dict[str, int]:
        """Return the dimension of each known embedding space, by id; raises StoreError."""
        if self._dims is None:  # read once a transaction, with the switches
            rows = self._connection.execute(_SPACES).all()
            self._switches = [(row.id, row.to_space) for row in rows if row.to_space is not None]
            if not all(isinstance(row.dim, int) and row.dim > 0 for row in rows):
                raise stored_rows.damaged_row("the dimension of an embedding space")
            self._dims = {row.id: row.dim for row in rows}
        return self._dims

    def current(self, space_id: str) -> str:
        """Return the space that replaced ``space_id``, or itself."""
        self.dims()
        return space_in_use(space_id, self._switches)

    def require_current(self, space_id: str) -> None:
        """Raise SpaceMismatch when another space has replaced this one."""
        now = self.current(space_id)
        if now != space_id:
            raise SpaceMismatch(
                f"the gallery was switched from {space_id} to {now}",
                hint="Try again; a vector or a file must be of the space in use.",
            )

    def model_of(self, space_id: str) -> str:
        """Return the name of the model of a space."""
        facts = select(embedding_spaces.c.facts).where(embedding_spaces.c.id == space_id)
        return _space_of(self._connection.execute(facts).scalar_one()).model

    def of_encoder(self, space: EmbeddingSpace) -> list[str]:
        """Return the other spaces of the same encoder, raw or compensated, oldest first.

        Only spaces that no other space has replaced; an adapted space holds no samples.
        """
        query = select(embedding_spaces.c.id, embedding_spaces.c.facts)
        ids = []
        for row in self._connection.execute(query):
            same = _space_of(row.facts).raw.id == space.raw.id
            if same and row.id != space.id and self.current(row.id) == row.id:
                ids.append(row.id)
        return ids

    def joined(self, space_id: str) -> set[str]:
        """Return the spaces that switches of the model join to a space, with itself."""
        return joined(space_id, [(a, b) for a, b in self._connection.execute(_PAIRS)])

    def know(self, space: EmbeddingSpace) -> None:
        """Store an embedding space if it is not known yet."""
        if space.id not in self.dims():
            facts = json.dumps(space.to_dict())
            query = insert(embedding_spaces).values(id=space.id, dim=space.dim, facts=facts)
            self._connection.execute(query)
            self.dims()[space.id] = space.dim

    def switched(self) -> None:
        """Note, in a change, that a space replaced another."""
        self._dims = None


def _space_of(stored: str) -> EmbeddingSpace:
    """Return the space of stored facts, of which some may be an older version's."""
    names = {field.name for field in fields(EmbeddingSpace)}
    try:
        facts = {key: fact for key, fact in json.loads(stored).items() if key in names}
        return EmbeddingSpace(**facts)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise stored_rows.damaged_row("an embedding space") from error
