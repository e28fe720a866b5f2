"""Calibrations, cohorts and adaptations: what was fitted on a site's own recordings."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _fitted(
        "calibrations",
        sa.Column("target_fmr", sa.Float()),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("used_since", sa.String()),
    )
    op.create_index(
        "uq_calibrations_in_use",
        "calibrations",
        ["space_id"],
        unique=True,
        sqlite_where=sa.text("used_since IS NOT NULL"),
    )
    _fitted("cohorts", sa.Column("vectors", sa.LargeBinary(), nullable=False))
    _fitted(
        "adaptations",
        sa.Column("adapted_id", sa.String(), nullable=False),
        sa.Column("transform", sa.LargeBinary(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("used_since", sa.String()),
        sa.ForeignKeyConstraint(
            ["adapted_id"],
            ["embedding_spaces.id"],
            name="fk_adaptations_adapted_id_embedding_spaces",
        ),
        sa.UniqueConstraint("adapted_id", name="uq_adaptations_adapted_id"),
    )
    op.create_index(
        "uq_adaptations_in_use",
        "adaptations",
        ["space_id"],
        unique=True,
        sqlite_where=sa.text("used_since IS NOT NULL"),
    )


def _fitted(name: str, *more: SchemaItem) -> None:
    """Make a table of what belongs to an embedding space, and came from somewhere."""
    op.create_table(
        name,
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("space_id", sa.String(), nullable=False),
        sa.Column("created_at", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        *more,
        sa.ForeignKeyConstraint(
            ["space_id"], ["embedding_spaces.id"], name=f"fk_{name}_space_id_embedding_spaces"
        ),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    """Take away what 0002 does not know; its data is lost.

    The samples are in the model's own space whatever was adapted, so nobody is lost with it.
    """
    adapted = "IN (SELECT adapted_id FROM adaptations)"
    op.execute(f"DELETE FROM centroids WHERE space_id {adapted}")  # noqa: S608 - no input
    op.execute(f"DELETE FROM calibrations WHERE space_id {adapted}")  # noqa: S608
    for name in ("adaptations", "cohorts", "calibrations"):
        op.drop_table(name)
