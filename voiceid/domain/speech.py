"""Embeddings, and the measurements of a clip."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.domain.values import Value
from voiceid.errors import AudioInvalid, SpaceMismatch

Float32Array: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)  # no slots: the id is computed once
class EmbeddingSpace:
    """The space of embeddings; only those of one space are comparable.

    - `weights_sha256`: of the checkpoint.
    - `frontend`, `windowing`, `speech`: canonical descriptions of the steps before the encoder.
    - `compensation`: the beginning of the hash of the first step after the encoder; empty: the
      embeddings are as the encoder makes them.
    - `adaptation`: the method of an adaptation of the embeddings, and the beginning of its hash,
      or empty.
    """

    model: str
    dim: int
    weights_sha256: str
    frontend: str
    windowing: str
    speech: str
    compensation: str = ""
    adaptation: str = ""

    @cached_property
    def id(self) -> str:
        """``<model>-<12 hex digits>``: the name of the space in the database and in JSON."""
        facts = [self.dim, self.weights_sha256, self.frontend, self.windowing, self.speech]
        facts += [f"compensation {self.compensation}"] if self.compensation else []
        facts += [self.adaptation] if self.adaptation else []
        digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
        return f"{self.model}-{digest[:12]}"

    @property
    def raw(self) -> EmbeddingSpace:
        """The space of the embeddings as the encoder makes them."""
        return dataclasses.replace(self, compensation="", adaptation="")

    def require_same(self, other: EmbeddingSpace) -> None:
        """Raise :class:`SpaceMismatch` unless ``other`` is this space."""
        if self.id != other.id:
            raise SpaceMismatch(
                f"embeddings of {other.id} cannot be compared with embeddings of {self.id}",
                hint="Use one model and one set of speech settings on both sides.",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the id of the space, and the facts that it is made from."""
        return {"id": self.id, **dataclasses.asdict(self)}


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """A voice as a point on the unit sphere.

    Parameters
    ----------
    vector : (dim,) float32, read-only
        Unit length.
    telephone : float or None
        Posterior, 0 to 1, that the speech came over a telephone, by the encoder's output; None:
        not known.
    """

    vector: Float32Array
    space: EmbeddingSpace
    telephone: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the shape, the values and the space's id."""
        return {
            "shape": list(self.vector.shape),
            "embedding": [float(x) for x in self.vector],
            "embedding_space": self.space.id,
            "telephone": self.telephone,
        }


@dataclass(frozen=True, slots=True)
class QualityReport(Value):
    """The measurements of one clip.

    Parameters
    ----------
    duration_s : float or None
        Length of the decoded audio; None for an embedding without its recording.
    net_speech_s : float
        Length of the speech that the detector found, without padding.
    snr_db : float or None
        Speech against the background; None if there is no background to compare with.
    clipped_fraction : float or None
        Share of samples on a flat top at full scale, 0 to 1; None as for ``duration_s``.
    bandwidth_hz : float or None
        Highest frequency that carries speech; None with too little of it.
    sample_rate_hz : int or None
        Rate of the source before resampling; None as for ``duration_s``.
    level_dbfs : float or None
        RMS level of the speech, 0 dBFS being a full-scale square wave.
    warnings : tuple of str
        Warnings, e.g. ``narrowband``, ``noisy``, ``clipped``, ``truncated``.
    judged_speech_s : float or None
        The net speech that was embedded: at most ``speech.max_speech_s``.  None if it is not
        known.
    unheard : tuple of str
        The parts of the source that were not heard or not judged, in a few words each: other audio
        tracks, bytes after the sound, speech beyond the limit.
    telephone : float or None
        As of `Embedding`.
    """

    duration_s: float | None
    net_speech_s: float
    snr_db: float | None
    clipped_fraction: float | None
    bandwidth_hz: float | None
    sample_rate_hz: int | None
    level_dbfs: float | None
    warnings: tuple[str, ...] = ()
    judged_speech_s: float | None = None
    unheard: tuple[str, ...] = ()
    telephone: float | None = None

    def exact(self) -> dict[str, Any]:
        """Return the measurements in full precision; :meth:`of_exact` reads them."""
        lists = {name: list(getattr(self, name)) for name in _TEXTS}
        return {**dataclasses.asdict(self), **lists}

    @classmethod
    def of_exact(cls, facts: Mapping[str, Any]) -> QualityReport:
        """Return the report of :meth:`exact`; raises an error when the facts are not a report's."""
        numbers = {key: value for key, value in facts.items() if key not in _TEXTS}
        for key, value in numbers.items():
            if value is None and key != "net_speech_s":
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{key} of a recording is {value!r}")
            if not math.isfinite(value):
                raise ValueError(f"{key} of a recording is {value!r}")
        if not 0.0 <= (numbers.get("telephone") or 0.0) <= 1.0:
            raise ValueError(f"telephone of a recording is {numbers['telephone']!r}")
        warnings, unheard = (tuple(map(str, facts.get(name, ()))) for name in _TEXTS)
        return cls(**numbers, warnings=warnings, unheard=unheard)


