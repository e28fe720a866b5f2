"""The search index: one for each embedding space, each a cache of the database."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from voiceid.index.base import IndexStatus
from voiceid.observability import ChangeKind
from voiceid.session import Session, seal_indexes

_NICENESS = 10


class Index:
    """The indexes of all embedding spaces."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def status(self) -> list[IndexStatus]:
        """Compare the index of each embedding space with the database."""
        return self._session.each_index(lambda index, reader: index.status(reader))

    def rebuild(self) -> list[IndexStatus]:
        """Make each index again from the database, and return how they stand."""
        with self._session.recorded(ChangeKind.REBUILD_INDEX) as record:
            self._session.each_index(lambda index, reader: index.rebuild(reader))
            record()
        return self.status()

    def seal(self) -> bool:
        """Write the index files that are due, at a low priority; False: one cannot be written.

        Changes of large galleries start a process in the background that does it.
        """
        # On Linux a priority is a thread's; that of the caller could not be raised again.
        with ThreadPoolExecutor(1, initializer=_step_back) as pool:
            return pool.submit(seal_indexes, self._session).result()


def _step_back() -> None:
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
