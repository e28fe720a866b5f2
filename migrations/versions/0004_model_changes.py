"""Changes of the model: from which embedding space to which, and since when."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
SORTED = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "model_changes",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("from_space", SORTED, nullable=False),
        sa.Column("to_space", SORTED, nullable=False),
        sa.Column("after_sample", NUMBER, nullable=False),
        sa.Column("started_at", SORTED, nullable=False),
        sa.Column("switched_at", SORTED),
        sa.ForeignKeyConstraint(
            ["from_space"],
            ["embedding_spaces.id"],
            name="fk_model_changes_from_space_embedding_spaces",
        ),
        sa.ForeignKeyConstraint(
            ["to_space"], ["embedding_spaces.id"], name="fk_model_changes_to_space_embedding_spaces"
        ),
        sa.CheckConstraint("from_space <> to_space", name="ck_model_changes_spaces_differ"),
        sqlite_autoincrement=True,
    )
    where: dict[str, Any] = {f"{op.get_bind().dialect.name}_where": sa.text("switched_at IS NULL")}
    op.create_index("uq_model_changes_open", "model_changes", ["from_space"], unique=True, **where)


def downgrade() -> None:
    """Take away what 0003 does not know: whoever looks for the old model's samples finds them.

    Nobody is lost with it, but after a switch the model has to be named in the settings.
    """
    op.drop_table("model_changes")
