"""Looking after the enrolled of a `VoiceID`: merge, split, inspect, export, import."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from voiceid import exchange
from voiceid.app.parts import Parts
from voiceid.domain import Inspection, Merge, Sample, Split
from voiceid.exchange import Exchanged


class Care:
    """What keeps a gallery right over the years."""

    _parts: Parts

    def inspect(self, name: str) -> Inspection:
        """Compare a speaker's samples with each other, and the speaker with all others.

        See :meth:`voiceid.curation.Curator.inspect` for the errors.
        """
        return self._parts.curator.inspect(name)

    def merge(self, into: str, other: str, *, force: bool = False, dry_run: bool = False) -> Merge:
        """Give all samples of one speaker to another, and remove the one.

        See :meth:`voiceid.curation.Curator.merge`.

        Raises
        ------
        ChangeRefused
            Their voices are not alike, and ``force`` is off.  Nothing changed.
        """
        made = self._parts.curator.merge(into, other, force=force, dry_run=dry_run)
        if made.merged is not None:
            self._follow()
        return made

    def split(
        self,
        name: str,
        new_name: str,
        sample_ids: Sequence[int] = (),
        *,
        dry_run: bool = False,
    ) -> Split:
        """Give samples of a speaker to a new one: those named, or else those that do not fit.

        See :meth:`voiceid.curation.Curator.split` for the errors.
        """
        made = self._parts.curator.split(name, new_name, sample_ids, dry_run=dry_run)
        if made.new is not None:
            self._follow()
        return made

    def remove_samples(self, name: str, sample_ids: Sequence[int]) -> tuple[Sample, ...]:
        """Erase samples of a speaker; see :meth:`voiceid.curation.Curator.remove_samples`."""
        gone = self._parts.curator.remove_samples(name, sample_ids)
        self._follow()
        return gone

    def export_speakers(self, file: str | os.PathLike[str], names: Sequence[str] = ()) -> Exchanged:
        """Write speakers, or everybody, to a new file; see :func:`voiceid.exchange.export`.

        Voices are personal data: the file is for its owner alone, and is not encrypted.
        """
        with self._parts.store.read() as reader:
            return exchange.export(reader, self._parts.space, names, Path(file))

    def import_speakers(self, file: str | os.PathLike[str], *, append: bool = False) -> Exchanged:
        """Add the speakers of a file: all, or none; see :func:`voiceid.exchange.import_`."""
        with self._parts.store.write() as writer:
            made = exchange.import_(writer, self._parts.space, Path(file), append=append)
        self._follow()
        return made

    def _follow(self) -> None:
        """Let the index files follow: no voice stays in one that has left the database."""
        self._parts.each_index(lambda index, reader: index.sync(reader))
