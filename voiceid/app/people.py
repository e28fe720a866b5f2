"""Who is enrolled in a `VoiceID`, and how that is changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from numbers import Real
from typing import TYPE_CHECKING, cast

import numpy as np

from voiceid.app.forgetting import forget_audio
from voiceid.app.observed import changes, each_told, enrolled, one, purged, renamed
from voiceid.app.parts import Parts
from voiceid.audio import AudioSource
from voiceid.domain import EnrollmentReport, Sample, Speaker, SpeakerDetails, tag
from voiceid.enrollment import Mode, Person, enroll_many
from voiceid.observability import Change

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Writer


_ONE = (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray)


def as_sources(given: AudioSource | Iterable[AudioSource]) -> tuple[AudioSource, ...]:
    """Return the sources that were given: one alone, or several."""
    with_rate = isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Real)  # noqa: PLR2004 - samples and rate
    if with_rate or isinstance(given, _ONE) or hasattr(given, "read"):
        return (cast("AudioSource", given),)
    return tuple(cast("Iterable[AudioSource]", given))


class People:
    """The enrolled speakers and their samples."""

    _parts: Parts

    @changes(Change.ENROLL, enrolled)
    def enroll(  # noqa: PLR0913 - what can be said of an enrolment, by keyword
        self,
        name: str,
        sources: AudioSource | Iterable[AudioSource],
        *,
        label: str = "",
        details: SpeakerDetails | None = None,
        mode: Mode = "append",
        force: bool = False,
        dry_run: bool = False,
    ) -> EnrollmentReport:
        """Enrol clips, one utterance each, as the voice of ``name``.

        Parameters
        ----------
        name : str
            A new speaker's, or an enrolled one's; ``Alice`` and ``alice`` are one name.
        sources : AudioSource, or several
            The recordings; 10 s of net speech or more in all is good.
        label : str
            Where all of the clips were recorded, e.g. ``phone``.
        details : SpeakerDetails, optional
            Groups, metadata, expiry: what is to be known beside the voice.
        mode : str
            ``append``: beside the samples that there are; ``replace``: in their place.
        force : bool
            Override the problems that are judgements: another voice, already enrolled, clipped.
        dry_run : bool
            Check everything, write nothing.

        Raises
        ------
        EnrollmentRefused
            Something speaks against it; its ``report`` has every problem, nothing changed.
        SpeakerNameInvalid, SpeakerDetailInvalid
            Nobody can be called so, or nothing can be a group, a label or an expiry like that.
        ModelError, StoreError, ConfigError
            Nothing was changed.
        """
        recordings = as_sources(sources)
        labels = (label,) * len(recordings) if label else ()
        person = Person(name, recordings, labels, details or SpeakerDetails())
        return self._parts.asked(
            lambda parts: parts.enroller.enroll(person, mode=mode, force=force, dry_run=dry_run)
        )

    def enroll_many(
        self, people: Sequence[Person], *, force: bool = False, dry_run: bool = False
    ) -> Iterator[EnrollmentReport]:
        """Enrol many people; yield the report of each, in order, as it is on the disk.

        Unlike :meth:`enroll` this leaves out the clips that cannot be used, and takes what is
        enrolled already for done.  Whatever else speaks against a person refuses that person
        alone, and the report says so.  Whoever stops drawing reports stops the enrolling.

        Parameters
        ----------
        people : sequence of Person
        force, dry_run : bool
            See :meth:`enroll`.
        """
        reports = enroll_many(self._parts.in_use.enroller, people, force=force, dry_run=dry_run)
        return each_told(self._parts.observer, reports)

    def speakers(self) -> list[Speaker]:
        """Return everybody who is enrolled, by name."""
        with self._parts.store.read() as reader:
            return reader.speakers()

    def speaker_pages(self, after: str | None = None, limit: int = 1000) -> Iterator[list[Speaker]]:
        """Yield everybody who is enrolled, by name, some at a time, however many there are.

        Whoever is enrolled or removed between two pages may be missing or there.

        Parameters
        ----------
        after : str, optional
            Begin after this name, whether anybody has it or not.
        limit : int
            Speakers at a time.

        Raises
        ------
        SpeakerNameInvalid
        """
        while page := self._page(after, limit):
            yield page
            after = page[-1].name

    def _page(self, after: str | None, limit: int) -> list[Speaker]:
        with self._parts.store.read() as reader:
            return reader.page(after, limit)

    def count_speakers(self) -> int:
        """Return how many speakers are enrolled, in whatever embedding space."""
        with self._parts.store.read() as reader:
            return reader.count_speakers()

    def speaker(self, name: str) -> Speaker:
        """Return the speaker called ``name``; raises SpeakerNotFound."""
        with self._parts.store.read() as reader:
            return reader.speaker(name)

    def samples(self, name: str) -> list[Sample]:
        """Return the enrolled utterances of a speaker; raises SpeakerNotFound."""
        with self._parts.store.read() as reader:
            return reader.samples(reader.speaker(name).id)

    def enrolled_samples(self, group: str | None = None) -> list[tuple[Speaker, list[Sample]]]:
        """Return everybody, by name, each with their samples in the embedding space in use.

        Parameters
        ----------
        group : str, optional
            Only the members of this group.

        Raises
        ------
        StoreError, SpeakerDetailInvalid
        """
        group = None if group is None else tag("group", group)
        space_id = self._parts.in_use.space.id
        with self._parts.store.read() as reader:
            return [
                (speaker, samples[speaker.id])
                for page in reader.pages()
                for samples in [reader.samples_of([s.id for s in page], space_id)]
                for speaker in page
                if group is None or group in speaker.groups
            ]

    @changes(Change.EDIT, one)
    def change(self, name: str, details: SpeakerDetails) -> Speaker:
        """Change what is known of a speaker beside the voice, and return them as they are now.

        Raises
        ------
        SpeakerNotFound
        """
        with self._parts.store.write() as writer:
            writer.change_speaker(writer.speaker(name).id, details)
            return writer.speaker(name)

    @changes(Change.REMOVE, purged)
    def purge_expired(self, *, dry_run: bool = False) -> list[Speaker]:
        """Erase everybody who is expired, and return them; with ``dry_run`` nobody is erased.

        Kept audio that nobody has a sample of goes too.
        """
        with self._parts.store.read() if dry_run else self._parts.store.write() as transaction:
            expired = transaction.expired(datetime.now(UTC))
            if not dry_run:
                for speaker in expired:
                    cast("Writer", transaction).remove_speaker(speaker.id)
        if not dry_run:
            # Also of enrolments that were killed.
            forget_audio(self._parts.store, self._parts.kept_audio)
        if expired and not dry_run:
            spaces = [space for speaker in expired for space in speaker.spaces]
            self._parts.each_index(lambda index, reader: index.sync(reader), spaces)
        return expired

    @changes(Change.RENAME, renamed)
    def rename(self, name: str, new_name: str) -> Speaker:
        """Give a speaker another name; raises SpeakerNotFound or SpeakerExists."""
        with self._parts.store.write() as writer:
            writer.rename_speaker(writer.speaker(name).id, new_name)
            return writer.speaker(new_name)

    @changes(Change.REMOVE, one)
    def remove(self, name: str) -> Speaker:
        """Erase a speaker: rows, vectors, and their copies in the index files.

        Raises
        ------
        SpeakerNotFound
        """
        with self._parts.store.write() as writer:
            speaker = writer.speaker(name)
            writer.remove_speaker(speaker.id)
        self._parts.each_index(lambda index, reader: index.sync(reader), speaker.spaces)
        return speaker
