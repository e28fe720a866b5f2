"""Spoken codes: the words of speakers, and the codes that are asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
SORTED = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "spoken_words",
        sa.Column("speaker_id", NUMBER, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", SORTED, nullable=False),
        sa.PrimaryKeyConstraint("speaker_id", name="pk_spoken_words"),
        sa.ForeignKeyConstraint(
            ["speaker_id"],
            ["speakers.id"],
            name="fk_spoken_words_speaker_id_speakers",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "challenges",
        sa.Column("id", SORTED, nullable=False),
        sa.Column("name_key", SORTED, nullable=False),
        sa.Column("caller", sa.String(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("expires_at", SORTED, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_challenges"),
    )


def downgrade() -> None:
    """Take the words away: no voice is lost with them."""
    op.drop_table("challenges")
    op.drop_table("spoken_words")
