"""Vectors as few bytes, and fast scans over them that find who may be nearest.

FAISS's codes of 8 bits a component, and of 4 bits for every four components ("fast scan": Andre,
Kermarrec and Le Scouarnec, Quicker ADC, 2019).  No score in an answer comes from a code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.domain import Float32Array
from voiceid.index.base import GENUINE_COSINE
from voiceid.index.faiss_index import faiss

Codes: TypeAlias = npt.NDArray[np.uint8]
Positions: TypeAlias = npt.NDArray[np.int64]

_COMPONENTS_A_CODE = 4
"""The product quantiser's: at 192 components 48 codes of 4 bits, and two more: 25 bytes."""
TRAINED_ON = 32_768
"""Vectors that both quantisers are trained on, at most."""
_LEAST = 1024
"""Least vectors to train on: random directions are added if there are fewer."""
_SLACK = 0.25
"""Share of a component's trained range that is added at both ends: others lie beyond it."""
_STEPS = 255
_BLOCK = 64
"""Vectors that a fast scan takes at once: measured to be faster than FAISS's own 32."""


Scan: TypeAlias = Callable[[Float32Array, int], tuple[Float32Array, Positions]]
"""A pass over codes: scores and positions (n, count) of the nearest codes to (n, dim)."""


@dataclass(frozen=True, slots=True, eq=False)
class Bytes:
    """Eight bits a component: x = low + (code + 1/2) * step, with (dim,) low and step."""

    low: Float32Array
    step: Float32Array

    @classmethod
    def trained(cls, vectors: Float32Array) -> Bytes:
        """Return the ranges of (n, dim) vectors, with some slack."""
        low, high = vectors.min(axis=0), vectors.max(axis=0)
        slack = _SLACK * np.maximum(high - low, np.float32(1e-6))
        return cls(low - slack, (high - low + 2 * slack) / np.float32(_STEPS))

    def encode(self, vectors: Float32Array) -> Codes:
        """Return (n, dim) codes; a value beyond the range gets the nearest in it."""
        steps = (vectors - self.low) / self.step
        codes: Codes = np.clip(steps, 0, _STEPS).astype(np.uint8)
        return codes

    def decode(self, codes: Codes) -> Float32Array:
        """Return (n, dim) vectors."""
        return (codes + np.float32(0.5)) * self.step + self.low

    def cosines(self, codes: Codes, query: Float32Array) -> Float32Array:
        """Return the cosines (n,) of decoded codes with (dim,)."""
        scores: Float32Array = codes.astype(np.float32) @ (self.step * query)
        return scores + np.float32(query @ (self.low + self.step / 2))

    def scan(self, codes: Codes, reach: float) -> Scan:
        """Return a pass over a copy of (n, dim) codes.

        The query becomes eight bits too, which is faster.  It changes a cosine by at most its
        length times ``reach``, the greatest length of a code minus 128 (Cauchy-Schwarz): this is
        added.
        """
        kind = faiss.ScalarQuantizer.QT_8bit_direct_signed  # a code minus 128
        index: Any = faiss.IndexScalarQuantizer(codes.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        _fill(index, codes)

        def nearest(queries: Float32Array, count: int) -> tuple[Float32Array, Positions]:
            scaled = queries * self.step
            scale = np.maximum(np.abs(scaled).max(axis=1, keepdims=True), np.float32(1e-30)) / 127
            whole = np.rint(scaled / scale)
            scores, positions = index.search(whole, count)
            middle = self.low + np.float32(128.5) * self.step
            left = np.linalg.norm(scaled - whole * scale, axis=1, keepdims=True)
            return scores * scale + (queries @ middle)[:, None] + left * reach, positions

        return nearest


@dataclass(frozen=True, slots=True, eq=False)
class Products:
    """Four bits for every four components of rotated vectors, and one code of the share they keep.

    The share that codes keep differs from vector to vector (0.90 on average, standard deviation
    0.04), so the last code adds the genuine cosine times what the share lacks of the whole.

    ``turn`` is a rotation (dim, dim), see `_balanced`.  Of ``centroids``, (dim / 4 + 2, 16, 4), the
    last but one has the addition; the last is empty, because FAISS scans pairs of codes.
    """

    turn: Float32Array
    centroids: Float32Array

    @staticmethod
    def code_bytes(dim: int) -> int:
        """Return the bytes of a vector's code."""
        return dim // _COMPONENTS_A_CODE // 2 + 1

    @classmethod
    def trained(cls, vectors: Float32Array) -> Products:
        """Return the centroids of (n, dim) vectors, by k-means."""
        dim = vectors.shape[1]
        if (missing := _LEAST - len(vectors)) > 0:
            others = np.random.default_rng(missing).standard_normal((missing, dim)) / np.sqrt(dim)
            vectors = np.concatenate([vectors, others.astype(np.float32)])
        turn = _balanced(vectors)
        turned = np.ascontiguousarray(vectors @ turn)
        n_codes = dim // _COMPONENTS_A_CODE
        centroids = np.zeros((n_codes + 2, 16, _COMPONENTS_A_CODE), dtype=np.float32)
        of_vectors = centroids[:n_codes]
        quantizer = _quantizer(of_vectors)
        quantizer.train(turned)
        of_vectors[:] = faiss.vector_to_array(quantizer.centroids).reshape(of_vectors.shape)
        lacks = _lacks(quantizer, quantizer.compute_codes(turned), turned)
        levels: Any = faiss.Kmeans(1, 16, seed=1)
        levels.train(lacks[:, None])
        centroids[-2, :, 0] = np.sort(np.ravel(levels.centroids))
        return cls(turn, centroids)

    def encode(self, vectors: Float32Array) -> Codes:
        """Return (n, dim / 8 + 1) codes."""
        turned = np.ascontiguousarray(vectors @ self.turn)
        quantizer = _quantizer(self.centroids[:-2])
        codes = quantizer.compute_codes(turned)
        levels = self.centroids[-2, :, 0]
        borders = (levels[1:] + levels[:-1]) / 2
        level = np.searchsorted(borders, _lacks(quantizer, codes, turned))
        return np.concatenate([codes, level[:, None].astype(np.uint8)], axis=1)

    def scan(self, codes: Codes) -> Scan:
        """Return a pass over a copy of (n, dim / 8 + 1) codes."""
        quantizer = _quantizer(self.centroids)
        plain: Any = faiss.IndexPQ(quantizer.d, quantizer.M, 4, faiss.METRIC_INNER_PRODUCT)
        plain.pq = quantizer
        plain.is_trained = True
        _fill(plain, codes)
        index: Any = faiss.IndexPQFastScan(plain, _BLOCK)

        def nearest(queries: Float32Array, count: int) -> tuple[Float32Array, Positions]:
            dim = queries.shape[1]
            turned = np.zeros((len(queries), index.d), dtype=np.float32)
            turned[:, :dim] = queries @ self.turn
            turned[:, dim] = 1  # for the addition of the last code
            scores, positions = index.search(turned, count)
            return scores, positions

        return nearest


def _fill(index: Any, codes: Codes) -> None:
    """Fill FAISS's index with codes (n, bytes)."""
    faiss.copy_array_to_vector(np.ascontiguousarray(codes).reshape(-1), index.codes)
    index.ntotal = len(codes)


def _balanced(vectors: Float32Array) -> Float32Array:
    """Return the rotation (dim, dim) to principal components that balances the codes.

    The components, strongest first, each go to the code with space whose product of variances is
    least (Ge, He, Ke and Sun, Optimized Product Quantization, 2013, the parametric solution).
    """
    variances, axes = np.linalg.eigh(np.cov(vectors.T.astype(np.float64)))
    weights = np.log(np.maximum(variances, 1e-12 * variances[-1]) / (1e-12 * variances[-1]))
    n_codes = len(weights) // _COMPONENTS_A_CODE
    chosen: list[list[int]] = [[] for _ in range(n_codes)]
    sums = np.zeros(n_codes)
    for component in np.argsort(-weights, kind="stable"):
        code = int(np.argmin(sums))
        chosen[code].append(int(component))
        sums[code] += weights[component]
        if len(chosen[code]) == _COMPONENTS_A_CODE:
            sums[code] = np.inf
    return np.ascontiguousarray(axes[:, np.concatenate(chosen).astype(int)], dtype=np.float32)


def _quantizer(centroids: Float32Array) -> Any:
    """Return FAISS's quantiser with centroids (codes, 16, 4)."""
    n_codes, _, components = centroids.shape
    quantizer = faiss.ProductQuantizer(n_codes * components, n_codes, 4)
    faiss.copy_array_to_vector(np.ascontiguousarray(centroids).reshape(-1), quantizer.centroids)
    return quantizer


def _lacks(quantizer: Any, codes: Codes, turned: Float32Array) -> Float32Array:
    """Return the shortfall of genuine scores (n,) when codes keep this share of vectors."""
    kept: Float32Array = np.einsum("nd,nd->n", quantizer.decode(codes), turned)
    return GENUINE_COSINE * (1 - kept)


def reach_of(codes: Codes) -> float:
    """Return the greatest length of codes (n, dim), each minus 128."""
    lengths = np.linalg.norm(codes.astype(np.float32) - np.float32(128), axis=1)
    return float(lengths.max(initial=0.0))


def use_one_thread() -> None:
    """Let FAISS use one thread from now on in this thread: on a busy machine, threads wait."""
    faiss.omp_set_num_threads(1)
