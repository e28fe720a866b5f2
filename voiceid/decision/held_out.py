"""The comparisons that judge a transform: enrolments of few samples against single samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from voiceid.decision.embeddings import unit
from voiceid.decision.transforms import AdaptationRefused, Ids
from voiceid.domain import Float32Array
from voiceid.metrics import Scores, Trials

MIN_SPEAKERS: Final = 5
"""Speakers with two samples of different sessions: with fewer, a fold has too few to learn from."""

MOST_FOLDS: Final = 10
"""Folds that speakers are dealt into; with fewer speakers, each is a fold."""

ENROLLED: Final = 3
"""Samples that are averaged for an enrolment, if a speaker has twice as many."""

MAX_SAMPLES: Final = 30
"""Most samples of one speaker in trials; of more, this many are drawn, so that none dominates."""

MAX_IMPOSTORS: Final = 300_000
"""Most pairs of an enrolment and a sample of another speaker; of more, this many are drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class TrialList:
    """Comparisons of enrolments, 1 to 3 samples of one speaker, with samples.

    `enrolments` and `probe` (t,) have places among the vectors, `enrolment` (t,) places in
    `enrolments`; `speakers` (t, 2) are numbers in the order of names, the same twice if genuine.
    """

    enrolments: tuple[Ids, ...]
    enrolment: Ids
    probe: Ids
    speakers: Ids

    @property
    def genuine(self) -> npt.NDArray[np.bool_]:
        """(t,) whether the two speakers are one."""
        return np.equal(self.speakers[:, 0], self.speakers[:, 1])

    def sides(self, scores: Scores) -> tuple[Trials, Trials]:
        """Return the genuine and the impostor trials with their scores (t,)."""
        same = self.genuine
        return (
            Trials(scores[same], self.speakers[same]),
            Trials(scores[~same], self.speakers[~same]),
        )

    def cosines(self, rows: Ids, vectors: Float32Array) -> Float32Array:
        """Return the cosines (r,) of some trials: of an enrolment's centroid and a sample."""
        runs, place = np.unique(self.enrolment[rows], return_inverse=True)
        members = [self.enrolments[run] for run in runs]
        starts = np.cumsum([0, *(len(own) for own in members[:-1])])
        centroids = unit(np.add.reduceat(vectors[np.concatenate(members)], starts, axis=0))
        return np.asarray(np.einsum("rd,rd->r", centroids[place], vectors[self.probe[rows]]))


def list_trials(who: Ids, sessions: Ids, seed: int) -> TrialList:
    """Return trials of each speaker's enrolments with samples of other sessions, and of others."""
    if len(who) == 0:
        raise AdaptationRefused("there are no samples to learn from")
    rng = np.random.default_rng(seed)
    runs: list[Ids] = []
    genuine: list[tuple[Ids, Ids]] = []
    samples = [_some(own, rng) for own in _by_speaker(who)]
    for own in samples:
        for run in _runs(own[np.argsort(sessions[own], kind="stable")]):
            others = own[~np.isin(sessions[own], sessions[run])]
            genuine.append((np.full(len(others), len(runs)), others))
            runs.append(run)
    enrolled = who[[int(run[0]) for run in runs]]
    sides = [*genuine, _impostors(enrolled, who, np.concatenate(samples), rng)]
    enrolment, probe = (np.concatenate(side) for side in zip(*sides, strict=True))
    speakers = np.stack([enrolled[enrolment], who[probe]], axis=1)
    return TrialList(tuple(runs), enrolment, probe, speakers)


def deal(who: Ids, trials: TrialList, seed: int) -> Ids:
    """Return the fold (n,) of each sample, one a speaker; AdaptationRefused: too few speakers."""
    speakers, usable = np.unique(who), np.unique(trials.speakers[trials.genuine])
    if len(usable) < MIN_SPEAKERS:
        raise AdaptationRefused(
            f"{len(usable)} of {len(speakers)} speakers have two samples of different sessions,"
            f" and {MIN_SPEAKERS} are needed"
        )
    rng = np.random.default_rng(seed)
    dealt = np.concatenate(
        [rng.permutation(usable), rng.permutation(np.setdiff1d(speakers, usable))]
    )
    fold = np.empty(len(dealt), dtype=np.intp)
    fold[dealt] = np.arange(len(dealt)) % min(len(usable), MOST_FOLDS)
    return fold[who]


def _by_speaker(who: Ids) -> list[Ids]:
    order = np.argsort(who, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(who[order])) + 1)


def _some(own: Ids, rng: np.random.Generator) -> Ids:
    return rng.choice(own, MAX_SAMPLES, replace=False) if len(own) > MAX_SAMPLES else own


def _runs(own: Ids) -> list[Ids]:
    """Return the samples of one speaker in runs of an enrolment's size, without the rest."""
    size = max(1, min(ENROLLED, len(own) // 2))
    return [own[i : i + size] for i in range(0, len(own) - size + 1, size)]


def _impostors(enrolled: Ids, who: Ids, probes: Ids, rng: np.random.Generator) -> tuple[Ids, Ids]:
    """Return enrolments (t,) and samples (t,) of two speakers: all, or as many as are allowed."""
    every = len(enrolled) * len(probes)
    drawn = rng.integers(every, size=MAX_IMPOSTORS) if every > MAX_IMPOSTORS else np.arange(every)
    enrolment, place = np.divmod(drawn, len(probes))
    apart = enrolled[enrolment] != who[probes[place]]
    return enrolment[apart], probes[place[apart]]
