"""Erasures: removals of which traces may be left in files beside the database's rows."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
SORTED = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("created_at", SORTED, nullable=False),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Take away what 0005 does not know: no row of anybody is lost with it."""
    op.drop_table("erasures")
