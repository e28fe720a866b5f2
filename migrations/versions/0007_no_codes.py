"""On PostgreSQL: drop the codes; a search compares the vectors themselves."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            """
            DROP TRIGGER centroids_are_coded ON centroids;
            DROP FUNCTION code_centroid();
            DROP FUNCTION voice_code(vector, vector, vector);
            DROP TABLE codes;
            DROP TABLE codings
            """
        )


def downgrade() -> None:
    """Make what 0006 searches with, empty: `voiceid index rebuild` fills it."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute(
        """
        CREATE TABLE codings (
            space_id varchar COLLATE "C" PRIMARY KEY REFERENCES embedding_spaces,
            mean vector NOT NULL,
            share double precision NOT NULL,
            missed integer NOT NULL,
            queries integer NOT NULL,
            spread vector NOT NULL
        );
        CREATE TABLE codes (
            centroid_id bigint PRIMARY KEY REFERENCES centroids ON DELETE CASCADE,
            space_id varchar COLLATE "C" NOT NULL,
            speaker_id bigint NOT NULL,
            code varbit NOT NULL
        );
        CREATE INDEX ix_codes_space_id ON codes (space_id);
        CREATE FUNCTION voice_code(voice vector, mean vector, spread vector) RETURNS varbit
            LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
            SELECT binary_quantize(voice - mean - spread) || binary_quantize(voice - mean)
                || binary_quantize(voice - mean + spread)
        $$;
        CREATE FUNCTION code_centroid() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO codes
            SELECT NEW.id, NEW.space_id, NEW.speaker_id, voice_code(NEW.vector, mean, spread)
            FROM codings WHERE space_id = NEW.space_id
            ON CONFLICT (centroid_id) DO UPDATE SET code = excluded.code;
            RETURN NULL;
        END $$;
        CREATE TRIGGER centroids_are_coded AFTER INSERT OR UPDATE OF vector ON centroids
            FOR EACH ROW EXECUTE FUNCTION code_centroid()
        """
    )
