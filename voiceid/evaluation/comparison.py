"""Two encoders over the same recordings: speed, size, agreement and error rates."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from voiceid import metrics
from voiceid.audio import AudioSource
from voiceid.domain import Utterance
from voiceid.errors import NotEnoughSpeech
from voiceid.evaluation.bounds import Bools, Floats
from voiceid.models.install import ModelStore
from voiceid.models.status import InstalledModel
from voiceid.speech.embedder import Embedder
from voiceid.speech.speaker_model import SpeakerModel

ROUNDS = 3
"""Runs of each recording with each model, in turn; the median counts."""

MIN_PAIRS = 30
"""Pairs of one speaker, and of two, below which an error rate would be noise."""

MIN_CLIPS = 3
"""Fewer clips make fewer than three pairs, which have no rank correlation."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two models that are compared."""

    name: str
    embedder: Embedder
    file: InstalledModel

    @classmethod
    def of(cls, model: SpeakerModel, models: ModelStore) -> Side:
        """Return the side of a model, which is fetched first if it is missing."""
        return cls(model.card.name, model.embedder, models.installed(model.card.name))


@dataclass(frozen=True, slots=True)
class SideResult:
    """The results of one of the two models.

    Parameters
    ----------
    size_bytes : int
        Of its file.
    real_time : float
        Seconds of audio in a second, from the file to the embedding, on one thread.
    eer : float or None
        Equal error rate over all pairs of recordings, 0 to 1; None: see `Comparison.no_eer`.
    """

    name: str
    size_bytes: int
    real_time: float
    eer: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models side by side.

    Parameters
    ----------
    clips, left_out : int
        Recordings that were compared, and those with too little speech.
    pairs : int
        Pairs of recordings, each scored by each model within its own space.
    speed_ratio : float
        The speed of ``b`` divided by that of ``a``.
    rank_correlation : float
        Spearman's, of the two models' scores of the pairs.
    mean_difference : float
        Of a pair's score by ``b`` and by ``a``.
    no_eer : str
        Why there is no error rate; empty if there is one.
    """

    a: SideResult
    b: SideResult
    clips: int
    left_out: int
    audio_s: float
    pairs: int
    speed_ratio: float
    rank_correlation: float
    mean_difference: float
    no_eer: str


@dataclass(frozen=True, slots=True, eq=False)
class _Heard:
    """One recording by both models; seconds are medians."""

    speaker: str
    utterances: tuple[Utterance, Utterance]
    seconds: tuple[float, float]


def compare_models(a: Side, b: Side, clips: Iterable[tuple[str, AudioSource]]) -> Comparison:
    """Hear every recording with both models in turn, and compare.

    - `clips`, iterable of (str, AudioSource): the speaker, and the recording.

    Raises `NotEnoughSpeech`: fewer than `MIN_CLIPS` recordings hold enough speech; `AudioError`: a
    recording cannot be read.
    """
    from scipy.stats import spearmanr  # noqa: PLC0415 - a second that only comparisons wait for

    embedders = a.embedder, b.embedder
    heard = [_hear(speaker, source, embedders) for speaker, source in clips]
    usable = [clip for clip in heard if all(u.embedding is not None for u in clip.utterances)]
    if len(usable) < MIN_CLIPS:
        raise NotEnoughSpeech(
            f"of {len(heard)} clips {len(usable)} have enough speech, but {MIN_CLIPS} are needed",
            hint="Give more recordings, or longer ones.",
        )
    scores = [_scores(usable, side) for side in range(2)]
    genuine = np.array([x.speaker == y.speaker for x, y in combinations(usable, 2)])
    no_eer = _why_no_eer(genuine)
    audio_s = sum(clip.utterances[0].quality.duration_s or 0.0 for clip in usable)
    seconds = [sum(clip.seconds[side] for clip in usable) for side in range(2)]
    sides = []
    for model, took, values in zip((a, b), seconds, scores, strict=True):
        eer = None if no_eer else metrics.equal_error_rate(values[genuine], values[~genuine])
        size_bytes = model.file.path.stat().st_size
        sides.append(SideResult(model.name, size_bytes, audio_s / took, eer))
    return Comparison(
        a=sides[0],
        b=sides[1],
        clips=len(usable),
        left_out=len(heard) - len(usable),
        audio_s=audio_s,
        pairs=len(genuine),
        speed_ratio=seconds[0] / seconds[1],
        rank_correlation=float(spearmanr(*scores).statistic),
        mean_difference=float(np.mean(scores[1] - scores[0])),
        no_eer=no_eer,
    )


def _hear(speaker: str, source: AudioSource, embedders: tuple[Embedder, Embedder]) -> _Heard:
    took: tuple[list[float], list[float]] = ([], [])
    utterances: list[Any] = [None, None]
    for _ in range(ROUNDS):
        for side, embedder in enumerate(embedders):
            started = time.perf_counter()
            utterances[side] = embedder.utterance(source)
            took[side].append(time.perf_counter() - started)
    seconds = statistics.median(took[0]), statistics.median(took[1])
    return _Heard(speaker, (utterances[0], utterances[1]), seconds)


def _scores(heard: Sequence[_Heard], side: int) -> Floats:
    """Return the cosine of every pair, in the space of one model."""
    embeddings = [clip.utterances[side].embedding for clip in heard]
    vectors = np.array([e.vector for e in embeddings if e is not None], dtype=np.float64)
    return np.asarray((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)])


def _why_no_eer(genuine: Bools) -> str:
    same, other = int(genuine.sum()), int((~genuine).sum())
    if min(same, other) >= MIN_PAIRS:
        return ""
    return f"{same} pairs of one speaker and {other} of two, and {MIN_PAIRS} of each are needed"
