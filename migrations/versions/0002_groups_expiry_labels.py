"""Groups, metadata, expiry and disabling of speakers; labels of samples."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
SORTED = sa.String().with_variant(sa.String(collation="C"), "postgresql")

# Columns are added in place: to make a table anew would copy every vector, and drop the
# trigger that keeps samples as they are.


def upgrade() -> None:
    op.add_column("speakers", sa.Column("metadata", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("speakers", sa.Column("expires_at", SORTED))
    op.add_column("speakers", sa.Column("disabled_at", SORTED))
    op.add_column("samples", sa.Column("label", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "memberships",
        sa.Column("group_name", SORTED, nullable=False),
        sa.Column("speaker_id", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("group_name", "speaker_id", name="pk_memberships"),
        sa.ForeignKeyConstraint(
            ["speaker_id"],
            ["speakers.id"],
            name="fk_memberships_speaker_id_speakers",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_memberships_speaker_id", "memberships", ["speaker_id"])


def downgrade() -> None:
    """Take away what 0001 does not know; its data is lost."""
    op.drop_table("memberships")
    op.drop_column("samples", "label")
    for column in ("disabled_at", "expires_at", "metadata"):
        op.drop_column("speakers", column)
