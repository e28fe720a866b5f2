"""Of centroids, which share of the samples came over a telephone, in place of a count."""

import json
import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from alembic import op

from voiceid.decision.transforms import Transform
from voiceid.store.pgvector import VECTOR

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_OF_SPACE = (
    "COALESCE((SELECT space_id FROM adaptations WHERE adapted_id = centroids.space_id),"
    " centroids.space_id)"
)
"""The space of the samples that a centroid is derived from."""


def upgrade() -> None:
    """Take what is not known for a telephone's: thresholds are higher there.

    Calibrations for bands are deleted: it is not known what they heard of telephones.
    """
    _derive(by_kind=False)
    op.execute("DELETE FROM calibrations")
    op.add_column(
        "centroids", sa.Column("telephone", sa.Float(), nullable=False, server_default="1")
    )
    op.drop_column("centroids", "n_narrowband")


def downgrade() -> None:
    """Count again the samples in a telephone's band; calibrations without bands are deleted."""
    op.execute("DELETE FROM calibrations")
    if op.get_bind().dialect.name == "sqlite":
        _put_the_count_back()
    else:
        count = sa.Column("n_narrowband", sa.Integer(), nullable=False, server_default="0")
        op.add_column("centroids", count)
        op.alter_column("centroids", "n_narrowband", server_default=None)
        op.drop_column("centroids", "telephone")
    counted = sa.text(
        "UPDATE centroids SET n_narrowband = (SELECT count(*) FROM samples"  # noqa: S608 - no input
        f" WHERE samples.speaker_id = centroids.speaker_id AND samples.space_id = {_OF_SPACE}"
        " AND quality LIKE :narrowband AND quality NOT LIKE :uncertain)"
    )
    op.execute(counted.bindparams(narrowband='%"narrowband"%', uncertain='%"bandwidth_uncertain"%'))
    _derive(by_kind=True)


def _put_the_count_back() -> None:
    """Make SQLite's table again: it adds no column that has neither a value nor a default."""
    run = op.get_bind().exec_driver_sql
    [(sql,)] = run("SELECT sql FROM sqlite_master WHERE name = 'centroids'").all()
    [(newest,)] = run("SELECT max(seq) FROM sqlite_sequence WHERE name = 'centroids'").all()
    run("CREATE TABLE kept AS SELECT * FROM centroids")
    run("DROP TABLE centroids")
    run(sql.replace("telephone FLOAT DEFAULT '1' NOT NULL", "n_narrowband INTEGER NOT NULL"))
    op.create_index("ix_centroids_space_id", "centroids", ["space_id"])
    columns = "id, speaker_id, space_id, vector, n_samples, net_speech_s"
    run(f"INSERT INTO centroids ({columns}, n_narrowband) SELECT {columns}, 0 FROM kept")  # noqa: S608
    run("DROP TABLE kept")
    if newest is not None:  # so that no id is given again
        run("DELETE FROM sqlite_sequence WHERE name = 'centroids'")
        run("INSERT INTO sqlite_sequence VALUES ('centroids', ?)", (newest,))


def _derive(*, by_kind: bool) -> None:
    """Derive the centroids of both kinds of samples again, and tell the feed.

    The samples weigh the same, or with ``by_kind`` the means of the two kinds.
    """
    connection = op.get_bind()
    mixed = connection.execute(
        sa.text(
            f"SELECT id, speaker_id, space_id, {_OF_SPACE} AS of_space FROM centroids"  # noqa: S608
            " WHERE n_narrowband > 0 AND n_narrowband < n_samples ORDER BY id"
        )
    ).all()
    for centroid_id, speaker_id, space_id, of_space in mixed:
        rows = connection.execute(
            sa.text(
                "SELECT vector, quality FROM samples"
                " WHERE speaker_id = :speaker_id AND space_id = :space_id ORDER BY id"
            ),
            {"speaker_id": speaker_id, "space_id": of_space},
        ).all()
        transform = connection.execute(
            sa.text("SELECT transform FROM adaptations WHERE adapted_id = :space_id"),
            {"space_id": space_id},
        ).scalar()
        vectors = np.array([np.frombuffer(row.vector, dtype="<f4") for row in rows])
        if transform is not None:
            vectors = Transform.from_bytes(transform).apply(vectors)
        narrow = np.array([_narrowband(json.loads(row.quality)["warnings"]) for row in rows])
        if by_kind:
            vectors = np.array([_unit(vectors[kind]).mean(axis=0) for kind in (narrow, ~narrow)])
        connection.execute(
            sa.text("UPDATE centroids SET vector = :vector WHERE id = :id").bindparams(
                sa.bindparam("vector", type_=VECTOR)
            ),
            {"vector": _unit(_unit(vectors).mean(axis=0)).astype("<f4").tobytes()}
            | {"id": centroid_id},
        )
        connection.execute(
            sa.text("INSERT INTO changes (centroid_id, token) VALUES (:id, :token)"),
            {"id": centroid_id, "token": secrets.token_hex(8)},
        )


def _narrowband(warnings: Sequence[str]) -> bool:
    return "narrowband" in warnings and "bandwidth_uncertain" not in warnings


def _unit(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    length = np.linalg.norm(vectors.astype(np.float64), axis=-1, keepdims=True)
    return np.asarray(vectors / length, dtype=np.float64)
