"""The signature of a backup: over every row, in a table of the backup alone.

The rows are hashed as they are read, and not the bytes of the file: what is put back is what was
checked, whatever lies beside the file or is done to it meanwhile.  The catalogue is not hashed,
since only voiceid's own is put back (`schema`).
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from voiceid.protection import SigningKey
from voiceid.store.schema import SIGNATURE

WHAT = "backup"
"""What the signature is of; see `Trusted.require`."""
_COLUMNS = ("public_key", "signature")


def sign(file: Path, key: SigningKey) -> None:
    """Put the signature into a backup that no other process has."""
    with closing(sqlite3.connect(file, isolation_level=None)) as backup:
        backup.execute("PRAGMA journal_mode=OFF").close()
        _, digest = taken(backup)
        signed = key.signed(WHAT, digest)
        backup.execute(f"CREATE TABLE {SIGNATURE}({','.join(_COLUMNS)})")
        values = [signed[column] for column in _COLUMNS]
        backup.execute(f"INSERT INTO {SIGNATURE} VALUES (?, ?)", values)  # noqa: S608 - a constant


def taken(backup: sqlite3.Connection) -> tuple[dict[str, object], str]:
    """Remove the signature, and return it with the SHA-256 of all rows.  It is empty: none."""
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
