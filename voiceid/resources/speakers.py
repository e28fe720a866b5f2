"""The enrolled speakers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from voiceid.domain import (
    Consent,
    EmbeddingSpace,
    Inspection,
    Merge,
    Speaker,
    SpeakerDetails,
    Split,
    Withdrawal,
    speaker_name,
    tag,
)
from voiceid.errors import ChangeRefused
from voiceid.exchange import EmbeddingFacts, Exchanged
from voiceid.observability import ChangeKind
from voiceid.resources.erased_person import withdrawal
from voiceid.resources.gallery_files import GalleryFiles
from voiceid.session import Session

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store.change import Change

Expect: TypeAlias = Callable[[Speaker], None]
"""Receives a speaker in the transaction of a change, and raises an exception to end it."""


class Speakers:
    """The enrolled speakers and their details."""

    def __init__(self, session: Session) -> None:
        self._session, self._files = session, GalleryFiles(session)

    @property
    def min_speech_s(self) -> float:
        """Required net speech of a speaker in seconds: ``enrollment.min_speech_s``."""
        return self._session.config.enrollment.min_speech_s

    def get(self, name: str) -> Speaker:
        """Return the speaker called ``name``; raises SpeakerNotFound."""
        with self._session.store.read() as reader:
            return reader.speakers.get(name)

    def list(self, group: str | None = None) -> Sequence[Speaker]:
        """Return the enrolled speakers by name: all, or the members of a group."""
        with self._session.store.read() as reader:
            speakers = reader.speakers.all()
        wanted = None if group is None else tag("group", group)
        return [s for s in speakers if wanted is None or wanted in s.groups]

    def pages(self, after: str | None = None, limit: int = 1000) -> Iterator[Sequence[Speaker]]:
        """Yield the enrolled speakers by name, ``limit`` at a time, however many there are.

        A speaker who is enrolled or removed between two pages may be missing or not.  It begins
        after the name ``after``, which need not exist.  Raises SpeakerNameInvalid.
        """
        while page := self.page(after, limit):
            yield page
            after = page[-1].name

    def page(self, after: str | None = None, limit: int = 1000) -> Sequence[Speaker]:
        """Return the next speakers by name; see :meth:`pages`."""
        with self._session.store.read() as reader:
            return reader.speakers.page(after, limit)

    def count(self) -> int:
        """Return how many speakers are enrolled, in any embedding space."""
        with self._session.store.read() as reader:
            return reader.speakers.count()

    def group_sizes(self) -> Mapping[str, int]:
        """Return how many members each group has, by the names of the groups."""
        with self._session.store.read() as reader:
            return reader.speakers.group_sizes()

    def inspect(self, name: str) -> Inspection:
        """Compare a speaker's samples with each other, and the speaker with all others.

        Raises
        ------
        SpeakerNotFound
        SpaceMismatch
            The speaker has no samples in the embedding space in use.
        ThresholdUnavailable, StoreError
        """
        return self._session.model.curator.inspect(name)

    def add(self, name: str, details: SpeakerDetails | None = None) -> Speaker:
        """Add a speaker without samples, who cannot be accepted until clips are enrolled.

        Raises SpeakerExists, SpeakerNameInvalid: the name is taken, looks like another, or cannot
        be one.
        """
        with self._session.change(ChangeKind.ENROLL) as change:
            writer = change.writer
            writer.speakers.require_distinct([name])
            speaker = writer.speakers.add(name)
            writer.speakers.edit(speaker.id, details or SpeakerDetails())
            change.record(**_named(speaker), samples=0)
            return writer.speakers.get(name)

    def edit(
        self,
        name: str,
        details: SpeakerDetails,
        *,
        new_name: str | None = None,
        force: bool = False,
        expect: Expect | None = None,
    ) -> Speaker:
        """Change a speaker's details, and the name if one is given.

        Either everything is changed, or nothing.  ``expect`` receives the speaker before the
        change; an exception of it ends the change.  Otherwise see :meth:`rename`.
        """
        with self._session.change(ChangeKind.EDIT) as change:
            writer = change.writer.speakers
            speaker = writer.get(name)
            if expect is not None:
                expect(speaker)
            writer.edit(speaker.id, details)
            if new_name is None or not details.changes_nothing:
                change.record(**_named(speaker))
            if new_name is not None:
                _rename(change, speaker, new_name, force=force)
            return writer.get(name if new_name is None else new_name)

    def rename(self, name: str, new_name: str, *, force: bool = False) -> Speaker:
        """Give a speaker another name; raises SpeakerNotFound, SpeakerExists.

        A name that looks like an enrolled one in other letters is refused unless ``force`` is set.
        """
        with self._session.change(ChangeKind.RENAME) as change:
            before = change.writer.speakers.get(name)
            return _rename(change, before, new_name, force=force)

    def remove(self, name: str, *, expect: Expect | None = None) -> Speaker:
        """Erase a speaker: rows, vectors, index entries and kept audio; ``expect``: see `edit`.

        Raises SpeakerNotFound; ErasureIncomplete: the speaker was removed, but data of them
        is still in a file, which is named.
        """
        with self._session.change(ChangeKind.REMOVE) as change:
            speaker = change.writer.speakers.get(name)
            if expect is not None:
                expect(speaker)
            change.writer.speakers.remove(speaker.id)
            change.record(**_named(speaker))
        return speaker

    def withdraw(
        self, name: str, recorded_by: str = "", *, expect: Expect | None = None
    ) -> Withdrawal:
        """Withdraw every consent of a speaker, who is disabled now and erased on schedule.

        ``recorded_by``: see `Consent`; ``expect``: see `edit`.  The settings have the schedule,
        ``privacy.erase_withdrawn_after_days``; with 0 there is a receipt, as of `Privacy.erase`,
        and what the erasure left behind is in it.

        Raises SpeakerNotFound, SpeakerDetailInvalid, GalleryKeyMissing.
        """
        by = Consent("-", recorded_by=recorded_by).recorded_by
        return withdrawal(self._session, name, by, expect)

    def purge_expired(self, *, dry_run: bool = False) -> Sequence[Speaker]:
        """Erase the expired speakers, and return them.

        With ``dry_run`` nothing is erased.  Remains of earlier erasures, also of killed processes,
        are removed too.  Raises ErasureIncomplete: see :meth:`remove`.
        """
        if dry_run:
            with self._session.store.read() as reader:
                return reader.speakers.expired(datetime.now(UTC))
        with self._session.change(ChangeKind.REMOVE) as change:
            expired = change.writer.speakers.purge(datetime.now(UTC))
            for speaker in expired:
                change.record(**_named(speaker))
        return expired

    def purge_damaged(self, *, dry_run: bool = False) -> Mapping[int, str]:
        """Erase the speakers with an unreadable row; return their problems, by id.

        With ``dry_run`` nothing is erased.  Raises ErasureIncomplete: see :meth:`remove`;
        ChangeRefused: no speaker can be read, so the whole database is damaged.
        """
        from voiceid.store import maintenance  # noqa: PLC0415 - for this alone

        if dry_run:
            with self._session.store.read() as reader:
                return maintenance.unreadable(reader)
        with self._session.change(ChangeKind.REMOVE) as change:
            damaged = maintenance.unreadable(change.writer)
            ids = change.writer.speakers.ids()
            if ids and damaged.keys() >= set(ids):
                raise ChangeRefused(
                    "no speaker of the database can be read; no speaker was erased",
                    hint="Restore a backup: `voiceid database restore FILE`.",
                )
            for speaker_id in damaged:
                change.writer.speakers.remove(speaker_id)
                change.record(speaker_id=speaker_id)
        return damaged

    def merge(self, into: str, other: str, *, force: bool = False, dry_run: bool = False) -> Merge:
        """Move all samples of ``other`` to ``into``, and remove ``other``.

        The groups of both are joined, and of metadata that both have ``into``'s stays.  The
        stricter standing holds: the sooner expiry, and disabled if either is.

        Parameters
        ----------
        force : bool
            Merge even if their voices differ or cannot be compared.
        dry_run : bool
            Compare them, change nothing.

        Raises
        ------
        SpeakerNotFound
        ChangeRefused
            Both are the same speaker, or their voices differ.  Nothing changed.
        """
        return self._session.model.curator.merge(into, other, force=force, dry_run=dry_run)

    def split(
        self,
        name: str,
        new_name: str,
        sample_ids: Sequence[int] = (),
        *,
        force: bool = False,
        dry_run: bool = False,
    ) -> Split:
        """Move samples of a speaker to a new one: the named samples, or those that do not fit.

        A new name that looks like an enrolled one is refused unless ``force`` is set.  The new
        speaker expires with the other, and is disabled or withdrawn if the other is.

        Raises
        ------
        SpeakerNotFound, SpeakerExists, SpeakerNameInvalid, SampleNotFound
        ChangeRefused
            No sample is odd, or none would be left.  Nothing changed.
        """
        curator = self._session.model.curator
        return curator.split(name, new_name, sample_ids, force=force, dry_run=dry_run)

    def export(
        self,
        file: str | os.PathLike[str],
        names: Sequence[str] = (),
        *,
        passphrase: str | None = None,
        plain: bool = False,
    ) -> Exchanged:
        """Write speakers, or all of them, to a new file: their samples in the space in use.

        Voices are personal data: the file is for its owner alone.  It is signed
        (`Privacy.key`).

        Parameters
        ----------
        passphrase : str, optional
            The passphrase that seals the file, 8 characters or more.
        plain : bool
            Write the speakers of a sealed gallery even without a passphrase.

        Raises
        ------
        SpeakerNotFound
        ChangeRefused
            A named speaker has no samples in the space, or no speaker has; or the gallery is
            sealed, and there is neither a passphrase nor ``plain``.
        FileNotWritten
            The file exists already, or cannot be written.
        """
        return self._files.export(Path(file), names, passphrase, plain=plain)

    def import_file(
        self,
        file: str | os.PathLike[str],
        *,
        append: bool = False,
        trust: bool = False,
        passphrase: str | None = None,
        signed_by: str | None = None,
    ) -> Exchanged:
        """Add the speakers of an exported file: all of them or, on an error, none.

        Parameters
        ----------
        append : bool
            Add the missing samples to speakers who are enrolled; their details do not
            change.
        trust : bool
            Check no voices, and believe what line the file declares.  Otherwise the checks of an
            enrolment are made, in a time that grows with the new speakers times all speakers, and
            the threshold is that of a telephone.  It is recorded with the event and each sample.
        passphrase : str, optional
            The passphrase of the file.
        signed_by : str, optional
            The public key of the gallery that wrote it (`Privacy.key`), or ``anybody``: then the
            signature is not looked at.  When omitted, it must be this gallery.

        Raises
        ------
        GalleryFileInvalid
            It cannot be read, is damaged, is another kind of file, or is sealed with another
            passphrase.
        SignatureInvalid
            It is signed by another gallery, or by none, or was changed since.
        SpaceMismatch
            It is of another embedding space.
        SpeakerExists
            A speaker is already enrolled, and ``append`` is off.
        ChangeRefused
            A recording is a sample of another speaker already; or samples of a speaker are not one
            voice, or one that is enrolled under another name.
        """
        return self._files.import_gallery(
            Path(file), passphrase, signed_by, append=append, trust=trust
        )

    def import_embeddings(
        self,
        file: str | os.PathLike[str],
        space: EmbeddingSpace | str | None = None,
        *,
        ids: str | os.PathLike[str] | None = None,
        append: bool = False,
        trust: bool = False,
        **facts: Any,
    ) -> Exchanged:
        """Add speakers by embeddings from another program: all of them or, on an error, none.

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
        append, trust : bool
            See :meth:`import_file`.
        **facts
            What the file does not say: ``net_speech_s``, ``label``, ``groups``, ``consents``;
            see `EmbeddingFacts`.

        Raises
        ------
        GalleryFileInvalid
            It cannot be read, something is wrong with a row (which is named), or the space or
            the speech is not said.
        SpaceMismatch, SpeakerExists, ChangeRefused
            See :meth:`import_file`.
        SpeakerDetailInvalid
            A group or a label cannot be used.
        ExtraMissing
            It is a table of Parquet, and pyarrow is not installed.
        """
        space_id = space.id if isinstance(space, EmbeddingSpace) else space
        names, stated = None if ids is None else Path(ids), EmbeddingFacts(space_id, **facts)
        return self._files.import_embeddings(Path(file), names, stated, append=append, trust=trust)


def _rename(change: Change, before: Speaker, new_name: str, *, force: bool) -> Speaker:
    writer = change.writer
    writer.speakers.rename(before, new_name, force=force)
    speaker = replace(before, name=speaker_name(new_name), updated_at=writer.now)
    change.record(change=ChangeKind.RENAME, **_named(speaker), other=before.name)
    return speaker


def _named(speaker: Speaker) -> dict[str, Any]:
    return {"speaker": speaker.name, "speaker_id": speaker.id}
