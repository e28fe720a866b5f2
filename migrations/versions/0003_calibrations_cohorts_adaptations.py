"""Calibrations, cohorts and adaptations: what was fitted on a site's own recordings."""

import json
import secrets
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

from voiceid.store.pgvector import VECTOR

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
SORTED = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    _fitted(
        "calibrations",
        sa.Column("target_fmr", sa.Float()),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("used_since", SORTED),
    )
    _one_in_use("calibrations")
    _fitted("cohorts", sa.Column("vectors", sa.LargeBinary(), nullable=False))
    _fitted(
        "adaptations",
        sa.Column("adapted_id", SORTED, nullable=False),
        sa.Column("transform", sa.LargeBinary(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("used_since", SORTED),
        sa.ForeignKeyConstraint(
            ["adapted_id"],
            ["embedding_spaces.id"],
            name="fk_adaptations_adapted_id_embedding_spaces",
        ),
        sa.UniqueConstraint("adapted_id", name="uq_adaptations_adapted_id"),
    )
    _one_in_use("adaptations")
    _weigh_bands_alike()


def _one_in_use(table: str) -> None:
    """Let one row of a space be in use, and no more."""
    where: dict[str, Any] = {
        f"{op.get_bind().dialect.name}_where": sa.text("used_since IS NOT NULL")
    }
    op.create_index(f"uq_{table}_in_use", table, ["space_id"], unique=True, **where)


def _weigh_bands_alike() -> None:
    """Derive anew the centroids of speakers with samples of both bands, and tell the feed.

    From here on the two kinds' means weigh the same, whatever the number of samples.
    """
    connection = op.get_bind()
    mixed = connection.execute(
        sa.text(
            "SELECT id, speaker_id, space_id FROM centroids"
            " WHERE n_narrowband > 0 AND n_narrowband < n_samples"
        )
    ).all()
    for centroid_id, speaker_id, space_id in mixed:
        found = connection.execute(
            sa.text(
                "SELECT vector, quality FROM samples"
                " WHERE speaker_id = :speaker_id AND space_id = :space_id ORDER BY id"
            ),
            {"speaker_id": speaker_id, "space_id": space_id},
        ).all()
        narrow = np.array(["narrowband" in json.loads(row.quality)["warnings"] for row in found])
        vectors = np.array([np.frombuffer(row.vector, dtype="<f4") for row in found])
        kinds = [_unit(_unit(vectors[kind]).mean(axis=0)) for kind in (narrow, ~narrow)]
        connection.execute(
            sa.text("UPDATE centroids SET vector = :vector WHERE id = :id").bindparams(
                sa.bindparam("vector", type_=VECTOR)
            ),
            {"vector": _unit(np.mean(kinds, axis=0)).astype("<f4").tobytes(), "id": centroid_id},
        )
        connection.execute(
            sa.text("INSERT INTO changes (centroid_id, token) VALUES (:id, :token)"),
            {"id": centroid_id, "token": secrets.token_hex(8)},
        )


def _unit(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    length = np.linalg.norm(vectors.astype(np.float64), axis=-1, keepdims=True)
    return np.asarray(vectors / length, dtype=np.float64)


def _fitted(name: str, *more: SchemaItem) -> None:
    """Make a table of what belongs to an embedding space, and came from somewhere."""
    op.create_table(
        name,
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("space_id", SORTED, nullable=False),
        sa.Column("created_at", SORTED, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        *more,
        sa.ForeignKeyConstraint(
            ["space_id"], ["embedding_spaces.id"], name=f"fk_{name}_space_id_embedding_spaces"
        ),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Take away what 0002 does not know; its data is lost.

    The samples are in the model's own space whatever was adapted, so nobody is lost with it.
    """
    adapted = "IN (SELECT adapted_id FROM adaptations)"
    op.execute(f"DELETE FROM centroids WHERE space_id {adapted}")  # noqa: S608 - no input
    op.execute(f"DELETE FROM calibrations WHERE space_id {adapted}")  # noqa: S608
    for name in ("adaptations", "cohorts", "calibrations"):
        op.drop_table(name)
