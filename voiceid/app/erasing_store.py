"""A store that erases what a change leaves behind; `session.change` takes its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voiceid.app.forgetting import forget_audio
from voiceid.audio import KeptAudio
from voiceid.domain import DatabaseUrl
from voiceid.errors import StoreError
from voiceid.store import Store, Writer


class ErasingStore(Store):
    """An open database whose changes leave nothing of what they removed, where that can be."""

    kept: KeptAudio

    @classmethod
    def over(cls, path: Path | DatabaseUrl, kept: KeptAudio) -> ErasingStore:
        """Open a database with its kept audio; see `Store.open`."""
        opened = Store.open(path)
        made = cls(opened._engine, path)  # noqa: SLF001 - of its own kind
        made.kept = kept
        return made

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """See `Store`."""
        with super().write() as writer:
            yield writer
        if not writer.erased:
            return
        try:
            emptied = self.erase_remains()
        except StoreError:  # the change itself is on the disk
            emptied = False
        forget_audio(self, self.kept)
        if emptied:
            with super().write() as clearing:
                clearing.erasures.clear(clearing.erasures.newest())
