"""What may be in a SQLite database: the schema of its revision, and nothing else.

A trigger, a view or a generated column of another hand would run, or answer, in place of what is
written here.  The catalogue alone is read to see that none is there; nothing in it is executed.
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
"""The `fingerprint` of the newest revision; a test keeps it."""
SIGNATURE = "backup_signature"
_BESIDE = {
    "sqlite_stat1": "(tbl,idx,stat)",
    "sqlite_stat4": "(tbl,idx,neq,nlt,ndlt,sample)",
    SIGNATURE: "(public_key,signature)",
}
"""What ANALYZE adds, which decides nothing but how a query is run; and what a backup has."""


def objects(connection: sqlite3.Connection) -> Objects:
    """Return what the catalogue of a database says, without the tables that may be beside."""
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    return {
        f"{kind} {name}": (table, sql or "")
        for kind, name, table, sql in rows
        if name not in _BESIDE or sql != f"CREATE TABLE {name}{_BESIDE[name]}"
    }


def fingerprint(found: Objects) -> str:
    """Return the SHA-256, in hex, of what is in a catalogue."""
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()


def require_same(found: Objects, expected: Objects, path: Path) -> None:
    """Raise StoreError when a catalogue is not what it must be; every object is named."""
    foreign = [name for name in found if name not in expected]
    changed = [
        name
        for name in expected
        if name in found and _clauses(*found[name]) != _clauses(*expected[name])
    ]
    missing = [name for name in expected if name not in found]
    problems = [f"{name} is not voiceid's" for name in sorted(foreign)]
    problems += [f"{name} is not as voiceid made it" for name in sorted(changed)]
    problems += [f"{name} is missing" for name in sorted(missing)]
    if problems:
        raise StoreError(
            f"{path} has another schema than voiceid writes, and is not used:\n  "
            + "\n  ".join(problems),
            hint="Put back a backup (`voiceid database restore FILE`), or drop with SQLite's own"
            " shell what was added; this one was left as it was.",
        )


def _clauses(table: str, sql: str) -> list[str]:
    """Return the parts between the commas that stand in the outermost parentheses, sorted.

    A column that was added later stands after the columns, or after all clauses: SQLite's versions
    differ.
    """
    before, _, rest = " ".join(sql.split()).removesuffix(")").partition("(")
    parts, depth = [""], 0
    for ch in rest:
        depth += {"(": 1, ")": -1}.get(ch, 0)
        if ch == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += ch
    spaced = (part.replace("(", " ( ").replace(")", " ) ") for part in [before, *parts])
    return sorted([f"of {table}", *(" ".join(part.split()) for part in spaced)])
