"""From rows to values and back; a row that is damaged is an error, never an answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Column, Connection, Row, RowMapping, func, select

from voiceid.decision import embeddings
from voiceid.decision.adaptation import StoredAdaptation
from voiceid.decision.calibration import Calibration, HeldOut, StoredCalibration
from voiceid.decision.transforms import Transform
from voiceid.domain import (
    CentroidTable,
    EmbeddingSpace,
    Enrolled,
    Float32Array,
    ModelChange,
    NewSample,
    QualityReport,
    Sample,
    Speaker,
    SpeakerRef,
)
from voiceid.errors import StoreError

GROUP_SEPARATOR = "\n"
"""Between the names of a speaker's groups, none of which has a character that is not visible."""


def counts(connection: Connection, column: Column[str]) -> dict[str, int]:
    """Return how many rows there are of each value of a column, by rising values."""
    query = select(column, func.count()).group_by(column).order_by(column)
    return {str(name): int(count) for name, count in connection.execute(query)}


def damaged(space_id: str) -> StoreError:
    """Return the error for a vector that cannot have been written by this program."""
    return StoreError(
        f"a vector of {space_id} in the database is damaged: it does not have unit length",
        hint="Put back a backup, or enrol the speakers again.",
    )


def lost(centroid_id: int) -> StoreError:
    """Return the error for a centroid without its vector or its speaker."""
    return _damaged_row(f"the centroid {centroid_id}")


def _text(found: object) -> str:
    """Return a text; raises TypeError for what damage has made of one: NULL, or bytes."""
    if not isinstance(found, str):
        raise TypeError(f"{found!r} is no text")
    return found


def _damaged_row(what: str) -> StoreError:
    return StoreError(f"{what} in the database is damaged", hint="Put back a backup.")


def require_unit(vectors: Float32Array, space_id: str) -> None:
    """Raise StoreError unless vectors (..., dim) have unit length."""
    if not embeddings.is_unit(vectors):
        raise damaged(space_id)


def vectors(found: Sequence[object], dim: int, space_id: str) -> Float32Array:
    """Return stored vectors as (n, dim); raises StoreError when one is damaged."""
    whole = [one for one in found if isinstance(one, bytes) and len(one) == 4 * dim]
    if len(whole) < len(found):
        raise damaged(space_id)
    made = np.frombuffer(b"".join(whole), dtype="<f4").reshape(len(whole), dim).astype(np.float32)
    require_unit(made, space_id)
    return made


def centroids(found: Sequence[Row[Any]], dim: int, space_id: str) -> CentroidTable:
    """Return the centroids of rows; raises StoreError when one is damaged."""
    made = vectors([row.vector for row in found], dim, space_id)
    return CentroidTable(np.array([row.id for row in found], dtype=np.int64), made)


def centroid_of(samples: Sequence[Sample], transform: Transform | None) -> Float32Array:
    """Return the centroid (dim,) of a speaker's samples, each transformed if need be.

    Raises
    ------
    StoreError
        A vector is damaged.
    """
    try:
        vectors = np.array([sample.vector for sample in samples])
        narrowband = np.array([sample.quality.narrowband for sample in samples])
        return mean_of(vectors, narrowband, transform)
    except ValueError as error:
        raise damaged(samples[0].space_id) from error


def mean_of(
    vectors: Float32Array, narrowband: npt.NDArray[np.bool_], transform: Transform | None
) -> Float32Array:
    """Return the centroid (dim,) of (n, dim) vectors, transformed first if need be.

    Raises
    ------
    ValueError
        They have other lengths, cancel out, or are none.
    """
    moved = vectors if transform is None else transform.apply(vectors)
    return embeddings.centroid(moved, narrowband)


def sample_row(
    speaker_id: int, space: EmbeddingSpace, new: NewSample, created_at: str
) -> dict[str, object]:
    """Return the row of a new sample; raises ValueError when it has no unit vector."""
    utterance = new.utterance
    if utterance.embedding is None:
        raise ValueError(f"{utterance.name} has no embedding to enrol")
    space.require_same(utterance.embedding.space)
    vector = utterance.embedding.vector
    if vector.shape != (space.dim,) or not embeddings.is_unit(vector):
        raise ValueError(f"the embedding of {utterance.name} is no unit vector of {space.id}")
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


