"""On PostgreSQL: codes of three bits for a component.  Those of one are dropped.

Everybody is compared until they are made anew (`voiceid index rebuild`).
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(
        """
        DELETE FROM codes;
        DELETE FROM codings;
        ALTER TABLE codings ADD COLUMN spread vector NOT NULL;
        CREATE FUNCTION voice_code(voice vector, mean vector, spread vector) RETURNS varbit
            LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT binary_quantize(voice - mean - spread) || binary_quantize(voice - mean)
                || binary_quantize(voice - mean + spread)
        $$
        """
    )
    _code_by("voice_code(NEW.vector, mean, spread)")


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(
        """
        DELETE FROM codes;
        DELETE FROM codings;
        ALTER TABLE codings DROP COLUMN spread
        """
    )
    _code_by("binary_quantize(NEW.vector - mean)")
    op.execute("DROP FUNCTION voice_code")


def _code_by(code: str) -> None:
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION code_centroid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO codes
            SELECT NEW.id, NEW.space_id, NEW.speaker_id, {code}
            FROM codings WHERE space_id = NEW.space_id
            ON CONFLICT (centroid_id) DO UPDATE SET code = excluded.code;
            RETURN NULL;
        END $$
        """  # noqa: S608
    )
