"""Adding the speakers of a file to a gallery: all of them, or none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from voiceid.domain import (
    Embedding,
    EmbeddingSpace,
    NewSample,
    NewSpeakers,
    SpeakerRef,
    Utterance,
    is_expired,
    speaker_key,
)
from voiceid.errors import ChangeRefused, SpeakerExists

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader, Writer


_SHA256 = re.compile("[0-9a-f]{64}")
_OF_SAMPLES = ("pcm_sha256", "source_names", "qualities", "overrides", "labels", "sampled_at")


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The counts of an export or an import.

    Parameters
    ----------
    speakers, samples : int
        Those in the file; for an import, those that are new in the gallery.
    expired : int
        For an import, new speakers whose expiry has passed: they are never accepted.
    """

    speakers: int
    samples: int
    expired: int = 0

    def __add__(self, other: Exchanged) -> Exchanged:
        return Exchanged(
            self.speakers + other.speakers,
            self.samples + other.samples,
            self.expired + other.expired,
        )


def is_sha256(value: object) -> bool:
    """Whether a value is a SHA-256 hash as text: 64 hex digits."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


@dataclass(frozen=True, slots=True)
class Lacking:
    """What a gallery lacks of the speakers in a file; some of them may be enrolled.

    - `keys` (n,): the keys of their names.
    - `holders`: the enrolled ones among them, by key.
    - `rows`: the new samples, in ascending order.
    """

    keys: Sequence[str]
    holders: dict[str, SpeakerRef]
    rows: Sequence[int]

    def of(self, speakers: NewSpeakers, *, enrolled: bool | None = None) -> NewSpeakers:
        """Return the new samples, each speaker once: of all, of enrolled, or of new speakers."""
        first = _first(self.keys)
        key_of = [self.keys[owner] for owner in speakers.owners.tolist()]
        rows = [i for i in self.rows if enrolled in {None, key_of[i] in self.holders}]
        if len(rows) == len(key_of) and len(first) == len(self.keys):
            return speakers
        return _chosen(speakers, [first[key_of[i]] for i in rows], rows)


def lacking(
    reader: Reader,
    space: EmbeddingSpace,
    speakers: NewSpeakers,
    where: Sequence[str],
    *,
    append: bool,
) -> Lacking:
    """Return what the gallery lacks of speakers.  Names and recordings may occur twice.

    ``where`` has the place of each speaker in the file, as the beginning of a sentence.  Raises
    SpeakerExists for a taken name without ``append``, ChangeRefused for another's recording.
    """
    keys = [speaker_key(name) for name in speakers.names]
    holders = reader.speakers.holders(keys)
    if not append:
        _require_free(speakers, keys, holders, where)
    owners_of = reader.samples.owners(speakers.pcm_sha256)
    once = len(set(speakers.pcm_sha256)) == len(speakers.pcm_sha256)
    if not holders and not owners_of and once:
        return Lacking(keys, holders, range(len(speakers.owners)))
    return Lacking(keys, holders, _fresh(reader, space, speakers, keys, holders, owners_of))


def add(
    writer: Writer,
    space: EmbeddingSpace,
    speakers: NewSpeakers,
    where: Sequence[str],
    *,
    append: bool,
) -> Exchanged:
    """Add what the gallery lacks of speakers; return the new counts.  See :func:`lacking`."""
    lacks = lacking(writer, space, speakers, where, append=append)
    if lacks.holders:
        more = lacks.of(speakers, enrolled=True)
        by_key: dict[str, list[NewSample]] = {}
        for row, owner in enumerate(more.owners.tolist()):
            by_key.setdefault(speaker_key(more.names[owner]), []).append(_sample(space, more, row))
        for key, samples in by_key.items():
            writer.samples.add(lacks.holders[key].id, space, samples)
    new = lacks.of(speakers, enrolled=False)
    if new.names:
        writer.bulk.add(space, new)
    now = datetime.now(UTC)
    n_expired = sum(is_expired(details.expires_at, now) for details in new.details)
    return Exchanged(len(new.names), len(lacks.rows), n_expired)


def _require_free(
    speakers: NewSpeakers, keys: Sequence[str], holders: dict[str, SpeakerRef], where: Sequence[str]
) -> None:
    """Raise SpeakerExists unless all names are free, and none occurs twice."""
    first = _first(keys)
    for position, key in enumerate(keys):
        if key in holders:
            fault = f"{holders[key].name} is enrolled already"
        elif first[key] != position:
            fault = f"{speakers.names[position]} occurs twice"
        else:
            continue
        raise SpeakerExists(
            f"{where[position]}{fault}; nothing was imported",
            hint="--append adds the missing samples to speakers who are enrolled.",
        )


def _first(keys: Sequence[str]) -> dict[str, int]:
    """Return the first position of each name, by its key."""
    return {key: position for position, key in reversed(list(enumerate(keys)))}


def _fresh(
    reader: Reader,
    space: EmbeddingSpace,
    speakers: NewSpeakers,
    keys: Sequence[str],
    holders: dict[str, SpeakerRef],
    owners_of: dict[str, list[SpeakerRef]],
) -> list[int]:
    """Return the samples that their speakers lack; raises ChangeRefused for other speakers'."""
    samples = reader.samples.of_speakers([holder.id for holder in holders.values()], space.id)
    enrolled = {key: {s.pcm_sha256 for s in samples[holder.id]} for key, holder in holders.items()}
    fresh, seen = [], dict[str, str]()
    for row, (owner, digest) in enumerate(zip(speakers.owners, speakers.pcm_sha256, strict=True)):
        key = keys[owner]
        own_id = holders[key].id if key in holders else None
        others = [owner.name for owner in owners_of.get(digest, ()) if owner.id != own_id]
        if digest in enrolled.get(key, ()) or seen.get(digest) == key:
            continue
        if digest in seen:
            others.append(speakers.names[keys.index(seen[digest])])
        if others:
            raise ChangeRefused(
                f"{speakers.source_names[row]} of {speakers.names[owner]} is a sample of"
                f" {', '.join(others)} already; nothing was imported",
                hint="Merge or remove one of the two first.",
            )
        seen[digest] = key
        fresh.append(row)
    return fresh


