"""Changes of the model: from which embedding space to which, and since when."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "model_changes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("from_space", sa.String(), nullable=False),
        sa.Column("to_space", sa.String(), nullable=False),
        sa.Column("after_sample", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.String(), nullable=False),
        sa.Column("switched_at", sa.String()),
        sa.ForeignKeyConstraint(
            ["from_space"],
            ["embedding_spaces.id"],
            name="fk_model_changes_from_space_embedding_spaces",
        ),
        sa.ForeignKeyConstraint(
            ["to_space"],
            ["embedding_spaces.id"],
            name="fk_model_changes_to_space_embedding_spaces",
        ),
        sa.CheckConstraint("from_space <> to_space", name="ck_model_changes_spaces_differ"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_model_changes_open",
        "model_changes",
        ["from_space"],
        unique=True,
        sqlite_where=sa.text("switched_at IS NULL"),
        postgresql_where=sa.text("switched_at IS NULL"),
    )


def downgrade() -> None:
    """Take away what 0003 does not know: whoever looks for the old model's samples finds them.

    Nobody is lost with it, but after a switch the model has to be named in the settings.
    """
    op.drop_table("model_changes")
