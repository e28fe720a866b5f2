"""From rows to values and back; a row that is damaged is an error, never an answer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Row, RowMapping

from voiceid.domain import EmbeddingSpace, Float32Array, NewSample, QualityReport, Sample, Speaker
from voiceid.errors import StoreError

_UNIT_TOLERANCE = 1e-3
"""Far above float32 rounding, far below any damage that matters."""


def damaged(space_id: str) -> StoreError:
    """Return the error for a vector that cannot have been written by this program."""
    return StoreError(
        f"a vector of {space_id} in the database is damaged: it does not have unit length",
        hint="Put back a backup, or enrol the speakers again.",
    )


def _damaged_row(what: str) -> StoreError:
    return StoreError(f"{what} in the database is damaged", hint="Put back a backup.")


def require_unit(vectors: Float32Array, space_id: str) -> None:
    """Raise StoreError unless vectors (..., dim) have unit length."""
    if not _is_unit(vectors):
        raise damaged(space_id)


def _is_unit(vectors: Float32Array) -> bool:
    """Whether vectors (..., dim) have unit length; one with a NaN has not."""
    with np.errstate(over="ignore", invalid="ignore"):  # damaged bytes make any number
        lengths = np.linalg.norm(vectors, axis=-1)
    return bool(np.all(np.abs(lengths - 1.0) < _UNIT_TOLERANCE))


def sample_row(
    speaker_id: int, space: EmbeddingSpace, new: NewSample, created_at: str
) -> dict[str, object]:
    """Return the row of a new sample; raises ValueError when it has no unit vector."""
    utterance = new.utterance
    if utterance.embedding is None:
        raise ValueError(f"{utterance.name} has no embedding to enrol")
    space.require_same(utterance.embedding.space)
    vector = utterance.embedding.vector
    if vector.shape != (space.dim,) or not _is_unit(vector):
        raise ValueError(f"the embedding of {utterance.name} is no unit vector of {space.id}")
    quality = {name: getattr(utterance.quality, name) for name in QualityReport.__slots__}
    return {
        "speaker_id": speaker_id,
        "space_id": space.id,
        "vector": vector.astype("<f4").tobytes(),
        "pcm_sha256": utterance.pcm_sha256,
        "source_name": utterance.name,
        "net_speech_s": utterance.quality.net_speech_s,
        "quality": json.dumps(quality),
        "overrides": json.dumps(list(new.overrides)),
        "created_at": created_at,
    }


def sample(row: RowMapping) -> Sample:
    """Return the sample of a row; raises StoreError when the row is damaged."""
    try:
        quality = json.loads(row["quality"])
        return Sample(
            id=row["id"],
            speaker_id=row["speaker_id"],
            space_id=row["space_id"],
            vector=np.frombuffer(row["vector"], dtype="<f4").astype(np.float32),
            pcm_sha256=row["pcm_sha256"],
            source_name=row["source_name"],
            quality=QualityReport(**{**quality, "warnings": tuple(quality["warnings"])}),
            created_at=datetime.fromisoformat(row["created_at"]),
            overrides=tuple(json.loads(row["overrides"])),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise _damaged_row(f"sample {row['id']}") from error


def speaker(rows: Sequence[Row[Any]]) -> Speaker:
    """Make a speaker of the rows of the outer join: one per space, or one without a space."""
    first = rows[0]
    enrolled = [row for row in rows if row.space_id is not None]
    try:
        return Speaker(
            id=first.id,
            name=first.name,
            created_at=datetime.fromisoformat(first.created_at),
            updated_at=datetime.fromisoformat(first.updated_at),
            n_samples=sum(row.n_samples for row in enrolled),
            net_speech_s=sum(row.net_speech_s for row in enrolled),
            spaces=tuple(row.space_id for row in enrolled),
        )
    except (ValueError, TypeError) as error:
        raise _damaged_row(f"speaker {first.id}") from error
