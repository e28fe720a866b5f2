"""What is read from a file, added to a gallery: everybody in it, or nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from voiceid.domain import (
    Embedding,
    EmbeddingSpace,
    NewSample,
    NewSpeakers,
    SpeakerRef,
    Utterance,
    speaker_key,
)
from voiceid.errors import ChangeRefused, SpeakerExists

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Writer


_SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What was written or read.

    Parameters
    ----------
    speakers, samples : int
        In the file; of an import, those that are new in the gallery.
    """

    speakers: int
    samples: int

    def __add__(self, other: Exchanged) -> Exchanged:
        return Exchanged(self.speakers + other.speakers, self.samples + other.samples)


def is_sha256(value: object) -> bool:
    """Whether a value is the SHA-256 of something, as it is written down: 64 hex digits."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def add(
    writer: Writer,
    space: EmbeddingSpace,
    found: NewSpeakers,
    where: Sequence[str],
    *,
    append: bool,
) -> Exchanged:
    """Add the speakers of a file, some of whom may be enrolled; return what was new.

    Names may be taken or come twice; so may recordings.  ``where`` has the place of each speaker in
    the file, as the beginning of a sentence.  Without ``append`` a taken name is SpeakerExists.
    """
    keys = [speaker_key(name) for name in found.names]
    first: dict[str, int] = {}
    for position, key in enumerate(keys):
        first.setdefault(key, position)
    holders = writer.speakers.holders(keys)
    if not append:
        _require_free(found, keys, holders, first, where)
    owners_of = writer.samples.owners(found.pcm_sha256)
    once = len(set(found.pcm_sha256)) == len(found.pcm_sha256)
    if not holders and not owners_of and once and len(first) == len(keys):
        writer.bulk.add(space, found)
        return Exchanged(len(keys), len(found.owners))
    fresh = _fresh(writer, space, found, keys, holders, owners_of)
    new, there = [], dict[str, list[NewSample]]()
    for row in fresh:
        key = keys[found.owners[row]]
        if key in holders:
            there.setdefault(key, []).append(_sample(space, found, row))
        else:
            new.append(row)
    for key, mine in there.items():
        writer.samples.add(holders[key].id, space, mine)
    added = _chosen(found, [first[keys[found.owners[row]]] for row in new], new)
    if new:
        writer.bulk.add(space, added)
    return Exchanged(len(added.names), len(fresh))


def _require_free(
    found: NewSpeakers,
    keys: Sequence[str],
    holders: dict[str, SpeakerRef],
    first: dict[str, int],
    where: Sequence[str],
) -> None:
    """Raise SpeakerExists unless all names are free, and none comes twice."""
    for position, key in enumerate(keys):
        if key in holders:
            told = f"{holders[key].name} is enrolled already"
        elif first[key] != position:
            told = f"{found.names[position]} comes twice"
        else:
            continue
        raise SpeakerExists(
            f"{where[position]}{told}; nothing was imported",
            hint="--append adds what is missing to speakers that are there.",
        )


def _fresh(
    writer: Writer,
    space: EmbeddingSpace,
    found: NewSpeakers,
    keys: Sequence[str],
    holders: dict[str, SpeakerRef],
    owners_of: dict[str, list[SpeakerRef]],
) -> list[int]:
    """Return which samples their speakers lack; raises ChangeRefused for those of others."""
    samples = writer.samples.of_speakers([one.id for one in holders.values()], space.id)
    known = {key: {sample.pcm_sha256 for sample in samples[one.id]} for key, one in holders.items()}
    fresh, seen = [], dict[str, str]()
    for row, (owner, digest) in enumerate(zip(found.owners, found.pcm_sha256, strict=True)):
        key = keys[owner]
        me = holders[key].id if key in holders else None
        others = [one.name for one in owners_of.get(digest, ()) if one.id != me]
        if digest in known.get(key, ()) or seen.get(digest) == key:
            continue
        if digest in seen:
            others.append(found.names[keys.index(seen[digest])])
        if others:
            raise ChangeRefused(
                f"{found.source_names[row]} of {found.names[owner]} is a sample of"
                f" {', '.join(others)} already; nothing was imported",
                hint="Merge or remove one of the two first.",
            )
        seen[digest] = key
        fresh.append(row)
    return fresh


def _sample(space: EmbeddingSpace, found: NewSpeakers, row: int) -> NewSample:
    utterance = Utterance(
        name=found.source_names[row],
        pcm_sha256=found.pcm_sha256[row],
        quality=found.qualities[row],
        embedding=Embedding(found.vectors[row], space),
    )
    return NewSample(utterance, found.overrides[row], found.labels[row], found.sampled_at[row])


def _chosen(found: NewSpeakers, positions: Sequence[int], rows: Sequence[int]) -> NewSpeakers:
    """Return some of the samples, each of the speaker at that position."""
    kept = sorted(set(positions))
    owners = np.searchsorted(kept, positions)
    order = np.argsort(owners, kind="stable")
    picked = [rows[i] for i in order]
    return replace(
        found,
        names=[found.names[i] for i in kept],
        created_at=[found.created_at[i] for i in kept],
        details=[found.details[i] for i in kept],
        owners=owners[order],
        vectors=found.vectors[picked],
        pcm_sha256=[found.pcm_sha256[i] for i in picked],
        source_names=[found.source_names[i] for i in picked],
        qualities=[found.qualities[i] for i in picked],
        overrides=[found.overrides[i] for i in picked],
        labels=[found.labels[i] for i in picked],
        sampled_at=[found.sampled_at[i] for i in picked],
    )
