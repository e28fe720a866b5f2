"""Looking after the enrolled of a `VoiceID`: merge, split, inspect, export, import."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from voiceid import exchange
from voiceid.app.observed import changes, erased, exchanged, merged, split
from voiceid.app.parts import Parts
from voiceid.domain import Inspection, Merge, Sample, Split
from voiceid.exchange import Exchanged
from voiceid.observability import Change


class Care:
    """What keeps a gallery right over the years."""

    _parts: Parts

    def inspect(self, name: str) -> Inspection:
        """Compare a speaker's samples with each other, and the speaker with all others.

        Raises
        ------
        SpeakerNotFound
        SpaceMismatch
            The speaker has no samples in the embedding space in use.
        ThresholdUnavailable, StoreError
        """
        return self._parts.curator.inspect(name)

    @changes(Change.MERGE, merged)
    def merge(self, into: str, other: str, *, force: bool = False, dry_run: bool = False) -> Merge:
        """Give all samples of one speaker to another, and remove the one.

        The groups of both are joined, and of metadata that both have ``into``'s stays.  The
        stricter standing holds: the sooner expiry, and disabled if either is.

        Parameters
        ----------
        into, other : str
        force : bool
            Though their voices are not alike, or cannot be compared.
        dry_run : bool
            Compare them, change nothing.

        Raises
        ------
        SpeakerNotFound
        ChangeRefused
            It is one speaker, or their voices are not alike.  Nothing changed.
        """
        made = self._parts.curator.merge(into, other, force=force, dry_run=dry_run)
        if made.merged is not None:
            self._follow()
        return made

    @changes(Change.SPLIT, split)
    def split(
        self,
        name: str,
        new_name: str,
        sample_ids: Sequence[int] = (),
        *,
        dry_run: bool = False,
    ) -> Split:
        """Give samples of a speaker to a new one: those named, or else those that do not fit.

        Raises
        ------
        SpeakerNotFound, SpeakerExists, SpeakerNameInvalid, SampleNotFound
        ChangeRefused
            No sample is odd, or none would be left.  Nothing changed.
        """
        made = self._parts.curator.split(name, new_name, sample_ids, dry_run=dry_run)
        if made.new is not None:
            self._follow()
        return made

    @changes(Change.REMOVE_SAMPLES, erased)
    def remove_samples(self, name: str, sample_ids: Sequence[int]) -> tuple[Sample, ...]:
        """Erase samples of a speaker, and return what they were.

        Raises
        ------
        SpeakerNotFound, SampleNotFound
        ChangeRefused
            None would be left.  Nothing changed.
        """
        gone = self._parts.curator.remove_samples(name, sample_ids)
        self._follow()
        return gone

    @changes(Change.EXPORT, exchanged)
    def export_speakers(self, file: str | os.PathLike[str], names: Sequence[str] = ()) -> Exchanged:
        """Write speakers, or everybody, to a new file: their samples in the space in use.

        Voices are personal data: the file is for its owner alone, and is not encrypted.

        Raises
        ------
        SpeakerNotFound
        ChangeRefused
            Somebody named has no samples in the space, or nobody has.
        GalleryFileInvalid
            The file is there already, or cannot be written.
        """
        with self._parts.store.read() as reader:
            return exchange.export(reader, self._parts.space, names, Path(file))

    @changes(Change.IMPORT, exchanged)
    def import_speakers(self, file: str | os.PathLike[str], *, append: bool = False) -> Exchanged:
        """Add the speakers of a file: all of them, or nothing is changed.

        Parameters
        ----------
        file : path
        append : bool
            Add what is missing to speakers that are there; what is known of them beside
            their voices stays.

        Raises
        ------
        GalleryFileInvalid
            It cannot be read, is damaged, or is no such file.
        SpaceMismatch
            It is of another embedding space.
        SpeakerExists
            Somebody is there already, and ``append`` is off.
        ChangeRefused
            A recording is a sample of somebody else already.
        """
        with self._parts.store.write() as writer:
            made = exchange.import_(writer, self._parts.space, Path(file), append=append)
        self._follow()
        return made

    def _follow(self) -> None:
        """Let the index files follow: no voice stays in one that has left the database."""
        self._parts.each_index(lambda index, reader: index.sync(reader))
