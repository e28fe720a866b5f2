"""From the recordings of a protocol to scored trials, as the product would score them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from voiceid.audio import AudioSource
from voiceid.decision.calibration import Conditions
from voiceid.decision.embeddings import centroid
from voiceid.decision.rule import DecisionRule
from voiceid.decision.transforms import Transform
from voiceid.domain import (
    Embedding,
    EmbeddingSpace,
    Float32Array,
    QualityReport,
    Utterance,
    telephone_share,
)
from voiceid.errors import AudioError
from voiceid.evaluation.bounds import Bools, Floats, Indices
from voiceid.evaluation.cache import EmbeddingCache
from voiceid.evaluation.protocol import Protocol, Recording
from voiceid.models.runtime import in_order
from voiceid.speech.embedder import Embedder, or_error

_BLOCK = 65_536
"""Trials that are scored at once: their vectors take 100 MB."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A recording without an embedding, and why: ``code`` is an error's or ``no_speech``."""

    recording: Recording
    code: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class ScoredTrials:
    """The trials that could be made, each with its score and conditions.

    - `trials` (n, 2) int64: numbers of a model and of a recording, as in the protocol.
    - `scores` (n,) float32: cosines, -1 to 1.
    - `thresholds` (n,) float64: the thresholds of the product; NaN where it has none.
    - `conditions`: those that thresholds depend on: of the probe, or of the shorter of two
      recordings.
    """

    trials: Indices
    target: Bools
    scores: Float32Array
    thresholds: Floats
    conditions: Conditions


def remembering(embedder: Embedder, cache: EmbeddingCache) -> Callable[[AudioSource], Utterance]:
    """Return a function that hears a source; one in the cache is only decoded.

    Others are added to it at once, so that a killed run continues where it stopped.
    """

    def hear(source: AudioSource) -> Utterance:
        if len(cache):
            known = cache.get(embedder.pcm_sha256(source), "")
            if known is not None:
                return known
        utterance = embedder.utterance(source)
        cache.put(utterance)
        return utterance

    return hear


def listen(
    recordings: Sequence[Recording],
    embedder: Embedder,
    cache: EmbeddingCache,
    tell: Callable[[int, int], None],
) -> list[Utterance | Failure]:
    """Return the utterance of each recording; ``tell`` receives the number done, and the total.

    It uses as many threads as the embedder has; for the cache see `remembering`.
    """
    known_or_heard = remembering(embedder, cache)

    def hear(recording: Recording) -> Utterance:
        return replace(known_or_heard(recording.path), name=recording.name)

    heard: list[Utterance | Failure] = []
    results = in_order(or_error(hear), recordings, embedder.workers)
    for recording, result in zip(recordings, results, strict=True):
        if isinstance(result, AudioError):
            heard.append(Failure(recording, result.code, result.message))
        else:
            few = f"only {result.quality.net_speech_s:.2f} s of net speech"
            silent = result.embedding is None
            heard.append(Failure(recording, "no_speech", few) if silent else result)
        tell(len(heard), len(recordings))
    return heard


def hear_all(
    recordings: Sequence[Recording],
    embedder: Embedder,
    cache: str | os.PathLike[str] | None,
    notify: Callable[[str], None],
    tell: Callable[[int, int], None] | None,
) -> list[Utterance | Failure]:
    """Return the utterance of each recording; ``notify`` receives those without an embedding."""
    kept = EmbeddingCache(cache, embedder.space)
    heard = listen(recordings, embedder, kept, tell or (lambda *_: None))
    for result in heard:
        if isinstance(result, Failure):
            notify(f"left out {result.recording.name}: {result.message}")
    return heard


