"""Speakers, their samples and centroids, and the feed of changes."""

import sqlalchemy as sa
from alembic import op

from voiceid.store.pgvector import VECTOR

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
SORTED = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    if _on_postgresql():
        op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    _speakers_and_spaces()
    _samples()
    _centroids_and_changes()
    if _on_postgresql():
        _codes()


def _speakers_and_spaces() -> None:
    op.create_table(
        "speakers",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("name_key", SORTED, nullable=False),
        sa.Column("created_at", SORTED, nullable=False),
        sa.Column("updated_at", SORTED, nullable=False),
        sa.UniqueConstraint("name_key", name="uq_speakers_name_key"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "embedding_spaces",
        sa.Column("id", SORTED, nullable=False),
        sa.Column("dim", sa.Integer(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_embedding_spaces"),
        sa.CheckConstraint("dim > 0", name="ck_embedding_spaces_dim_positive"),
    )


def _samples() -> None:
    op.create_table(
        "samples",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("speaker_id", NUMBER, nullable=False),
        sa.Column("space_id", SORTED, nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("pcm_sha256", sa.String(64), nullable=False),
        sa.Column("source_name", sa.String(), nullable=False),
        sa.Column("net_speech_s", sa.Float(), nullable=False),
        sa.Column("quality", sa.Text(), nullable=False),
        sa.Column("overrides", sa.Text(), nullable=False),
        sa.Column("created_at", SORTED, nullable=False),
        *_owned("samples"),
        sa.UniqueConstraint(
            "speaker_id", "space_id", "pcm_sha256", name="uq_samples_speaker_id_space_id_pcm_sha256"
        ),
        sa.CheckConstraint("length(pcm_sha256) = 64", name="ck_samples_pcm_sha256_hex"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_samples_pcm_sha256", "samples", ["pcm_sha256"])
    if _on_postgresql():
        op.execute(
            "CREATE FUNCTION samples_are_immutable() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'samples are immutable'; END $$"
        )
        op.execute(
            "CREATE TRIGGER samples_are_immutable BEFORE UPDATE ON samples"
            " FOR EACH ROW EXECUTE FUNCTION samples_are_immutable()"
        )
    else:
        op.execute(
            "CREATE TRIGGER samples_are_immutable BEFORE UPDATE ON samples"
            " BEGIN SELECT RAISE(ABORT, 'samples are immutable'); END"
        )


def _centroids_and_changes() -> None:
    op.create_table(
        "centroids",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("speaker_id", NUMBER, nullable=False),
        sa.Column("space_id", SORTED, nullable=False),
        sa.Column("vector", VECTOR, nullable=False),
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
        sa.Column("revision", NUMBER, primary_key=True),
        sa.Column("centroid_id", NUMBER, nullable=False),
        sa.Column("token", sa.String(16), nullable=False),
        sqlite_autoincrement=True,
    )


def _codes() -> None:
    """What a search looks through first on PostgreSQL: see `voiceid.store.pgvector`."""
    op.execute(
        """
        CREATE TABLE codings (
            space_id varchar COLLATE "C" PRIMARY KEY REFERENCES embedding_spaces,
            mean vector NOT NULL,
            share double precision NOT NULL,
            missed integer NOT NULL,
            queries integer NOT NULL
        );
        CREATE TABLE codes (
            centroid_id bigint PRIMARY KEY REFERENCES centroids ON DELETE CASCADE,
            space_id varchar COLLATE "C" NOT NULL,
            speaker_id bigint NOT NULL,
            code varbit NOT NULL
        );
        CREATE INDEX ix_codes_space_id ON codes (space_id);
        CREATE FUNCTION code_centroid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO codes
            SELECT NEW.id, NEW.space_id, NEW.speaker_id, binary_quantize(NEW.vector - mean)
            FROM codings WHERE space_id = NEW.space_id
            ON CONFLICT (centroid_id) DO UPDATE SET code = excluded.code;
            RETURN NULL;
        END $$;
        CREATE TRIGGER centroids_are_coded AFTER INSERT OR UPDATE OF vector ON centroids
            FOR EACH ROW EXECUTE FUNCTION code_centroid();
        """
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
        ).ddl_if(dialect="sqlite" if table == "centroids" else None),
    )


def _on_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"
