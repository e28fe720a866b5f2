"""Embeddings of parts of one encoder run: statistics of its frames, and its last layer.

An encoder of statistics pooling (D. Snyder et al., "X-vectors: Robust DNN Embeddings for Speaker
Recognition", ICASSP 2018) makes frames of speech, takes their mean and deviation over time, and
multiplies these with a matrix.  After the frames, the work is very small, so it is done here for
any choice of frames.  A frame depends on the speech up to two seconds around it: so the vectors of
two parts of a clip are nearer to each other than those of two clips.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from voiceid.decision.embeddings import unit
from voiceid.domain import Float32Array

Part: TypeAlias = Sequence[tuple[int, int]]
"""The first sample of a part, and the end."""


@dataclass(frozen=True, slots=True, eq=False)
class Pooling:
    """The end of a network.

    - `projection` (dim, 2 channels + 1): the matrix for mean, deviation and 1.
    """

    projection: Float32Array

    def vectors(self, frames: Float32Array, which: npt.NDArray[np.bool_]) -> Float32Array:
        """Return the unit-length vectors (n, dim) of selections of frames.

        - `frames` (channels, m).
        - `which` (n, m): at least two frames for each vector.  The deviation is unbiased.
        """
        chosen, values = which.astype(np.float64), frames.T.astype(np.float64)
        count = chosen.sum(axis=1, keepdims=True)
        centre = values.mean(axis=0)
        values -= centre
        mean = chosen @ values / count
        np.square(values, out=values)  # another array of this size would take longer
        squares = np.maximum(chosen @ values - count * np.square(mean), 0.0)
        statistics = np.hstack([mean + centre, np.sqrt(squares / (count - 1.0))])
        weights, bias = self.projection[:, :-1], self.projection[:, -1]
        return unit(statistics.astype(np.float32) @ weights.T + bias)


@cache  # it looks at every library that is loaded
def one_thread_for_numpy() -> None:
    """Have NumPy multiply in one thread: with the others, which spin, 90 ms took 203 ms of CPU."""
    for library in ThreadpoolController().lib_controllers:
        if library.user_api == "blas" and "numpy" in library.filepath:  # FAISS has one of its own
            library.set_num_threads(1)


def statistics(frames: Float32Array) -> Float32Array:
    """Return mean and unbiased deviation (2 channels,) of frames (channels, m), m above 1."""
    mean = frames.mean(axis=1)
    centred = frames - mean[:, None]
    squares = np.einsum("cm,cm->c", centred, centred)  # a fifth of the time of `std`
    return np.concatenate([mean, np.sqrt(squares / (frames.shape[1] - 1))])


def chosen(parts: Sequence[Part], n_samples: int, n_frames: int) -> npt.NDArray[np.bool_]:
    """Return the frames (n, n_frames) whose middles are in each of n parts of so many samples.

    Frames divide the samples equally.  For CAM++ they are 320 samples apart, the first in the
    middle of 400; the error is less than one frame.
    """
    middles = (np.arange(n_frames) + 0.5) * (n_samples / n_frames)
    inside = np.zeros((len(parts), n_frames), np.bool_)
    edges = iter(np.searchsorted(middles, [span for part in parts for span in part]).tolist())
    for row, part in zip(inside, parts, strict=True):
        for _, (first, end) in zip(part, edges, strict=False):
            row[first:end] = True
    return inside