def score(
    protocol: Protocol, heard: Sequence[Utterance | Failure], rule: DecisionRule
) -> ScoredTrials:
    """Score the trials whose model and probe have embeddings.

    - `heard`: as many as the protocol's recordings, in the same order.
    """
    singles = [[clip] if isinstance(clip, Utterance) else [] for clip in heard]
    groups = [[clip for r in model.recordings for clip in singles[r]] for model in protocol.models]
    usable, enrolled = (np.array([bool(g) for g in side], dtype=bool) for side in (singles, groups))
    possible = enrolled[protocol.trials[:, 0]] & usable[protocol.trials[:, 1]]
    trials, target = protocol.trials[possible], protocol.target[possible]
    conditions = conditions_of(
        [[clip.quality for clip in group] for group in groups],
        [clips[0].quality if clips else None for clips in singles],
        trials,
        either=protocol.of_pairs,
    )
    models, asked = _centroids(groups), _centroids(singles)
    return ScoredTrials(
        trials=trials,
        target=target,
        scores=_cosines(models, asked, trials),
        thresholds=rule.thresholds(conditions),
        conditions=conditions,
    )


def adapted(
    heard: Sequence[Utterance | Failure], transform: Transform, space: EmbeddingSpace
) -> list[Utterance | Failure]:
    """Return the utterances in the space of a transform of the model's embeddings."""
    return [
        clip
        if isinstance(clip, Failure)
        else replace(clip, embedding=Embedding(transform.apply(_vector(clip)), space))
        for clip in heard
    ]


def conditions_of(
    enrolled: Sequence[Sequence[QualityReport]],
    probes: Sequence[QualityReport | None],
    trials: Indices,
    *,
    either: bool = False,
) -> Conditions:
    """Return the conditions of trials.

    - `enrolled`: of the samples of each enrolment.
    - `probes`: of each probe; None where there is none, and no trial either.
    - `trials` (n, 2) int64: numbers of an enrolment and of a probe.
    - `either`: either side may be the probe: the one with less speech is.
    """
    models, asked = _facts(enrolled), _facts([[probe] if probe else [] for probe in probes])
    of_models, of_probes = models.rows(trials[:, 0]), asked.rows(trials[:, 1])
    less, more, snr_db = of_probes.speech_s, of_models.speech_s, of_probes.snr_db
    level_dbfs = of_probes.level_dbfs
    if either:
        level_dbfs = np.fmin(level_dbfs, of_models.level_dbfs)
        less, more = np.minimum(less, more), np.maximum(less, more)
        snr_db = np.fmin(snr_db, of_models.snr_db)
    return Conditions(
        telephone=of_probes.telephone * of_models.telephone,
        net_speech_s=less,
        snr_db=snr_db,
        enrolled_speech_s=more,
        n_enrolled=of_models.counts,
        level_dbfs=level_dbfs,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Facts:
    """Columns for groups of recordings, row by row; NaN for empty ones."""

    telephone: Floats
    speech_s: Floats
    snr_db: Floats
    level_dbfs: Floats
    """Return the level of the softest."""
    counts: Floats

    def rows(self, chosen: Indices) -> _Facts:
        return _Facts(*(getattr(self, field.name)[chosen] for field in fields(self)))


def _facts(groups: Sequence[Sequence[QualityReport]]) -> _Facts:
    telephone, speech_s, snr_db, level_dbfs = (np.full(len(groups), np.nan) for _ in range(4))
    for i, group in enumerate(groups):
        if group:
            telephone[i] = telephone_share([quality.telephone for quality in group])
            speech_s[i] = sum(quality.net_speech_s for quality in group)
            known = [quality.snr_db for quality in group if quality.snr_db is not None]
            snr_db[i] = min(known, default=np.nan)
            levels = [quality.level_dbfs for quality in group if quality.level_dbfs is not None]
            level_dbfs[i] = min(levels, default=np.nan)
    counts = np.array([float(len(group)) for group in groups])
    return _Facts(telephone, speech_s, snr_db, level_dbfs, counts)


def _centroids(groups: Sequence[Sequence[Utterance]]) -> Float32Array:
    """Return the centroid of each group (n, dim); zeros for empty ones."""
    dim = next((len(_vector(clip)) for group in groups for clip in group), 0)
    vectors = np.zeros((len(groups), dim), dtype=np.float32)
    for i, group in enumerate(groups):
        if len(group) == 1:
            vectors[i] = _vector(group[0])
        elif group:
            vectors[i] = centroid(np.array([_vector(clip) for clip in group]))
    return vectors


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
