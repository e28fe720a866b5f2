"""Looking after the enrolled of a `VoiceID`: merge, split, inspect, export, import."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from voiceid import exchange
from voiceid.app.observed import changes, erased, exchanged, merged, split
from voiceid.app.parts import Parts
from voiceid.domain import EmbeddingSpace, Inspection, Merge, Sample, Split
from voiceid.errors import StoreError
from voiceid.exchange import EmbeddingFacts, Exchanged
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
        return self._parts.in_use.curator.inspect(name)

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
        made = self._parts.in_use.curator.merge(into, other, force=force, dry_run=dry_run)
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
        made = self._parts.in_use.curator.split(name, new_name, sample_ids, dry_run=dry_run)
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
        gone = self._parts.in_use.curator.remove_samples(name, sample_ids)
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
        space = self._parts.in_use.space
        with self._parts.store.read() as reader:
            return exchange.export(reader, space, names, Path(file))

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
        space = self._parts.in_use.space
        with self._parts.store.write() as writer:
            writer.spaces.require_current(space.id)
            made = exchange.import_(writer, space, Path(file), append=append)
        self._imported()
        return made

    def import_embeddings(  # noqa: PLR0913 - what can be said of embeddings, by keyword
        self,
        file: str | os.PathLike[str],
        space: EmbeddingSpace | str | None = None,
        *,
        ids: str | os.PathLike[str] | None = None,
        net_speech_s: float | None = None,
        narrowband: bool = False,
        label: str = "",
        groups: Sequence[str] = (),
        append: bool = False,
    ) -> Exchanged:
        """Add speakers by embeddings that were made elsewhere: all of them, or nothing is changed.

        Parameters
        ----------
        file : path
            An array (n, dim) of float in NumPy's format (``.npy``), or a table of Parquet with
            the columns ``name`` and ``embedding``; docs/gallery.md has the others.  Vectors of
            any length but zero; they are scaled to unit length.
        space : EmbeddingSpace or str, optional
            Where they were embedded, or the id of that space; only a table of Parquet can say
            it itself.
        ids : path, optional
            The list that names the rows of an array, in their order.
        net_speech_s : float, optional
            How much speech is behind each, in seconds, where the file does not say it.
        narrowband : bool
            Whether that speech had a telephone's bandwidth, where the file does not say it.
        label : str
            Where it was recorded, where the file does not say it.
        groups : sequence of str
            To put everybody new into, where the file does not say it.
        append : bool
            See :meth:`import_speakers`.

        Raises
        ------
        GalleryFileInvalid
            It cannot be read, something is wrong with a row (which is named), or the space or
            the speech is not said.
        SpaceMismatch, SpeakerExists, ChangeRefused
            See :meth:`import_speakers`.
        SpeakerDetailInvalid
            Nothing can be a group or a label like that.
        ExtraMissing
            It is a table of Parquet, and pyarrow is not installed.
        """
        named = space.id if isinstance(space, EmbeddingSpace) else space
        facts = EmbeddingFacts(named, net_speech_s, narrowband, label, groups)
        names, here = None if ids is None else Path(ids), self._parts.in_use.space
        with self._parts.store.write() as writer:
            writer.spaces.require_current(here.id)
            made = exchange.import_embeddings(writer, here, Path(file), names, facts, append=append)
        self._imported()
        return made

    def _imported(self) -> None:
        """Let the index files follow, and the log be emptied, which is as large as the import."""
        with contextlib.suppress(StoreError):  # the change itself is done and on the disk
            self._parts.store.erase_remains()
        self._follow()

    def _follow(self) -> None:
        """Let the index files follow: no voice stays in one that has left the database."""
        self._parts.each_index(lambda index, reader: index.sync(reader))
