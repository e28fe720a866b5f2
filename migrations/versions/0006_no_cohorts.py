"""No cohorts, and no calibration of scores that one normalised: scores are raw cosines."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
SORTED = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    """Delete what would decide on raw cosines by thresholds for normalised scores."""
    _run("DELETE FROM calibrations WHERE facts LIKE :part", part='%"normalization": {%')
    op.drop_table("cohorts")


def downgrade() -> None:
    op.create_table(
        "cohorts",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("space_id", SORTED, nullable=False),
        sa.Column("created_at", SORTED, nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("vectors", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["space_id"], ["embedding_spaces.id"], name="fk_cohorts_space_id_embedding_spaces"
        ),
        sqlite_autoincrement=True,
    )
    # 0005 wants every calibration to say that its scores were not normalised.
    _run(
        "UPDATE calibrations SET facts = replace(facts, :start, :said) WHERE facts NOT LIKE :part",
        start='{"calibration": {',
        said='{"calibration": {"normalization": null, ',
        part='%"normalization": null%',
    )


def _run(statement: str, **values: str) -> None:
    op.execute(sa.text(statement).bindparams(**values))
