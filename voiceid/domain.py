"""The frozen values that every layer speaks in.

Nothing here does I/O, and nothing here knows another voiceid module but `errors`.
Every value has ``to_dict()``, which gives plain JSON-ready values: that form is the
public JSON of the command line.
"""

from __future__ import annotations

import enum
import hashlib
import json
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.errors import SpaceMismatch, SpeakerNameInvalid

Float32Array: TypeAlias = npt.NDArray[np.float32]

SCORE_SCALE = "cosine"
"""The one scale of every ``score``: cosine similarity, -1 to 1, nothing rescaled."""

_NAME_MAX_CHARS = 128


def speaker_name(text: str) -> str:
    """Return ``text`` as a speaker's name: NFC, without outer white space.

    Raises
    ------
    SpeakerNameInvalid
        Empty, over 128 characters, or with control characters.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise SpeakerNameInvalid("a speaker's name is empty", hint="Give it a name to show.")
    if len(name) > _NAME_MAX_CHARS:
        raise SpeakerNameInvalid(
            f"a speaker's name has {len(name)} characters, over the limit of {_NAME_MAX_CHARS}",
            hint="Use a shorter name.",
        )
    if any(unicodedata.category(ch) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for ch in name):
        raise SpeakerNameInvalid(
            f"the speaker's name {name!r} holds control or invisible characters",
            hint="Use characters that can be seen.",
        )
    return name


def speaker_key(name: str) -> str:
    """Return the form under which names are unique: NFKC and case-folded (Alice = alice)."""
    return unicodedata.normalize("NFKC", speaker_name(name)).casefold()


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """What makes two embeddings comparable.

    Parameters
    ----------
    model : str
        Name of the model card.
    dim : int
        Number of components of a vector.
    weights_sha256, frontend, windowing, speech : str
        Hash of the checkpoint, and canonical descriptions of the front end, of the
        windows that are averaged, and of the speech detection before the encoder.
    """

    model: str
    dim: int
    weights_sha256: str
    frontend: str
    windowing: str
    speech: str

    @property
    def id(self) -> str:
        """``<model>-<12 hex digits>``: the name of the space in the database and in JSON."""
        facts = [self.dim, self.weights_sha256, self.frontend, self.windowing, self.speech]
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        return f"{self.model}-{digest[:12]}"

    def require_same(self, other: EmbeddingSpace) -> None:
        """Raise :class:`SpaceMismatch` unless ``other`` is this space."""
        if self.id != other.id:
            raise SpaceMismatch(
                f"embeddings of {other.id} cannot be compared with embeddings of {self.id}",
                hint="Use one model and one set of speech settings on both sides.",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the facts of the space and its id."""
        return {
            "id": self.id,
            "model": self.model,
            "dim": self.dim,
            "weights_sha256": self.weights_sha256,
            "frontend": self.frontend,
            "windowing": self.windowing,
            "speech": self.speech,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A voice as a point on the unit sphere.

    Parameters
    ----------
    vector : (dim,) float32, read-only
        Unit length.
    space : EmbeddingSpace
    """

    vector: Float32Array
    space: EmbeddingSpace

    def to_dict(self) -> dict[str, Any]:
        """Return the shape, the values and the space's id."""
        return {
            "shape": list(self.vector.shape),
            "embedding": [float(x) for x in self.vector],
            "embedding_space": self.space.id,
        }


@dataclass(frozen=True, slots=True)
class QualityReport:
    """What was measured on one clip.

    Parameters
    ----------
    duration_s : float
        Length of the decoded audio.
    net_speech_s : float
        Length of the speech that the detector found, without padding.
    snr_db : float or None
        Speech against the rest of the clip; None when there is no rest to compare with.
    clipped_fraction : float
        Share of samples on a flat top at full scale, 0 to 1.
    bandwidth_hz : float or None
        Highest frequency that carries speech; None when there is too little speech.
    sample_rate_hz : int
        Rate of the source before resampling.
    level_dbfs : float or None
        RMS level of the speech, 0 dBFS being a full-scale square wave.
    warnings : tuple of str
        What a person should know, e.g. ``narrowband``, ``noisy``, ``clipped``, ``truncated``.
    """

    duration_s: float
    net_speech_s: float
    snr_db: float | None
    clipped_fraction: float
    bandwidth_hz: float | None
    sample_rate_hz: int
    level_dbfs: float | None
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the measurements, rounded to what they can mean."""
        return {
            "duration_s": round(self.duration_s, 3),
            "net_speech_s": round(self.net_speech_s, 3),
            "snr_db": None if self.snr_db is None else round(self.snr_db, 1),
            "clipped_fraction": round(self.clipped_fraction, 6),
            "bandwidth_hz": None if self.bandwidth_hz is None else round(self.bandwidth_hz),
            "sample_rate_hz": self.sample_rate_hz,
            "level_dbfs": None if self.level_dbfs is None else round(self.level_dbfs, 1),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """One clip after the only way from audio to a vector.

    ``embedding`` is None exactly when there was too little speech to embed.

    Parameters
    ----------
    name : str
        The file's name (no folders), ``<stdin>``, ``<bytes>`` or ``<array>``: for people.
    pcm_sha256 : str
        Hash of the decoded samples: the identity of the recording.
    quality : QualityReport
    embedding : Embedding or None
    """

    name: str
    pcm_sha256: str
    quality: QualityReport
    embedding: Embedding | None


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody who is enrolled.

    Parameters
    ----------
    id : int
        Never used again after removal.
    name : str
    created_at, updated_at : datetime
        UTC.
    n_samples : int
        Utterances enrolled, over all embedding spaces.
    net_speech_s : float
        Their net speech.
    spaces : tuple of str
        Ids of the embedding spaces in which the speaker has a centroid.
    """

    id: int
    name: str
    created_at: datetime
    updated_at: datetime
    n_samples: int
    net_speech_s: float
    spaces: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields; times in ISO 8601."""
        return {
            "id": self.id,
            "name": self.name,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
            "n_samples": self.n_samples,
            "net_speech_s": round(self.net_speech_s, 3),
            "embedding_spaces": list(self.spaces),
        }


@dataclass(frozen=True, slots=True)
class SpeakerRef:
    """The id and the name of a speaker, as decisions carry them."""

    id: int
    name: str

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"id", "name"}``."""
        return {"id": self.id, "name": self.name}


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One enrolled utterance: an immutable row.

    Parameters
    ----------
    id, speaker_id : int
    space_id : str
    vector : (dim,) float32
        Unit length.
    pcm_sha256, source_name : str
    quality : QualityReport
    created_at : datetime
        UTC.
    overrides : tuple of str
        Codes of the problems that ``--force`` overrode when it was enrolled.
    """

    id: int
    speaker_id: int
    space_id: str
    vector: Float32Array
    pcm_sha256: str
    source_name: str
    quality: QualityReport
    created_at: datetime
    overrides: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the vector."""
        return {
            "id": self.id,
            "embedding_space": self.space_id,
            "source_name": self.source_name,
            "pcm_sha256": self.pcm_sha256,
            "quality": self.quality.to_dict(),
            "created_at": self.created_at.isoformat(),
            "overrides": list(self.overrides),
        }


class Outcome(enum.StrEnum):
    """The three ends of a decision."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    INCONCLUSIVE = "inconclusive"


class Reason(enum.StrEnum):
    """Why a decision came out as it did."""

    MATCH = "match"
    BELOW_THRESHOLD = "below_threshold"
    UNKNOWN = "unknown"
    GALLERY_EMPTY = "gallery_empty"
    AMBIGUOUS = "ambiguous"
    NOT_ENOUGH_SPEECH = "not_enough_speech"


class Task(enum.StrEnum):
    """What was asked (ISO/IEC 2382-37): 1:1, 1:N open set, or two clips."""

    VERIFY = "verify"
    IDENTIFY = "identify"
    COMPARE = "compare"


@dataclass(frozen=True, slots=True)
class Threshold:
    """A decision threshold on the cosine scale, and where it comes from.

    ``source`` is e.g. ``flag``, ``config``, or ``card campplus, net speech >= 2 s, FMR 0.1 %``.
    """

    value: float
    source: str

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"value", "source"}``."""
        return {"value": self.value, "source": self.source}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A speaker of the gallery with the score of the clip against their centroid."""

    speaker: SpeakerRef
    score: float

    def to_dict(self) -> dict[str, Any]:
        """Return the speaker and the score."""
        return {"speaker": self.speaker.to_dict(), "score": round(self.score, 6)}


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one question about one clip.

    ``bool(decision)`` raises: ask ``decision.accepted``, which is true for one outcome only.

    Parameters
    ----------
    task : Task
    outcome : Outcome
    reason : Reason
    speaker : SpeakerRef or None
        Who was accepted (identify), or who was claimed (verify, whatever the outcome).
    score : float or None
        Raw cosine, -1 to 1, of the clip against the best (or the claimed) centroid; None
        when nothing was compared.
    threshold : Threshold or None
        None when nothing was compared.
    margin : float or None
        Score minus the runner-up's; None without a runner-up.
    runner_up : Candidate or None
    candidates : tuple of Candidate
        Best first, at most as many as were asked for.
    quality : QualityReport
        Of the clip (compare: of the clip with less net speech).
    embedding_space : EmbeddingSpace
    gallery_size : int
        How many centroids were searched (verify: 1; compare: 0).
    elapsed_ms : float
        From the call to the answer.
    detail : str
        The reason in a sentence, for people.
    """

    task: Task
    outcome: Outcome
    reason: Reason
    speaker: SpeakerRef | None
    score: float | None
    threshold: Threshold | None
    margin: float | None
    runner_up: Candidate | None
    candidates: tuple[Candidate, ...]
    quality: QualityReport
    embedding_space: EmbeddingSpace
    gallery_size: int
    elapsed_ms: float
    detail: str

    @property
    def accepted(self) -> bool:
        """True when, and only when, the outcome is ``accepted``."""
        return self.outcome is Outcome.ACCEPTED

    def __bool__(self) -> bool:
        """Refuse to be used as a truth value: a rejected decision is an object like any."""
        raise TypeError("a Decision has three outcomes; ask decision.accepted")

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON of a decision."""
        return {
            "task": self.task.value,
            "outcome": self.outcome.value,
            "reason": self.reason.value,
            "detail": self.detail,
            "speaker": None if self.speaker is None else self.speaker.to_dict(),
            "score": None if self.score is None else round(self.score, 6),
            "score_scale": SCORE_SCALE,
            "threshold": None if self.threshold is None else self.threshold.value,
            "threshold_source": None if self.threshold is None else self.threshold.source,
            "margin": None if self.margin is None else round(self.margin, 6),
            "runner_up": None if self.runner_up is None else self.runner_up.to_dict(),
            "candidates": [candidate.to_dict() for candidate in self.candidates],
            "quality": self.quality.to_dict(),
            "embedding_space": self.embedding_space.id,
            "gallery_size": self.gallery_size,
            "elapsed_ms": round(self.elapsed_ms, 1),
        }


@dataclass(frozen=True, slots=True)
class EnrollmentProblem:
    """One thing that speaks against an enrolment.

    Parameters
    ----------
    code : str
        ``unreadable``, ``no_speech``, ``clipped``, ``duplicate_clip``, ``clip_of_other``,
        ``too_little_speech``, ``inconsistent`` or ``already_enrolled``.
    clip : str or None
        The clip's name, None when the whole set is meant.
    message : str
        A sentence for people, with the numbers.
    overridable : bool
        Whether it is a judgement that ``--force`` may override.
    overridden : bool
        Whether it was.
    """

    code: str
    clip: str | None
    message: str
    overridable: bool
    overridden: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return {
            "code": self.code,
            "clip": self.clip,
            "message": self.message,
            "overridable": self.overridable,
            "overridden": self.overridden,
        }


@dataclass(frozen=True, slots=True)
class EnrollmentClip:
    """One clip of an enrolment, as the report shows it.

    ``agreement`` is the cosine to the centroid of the speaker's other clips, None when
    there are no others (or no vector).
    """

    name: str
    pcm_sha256: str | None
    quality: QualityReport | None
    agreement: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return {
            "name": self.name,
            "pcm_sha256": self.pcm_sha256,
            "agreement": None if self.agreement is None else round(self.agreement, 6),
            "quality": None if self.quality is None else self.quality.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class EnrollmentReport:
    """What an enrolment did, or why it did nothing.

    Parameters
    ----------
    name : str
        The speaker's name.
    speaker : Speaker or None
        As enrolled now; None when refused or a dry run of a new name.
    enrolled : bool
        Whether anything was written.
    dry_run : bool
    mode : str
        ``append`` or ``replace``.
    clips : tuple of EnrollmentClip
        Those given, in order.
    net_speech_s, missing_speech_s : float
        Net speech of the speaker with these clips, and how much the minimum lacks.
    problems : tuple of EnrollmentProblem
        All that was found; those overridden say so.
    embedding_space : EmbeddingSpace
    elapsed_ms : float
    """

    name: str
    speaker: Speaker | None
    enrolled: bool
    dry_run: bool
    mode: str
    clips: tuple[EnrollmentClip, ...]
    net_speech_s: float
    missing_speech_s: float
    problems: tuple[EnrollmentProblem, ...]
    embedding_space: EmbeddingSpace
    elapsed_ms: float

    @property
    def blocking(self) -> tuple[EnrollmentProblem, ...]:
        """The problems that were not overridden."""
        return tuple(problem for problem in self.problems if not problem.overridden)

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON of an enrolment."""
        return {
            "name": self.name,
            "enrolled": self.enrolled,
            "dry_run": self.dry_run,
            "mode": self.mode,
            "speaker": None if self.speaker is None else self.speaker.to_dict(),
            "clips": [clip.to_dict() for clip in self.clips],
            "net_speech_s": round(self.net_speech_s, 3),
            "missing_speech_s": round(self.missing_speech_s, 3),
            "problems": [problem.to_dict() for problem in self.problems],
            "embedding_space": self.embedding_space.id,
            "elapsed_ms": round(self.elapsed_ms, 1),
        }


@dataclass(frozen=True, slots=True)
class Revision:
    """A point in the change feed: a number that only grows, and a random token.

    The token tells a database that was restored from a backup from the one that an index
    was built on, though both may have reached the same number.
    """

    number: int
    token: str


EMPTY_REVISION = Revision(0, "")
"""The revision of a database that was never written to."""


@dataclass(frozen=True, slots=True, eq=False)
class CentroidTable:
    """Centroids of one embedding space, row by row.

    Parameters
    ----------
    ids : (n,) int64
        Centroid ids; never used again after removal.
    vectors : (n, dim) float32
        Unit length.
    """

    ids: npt.NDArray[np.int64]
    vectors: Float32Array


@dataclass(frozen=True, slots=True)
class NewSample:
    """A sample about to be written: an utterance with a vector, and what was overridden."""

    utterance: Utterance
    overrides: tuple[str, ...] = field(default=())
