"""What a service keeps: keys, their uses, failed attempts, jobs, and answers to repeat."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

NUMBER = sa.Integer().with_variant(sa.BigInteger(), "postgresql")
SORTED = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", SORTED, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("groups", sa.Text(), nullable=False),
        sa.Column("networks", sa.Text(), nullable=False),
        sa.Column("requests_per_minute", sa.Integer()),
        sa.Column("created_at", SORTED, nullable=False),
        sa.Column("expires_at", SORTED),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
    op.create_table(
        "key_uses",
        sa.Column("key_id", SORTED, nullable=False),
        sa.Column("minute", NUMBER, nullable=False),
        sa.Column("n_requests", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", "minute", name="pk_key_uses"),
        sa.ForeignKeyConstraint(
            ["key_id"], ["api_keys.id"], name="fk_key_uses_key_id_api_keys", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "attempts",
        sa.Column("id", NUMBER, primary_key=True),
        sa.Column("name_key", SORTED, nullable=False),
        sa.Column("caller", SORTED, nullable=False),
        sa.Column("failed_at", SORTED, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_attempts_name_key", "attempts", ["name_key"])
    op.create_index("ix_attempts_caller", "attempts", ["caller"])
    op.create_table(
        "jobs",
        sa.Column("id", SORTED, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("key_id", sa.String()),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("done", sa.Float()),
        sa.Column("total", sa.Float()),
        sa.Column("result", sa.Text()),
        sa.Column("pictures", sa.Text()),
        sa.Column("is_forgotten", sa.Integer(), nullable=False),
        sa.Column("owner", sa.String()),
        sa.Column("lease_until", SORTED),
        sa.Column("n_starts", sa.Integer(), nullable=False),
        sa.Column("created_at", SORTED, nullable=False),
        sa.Column("updated_at", SORTED, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_table(
        "kept_answers",
        sa.Column("caller", SORTED, nullable=False),
        sa.Column("key_sha256", sa.String(64), nullable=False),
        sa.Column("request_sha256", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("answer", sa.Text()),
        sa.Column("is_forgotten", sa.Integer(), nullable=False),
        sa.Column("created_at", SORTED, nullable=False),
        sa.PrimaryKeyConstraint("caller", "key_sha256", name="pk_kept_answers"),
    )


def downgrade() -> None:
    """Take away what a service kept: no voice is lost with it."""
    for table in ("kept_answers", "jobs", "attempts", "key_uses", "api_keys"):
        op.drop_table(table)
