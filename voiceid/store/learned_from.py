"""The enrolled speakers that calibrations and adaptations were learned from, by id.

Once a speaker is erased, the id names no person.  A fit that was learned from recordings has no
ids; a fit that is older than this table has no row.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from voiceid.store.snapshot import Rows
from voiceid.store.tables import fit_speakers


@dataclass(frozen=True, slots=True)
class SpeakerIds:
    """Ids of speakers, written as ranges: ``1-40,42``."""

    text: str

    @classmethod
    def of(cls, ids: Iterable[int]) -> SpeakerIds:
        """Return the ranges of some ids."""
        ranges: list[list[int]] = []
        for id_ in sorted(set(ids)):
            if ranges and ranges[-1][1] == id_ - 1:
                ranges[-1][1] = id_
            else:
                ranges.append([id_, id_])
        return cls(",".join(f"{a}-{b}" if b > a else str(a) for a, b in ranges))

    def __iter__(self) -> Iterator[int]:
        return (id_ for first, last in self._ranges() for id_ in range(first, last + 1))

    def __contains__(self, id_: int) -> bool:
        return any(first <= id_ <= last for first, last in self._ranges())

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self._ranges())

    def and_of(self, id_: int) -> SpeakerIds:
        """Return these ids and another one."""
        return SpeakerIds.of({*self, id_})

    def _ranges(self) -> Iterator[tuple[int, int]]:
        for part in filter(None, self.text.split(",")):
            first, _, last = part.partition("-")
            yield int(first), int(last or first)


class LearnedFrom(Rows):
    """Reads these ids, and changes them in a change."""

    def all(self) -> dict[tuple[str, int], SpeakerIds]:
        """Return the speakers by kind, ``calibration`` or ``adaptation``, and number of a fit."""
        rows = self._connection.execute(select(fit_speakers))
        return {(row.kind, row.number): SpeakerIds(row.speaker_ids) for row in rows}

    def put(self, kind: str, number: int, speaker_ids: Iterable[int]) -> None:
        """Record the speakers that a fit was learned from."""
        self.forget(kind, [number])
        values = {"kind": kind, "number": number, "speaker_ids": SpeakerIds.of(speaker_ids).text}
        self._connection.execute(insert(fit_speakers).values(**values))

    def forget(self, kind: str, numbers: Collection[int]) -> None:
        """Remove the speakers of removed fits."""
        gone = (fit_speakers.c.kind == kind) & fit_speakers.c.number.in_(numbers)
        self._connection.execute(delete(fit_speakers).where(gone))

    def moved(self, from_ids: Collection[int], to_id: int) -> None:
        """Add a speaker who gets samples of others to the fits that were learned from those."""
        for (kind, number), ids in self.all().items():
            if to_id not in ids and any(id_ in ids for id_ in from_ids):
                its = (fit_speakers.c.kind == kind) & (fit_speakers.c.number == number)
                values = {"speaker_ids": ids.and_of(to_id).text}
                self._connection.execute(update(fit_speakers).where(its).values(**values))
