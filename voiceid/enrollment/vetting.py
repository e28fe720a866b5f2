"""The check that an enrolment would accept the speakers of an import.

The check takes time, in which other processes must be able to write.  So the voices are checked
before the transaction, and in it only against the changes since then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from voiceid.decision import embeddings
from voiceid.decision.agreement import odd_ones, taken_for
from voiceid.decision.rule import DecisionRule
from voiceid.domain import (
    CentroidTable,
    Enrolled,
    Float32Array,
    NewSpeakers,
    QualityReport,
    Sample,
    SpeakerRef,
    speaker_key,
    telephone_share,
)
from voiceid.errors import ChangeRefused
from voiceid.index.base import Gallery, Ids, as_ids

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader

_AT_ONCE = 4096
"""Speakers that are checked at once, and the most changes that a transaction checks them by."""
_ROWS_AT_ONCE = 20_000
"""Rows per transaction: a longer reader would keep removed rows in the database file."""
_NEAREST = 5
"""The other speakers that each is compared with."""
_SEARCHED = 20
"""The most speakers that are searched in the index one by one."""
_NAMED = 5
"""The most faults that a refusal names."""

Read: TypeAlias = Callable[[], "AbstractContextManager[Reader]"]


@dataclass(frozen=True, slots=True)
class _Voice:
    """A speaker after the import; a new speaker has an id below -1."""

    enrolled: Enrolled
    qualities: Sequence[QualityReport]
    centroid: Float32Array


class Vetting:
    """Checks new samples of a space, by speaker; ``lacking`` returns those a snapshot lacks.

    The constructor checks: it raises `ChangeRefused` if an enrolment of the samples would be
    refused, and `SpeakerExists` for a name that looks like another.
    """

    def __init__(
        self,
        read: Read,
        gallery: Gallery,
        space_id: str,
        rule_of: Callable[[Reader], DecisionRule],
        lacking: Callable[[Reader], NewSpeakers],
    ) -> None:
        self._read, self._gallery = read, gallery
        self._space_id, self._rule_of = space_id, rule_of
        with read() as reader:
            self._revision = reader.revision
            self._rule = rule_of(reader)
            self._new = lacking(reader)
            self._keys = [speaker_key(name) for name in self._new.names]
            self._holders = reader.speakers.holders(self._keys)
            self._held = self._centroids_held(reader)
            self._newest = reader.speakers.newest()
            reader.speakers.require_distinct(self._new_names())
        faults: list[str] = []
        self._voices = list(self._joined(faults))
        _require_none([*faults, *self._other_names(read, self._tables)])

    def holds(self, writer: Reader) -> bool:
        """Check against the changes since then, in the transaction that writes the samples.

        Return False if too much changed, or the speakers or the rule did: check all again.
        Raises the errors of the constructor.
        """
        n_changes = writer.revision.number - self._revision.number
        feed = writer.feed.after(self._revision) if n_changes <= _AT_ONCE else None
        if feed is None or self._rule_of(writer) != self._rule:
            return False
        changed = {entry.centroid_id for entry in feed}
        writer.speakers.require_distinct(self._new_names(), since=self._newest)
        held = self._held | self._centroids_held(writer)
        if writer.speakers.holders(self._keys) != self._holders or not changed.isdisjoint(held):
            return False
        table = writer.centroids.table(self._space_id, sorted(changed))
        if not len(table.ids):
            return True
        _require_none(list(self._other_names(lambda: nullcontext(writer), lambda: [table])))
        return True

    def _new_names(self) -> list[str]:
        pairs = zip(self._keys, self._new.names, strict=True)
        return [name for key, name in pairs if key not in self._holders]

    def _centroids_held(self, reader: Reader) -> set[int]:
        """Return the centroids that the speakers of the import already have."""
        speaker_ids = [holder.id for holder in self._holders.values()]
        if not speaker_ids:
            return set()
        return set(reader.centroids.ids(self._space_id, speaker_ids).tolist())

    def _joined(self, faults: list[str]) -> Iterator[_Voice]:
        """Yield each speaker with all samples; add a fault for samples that are not one voice."""
        bounds = np.searchsorted(self._new.owners, np.arange(len(self._keys) + 1)).tolist()
        for first in range(0, len(self._keys), _AT_ONCE):
            chosen = self._keys[first : first + _AT_ONCE]
            holders = {key: self._holders[key] for key in chosen if key in self._holders}
            with self._read() as reader:
                ids = [holder.id for holder in holders.values()]
                kept = reader.samples.of_speakers(ids, self._space_id)
            for number, key in enumerate(chosen, start=first):
                ref = holders.get(key) or SpeakerRef(-2 - number, self._new.names[number])
                rows = range(bounds[number], bounds[number + 1])
                yield self._voice(ref, kept.get(ref.id, []), rows, faults)

    def _voice(
        self, ref: SpeakerRef, kept: Sequence[Sample], rows: Sequence[int], faults: list[str]
    ) -> _Voice:
        new = self._new
        vectors = np.array([*(s.vector for s in kept), *(new.vectors[i] for i in rows)])
        qualities = [*(s.quality for s in kept), *(new.qualities[i] for i in rows)]
        odd, _ = odd_ones(vectors, qualities, self._rule, range(len(kept)))
        if odd:
            names = [*(s.source_name for s in kept), *(new.source_names[i] for i in rows)]
            clips = [names[i] for voice in odd for i in voice.indices]
            more = f" and {len(clips) - 1} more" if len(clips) > 1 else ""
            faults.append(
                f"{clips[0]}{more} of {ref.name} do not agree with the other samples (score"
                f" {odd[0].agreement:.3f}, needed {odd[0].needed:.3f}): another voice?"
            )
        telephone = telephone_share([quality.telephone for quality in qualities])
        net_speech_s = sum(quality.net_speech_s for quality in qualities)
        enrolled = Enrolled(ref, telephone, len(qualities), net_speech_s, None, None)
        return _Voice(enrolled, qualities, embeddings.centroid(vectors))

    def _tables(self) -> Iterator[CentroidTable]:
        """Yield the centroids of all other speakers, and those after the import."""
        with self._read() as reader:
            ids = self._likely(reader)
        ids = ids[~np.isin(ids, list(self._held))]
        for first in range(0, len(ids), _ROWS_AT_ONCE):
            chunk = ids[first : first + _ROWS_AT_ONCE].tolist()
            with self._read() as reader:
                table = reader.centroids.table(self._space_id, chunk)
            yield table
        for first in range(0, len(self._voices), _AT_ONCE):
            own = self._voices[first : first + _AT_ONCE]
            own_ids = np.arange(-2 - first, -2 - first - len(own), -1)
            yield CentroidTable(own_ids, np.array([voice.centroid for voice in own]))

    def _likely(self, reader: Reader) -> Ids:
        """Return the ids (n,) of all centroids that may be nearest: for few voices, by searches.

        For many voices all rows are read once, which takes as long as some hundred searches.
        """
        if len(self._voices) > _SEARCHED:
            return reader.centroids.ids(self._space_id)
        count = 1 + _NEAREST + len(self._held)
        hits_by_voice = (self._gallery.search(reader, v.centroid, count) for v in self._voices)
        return as_ids(sorted({id_ for hits in hits_by_voice for id_, _ in hits}))

    def _other_names(
        self, read: Read, tables: Callable[[], Iterable[CentroidTable]]
    ) -> Iterator[str]:
        """Yield a fault for each voice that also has another name, or matches several."""
        from voiceid.index.faiss_index import nearest_to_each  # noqa: PLC0415 - it loads FAISS

        for first in range(0, len(self._voices), _AT_ONCE):
            chosen = self._voices[first : first + _AT_ONCE]
            vectors = np.array([voice.centroid for voice in chosen])
            ids, scores = nearest_to_each(vectors, tables(), 1 + _NEAREST)  # including itself
            with read() as reader:
                nearby = np.unique(ids[ids >= 0]).tolist()
                present = reader.centroids.table(self._space_id, nearby).ids  # some may be removed
                owners = reader.centroids.owners(present.tolist())
            owners |= {id_: self._voices[-2 - id_].enrolled for id_ in ids[ids < -1].tolist()}
            for voice, near, cosines in zip(chosen, ids.tolist(), scores.tolist(), strict=True):
                others = [
                    (owners[id_].speaker.name, score)
                    for id_, score in zip(near, cosines, strict=True)
                    if id_ in owners  # -1 fills a row with fewer speakers
                    and owners[id_].speaker != voice.enrolled.speaker
                    and taken_for(owners[id_], score, voice.qualities, self._rule)
                ]
                if others:
                    names = ", ".join(f"{name} (score {score:.3f})" for name, score in others)
                    relation = "matches several speakers" if len(others) > 1 else "is enrolled as"
                    yield f"the voice of {voice.enrolled.speaker.name} {relation}: {names}"


def _require_none(faults: Sequence[str]) -> None:
    if not faults:
        return
    more = f" (and {len(faults) - _NAMED} more)" if len(faults) > _NAMED else ""
    raise ChangeRefused(
        f"nothing was imported: {'; '.join(faults[:_NAMED])}{more}",
        hint="Correct the file, or import it with --trust if you trust its source.",
    )
