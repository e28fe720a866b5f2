"""Looking after a database: a copy while others write, and a check of everything in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from voiceid.decision.transforms import Transform
from voiceid.domain import Float32Array, Sample, Speaker, telephone_share
from voiceid.errors import StoreError
from voiceid.protection import SigningKey
from voiceid.store import Store, backup_signature, stored_rows
from voiceid.store.connections import is_refusal, whole_file, wrapped_files
from voiceid.store.reader import Reader

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_CENTROID_TOLERANCE = 1e-5
"""Far above the rounding of a mean of float32 vectors, far below another voice."""


def backup(
    store: Store,
    target: Path,
    when_whole: Callable[[], None] = lambda: None,
    key: SigningKey | None = None,
) -> int:
    """Write one consistent state to a new file of its owner (0600), whole or not at all.

    Return its size in bytes.  ``when_whole`` is called before the file has its name; a ``key``
    signs it.
    """
    with wrapped_files(target):
        if target.exists():
            raise StoreError(
                f"{target} is there already; it was left as it is", hint="Name a file that is not."
            )
        with whole_file(target) as unfinished:
            store.copy_into(unfinished)
            if key is not None:
                backup_signature.sign(unfinished, key)
            when_whole()
        return target.stat().st_size


def check(store: Store) -> list[str]:
    """Return everything that is wrong with a database, each in a sentence; nothing is changed.

    SQLite's own checks of its pages and references, then every speaker, sample and centroid:
    whether it can be read, whether the name fits the key that it is looked up by, and whether the
    centroid and the totals beside it are what the samples make.  What keeps it from being read,
    other than damage, is raised.
    """
    problems: list[str] = []
    try:
        with store.read() as reader:
            problems += reader.faults()
            problems += _content(reader)
    except StoreError as error:
        if is_refusal(error):
            raise
        problems.append(error.message)
    return problems


def unreadable(reader: Reader) -> dict[int, str]:
    """Return the speakers who cannot be read, or be found by name, by id, with what is wrong.

    Also those of whom there are rows, and no speaker: another program deleted that one.
    """
    gone = reader.without_speaker()
    rows = {id_: f"there are rows of speaker {id_}, and no such speaker" for id_ in sorted(gone)}
    rows |= reader.retention.undated()
    return rows | dict(_unreadable(reader, reader.speakers.ids()))


def _unreadable(reader: Reader, ids: list[int]) -> Iterator[tuple[int, str]]:
    try:
        reader.speakers.of_ids(ids)
        misnamed = reader.speakers.misnamed(ids)
        reader.samples.of_speakers(ids)
        for space_id in reader.spaces.dims():
            reader.centroids.of_speakers(ids, space_id)
        for id_ in ids:
            reader.spoken.of(id_)
            for _ in reader.fingerprints.of(id_, _LONG_AGO):
                pass
    except StoreError as error:
        if is_refusal(error):
            raise
        if len(ids) == 1:
            yield ids[0], error.message
        else:
            half = len(ids) // 2
            yield from _unreadable(reader, ids[:half])
            yield from _unreadable(reader, ids[half:])
    else:
        yield from misnamed.items()


def _content(reader: Reader) -> Iterator[str]:
    adaptations = reader.adaptations.list()
    reader.calibrations.list()
    reader.keys.list()
    yield from reader.speakers.misnamed(reader.speakers.ids()).values()
    yield from reader.retention.undated().values()
    adapted = {a.adapted_id for a in adaptations}
    derived: list[tuple[str, str, Transform | None]] = [
        *((space_id, space_id, None) for space_id in reader.spaces.dims().keys() - adapted),
        *((a.space_id, a.adapted_id, a.transform) for a in adaptations),
    ]
    derived.sort(key=lambda spaces: spaces[1])
    for page in reader.speakers.pages():
        ids = [speaker.id for speaker in page]
        samples = reader.samples.of_speakers(ids)
        centroids = {
            space_id: reader.centroids.of_speakers(ids, space_id) for _, space_id, _ in derived
        }
        totals = {space_id: reader.centroids.totals(ids, space_id) for space_id in centroids}
        for speaker in page:
            if not _is_total(speaker, samples[speaker.id]):
                yield f"the totals of {speaker.name} are not those of the samples"
            for of_space, space_id, transform in derived:
                in_space = [s for s in samples[speaker.id] if s.space_id == of_space]
                if not _are_totals(totals[space_id].get(speaker.id), in_space):
                    yield f"the totals of {speaker.name} in {space_id} are not those of the samples"
                if not _is_mean(centroids[space_id].get(speaker.id), in_space, transform):
                    where = f"{speaker.name} in {space_id}"
                    yield f"the centroid of {where} is not what the samples make"


def _is_total(speaker: Speaker, samples: list[Sample]) -> bool:
    speech_s = sum(sample.quality.net_speech_s for sample in samples)
    same_length = math.isclose(speech_s, speaker.net_speech_s, rel_tol=1e-9)
    return len(samples) == speaker.n_samples and same_length


def _are_totals(totals: tuple[int, float] | None, samples: list[Sample]) -> bool:
    """Whether a centroid says how many samples there are, and which share is a telephone's."""
    if totals is None or not samples:
        return totals is None and not samples
    share = telephone_share([sample.quality.telephone for sample in samples])
    return totals[0] == len(samples) and math.isclose(totals[1], share, abs_tol=1e-6)


def _is_mean(
    centroid: Float32Array | None, samples: list[Sample], transform: Transform | None
) -> bool:
    if centroid is None or not samples:
        return centroid is None and not samples
    try:
        expected = stored_rows.centroid_of(samples, transform)
    except StoreError:  # vectors of other lengths, or without a direction
        return False
    same_shape = expected.shape == centroid.shape
    return same_shape and np.allclose(expected, centroid, rtol=0, atol=_CENTROID_TOLERANCE)
