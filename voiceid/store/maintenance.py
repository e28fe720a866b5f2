"""Maintenance of a database: a copy while others write, and a check of its content."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from voiceid.decision.transforms import Transform
from voiceid.domain import Float32Array, Sample, Speaker, telephone_share
from voiceid.errors import FileNotWritten, StoreError, StoreReadOnly
from voiceid.protection import SigningKey
from voiceid.store import Store, backup_signature, stored_rows
from voiceid.store.connections import is_refusal
from voiceid.store.reader import Reader
from voiceid.whole_files import whole_file

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_CENTROID_TOLERANCE = 1e-5
"""Far above the rounding of a mean of float32 vectors, far below another voice."""
_Derived = tuple[str, str, Transform | None]
_Fault = tuple[int, str]
"""The id of a speaker, and what is wrong."""


def backup(
    store: Store,
    target: Path,
    when_whole: Callable[[], None] = lambda: None,
    key: SigningKey | None = None,
) -> int:
    """Write one consistent state to a new private file (0600), whole or not at all.

    Return its size in bytes.  ``when_whole`` is called before the file has its name; a ``key``
    signs it.
    """
    try:
        if target.exists():
            raise FileNotWritten(
                f"{target} exists already; it was not changed", hint="Name a new file."
            )
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with whole_file(target) as file:
            store.copy_into(Path(file.name))
            if key is not None:
                backup_signature.sign(Path(file.name), key)
            when_whole()
        return target.stat().st_size
    except (OSError, StoreReadOnly) as error:  # the database itself is only read
        why = error.strerror if isinstance(error, OSError) else "its disk is full"
        raise FileNotWritten(
            f"{target} cannot be written: {why}", hint="Choose another folder."
        ) from error


def check(store: Store) -> list[str]:
    """Return every problem of a database, each in a sentence; nothing is changed.

    First SQLite's own checks of its pages and references, then every speaker, sample and centroid:
    whether it can be read, whether the name fits its lookup key, and whether the centroid and its
    totals match the samples.  Reasons other than damage that prevent reading are raised.
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
    """Return the problems of speakers that `check` finds, by speaker id.

    Included are ids that only have rows: another program deleted the speaker.
    """
    gone = reader.without_speaker()
    rows = {id_: f"there are rows of speaker {id_}, who does not exist" for id_ in sorted(gone)}
    rows |= reader.retention.undated()
    return rows | dict(_unreadable(reader, reader.speakers.ids(), _derived(reader)))


def _unreadable(reader: Reader, ids: list[int], spaces: list[_Derived]) -> Iterator[_Fault]:
    try:
        faults = [*_unfit(reader, reader.speakers.of_ids(ids), spaces)]
        faults += reader.speakers.misnamed(ids).items()
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
            yield from _unreadable(reader, ids[:half], spaces)
            yield from _unreadable(reader, ids[half:], spaces)
    else:
        yield from faults


def _content(reader: Reader) -> Iterator[str]:
    spaces = _derived(reader)
    reader.calibrations.list()
    reader.keys.list()
    yield from reader.speakers.misnamed(reader.speakers.ids()).values()
    yield from reader.retention.undated().values()
    for page in reader.speakers.pages():
        yield from (fault for _, fault in _unfit(reader, page, spaces))


def _derived(reader: Reader) -> list[_Derived]:
    """Return every space with centroids: the space of the samples, its own, the transform."""
    adaptations = reader.adaptations.list()
    adapted = {a.adapted_id for a in adaptations}
    derived: list[_Derived] = [
        *((space_id, space_id, None) for space_id in reader.spaces.dims().keys() - adapted),
        *((a.space_id, a.adapted_id, a.transform) for a in adaptations),
    ]
    return sorted(derived, key=lambda spaces: spaces[1])


def _unfit(reader: Reader, page: list[Speaker], derived: list[_Derived]) -> Iterator[_Fault]:
    """Yield the speakers whose centroids, or the totals beside them, do not fit their samples."""
    ids = [speaker.id for speaker in page]
    samples = reader.samples.of_speakers(ids)
    centroids = {
        space_id: reader.centroids.of_speakers(ids, space_id) for _, space_id, _ in derived
    }
    totals = {space_id: reader.centroids.totals(ids, space_id) for space_id in centroids}
    for speaker in page:
        id_ = speaker.id
        if not _is_total(speaker, samples[id_]):
            yield id_, f"the totals of {speaker.name} are not those of the samples"
        for of_space, space_id, transform in derived:
            in_space = [s for s in samples[id_] if s.space_id == of_space]
            where = f"{speaker.name} in {space_id}"
            if not _are_totals(totals[space_id].get(id_), in_space):
                yield id_, f"the totals of {where} are not those of the samples"
            if not _is_mean(centroids[space_id].get(id_), in_space, transform):
                yield id_, f"the centroid of {where} is not what the samples make"


def _is_total(speaker: Speaker, samples: list[Sample]) -> bool:
    speech_s = sum(sample.quality.net_speech_s for sample in samples)
    same_length = math.isclose(speech_s, speaker.net_speech_s, rel_tol=1e-9)
    return len(samples) == speaker.n_samples and same_length


def _are_totals(totals: tuple[int, float] | None, samples: list[Sample]) -> bool:
    """Whether a centroid states the right number of samples and telephone share."""
    if totals is None or not samples:
        return totals is None and not samples
    n_samples, share = totals
    expected = telephone_share([sample.quality.telephone for sample in samples])
    is_near = isinstance(share, float) and math.isclose(share, expected, abs_tol=1e-6)
    return n_samples == len(samples) and is_near


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
