"""Conversion of rows to values and back; a damaged row is a StoreError, never an answer."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import Column, Connection, Row, func, select

from voiceid.decision import embeddings
from voiceid.decision.adaptation import StoredAdaptation
from voiceid.decision.aims import Target
from voiceid.decision.calibration import Calibration, HeldOut, StoredCalibration
from voiceid.decision.transforms import Transform
from voiceid.domain import (
    Consent,
    EmbeddingSpace,
    Enrolled,
    EnrolledVoice,
    Float32Array,
    ModelSwitch,
    NewSample,
    QualityReport,
    Sample,
    Speaker,
    SpeakerRef,
    consent_end,
)
from voiceid.errors import ConfigError, SpeakerDetailInvalid, StoreError

T = TypeVar("T")

GROUP_SEPARATOR = "\n"
"""Between the names of a speaker's groups, which have only visible characters."""
_DAMAGE = (
    *(ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError),
    *(ConfigError, SpeakerDetailInvalid),
)
"""What reading a row raises when another program wrote its content."""
_PURGE = "Restore a backup; `voiceid speakers purge --damaged` erases speakers who cannot be read."


def counts(connection: Connection, column: Column[str]) -> dict[str, int]:
    """Return the number of rows with each value of a column, by rising values."""
    query = select(column, func.count()).group_by(column).order_by(column)
    n_rows = dict(connection.execute(query).all())
    if not all(isinstance(name, str) for name in n_rows):
        raise damaged_row(f"a {column.name} of {column.table.name}", _PURGE)
    return n_rows


def damaged_row(subject: str, hint: str = "Restore a backup.") -> StoreError:
    """Return the error for content that this program cannot have written."""
    return StoreError(f"{subject} in the database is damaged", hint=hint)


def _damaged_vector(space_id: str) -> StoreError:
    return StoreError(
        f"a vector of {space_id} in the database is damaged: it does not have unit length",
        hint="Restore a backup, or enrol the speakers again.",
    )


def _reads(
    kind: str, id_: str = "id", **hint: str
) -> Callable[[Callable[[Any], T]], Callable[[Any], T]]:
    """Turn errors of reading a row of a kind into a StoreError that names the row."""

    def wrapping(read: Callable[[Any], T]) -> Callable[[Any], T]:
        @functools.wraps(read)
        def checked(row: Any) -> T:
            try:
                return read(row)
            except _DAMAGE as error:
                raise damaged_row(f"{kind} {getattr(row, id_)}", **hint) from error

        return checked

    return wrapping


def _text(stored: object) -> str:
    """Return a text; raises TypeError for a damaged one: NULL or bytes."""
    if not isinstance(stored, str):
        raise TypeError(f"{stored!r} is not text")
    return stored


def vectors(stored: Sequence[object], dim: int, space_id: str) -> Float32Array:
    """Return stored vectors as (n, dim) of unit length."""
    sound = [data for data in stored if isinstance(data, bytes) and len(data) == 4 * dim]
    rows = np.frombuffer(b"".join(sound), dtype="<f4").reshape(len(sound), dim).astype(np.float32)
    if len(sound) < len(stored) or not embeddings.is_unit(rows):
        raise _damaged_vector(space_id)
    return rows


def centroid_of(samples: Sequence[Sample], transform: Transform | None) -> Float32Array:
    """Return the centroid (dim,) of a speaker's samples, each transformed if given."""
    try:
        return mean_of(np.array([sample.vector for sample in samples]), transform)
    except ValueError as error:
        raise _damaged_vector(samples[0].space_id) from error


def mean_of(vectors: Float32Array, transform: Transform | None) -> Float32Array:
    """Return the centroid (dim,) of (n, dim) vectors, first transformed; raises ValueError."""
    moved = vectors if transform is None else transform.apply(vectors)
    return embeddings.centroid(moved)


def sample_row(
    speaker_id: int, space: EmbeddingSpace, new: NewSample, created_at: str
) -> dict[str, object]:
    """Return the row of a new sample; raises ValueError if it has no unit vector."""
    utterance = new.utterance
    if utterance.embedding is None:
        raise ValueError(f"{utterance.name} has no embedding to enrol")
    space.require_same(utterance.embedding.space)
    vector = utterance.embedding.vector
    if vector.shape != (space.dim,) or not embeddings.is_unit(vector):
        raise ValueError(f"the embedding of {utterance.name} is not a unit vector of {space.id}")
    return {
        "speaker_id": speaker_id,
        "space_id": space.id,
        "vector": vector.astype("<f4").tobytes(),
        "pcm_sha256": utterance.pcm_sha256,
        "source_name": utterance.name,
        "net_speech_s": utterance.quality.net_speech_s,
        "quality": json.dumps(utterance.quality.exact()),
        "overrides": json.dumps(list(new.overrides)),
        "created_at": created_at if new.created_at is None else new.created_at.isoformat(),
        "label": new.label,
    }


@_reads("sample", hint=_PURGE)
def sample(row: Any) -> Sample:
    """Return the sample of a row."""
    return Sample(
        id=row.id,
        speaker_id=row.speaker_id,
        space_id=_text(row.space_id),
        vector=np.frombuffer(row.vector, dtype="<f4").astype(np.float32),
        pcm_sha256=_text(row.pcm_sha256),
        source_name=_text(row.source_name),
        quality=QualityReport.of_exact(json.loads(row.quality)),
        created_at=_time(row.created_at),
        overrides=tuple(map(_text, json.loads(row.overrides))),
        label=_text(row.label),
    )


