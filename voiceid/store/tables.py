"""The tables of the database.  SQL is the truth; everything else is derived from it.

Samples are immutable rows (a trigger refuses to change one).  A centroid is derived from the
samples of a speaker in one embedding space, in the transaction that changes them; each such change,
and each of a speaker's groups, appends a row to ``changes``, the feed that the indexes follow.
Ids are AUTOINCREMENT, so that the id of a removed row is never used again.  Times are ISO 8601 in
UTC: they sort as text.  Vectors are little-endian float32; a centroid's is pgvector's `vector` on
PostgreSQL.  In a protected gallery vectors are rotated; in a sealed one the columns with personal
data hold what `store.protection` makes of them.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from voiceid.store.pgvector import VECTOR

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_NUMBER = Integer().with_variant(BigInteger(), "postgresql")
"""An id or a revision: 64 bits, as every INTEGER of SQLite is."""
_SORTED = String().with_variant(String(collation="C"), "postgresql")
"""A text that rows are sorted by, in byte order, as in SQLite."""

speakers = Table(
    "speakers",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("name", String, nullable=False),
    Column("name_key", _SORTED, nullable=False),
    Column("created_at", _SORTED, nullable=False),
    Column("updated_at", _SORTED, nullable=False),
    Column("metadata", Text, nullable=False, server_default="{}"),
    Column("expires_at", _SORTED),
    Column("disabled_at", _SORTED),
    Column("consents", Text, nullable=False, server_default="[]"),
    Column("consent_until", _SORTED),
    Column("last_used_on", _SORTED),
    UniqueConstraint("name_key"),
    sqlite_autoincrement=True,
)

memberships = Table(
    "memberships",
    metadata,
    Column("group_name", _SORTED, primary_key=True),
    Column("speaker_id", ForeignKey("speakers.id", ondelete="CASCADE"), primary_key=True),
    Index(None, "speaker_id"),
)

embedding_spaces = Table(
    "embedding_spaces",
    metadata,
    Column("id", _SORTED, primary_key=True),
    Column("dim", Integer, nullable=False),
    Column("facts", Text, nullable=False),
    CheckConstraint("dim > 0", name="dim_positive"),
)

samples = Table(
    "samples",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("speaker_id", ForeignKey("speakers.id", ondelete="CASCADE"), nullable=False),
    Column("space_id", ForeignKey("embedding_spaces.id"), nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Column("pcm_sha256", String(64), nullable=False),
    Column("source_name", String, nullable=False),
    Column("net_speech_s", Float, nullable=False),
    Column("quality", Text, nullable=False),
    Column("overrides", Text, nullable=False),
    Column("created_at", _SORTED, nullable=False),
    Column("label", String, nullable=False, server_default=""),
    UniqueConstraint("speaker_id", "space_id", "pcm_sha256"),
    CheckConstraint("length(vector) % 4 = 0 AND length(vector) > 0", name="vector_float32"),
    CheckConstraint("length(pcm_sha256) = 64", name="pcm_sha256_hex"),
    Index(None, "pcm_sha256"),
    sqlite_autoincrement=True,
)

centroids = Table(
    "centroids",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("speaker_id", ForeignKey("speakers.id", ondelete="CASCADE"), nullable=False),
    Column("space_id", ForeignKey("embedding_spaces.id"), nullable=False),
    Column("vector", VECTOR, nullable=False),
    Column("n_samples", Integer, nullable=False),
    Column("telephone", Float, nullable=False, server_default="1"),
    Column("net_speech_s", Float, nullable=False),
    UniqueConstraint("speaker_id", "space_id"),
    CheckConstraint("length(vector) % 4 = 0 AND length(vector) > 0", name="vector_float32").ddl_if(
        dialect="sqlite"
    ),  # on PostgreSQL the type ensures it
    CheckConstraint("n_samples > 0", name="n_samples_positive"),
    Index(None, "space_id"),
    sqlite_autoincrement=True,
)

changes = Table(
    "changes",
    metadata,
    Column("revision", _NUMBER, primary_key=True),
    Column("centroid_id", _NUMBER, nullable=False),
    Column("token", String(16), nullable=False),
    sqlite_autoincrement=True,
)

# Removals that may have left traces in an index, kept audio or the log; deleted with these.
erasures = Table(
    "erasures",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("created_at", _SORTED, nullable=False),
    sqlite_autoincrement=True,
)


def _in_use(table: str) -> Index:
    """Return the index that lets at most one row of a space be in use.

    PostgreSQL's is in the migration alone: here it would load SQLAlchemy's dialect at every start.
    """
    return Index(
        f"uq_{table}_in_use", "space_id", unique=True, sqlite_where=text("used_since IS NOT NULL")
    )


# Fits on a site's own recordings, each for one embedding space.
calibrations = Table(
    "calibrations",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("space_id", ForeignKey("embedding_spaces.id"), nullable=False),
    Column("created_at", _SORTED, nullable=False),
    Column("source", String, nullable=False),
    Column("target_fmr", Float),
    Column("facts", Text, nullable=False),
    Column("used_since", _SORTED),
    _in_use("calibrations"),
    sqlite_autoincrement=True,
)

adaptations = Table(
    "adaptations",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("space_id", ForeignKey("embedding_spaces.id"), nullable=False),
    Column("created_at", _SORTED, nullable=False),
    Column("source", String, nullable=False),
    Column("adapted_id", ForeignKey("embedding_spaces.id"), nullable=False),
    Column("transform", LargeBinary, nullable=False),
    Column("facts", Text, nullable=False),
    Column("used_since", _SORTED),
    UniqueConstraint("adapted_id"),
    _in_use("adaptations"),
    sqlite_autoincrement=True,
)

# The enrolled speakers that each fit was learned from: ids and ranges, as in 1-40,42.  A fit that
# was learned from recordings has no ids; an older fit has no row.
fit_speakers = Table(
    "fit_speakers",
    metadata,
    Column("kind", _SORTED, primary_key=True),
    Column("number", _NUMBER, primary_key=True, autoincrement=False),
    Column("speaker_ids", Text, nullable=False),
)

# Which embedding space replaced which: their samples are of the same recordings.
model_changes = Table(
    "model_changes",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("from_space", ForeignKey("embedding_spaces.id"), nullable=False),
    Column("to_space", ForeignKey("embedding_spaces.id"), nullable=False),
    Column("after_sample", _NUMBER, nullable=False),
    Column("started_at", _SORTED, nullable=False),
    Column("switched_at", _SORTED),
    CheckConstraint("from_space <> to_space", name="spaces_differ"),
    # On PostgreSQL by the revision alone, as in `_in_use`.
    Index(
        "uq_model_changes_open", "from_space", unique=True, sqlite_where=text("switched_at IS NULL")
    ),
    sqlite_autoincrement=True,
)

# The callers' keys of a service.  Only the hash of a key is kept.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", _SORTED, primary_key=True),
    Column("name", String, nullable=False),
    Column("secret_sha256", String(64), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("groups", Text, nullable=False),
    Column("networks", Text, nullable=False),
    Column("requests_per_minute", Integer),
    Column("created_at", _SORTED, nullable=False),
    Column("expires_at", _SORTED),
)

# The number of requests with each key in a minute.
key_uses = Table(
    "key_uses",
    metadata,
    Column("key_id", ForeignKey("api_keys.id", ondelete="CASCADE"), primary_key=True),
    Column("minute", _NUMBER, primary_key=True),
    Column("n_requests", Integer, nullable=False),
)

# Failed attempts to be accepted as a speaker.
attempts = Table(
    "attempts",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("name_key", _SORTED, nullable=False),
    Column("caller", _SORTED, nullable=False),
    Column("failed_at", _SORTED, nullable=False),
    Index(None, "name_key"),
    Index(None, "caller"),
    sqlite_autoincrement=True,
)

# Work that continues after its request was answered.
jobs = Table(
    "jobs",
    metadata,
    Column("id", _SORTED, primary_key=True),
    Column("kind", String, nullable=False),
    Column("state", String, nullable=False),
    Column("key_id", String),
    Column("request", Text, nullable=False),
    Column("done", Float),
    Column("total", Float),
    Column("result", Text),
    Column("pictures", Text),
    Column("is_forgotten", Integer, nullable=False),
    Column("owner", String),
    Column("lease_until", _SORTED),
    Column("n_starts", Integer, nullable=False),
    Column("created_at", _SORTED, nullable=False),
    Column("updated_at", _SORTED, nullable=False),
)

# Answers to requests that changed something, for callers who repeat the request.
kept_answers = Table(
    "kept_answers",
    metadata,
    Column("caller", _SORTED, primary_key=True),
    Column("key_sha256", String(64), primary_key=True),
    Column("request_sha256", String(64), nullable=False),
    Column("status", Integer),
    Column("answer", Text),
    Column("is_forgotten", Integer, nullable=False),
    Column("created_at", _SORTED, nullable=False),
)

# The protection of the gallery: one row, or none.
protection = Table(
    "protection",
    metadata,
    Column("gallery_id", _SORTED, primary_key=True),
    Column("kind", String, nullable=False),
    Column("key_id", String, nullable=False),
    Column("secrets", LargeBinary, nullable=False),
    Column("protected_at", _SORTED, nullable=False),
    Column("renewed_at", _SORTED, nullable=False),
    Column("key_changed_at", _SORTED, nullable=False),
)

# The key of each speaker of a sealed gallery, sealed by the key of the gallery.
speaker_keys = Table(
    "speaker_keys",
    metadata,
    Column("speaker_id", ForeignKey("speakers.id", ondelete="CASCADE"), primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
)

# The looks of the names of a sealed gallery: a keyed hash of each skeleton.
name_looks = Table(
    "name_looks",
    metadata,
    Column("look", _SORTED, primary_key=True),
    Column("speaker_id", ForeignKey("speakers.id", ondelete="CASCADE"), primary_key=True),
    Index(None, "speaker_id"),
)

# Fingerprints of enrolled and accepted recordings, to recognise a replay: no audio.
fingerprints = Table(
    "fingerprints",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    Column("speaker_id", ForeignKey("speakers.id", ondelete="CASCADE"), nullable=False),
    Column("heard_as", String, nullable=False),
    Column("pcm_sha256", String(64), nullable=False),  # of samples; empty: it was accepted
    Column("words", LargeBinary, nullable=False),
    Column("created_at", _SORTED, nullable=False),
    Column("expires_at", _SORTED),
    Index(None, "speaker_id"),
    Index(None, "expires_at"),
    sqlite_autoincrement=True,
)

# The chain of audit events, and its counter: one row, or none.
audit_events = Table(
    "audit_events",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=False),
    Column("created_at", _SORTED, nullable=False),
    Column("kind", String, nullable=False),
    Column("speaker_id", _NUMBER),  # refers to no row of `speakers` once the speaker is erased
    Column("content", LargeBinary),  # salt and JSON; NULL once the speaker is erased
    Column("commitment", String(64), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("mac", String(64), nullable=False),
    Index(None, "speaker_id"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False),
    Column("configuration", String(64), nullable=False),
    Column("record", String(8), nullable=False),
    Column("mac", String(64), nullable=False),
)

# The days on which a service ran the rules of retention: one of several services runs them.
retention_runs = Table(
    "retention_runs",
    metadata,
    Column("day", _SORTED, primary_key=True),
    Column("started_at", _SORTED, nullable=False),
)

# Backups that were made: a speaker who is erased later is still in them.
backups = Table(
    "backups",
    metadata,
    Column("id", _SORTED, primary_key=True),
    Column("path", String, nullable=False),
    Column("made_at", _SORTED, nullable=False),
    Column("sha256", String(64), nullable=False),
)

# A speaker's recordings of the words of spoken codes: their features, no audio.
spoken_words = Table(
    "spoken_words",
    metadata,
    Column("speaker_id", ForeignKey("speakers.id", ondelete="CASCADE"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("created_at", _SORTED, nullable=False),
)

# Codes that wait for an answer; the first answer, or the expiry, removes the row.
challenges = Table(
    "challenges",
    metadata,
    Column("id", _SORTED, primary_key=True),
    Column("name_key", _SORTED, nullable=False),
    Column("caller", String, nullable=False),
    Column("words", Text, nullable=False),
    Column("expires_at", _SORTED, nullable=False),
)

SPEAKER_IDS = tuple(
    key.parent
    for table in metadata.sorted_tables
    for key in table.foreign_keys
    if key.column is speakers.c.id
)
"""The columns that refer to a speaker; their rows are deleted with the speaker's."""
