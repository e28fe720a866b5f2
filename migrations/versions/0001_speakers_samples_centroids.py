"""Speakers, their samples and centroids, and the feed of changes."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _speakers_and_spaces()
    _samples()
    _centroids_and_changes()


def _speakers_and_spaces() -> None:
    op.create_table(
        "speakers",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_key", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("updated_at", sa.String(), nullable=False),
        sa.UniqueConstraint("name_key", name="uq_speakers_name_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "embedding_spaces",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("dim", sa.Integer(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_embedding_spaces"),
        sa.CheckConstraint("dim > 0", name="ck_embedding_spaces_dim_positive"),
    )


def _samples() -> None:
    op.create_table(
        "samples",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("speaker_id", sa.Integer(), nullable=False),
        sa.Column("space_id", sa.String(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("pcm_sha256", sa.String(64), nullable=False),
        sa.Column("source_name", sa.String(), nullable=False),
        sa.Column("net_speech_s", sa.Float(), nullable=False),
        sa.Column("quality", sa.Text(), nullable=False),
        sa.Column("overrides", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        *_owned("samples"),
        sa.UniqueConstraint(
            "speaker_id", "space_id", "pcm_sha256", name="uq_samples_speaker_id_space_id_pcm_sha256"
        ),
        sa.CheckConstraint("length(pcm_sha256) = 64", name="ck_samples_pcm_sha256_hex"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_samples_pcm_sha256", "samples", ["pcm_sha256"])
    op.execute(
        "CREATE TRIGGER samples_are_immutable BEFORE UPDATE ON samples"
        " BEGIN SELECT RAISE(ABORT, 'samples are immutable'); END"
    )


def _centroids_and_changes() -> None:
    op.create_table(
        "centroids",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("speaker_id", sa.Integer(), nullable=False),
        sa.Column("space_id", sa.String(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("n_samples", sa.Integer(), nullable=False),
        sa.Column("n_narrowband", sa.Integer(), nullable=False),
        sa.Column("net_speech_s", sa.Float(), nullable=False),
        *_owned("centroids"),
        sa.UniqueConstraint("speaker_id", "space_id", name="uq_centroids_speaker_id_space_id"),
        sa.CheckConstraint("n_samples > 0", name="ck_centroids_n_samples_positive"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_centroids_space_id", "centroids", ["space_id"])
    op.create_table(
        "changes",
        sa.Column("revision", sa.Integer(), primary_key=True),
        sa.Column("centroid_id", sa.Integer(), nullable=False),
        sa.Column("token", sa.String(16), nullable=False),
        sqlite_autoincrement=True,
    )


def _owned(table: str) -> tuple[sa.Constraint, ...]:
    """A vector that belongs to a speaker, in a space."""
    return (
        sa.ForeignKeyConstraint(
            ["speaker_id"],
            ["speakers.id"],
            name=f"fk_{table}_speaker_id_speakers",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["space_id"], ["embedding_spaces.id"], name=f"fk_{table}_space_id_embedding_spaces"
        ),
        sa.CheckConstraint(
            "length(vector) % 4 = 0 AND length(vector) > 0", name=f"ck_{table}_vector_float32"
        ),
    )
