"""Who is enrolled in a `VoiceID`, and how that is changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voiceid.app.parts import Parts
from voiceid.audio import AudioSource
from voiceid.domain import EnrollmentReport, Sample, Speaker
from voiceid.enrollment import Mode, Person, enroll_many


class People:
    """The enrolled speakers and their samples."""

    _parts: Parts

    def enroll(
        self,
        name: str,
        sources: Sequence[AudioSource],
        *,
        mode: Mode = "append",
        force: bool = False,
        dry_run: bool = False,
    ) -> EnrollmentReport:
        """Enrol clips, one utterance each, as the voice of ``name``.

        See :meth:`voiceid.enrollment.Enroller.enroll` for the parameters.

        Raises
        ------
        EnrollmentRefused
            Something speaks against it; its ``report`` has every problem, nothing changed.
        """
        return self._parts.enroller.enroll(name, sources, mode=mode, force=force, dry_run=dry_run)

    def enroll_many(
        self, people: Sequence[Person], *, force: bool = False, dry_run: bool = False
    ) -> Iterator[EnrollmentReport]:
        """Enrol many people; yield the report of each, in order, as it is on the disk.

        Unlike :meth:`enroll` this leaves out the clips that cannot be used, and takes what is
        enrolled already for done; see :func:`voiceid.enrollment.enroll_many`.
        """
        return enroll_many(self._parts.enroller, people, force=force, dry_run=dry_run)

    def speakers(self) -> list[Speaker]:
        """Return everybody who is enrolled, by name."""
        with self._parts.store.read() as reader:
            return reader.speakers()

    def speaker(self, name: str) -> Speaker:
        """Return the speaker called ``name``; raises SpeakerNotFound."""
        with self._parts.store.read() as reader:
            return reader.speaker(name)

    def samples(self, name: str) -> list[Sample]:
        """Return the enrolled utterances of a speaker; raises SpeakerNotFound."""
        with self._parts.store.read() as reader:
            return reader.samples(reader.speaker(name).id)

    def rename(self, name: str, new_name: str) -> Speaker:
        """Give a speaker another name; raises SpeakerNotFound or SpeakerExists."""
        with self._parts.store.write() as writer:
            writer.rename_speaker(writer.speaker(name).id, new_name)
            return writer.speaker(new_name)

    def remove(self, name: str) -> Speaker:
        """Erase a speaker: rows, vectors, and their copies in the index files."""
        with self._parts.store.write() as writer:
            speaker = writer.speaker(name)
            writer.remove_speaker(speaker.id)
        self._parts.each_index(lambda index, reader: index.sync(reader), speaker.spaces)
        return speaker
