"""What a check of the database looks for, which no reading of it meets."""

from __future__ import annotations

from sqlalchemy import select

from voiceid.domain import speaker_key
from voiceid.errors import SpeakerNameInvalid
from voiceid.store import pgvector
from voiceid.store.fitted import FittedReader
from voiceid.store.tables import speakers


class CheckedReader(FittedReader):
    """Looks for damage, in one snapshot of the database."""

    def faults(self) -> list[str]:
        """Return what the database's own checks of its pages and references find, in sentences."""
        if self._connection.dialect.name == "postgresql":
            return pgvector.faults(self._connection)
        pages = self._connection.exec_driver_sql("PRAGMA integrity_check").scalars()
        dangling = self._connection.exec_driver_sql("PRAGMA foreign_key_check")
        return [f"SQLite: {said}" for said in pages if said != "ok"] + [
            f"a row of {row[0]} refers to a {row[2]} that is not there" for row in dangling
        ]

    def misnamed(self) -> list[str]:
        """Return, in sentences, the speakers whose name is not what they are found by."""
        found = self._connection.execute(
            select(speakers.c.id, speakers.c.name, speakers.c.name_key)
        )
        return [
            f"speaker {row.id} is called {row.name!r} and found by {row.name_key!r}"
            for row in found
            if not _is_key(row.name_key, row.name)
        ]


def _is_key(key: object, name: object) -> bool:
    try:
        return isinstance(name, str) and speaker_key(name) == key
    except SpeakerNameInvalid:
        return False
