"""The protection of a gallery, the keys of its speakers, consents, and what their rights need."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
SORTED = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "protection",
        sa.Column("gallery_id", SORTED, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key_id", sa.String(), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=False),
        sa.Column("protected_at", SORTED, nullable=False),
        sa.Column("renewed_at", SORTED, nullable=False),
        sa.Column("key_changed_at", SORTED, nullable=False),
        sa.PrimaryKeyConstraint("gallery_id", name="pk_protection"),
    )
    op.create_table(
        "speaker_keys",
        sa.Column("speaker_id", NUMBER, nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("speaker_id", name="pk_speaker_keys"),
        sa.ForeignKeyConstraint(
            ["speaker_id"],
            ["speakers.id"],
            name="fk_speaker_keys_speaker_id_speakers",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "name_looks",
        sa.Column("look", SORTED, nullable=False),
        sa.Column("speaker_id", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("look", "speaker_id", name="pk_name_looks"),
        sa.ForeignKeyConstraint(
            ["speaker_id"],
            ["speakers.id"],
            name="fk_name_looks_speaker_id_speakers",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_name_looks_speaker_id", "name_looks", ["speaker_id"])
    op.create_table(
        "fit_speakers",
        sa.Column("kind", SORTED, nullable=False),
        sa.Column("number", NUMBER, nullable=False),
        sa.Column("speaker_ids", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "number", name="pk_fit_speakers"),
    )
    op.add_column("speakers", sa.Column("consents", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("speakers", sa.Column("consent_until", SORTED))
    op.add_column("speakers", sa.Column("last_used_on", SORTED))
    op.create_table(
        "retention_runs",
        sa.Column("day", SORTED, nullable=False),
        sa.Column("started_at", SORTED, nullable=False),
        sa.PrimaryKeyConstraint("day", name="pk_retention_runs"),
    )
    op.create_table(
        "backups",
        sa.Column("id", SORTED, nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("made_at", SORTED, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_backups"),
    )


def downgrade() -> None:
    """Take the tables away; a protected gallery must be made plain first."""
    if op.get_bind().execute(sa.text("SELECT 1 FROM protection")).first() is not None:
        raise RuntimeError("the gallery is protected: `voiceid keys gallery off` first")
    op.drop_table("backups")
    op.drop_table("retention_runs")
    for column in ("last_used_on", "consent_until", "consents"):
        op.drop_column("speakers", column)
    op.drop_table("fit_speakers")
    op.drop_table("name_looks")
    op.drop_table("speaker_keys")
    op.drop_table("protection")