def _sample(space: EmbeddingSpace, speakers: NewSpeakers, row: int) -> NewSample:
    utterance = Utterance(
        name=speakers.source_names[row],
        pcm_sha256=speakers.pcm_sha256[row],
        quality=speakers.qualities[row],
        embedding=Embedding(speakers.vectors[row], space),
    )
    return NewSample(
        utterance, speakers.overrides[row], speakers.labels[row], speakers.sampled_at[row]
    )


def _chosen(speakers: NewSpeakers, positions: Sequence[int], rows: Sequence[int]) -> NewSpeakers:
    """Return some of the samples, each with the speaker at that position."""
    used = sorted(set(positions))
    owners = np.searchsorted(used, positions)
    order = np.argsort(owners, kind="stable")
    picked = [rows[i] for i in order]
    return replace(
        speakers,
        names=[speakers.names[i] for i in used],
        created_at=[speakers.created_at[i] for i in used],
        details=[speakers.details[i] for i in used],
        owners=owners[order],
        vectors=speakers.vectors[picked],
        **{name: [getattr(speakers, name)[i] for i in picked] for name in _OF_SAMPLES},
    )


def joined(parts: Sequence[NewSpeakers], dim: int) -> NewSpeakers:
    """Return the speakers of several parts as one, in their order."""
    columns: dict[str, Any] = {
        field.name: list(chain.from_iterable(getattr(part, field.name) for part in parts))
        for field in fields(NewSpeakers)
        if field.name not in {"owners", "vectors"}
    }
    firsts = np.cumsum([0, *(len(part.names) for part in parts)])
    owners = [part.owners + first for part, first in zip(parts, firsts[:-1], strict=True)]
    no_vectors = np.empty((0, dim), dtype=np.float32)
    return NewSpeakers(
        **columns,
        owners=np.concatenate([np.empty(0, dtype=np.int64), *owners]),
        vectors=np.concatenate([no_vectors, *(part.vectors for part in parts)]),
    )
