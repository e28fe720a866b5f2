"""Adding the speakers of a file to a gallery: all of them, or none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

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
    from voiceid.store import Writer


_SHA256 = re.compile("[0-9a-f]{64}")
_OF_SAMPLES = ("pcm_sha256", "source_names", "qualities", "overrides", "labels", "sampled_at")


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What was written or read.

    Parameters
    ----------
    speakers, samples : int
        In the file; of an import, those that are new in the gallery.
    expired : int
        Of an import, new speakers whose expiry is past: they are never accepted.
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
    """Whether a value is the SHA-256 of something, as it is written down: 64 hex digits."""
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def add(
    writer: Writer,
    space: EmbeddingSpace,
    speakers: NewSpeakers,
    where: Sequence[str],
    *,
    append: bool,
) -> Exchanged:
    """Add the speakers of a file, some of whom may be enrolled; return what was new.

    Names may be taken or come twice; so may recordings.  ``where`` has the place of each speaker in
    the file, as the beginning of a sentence.  Without ``append`` a taken name is SpeakerExists.
    """
    keys = [speaker_key(name) for name in speakers.names]
    first: dict[str, int] = {}
    for position, key in enumerate(keys):
        first.setdefault(key, position)
    holders = writer.speakers.holders(keys)
    if not append:
        _require_free(speakers, keys, holders, first, where)
    owners_of = writer.samples.owners(speakers.pcm_sha256)
    once = len(set(speakers.pcm_sha256)) == len(speakers.pcm_sha256)
    if not holders and not owners_of and once and len(first) == len(keys):
        writer.bulk.add(space, speakers)
        return Exchanged(len(keys), len(speakers.owners), _n_expired(speakers))
    fresh = _fresh(writer, space, speakers, keys, holders, owners_of)
    new, there = [], dict[str, list[NewSample]]()
    for row in fresh:
        key = keys[speakers.owners[row]]
        if key in holders:
            there.setdefault(key, []).append(_sample(space, speakers, row))
        else:
            new.append(row)
    for key, added_samples in there.items():
        writer.samples.add(holders[key].id, space, added_samples)
    added = _chosen(speakers, [first[keys[speakers.owners[row]]] for row in new], new)
    if new:
        writer.bulk.add(space, added)
    return Exchanged(len(added.names), len(fresh), _n_expired(added))


def _n_expired(speakers: NewSpeakers) -> int:
    now = datetime.now(UTC)
    return sum(is_expired(details.expires_at, now) for details in speakers.details)


def _require_free(
    speakers: NewSpeakers,
    keys: Sequence[str],
    holders: dict[str, SpeakerRef],
    first: dict[str, int],
    where: Sequence[str],
) -> None:
    """Raise SpeakerExists unless all names are free, and none comes twice."""
    for position, key in enumerate(keys):
        if key in holders:
            fault = f"{holders[key].name} is enrolled already"
        elif first[key] != position:
            fault = f"{speakers.names[position]} comes twice"
        else:
            continue
        raise SpeakerExists(
            f"{where[position]}{fault}; nothing was imported",
            hint="--append adds what is missing to speakers that are there.",
        )


def _fresh(
    writer: Writer,
    space: EmbeddingSpace,
    speakers: NewSpeakers,
    keys: Sequence[str],
    holders: dict[str, SpeakerRef],
    owners_of: dict[str, list[SpeakerRef]],
) -> list[int]:
    """Return which samples their speakers lack; raises ChangeRefused for those of others."""
    samples = writer.samples.of_speakers([holder.id for holder in holders.values()], space.id)
    known = {key: {s.pcm_sha256 for s in samples[holder.id]} for key, holder in holders.items()}
    fresh, seen = [], dict[str, str]()
    for row, (owner, digest) in enumerate(zip(speakers.owners, speakers.pcm_sha256, strict=True)):
        key = keys[owner]
        own_id = holders[key].id if key in holders else None
        others = [owner.name for owner in owners_of.get(digest, ()) if owner.id != own_id]
        if digest in known.get(key, ()) or seen.get(digest) == key:
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
    """Return some of the samples, each of the speaker at that position."""
    kept = sorted(set(positions))
    owners = np.searchsorted(kept, positions)
    order = np.argsort(owners, kind="stable")
    picked = [rows[i] for i in order]
    return replace(
        speakers,
        names=[speakers.names[i] for i in kept],
        created_at=[speakers.created_at[i] for i in kept],
        details=[speakers.details[i] for i in kept],
        owners=owners[order],
        vectors=speakers.vectors[picked],
        **{name: [getattr(speakers, name)[i] for i in picked] for name in _OF_SAMPLES},
    )
