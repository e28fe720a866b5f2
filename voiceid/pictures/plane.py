"""Embeddings in the plane: principal components, or t-SNE.

Vectors are scaled to unit length first: then the squared Euclidean distance of two is
``2 - 2 cosine``, so both measures agree on what is near.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from voiceid.decision.embeddings import unit
from voiceid.domain import Float32Array
from voiceid.errors import ExtraMissing

Method = Literal["pca", "tsne"]

_MAX_PERPLEXITY = 30.0
"""L. van der Maaten and G. Hinton, "Visualizing data using t-SNE", JMLR 2008: 5 to 50."""
_LEAST_FOR_TSNE = 5
"""With fewer points there are no neighbourhoods to keep."""
_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class VoiceMap:
    """The places of clips of voices in the plane.

    - `points` (n, 2) float64.
    - `speakers`: the speaker of each point; None: added audio, not of an enrolled speaker.
    - `clips`: the name of each clip.
    - `axes` (str, str): what the axes show.
    - `method`: the method that was used; it differs from the one asked for if that was not
      possible.
    - `notes`: remarks for the reader.
    """

    points: npt.NDArray[np.float64]
    speakers: Sequence[str | None]
    clips: Sequence[str]
    axes: tuple[str, str]
    method: Method
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """The speakers, each once, in the order in which they come."""
        return list(dict.fromkeys(name for name in self.speakers if name is not None))

    def of(self, name: str | None) -> list[int]:
        """Return which points are of a speaker, or of added audio (None)."""
        return [i for i, speaker in enumerate(self.speakers) if speaker == name]

    @property
    def title(self) -> str:
        """The title, with the numbers of speakers and samples."""
        samples = sum(name is not None for name in self.speakers)
        people = f"{len(self.names)} speaker{'s' * (len(self.names) != 1)}"
        return f"Voices in the plane: {people}, {samples} sample{'s' * (samples != 1)}"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        points = [
            {"speaker": speaker, "clip": clip, "x": round(float(x), 6), "y": round(float(y), 6)}
            for speaker, clip, (x, y) in zip(self.speakers, self.clips, self.points, strict=True)
        ]
        axes = list(self.axes)
        return {"method": self.method, "axes": axes, "points": points, "notes": list(self.notes)}


def map_voices(
    vectors: Float32Array,
    speakers: Sequence[str | None],
    clips: Sequence[str],
    method: Method = "pca",
) -> VoiceMap:
    """Place clips in the plane.

    - `vectors` (n, dim) float32.
    - `speakers`: see `VoiceMap`.  Principal components are those of the clips of speakers alone:
      added audio does not change them.  t-SNE cannot place a new point, so it places all clips
      together.
    - `method`: ``pca``, or ``tsne``, which takes five points.

    Raises `ValueError`: no clip is of a speaker, or a vector has no direction; `ExtraMissing`:
    t-SNE needs scikit-learn, which is not installed.
    """
    vectors = unit(vectors)
    if method == "tsne" and len(vectors) >= _LEAST_FOR_TSNE:
        points, perplexity = _tsne(vectors)
        axes = (f"t-SNE 1 (no unit; perplexity {perplexity:g})", "t-SNE 2 (no unit)")
        note = "t-SNE keeps neighbours together; the distance between groups means little"
        return VoiceMap(points, speakers, clips, axes, "tsne", (note,))
    fitted = np.array([name is not None for name in speakers])
    points, shares = _pca(vectors, fitted)
    axes = (_component(1, shares[0]), _component(2, shares[1]))
    notes = (f"t-SNE needs {_LEAST_FOR_TSNE} clips: this is PCA",) if method == "tsne" else ()
    return VoiceMap(points, speakers, clips, axes, "pca", notes)


def _component(number: int, share: float) -> str:
    return f"principal component {number} ({100 * share:.0f} % of the variance)"


def _pca(
    vectors: Float32Array, fitted: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float64], tuple[float, float]]:
    """Return the points, and each axis's share of the variance of the fitted vectors."""
    exact = vectors.astype(np.float64)
    if not fitted.any():
        raise ValueError("there is no clip of a speaker to find the axes by")
    mean = exact[fitted].mean(axis=0)
    _, spread, directions = np.linalg.svd(exact[fitted] - mean, full_matrices=False)
    variances = np.zeros(2)
    axes = np.zeros((2, exact.shape[1]))
    rank = min(2, len(spread))
    variances[:rank], axes[:rank] = spread[:rank] ** 2, directions[:rank]
    # The sign of a component is free: its largest part points up, so that it is always the same.
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    axes *= np.where(largest < 0, -1.0, 1.0)
    total = float(np.sum(spread**2)) or 1.0
    return (exact - mean) @ axes.T, (float(variances[0]) / total, float(variances[1]) / total)


def _tsne(vectors: Float32Array) -> tuple[npt.NDArray[np.float64], float]:
    try:
        from sklearn.manifold import TSNE  # noqa: PLC0415 - half a second, and an extra
    except ImportError as error:
        raise ExtraMissing("t-SNE needs scikit-learn, which is not installed") from error
    perplexity = float(min(_MAX_PERPLEXITY, max(2, (len(vectors) - 1) // 3)))
    # On one thread: sums of floats depend on how the work is divided.
    with threadpool_limits(1):
        embedder = TSNE(perplexity=perplexity, init="pca", random_state=_SEED, n_jobs=1)
        return np.asarray(embedder.fit_transform(vectors), dtype=np.float64), perplexity
