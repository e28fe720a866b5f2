"""Fingerprints of what was enrolled and accepted."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
SORTED = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "fingerprints",
        sa.Column("id", NUMBER, nullable=False),
        sa.Column("speaker_id", NUMBER, nullable=False),
        sa.Column("heard_as", sa.String(), nullable=False),
        sa.Column("pcm_sha256", sa.String(64), nullable=False),
        sa.Column("words", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", SORTED, nullable=False),
        sa.Column("expires_at", SORTED),
        sa.ForeignKeyConstraint(
            ["speaker_id"],
            ["speakers.id"],
            name="fk_fingerprints_speaker_id_speakers",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_fingerprints"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_fingerprints_speaker_id", "fingerprints", ["speaker_id"])
    op.create_index("ix_fingerprints_expires_at", "fingerprints", ["expires_at"])


def downgrade() -> None:
    op.drop_table("fingerprints")
