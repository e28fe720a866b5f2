"""Backups that were made of the database."""

from __future__ import annotations

import os

from sqlalchemy import insert, select

from voiceid.domain import Backup
from voiceid.store import stored_rows
from voiceid.store.snapshot import Rows
from voiceid.store.tables import backups

PATH_PLACE = "backup path"


class Backups(Rows):
    """Reads which backups were made."""

    def list(self) -> list[Backup]:
        """Return the backups, oldest first."""
        rows = self._connection.execute(select(backups).order_by(backups.c.made_at, backups.c.id))
        return [
            Backup(
                self._protection.text(row.path, PATH_PLACE, row.id) or "",
                stored_rows.moment_of(row.made_at),
                row.sha256,
            )
            for row in rows
        ]


class BackupWriter(Backups):
    """Records backups."""

    def add(self, path: str, sha256: str) -> None:
        """Record a backup that was made."""
        id_ = os.urandom(8).hex()
        stored = self._protection.stored_text(path, PATH_PLACE, id_)
        values = {"id": id_, "path": stored, "made_at": self._effects.now, "sha256": sha256}
        self._connection.execute(insert(backups).values(**values))