def speaker(rows: Sequence[Row[Any]]) -> Speaker:
    """Return the speaker of joined rows: one row per space, or one row without a space."""
    first = rows[0]
    groups = first.groups
    enrolled = [row for row in rows if row.space_id is not None]
    try:
        if not all(_are_totals(row) for row in enrolled):
            raise ValueError("the totals of a centroid are not numbers")
        return Speaker(
            id=first.id,
            name=_text(first.name),
            created_at=_time(first.created_at),
            updated_at=_time(first.updated_at),
            n_samples=sum(row.n_samples for row in enrolled),
            net_speech_s=sum(row.net_speech_s for row in enrolled),
            spaces=tuple(_text(row.space_id) for row in enrolled),
            groups=() if groups is None else tuple(sorted(_text(groups).split(GROUP_SEPARATOR))),
            metadata=_metadata(first.metadata),
            expires_at=_moment(first.expires_at),
            disabled_at=_moment(first.disabled_at),
            consents=consents(first.consents),
        )
    except _DAMAGE as error:
        raise damaged_row(f"speaker {first.id}", _PURGE) from error


def consent_columns(given: Iterable[Consent], now: str) -> tuple[str, str | None]:
    """Return the stored ``consents`` and ``consent_until``; undated ones get the time ``now``."""
    at = datetime.fromisoformat(now)
    dated = [c if c.recorded_at else replace(c, recorded_at=at) for c in given]
    end = consent_end(dated)
    return json.dumps([c.to_dict() for c in dated]), None if end is None else end.isoformat()


def consents(stored: str) -> tuple[Consent, ...]:
    """Return stored consents."""
    return () if stored == "[]" else tuple(map(Consent.of_dict, json.loads(stored)))


def _metadata(stored: str) -> dict[str, str]:
    metadata = json.loads(stored)
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("not an object of texts")
    return metadata


@_reads("speaker", "speaker_id", hint=_PURGE)
def enrolled(row: Any) -> Enrolled:
    """Return the enrolment of a joined row: a damaged expiry must not read as none."""
    if not (_are_totals(row) and 0.0 <= row.telephone <= 1.0):
        raise ValueError("the telephone share is not 0 to 1, or the totals are not numbers")
    return Enrolled(
        SpeakerRef(row.speaker_id, _text(row.name)),
        float(row.telephone),
        row.n_samples,
        float(row.net_speech_s),
        _moment(row.expires_at),
        _moment(row.disabled_at),
        consents(row.consents),
    )


def _are_totals(row: Any) -> bool:
    """Whether a row with a centroid states a number of samples and seconds of speech."""
    return isinstance(row.n_samples, int) and 0.0 <= row.net_speech_s < math.inf


def voices(rows: Sequence[Any], vectors: Float32Array) -> dict[int, EnrolledVoice]:
    """Return the enrolments of joined rows with centroids (n, dim), by centroid id."""
    return {
        row.id: EnrolledVoice(enrolled(row), vector, bool(row.is_replay))
        for row, vector in zip(rows, vectors, strict=True)
    }


@_reads(
    "calibration",
    hint="Restore a backup, or calibrate again and remove it: `voiceid calibrations`.",
)
def calibration(row: Any) -> StoredCalibration:
    """Return the calibration of a row."""
    facts = json.loads(row.facts)
    return StoredCalibration(
        id=row.id,
        space_id=row.space_id,
        created_at=_time(row.created_at),
        source=_text(row.source),
        target_fmr=None if row.target_fmr is None else Target(row.target_fmr).rate,
        in_use=row.used_since is not None,
        calibration=Calibration.of_dict(facts["calibration"]),
        held_out=HeldOut.of_dict(facts["held_out"]),
    )


@_reads("adaptation")
def adaptation(row: Any) -> StoredAdaptation:
    """Return the adaptation of a row."""
    return StoredAdaptation(
        id=row.id,
        space_id=row.space_id,
        adapted_id=row.adapted_id,
        created_at=_time(row.created_at),
        source=_text(row.source),
        in_use=row.used_since is not None,
        transform=Transform.from_bytes(row.transform),
        measured=dict(json.loads(row.facts)),
    )


@_reads("model change")
def model_change(row: Any) -> ModelSwitch:
    """Return the switch of a row."""
    return ModelSwitch(
        id=row.id,
        from_space=row.from_space,
        to_space=row.to_space,
        after_sample=int(row.after_sample),
        started_at=_time(row.started_at),
        switched_at=_moment(row.switched_at),
    )


def moment_of(stored: str) -> datetime:
    """Return a stored time."""
    try:
        return _time(stored)
    except _DAMAGE as error:
        raise damaged_row(f"a time, {stored!r},") from error


def _moment(stored: str | None) -> datetime | None:
    """Return a time with its offset, or None."""
    return None if stored is None else _time(stored)


def _time(stored: str) -> datetime:
    """Return a time with its offset: one without cannot be compared with now."""
    moment = datetime.fromisoformat(stored)
    if moment.tzinfo is None:
        raise ValueError(f"{stored} has no offset")
    return moment