def sample(row: RowMapping) -> Sample:
    """Return the sample of a row; raises StoreError when the row is damaged."""
    try:
        return Sample(
            id=row["id"],
            speaker_id=row["speaker_id"],
            space_id=_text(row["space_id"]),
            vector=np.frombuffer(row["vector"], dtype="<f4").astype(np.float32),
            pcm_sha256=_text(row["pcm_sha256"]),
            source_name=_text(row["source_name"]),
            quality=QualityReport.of_exact(json.loads(row["quality"])),
            created_at=datetime.fromisoformat(row["created_at"]),
            overrides=tuple(json.loads(row["overrides"])),
            label=_text(row["label"]),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _damaged_row(f"sample {row['id']}") from error


def speaker(rows: Sequence[Row[Any]]) -> Speaker:
    """Return the speaker of the rows of the outer join: one per space, or one without a space."""
    first = rows[0]
    groups = first.groups
    enrolled = [row for row in rows if row.space_id is not None]
    try:
        return Speaker(
            id=first.id,
            name=_text(first.name),
            created_at=datetime.fromisoformat(first.created_at),
            updated_at=datetime.fromisoformat(first.updated_at),
            n_samples=sum(row.n_samples for row in enrolled),
            net_speech_s=sum(row.net_speech_s for row in enrolled),
            spaces=tuple(_text(row.space_id) for row in enrolled),
            groups=() if groups is None else tuple(sorted(_text(groups).split(GROUP_SEPARATOR))),
            metadata=_metadata(first.metadata),
            expires_at=_moment(first.expires_at),
            disabled_at=_moment(first.disabled_at),
        )
    except (ValueError, TypeError) as error:
        raise _damaged_row(f"speaker {first.id}") from error


def metadata(text: str) -> dict[str, str]:
    """Return stored metadata; raises StoreError when it is damaged."""
    try:
        return _metadata(text)
    except (ValueError, TypeError) as error:
        raise _damaged_row("the metadata of a speaker") from error


def _metadata(text: str) -> dict[str, str]:
    """Return stored metadata; raises ValueError, TypeError for anything but texts."""
    found = json.loads(text)
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise ValueError("no object of texts")
    return found


def owners(rows: Sequence[Any]) -> dict[int, Enrolled]:
    """Return whose centroids the rows of the join are, by id; raises StoreError for a damaged one.

    A damaged expiry must not read as none.
    """
    return {row.id: _enrolled(row) for row in rows}


def _enrolled(row: Any) -> Enrolled:
    try:
        return Enrolled(
            SpeakerRef(row.speaker_id, _text(row.name)),
            row.n_narrowband / row.n_samples,
            row.n_samples,
            float(row.net_speech_s),
            _moment(row.expires_at),
            _moment(row.disabled_at),
        )
    except (ValueError, TypeError, ArithmeticError) as error:
        raise _damaged_row(f"speaker {row.speaker_id}") from error


def calibration(row: Any) -> StoredCalibration:
    """Return the calibration of a row; raises StoreError when it is damaged."""
    try:
        facts = json.loads(row.facts)
        return StoredCalibration(
            id=row.id,
            space_id=row.space_id,
            created_at=datetime.fromisoformat(row.created_at),
            source=_text(row.source),
            target_fmr=row.target_fmr,
            in_use=row.used_since is not None,
            calibration=Calibration.of_dict(facts["calibration"]),
            held_out=HeldOut(**facts["held_out"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(
            f"calibration {row.id} in the database is damaged",
            hint="Put back a backup, or calibrate anew and remove it: `voiceid calibrations`.",
        ) from error


def adaptation(row: Any) -> StoredAdaptation:
    """Return the adaptation of a row; raises StoreError when it is damaged."""
    try:
        return StoredAdaptation(
            id=row.id,
            space_id=row.space_id,
            adapted_id=row.adapted_id,
            created_at=datetime.fromisoformat(row.created_at),
            source=_text(row.source),
            in_use=row.used_since is not None,
            transform=Transform.from_bytes(row.transform),
            measured=dict(json.loads(row.facts)),
        )
    except (ValueError, TypeError) as error:
        raise _damaged_row(f"adaptation {row.id}") from error


def model_change(row: Any) -> ModelChange:
    """Return the change of a row; raises StoreError when it is damaged."""
    try:
        return ModelChange(
            id=row.id,
            from_space=row.from_space,
            to_space=row.to_space,
            after_sample=int(row.after_sample),
            started_at=datetime.fromisoformat(row.started_at),
            switched_at=_moment(row.switched_at),
        )
    except (ValueError, TypeError) as error:
        raise _damaged_row(f"model change {row.id}") from error


def moment_of(text: str) -> datetime:
    """Return a stored time; raises StoreError when it is damaged."""
    try:
        return datetime.fromisoformat(text)
    except (ValueError, TypeError) as error:
        raise _damaged_row(f"a time, {text!r},") from error


def _moment(text: str | None) -> datetime | None:
    """Return a time with its offset, or None for none; raises ValueError, TypeError."""
    if text is None:
        return None
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no offset")
    return found