_TEXTS = ("warnings", "unheard")

UNHEARD_CODES = frozenset(
    {"other_tracks", "opposite_phase", "unheard_data", "partly_judged", "truncated", "gap"}
)
"""The warnings that not all of a source was heard or judged."""


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """The speech of an embedding, and its place in the recording.

    Parameters
    ----------
    samples : (n,) float32
        At 16 kHz, -1 to 1: frames of 512 samples, one after the other; the last may be shorter.
    frames : (k,) int64
        The number of each frame in the part of the recording that was heard.
    spans : tuple of (float, float)
        That part, in seconds; empty: all of the recording.
    encoded : (channels, m) float32, or None
        The encoder's frames of the samples; None: not available.
    """

    samples: Float32Array
    frames: npt.NDArray[np.int64]
    spans: tuple[tuple[float, float], ...] = ()
    encoded: Float32Array | None = None

    def at_s(self, sample: int) -> float:
        """Return where in the recording a sample is, in seconds."""
        frame, offset = divmod(sample, 512)
        heard_s = float(self.frames[frame] * 512 + offset) / 16_000
        for start_s, end_s in self.spans:
            if heard_s < end_s - start_s:
                return start_s + heard_s
            heard_s -= end_s - start_s
        return heard_s + (self.spans[-1][1] if self.spans else 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """One clip, measured and embedded.

    `embedding` is None exactly when there was too little speech; `name` is the file's, ``<stdin>``,
    ``<bytes>`` or ``<array>``; `pcm_sha256`, of the decoded samples, is the recording's identity;
    `speech` is set if it was asked for and embedded.
    """

    name: str
    pcm_sha256: str
    quality: QualityReport
    embedding: Embedding | None
    speech: Speech | None = None


_MOST_SPEECH_S = 1e9
"""Thirty years."""


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedClip:
    """A clip that was embedded elsewhere, to be identified or searched for.

    - `vector` (dim,): any length but zero; it is scaled to unit length.
    - `space`: the space of the vector, or its id.
    - `net_speech_s`: its speech, in seconds; None: only a threshold that the call sets accepts.
    - `telephone`: whether the speech came over a telephone, 0 to 1, as in `Embedding`; None: not
      known, so the higher threshold of a telephone is used.

    Raises AudioInvalid if one of these two is not valid.
    """

    vector: npt.ArrayLike
    space: EmbeddingSpace | str
    net_speech_s: float | None = None
    telephone: float | None = None

    def __post_init__(self) -> None:
        seconds = self.net_speech_s
        is_real = isinstance(seconds, Real) and not isinstance(seconds, bool)
        if seconds is not None and not (is_real and 0.0 <= seconds <= _MOST_SPEECH_S):
            raise AudioInvalid(
                f"net_speech_s of the embedded clip is {type(seconds).__name__} {seconds!s:.20},"
                " which is not a number of seconds",
                hint="Pass a finite number, 0 or more, or None if it is not known.",
            )
        share = self.telephone
        is_real = isinstance(share, Real) and not isinstance(share, bool)
        if share is not None and not (is_real and 0.0 <= share <= 1.0):
            raise AudioInvalid(
                f"telephone of the embedded clip is {share!r:.20}, which is not 0 to 1 or None",
                hint="Pass the value of the embedding, or None if it is not known.",
            )
