"""Whether what an import brought is what an enrolment would take: judged where it would be kept.

The rows are judged in the transaction that wrote them, before its end: whatever file they came
from, these are the voices that would be let in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voiceid.decision.agreement import odd_ones, taken_for
from voiceid.decision.rule import DecisionRule
from voiceid.domain import Sample
from voiceid.errors import ChangeRefused
from voiceid.index.faiss_index import nearest_to_each

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader

_AT_ONCE = 4096
"""Speakers who are judged at once."""
_NEAREST = 5
"""Others that each speaker is compared with."""
_NAMED = 5
"""Faults that a refusal names."""


@dataclass(frozen=True, slots=True)
class Vetting:
    """Judges the samples of a space that came after sample ``newest_id``."""

    reader: Reader
    space_id: str
    rule: DecisionRule
    newest_id: int

    def require_sound(self) -> None:
        """Raise `ChangeRefused` if an enrolment of the new samples would be refused."""
        faults = list(self._faults())
        if not faults:
            return
        more = f" (and {len(faults) - _NAMED} more)" if len(faults) > _NAMED else ""
        raise ChangeRefused(
            f"nothing was imported: {'; '.join(faults[:_NAMED])}{more}",
            hint="Correct the file, or import it with --trust if you know where it comes from.",
        )

    def _faults(self) -> Iterator[str]:
        speaker_ids = self.reader.samples.speakers_since(self.newest_id, self.space_id)
        for start in range(0, len(speaker_ids), _AT_ONCE):
            chosen = speaker_ids[start : start + _AT_ONCE]
            samples = self.reader.samples.of_speakers(chosen, self.space_id)
            yield from self._disagreements(samples)
            yield from self._other_names(samples)

    def _disagreements(self, samples: Mapping[int, Sequence[Sample]]) -> Iterator[str]:
        """Yield the speakers whose new samples are not one voice, that of the samples so far."""
        for of_speaker in samples.values():
            kept = [i for i, s in enumerate(of_speaker) if s.id <= self.newest_id]
            vectors = np.array([sample.vector for sample in of_speaker])
            qualities = [sample.quality for sample in of_speaker]
            odd, _ = odd_ones(vectors, qualities, self.rule, kept)
            if odd:
                clips = [of_speaker[i].source_name for voice in odd for i in voice.indices]
                more = f" and {len(clips) - 1} more" if len(clips) > 1 else ""
                name = self.reader.speakers.name_of(of_speaker[0].speaker_id)
                yield (
                    f"{clips[0]}{more} of {name} do not agree with the other samples (score"
                    f" {odd[0].agreement:.3f}, needed {odd[0].needed:.3f}): another voice?"
                )

    def _other_names(self, samples: Mapping[int, Sequence[Sample]]) -> Iterator[str]:
        """Yield the speakers whose voice has another name too, or passes for many."""
        centroids = self.reader.centroids.of_speakers(list(samples), self.space_id)
        vectors = np.array([centroids[id_] for id_ in samples])
        # Exact, and of the rows that this transaction wrote, which no index file has yet.
        tables = self.reader.centroids.batches(self.space_id)
        ids, scores = nearest_to_each(vectors, tables, 1 + _NEAREST)  # itself among them
        owners = self.reader.centroids.owners(np.unique(ids[ids >= 0]).tolist())
        for (speaker_id, of_speaker), near, cosines in zip(
            samples.items(), ids, scores, strict=True
        ):
            qualities = [sample.quality for sample in of_speaker]
            others = [
                (owners[id_].speaker.name, score)
                for id_, score in zip(near.tolist(), cosines.tolist(), strict=True)
                if id_ in owners  # with fewer speakers than are asked for, -1 fills the row
                and owners[id_].speaker.id != speaker_id
                and taken_for(owners[id_], score, qualities, self.rule)
            ]
            if others:
                names = ", ".join(f"{name} (score {score:.3f})" for name, score in others)
                what = "passes for several speakers" if len(others) > 1 else "is enrolled as"
                yield f"the voice of {self.reader.speakers.name_of(speaker_id)} {what}: {names}"
