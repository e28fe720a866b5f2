"""The allowed content of a SQLite database: the schema of its revision, and nothing else.

A foreign trigger, view or generated column could run code or forge answers.  Only the catalogue is
read to see that there is none; nothing in it is executed.
"""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path
from typing import TypeAlias

from voiceid.errors import StoreError

Objects: TypeAlias = dict[str, tuple[str, str]]
"""The table and the SQL of each object of a database, by ``type name``."""
SCHEMA_SHA256 = "119461238687f3473b945c2f81b5a7b28ee6d6067fa6dfb1cb31416a7164bfcf"
"""The `fingerprint` of the newest revision; a test checks it."""
SIGNATURE = "backup_signature"
_BESIDE = {
    "sqlite_stat1": "(tbl,idx,stat)",
    "sqlite_stat4": "(tbl,idx,neq,nlt,ndlt,sample)",
    SIGNATURE: "(public_key,signature)",
}
"""Tables that ANALYZE adds, which only affect how a query is run, and a backup's signature."""


def objects(connection: sqlite3.Connection) -> Objects:
    """Return the catalogue of a database, without the extra tables that are allowed."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    return {
        f"{kind} {name}": (table, sql or "")
        for kind, name, table, sql in rows
        if name not in _BESIDE or sql != f"CREATE TABLE {name}{_BESIDE[name]}"
    }


def fingerprint(catalogue: Objects) -> str:
    """Return the SHA-256, in hex, of a catalogue."""
    return hashlib.sha256(repr(sorted(catalogue.items())).encode()).hexdigest()


def require_same(catalogue: Objects, expected: Objects, path: Path) -> None:
    """Raise StoreError when a catalogue is not the expected one; every object is named."""
    foreign = [name for name in catalogue if name not in expected]
    changed = [
        name
        for name in expected
        if name in catalogue and _clauses(*catalogue[name]) != _clauses(*expected[name])
    ]
    missing = [name for name in expected if name not in catalogue]
    problems = [f"{name} is not voiceid's" for name in sorted(foreign)]
    problems += [f"{name} is not as voiceid made it" for name in sorted(changed)]
    problems += [f"{name} is missing" for name in sorted(missing)]
    if problems:
        raise StoreError(
            f"the schema of {path} is not the one that voiceid writes, so it is not used:\n  "
            + "\n  ".join(problems),
            hint="Restore a backup (`voiceid database restore FILE`), or drop foreign objects in"
            " SQLite's own shell; this file was not changed.",
        )


def _clauses(table: str, sql: str) -> list[str]:
    """Return the clauses between the commas of the outermost parentheses, sorted.

    A column that was added later stands after the columns or after all clauses, depending on the
    version of SQLite.
    """
    before, _, clauses = " ".join(sql.split()).removesuffix(")").partition("(")
    parts, depth = [""], 0
    for ch in clauses:
        depth += {"(": 1, ")": -1}.get(ch, 0)
        if ch == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += ch
    spaced = (part.replace("(", " ( ").replace(")", " ) ") for part in [before, *parts])
    return sorted([f"of {table}", *(" ".join(part.split()) for part in spaced)])
