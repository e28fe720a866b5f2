"""The signature of a backup: over every row, in a table that only a backup has.

The rows are hashed as they are read, not the bytes of the file: exactly the checked rows are
restored, even if the file or its neighbours change meanwhile.  The catalogue is not hashed, since
only voiceid's own is restored (`schema`).
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from voiceid.protection import SigningKey
from voiceid.store.schema import SIGNATURE

WHAT = "backup"
"""The kind of the signed object; see `Trusted.require`."""
_COLUMNS = ("public_key", "signature")


def sign(file: Path, key: SigningKey) -> None:
    """Put the signature into a backup that no other process has open."""
    with closing(sqlite3.connect(file, isolation_level=None)) as backup:
        backup.execute("PRAGMA journal_mode=OFF").close()
        _, digest = taken(backup)
        signed = key.signed(WHAT, digest)
        backup.execute(f"CREATE TABLE {SIGNATURE}({','.join(_COLUMNS)})")
        values = [signed[column] for column in _COLUMNS]
        backup.execute(f"INSERT INTO {SIGNATURE} VALUES (?, ?)", values)  # noqa: S608 - a constant


def taken(backup: sqlite3.Connection) -> tuple[dict[str, object], str]:
    """Remove the signature (empty: none), and return it with the SHA-256 of all rows."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
    tables = [name for (name,) in backup.execute(query).fetchall()]
    signed: dict[str, object] = {}
    if SIGNATURE in tables:
        row = backup.execute(f"SELECT * FROM {SIGNATURE}").fetchone()  # noqa: S608 - a constant
        signed = dict(zip(_COLUMNS, row or (), strict=False))
        backup.execute(f"DROP TABLE {SIGNATURE}")
        tables.remove(SIGNATURE)
    digest = hashlib.sha256()
    for name in tables:
        digest.update(f"{name!r}\n".encode())
        for row in backup.execute(f'SELECT * FROM "{name}" ORDER BY rowid'):  # noqa: S608 - see below
            digest.update(repr(row).encode("utf-8", "surrogatepass") + b"\n")
    return signed, digest.hexdigest()
