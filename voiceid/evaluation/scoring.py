"""From the recordings of a protocol to scored trials: what the product would have scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.domain import Float32Array, Utterance
from voiceid.embedder import Embedder, or_error
from voiceid.embeddings import centroid
from voiceid.errors import AudioError
from voiceid.evaluation.cache import EmbeddingCache
from voiceid.evaluation.protocol import Indices, Model, Protocol, Recording
from voiceid.runtime import in_order
from voiceid.scoring import Band, DecisionRule, band_of

Float64Array: TypeAlias = npt.NDArray[np.float64]

_BLOCK = 65_536
"""Trials that are scored at once: their vectors take 100 MB."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A recording that gave no embedding, and why: ``code`` is an error's or ``no_speech``."""

    recording: Recording
    code: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class ScoredTrials:
    """The trials that could be made, each with its score and what is known of its probe.

    Parameters
    ----------
    trials : (n, 2) int64
        Numbers of a model and of a recording, as in the protocol.
    target : (n,) bool
    scores : (n,) float32
        Cosines, -1 to 1.
    thresholds : (n,) float64
        What the product would have asked for; NaN where it has no threshold.
    net_speech_s : (n,) float64
        On which the threshold depends: of the probe (of the shorter of two recordings).
    snr_db : (n,) float64
        Of the probe (of the worse of two recordings); NaN when it could not be told.
    bands : (n,) int64
        Numbers into ``list(Band)``.
    """

    trials: Indices
    target: npt.NDArray[np.bool_]
    scores: Float32Array
    thresholds: Float64Array
    net_speech_s: Float64Array
    snr_db: Float64Array
    bands: Indices


def hear_all(
    recordings: Sequence[Recording], embedder: Embedder, cache: EmbeddingCache
) -> Iterator[Utterance | Failure]:
    """Yield what was heard in each recording, in order; with as many threads as the embedder has.

    What the cache has costs its decoding only; what it has not is kept there at once, so that
    a run that was killed goes on where it was.

    Raises
    ------
    ModelRuntimeError, ConfigError
    """

    def hear(recording: Recording) -> Utterance:
        if len(cache):
            digest = embedder.pcm_sha256(recording.path)
            if (known := cache.get(digest, recording.name)) is not None:
                return known
        return embedder.utterance(recording.path)

    for recording, found in zip(
        recordings, in_order(or_error(hear), recordings, embedder.workers), strict=True
    ):
        if isinstance(found, AudioError):
            yield Failure(recording, found.code, found.message)
            continue
        cache.put(found)
        if found.embedding is None:
            net = found.quality.net_speech_s
            yield Failure(recording, "no_speech", f"only {net:.2f} s of net speech")
        else:
            yield found


def score(
    protocol: Protocol, heard: Sequence[Utterance | Failure], rule: DecisionRule
) -> ScoredTrials:
    """Score the trials whose model and probe could be had.

    Parameters
    ----------
    protocol : Protocol
    heard : sequence of Utterance or Failure
        As many as the protocol's recordings, in the same order.
    rule : DecisionRule
    """
    probes, narrow, speech_s, snr_db = _probe_facts(heard)
    centroids, shares = _model_facts(protocol.models, heard)
    enrolled, asked = protocol.trials[:, 0], protocol.trials[:, 1]
    possible = np.isfinite(shares[enrolled]) & np.isfinite(speech_s[asked])
    trials, target = protocol.trials[possible], protocol.target[possible]
    enrolled, asked = trials[:, 0], trials[:, 1]
    net_speech_s, probe_snr_db = speech_s[asked], snr_db[asked]
    if protocol.of_pairs:
        first = np.array([model.recordings[0] for model in protocol.models])[enrolled]
        net_speech_s = np.minimum(net_speech_s, speech_s[first])
        probe_snr_db = np.fmin(probe_snr_db, snr_db[first])
    bands = _bands(narrow[asked], shares[enrolled])
    return ScoredTrials(
        trials=trials,
        target=target,
        scores=_cosines(centroids, probes, trials),
        thresholds=_thresholds(rule, net_speech_s, bands),
        net_speech_s=net_speech_s,
        snr_db=probe_snr_db,
        bands=bands,
    )


def _probe_facts(
    heard: Sequence[Utterance | Failure],
) -> tuple[Float32Array, npt.NDArray[np.bool_], Float64Array, Float64Array]:
    """Return vectors, narrowband, net speech in s (NaN: no vector) and SNR in dB, row by row."""
    dim = next((len(_vector(one)) for one in heard if isinstance(one, Utterance)), 0)
    vectors = np.zeros((len(heard), dim), dtype=np.float32)
    narrow = np.zeros(len(heard), dtype=bool)
    speech_s = np.full(len(heard), np.nan)
    snr_db = np.full(len(heard), np.nan)
    for i, one in enumerate(heard):
        if isinstance(one, Utterance):
            vectors[i] = _vector(one)
            narrow[i] = one.quality.narrowband
            speech_s[i] = one.quality.net_speech_s
            snr_db[i] = np.nan if one.quality.snr_db is None else one.quality.snr_db
    return vectors, narrow, speech_s, snr_db


def _model_facts(
    models: Sequence[Model], heard: Sequence[Utterance | Failure]
) -> tuple[Float32Array, Float64Array]:
    """Return centroids, and shares of narrowband (NaN: no model), row by row."""
    made: list[Float32Array | None] = []
    shares = np.full(len(models), np.nan)
    for i, model in enumerate(models):
        mine = [one for r in model.recordings if isinstance(one := heard[r], Utterance)]
        made.append(centroid(np.array([_vector(one) for one in mine])) if mine else None)
        if mine:
            shares[i] = sum(one.quality.narrowband for one in mine) / len(mine)
    dim = next((len(one) for one in made if one is not None), 0)
    rows = [np.zeros(dim, dtype=np.float32) if one is None else one for one in made]
    return np.array(rows, dtype=np.float32).reshape(len(models), dim), shares


def _vector(utterance: Utterance) -> Float32Array:
    if utterance.embedding is None:
        raise ValueError(f"{utterance.name} has no embedding")
    return utterance.embedding.vector


def _cosines(models: Float32Array, probes: Float32Array, trials: Indices) -> Float32Array:
    scores = np.empty(len(trials), dtype=np.float32)
    for start in range(0, len(trials), _BLOCK):
        block = slice(start, start + _BLOCK)
        np.einsum("ij,ij->i", models[trials[block, 0]], probes[trials[block, 1]], out=scores[block])
    return np.clip(scores, -1.0, 1.0)


def _bands(narrow: npt.NDArray[np.bool_], shares: Float64Array) -> Indices:
    number_of = {band: i for i, band in enumerate(Band)}
    facts, where = np.unique(np.stack([narrow, shares], axis=1), axis=0, return_inverse=True)
    numbers = [number_of[band_of(bool(n), float(share))] for n, share in facts]
    return np.array(numbers, dtype=np.int64)[where.ravel()]


def _thresholds(rule: DecisionRule, net_speech_s: Float64Array, bands: Indices) -> Float64Array:
    """Return what the rule asks for in each trial, NaN where it has no threshold."""
    if rule.fixed is not None:
        return np.full(len(bands), rule.fixed.value)
    found = np.full(len(bands), np.nan)
    for point in sorted(rule.points, key=lambda p: p.min_net_speech_s):
        reached = net_speech_s >= point.min_net_speech_s
        found[reached & (bands == list(Band).index(Band(point.band)))] = point.threshold
    return found
