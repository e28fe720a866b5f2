"""The enrolled utterances of each speaker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voiceid.domain import Sample, Speaker, tag
from voiceid.resources.collection import OfSession


class Samples(OfSession):
    """Samples: immutable rows, from which a speaker's centroid is computed."""

    def list(self, name: str) -> Sequence[Sample]:
        """Return the samples of a speaker, oldest first; raises SpeakerNotFound."""
        with self._session.store.read() as reader:
            return reader.samples.of(reader.speakers.get(name).id)

    def of(self, speakers: Sequence[Speaker]) -> Mapping[int, Sequence[Sample]]:
        """Return the samples of some speakers, oldest first, by the id of the speaker."""
        with self._session.store.read() as reader:
            return reader.samples.of_speakers([speaker.id for speaker in speakers])

    def by_speaker(self, group: str | None = None) -> Sequence[tuple[Speaker, Sequence[Sample]]]:
        """Return the speakers by name, each with the samples in the embedding space in use.

        With ``group`` only its members.  Raises StoreError, SpeakerDetailInvalid.
        """
        group = None if group is None else tag("group", group)
        space_id = self._session.model.space.id
        with self._session.store.read() as reader:
            return [
                (speaker, samples[speaker.id])
                for page in reader.speakers.pages()
                for samples in [reader.samples.of_speakers([s.id for s in page], space_id)]
                for speaker in page
                if group is None or group in speaker.groups
            ]

    def remove(self, name: str, sample_ids: Sequence[int]) -> tuple[Sample, ...]:
        """Erase samples of a speaker, and return them.

        Raises
        ------
        SpeakerNotFound, SampleNotFound
        ChangeRefused
            No sample would be left.  Nothing changed.
        ErasureIncomplete
            They were removed, but data of them is still in a file, which is named.
        """
        return self._session.model.curator.remove_samples(name, sample_ids)
