"""Open-set identification over a protocol whose models are a gallery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from voiceid import metrics
from voiceid.decision.aims import Target
from voiceid.decision.rule import DecisionRule, accepted
from voiceid.domain import Float32Array
from voiceid.domain.values import Value, json_of
from voiceid.evaluation.bounds import Bools, Floats, Indices, drawn_again, rate_by_speaker, rates_at
from voiceid.evaluation.protocol import Protocol
from voiceid.evaluation.report import Judged, attributes
from voiceid.index.base import IndexStatus
from voiceid.metrics import Rate, Searches

_STEPS = 20
"""Thresholds per unit of cosine at which FPIR and FNIR are given: every 0.05."""
_RANKS = 10


@dataclass(frozen=True, slots=True)
class IndexLoss:
    """The rate at which the index in use loses the speaker that an exact search would put first.

    - `miss_rate`, `miss_rate_upper`: measured when the index was made, and the upper bound of 95 %.
    """

    miss_rate: float
    miss_rate_upper: float

    @classmethod
    def of(cls, statuses: Sequence[IndexStatus]) -> IndexLoss | None:
        """Return the loss of an index; None if it cannot lose a speaker."""
        for status in statuses:
            if status.miss_rate is not None and status.miss_rate_upper is not None:
                return cls(status.miss_rate, status.miss_rate_upper)
        return None

    def added_to(self, fnir: float) -> tuple[float, float]:
        """Return an FNIR with the loss of the index: with the rate, and with its bound.

        A speaker that an exact search would name is lost with that rate, for any voice.
        """
        rate, upper = (
            fnir + (1.0 - fnir) * miss for miss in (self.miss_rate, self.miss_rate_upper)
        )
        return rate, upper


@dataclass(frozen=True, slots=True)
class AtThreshold(Value):
    """FPIR and FNIR at one threshold for all searches, without a margin."""

    threshold: float
    fpir: Rate
    fnir: Rate


@dataclass(frozen=True, slots=True)
class Identified:
    """Open-set identification in the gallery of the models.

    - `fpir`, `fnir`: at the thresholds and the margin of the product.
    - `wrong_names`: searches of enrolled speakers that named another speaker.
    - `inconclusive`: searches within the margin.
    - `without_threshold`: searches whose best candidate has none: no speaker is named in them.
    - `missed_by_rank`: mated searches whose speaker is not among the first 1 to 10.
    """

    gallery_size: int
    fpir: Rate
    fnir: Rate
    wrong_names: int
    inconclusive: int
    without_threshold: int
    missed_by_rank: tuple[Rate, ...]

    @property
    def rank_rates(self) -> list[float]:
        """Share of the mated searches whose speaker is among the first 1 to 10."""
        return [1.0 - missed.errors / missed.trials for missed in self.missed_by_rank]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields; the ranks as shares of the searches and their bounds."""
        bounds = [[1.0 - missed.high, 1.0 - missed.low] for missed in self.missed_by_rank]
        ranks = {"rank_rates": self.rank_rates, "rank_rates_bounds_95": bounds}
        return json_of(self, "missed_by_rank", **ranks)


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Every probe against every model, as judged by the rule for identification.

    - `scores`, `thresholds` (probes, models) float: minus infinity, and NaN, if there is none.
    - `trials` (probes, models) int64: which trial each is of.
    - `own` (probes,) int64: the model of the probe's speaker, -1 for a stranger.
    - `speakers` (probes,) int64: the speaker.
    - `target`: the target of the thresholds.
    - `margin`: least lead over the runner-up.
    """

    scores: Float32Array
    thresholds: Floats
    trials: Indices
    own: Indices
    speakers: Indices
    target: Target
    margin: float

    @classmethod
    def of(cls, judged: Judged, rule: DecisionRule) -> Gallery:
        """Return the searches that the trials of a gallery make."""
        scored = judged.scored
        models, of_model = np.unique(scored.trials[:, 0], return_inverse=True)
        probes, of_probe = np.unique(scored.trials[:, 1], return_inverse=True)
        shape, at = (len(probes), len(models)), (of_probe, of_model)
        scores, thresholds = np.full(shape, -np.inf, np.float32), np.full(shape, np.nan)
        trials, own = np.zeros(shape, dtype=np.int64), np.full(len(probes), -1, dtype=np.int64)
        scores[at] = scored.scores
        thresholds[at] = rule.thresholds(scored.conditions, len(models))
        trials[at] = np.arange(len(scored.scores))
        own[of_probe[scored.target]] = of_model[scored.target]
        who = np.zeros(len(probes), dtype=np.int64)
        who[of_probe] = judged.speakers[:, 1]
        return cls(scores, thresholds, trials, own, who, rule.aim, rule.margin)

    @property
    def mated(self) -> Bools:
        """(probes,) whether the speaker is enrolled."""
        return np.asarray(self.own >= 0)

    @property
    def best(self) -> Indices:
        """(probes,) the trial of the best candidate: the one that decides."""
        rows = np.arange(len(self.scores))
        return np.asarray(self.trials[rows, self.scores.argmax(axis=1)])

    def rows(self, chosen: Bools) -> Gallery:
        """Return the searches of some of the probes."""
        names = ("scores", "thresholds", "trials", "own", "speakers")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})


def searches(gallery: Gallery) -> Searches | None:
    """Return the results of the searches; None if no search or every search is mated."""
    mated = gallery.mated
    if not mated.any() or mated.all():
        return None
    scores, own = gallery.scores[mated], gallery.own[mated]
    others = scores.copy()
    np.put_along_axis(others, own[:, None], -np.inf, axis=1)
    return Searches(
        own=np.take_along_axis(scores, own[:, None], axis=1)[:, 0],
        rank=metrics.rank_of_own(scores, own),
        best_other=others.max(axis=1),
        non_mated=gallery.scores[~mated].max(axis=1),
        mated_speakers=gallery.speakers[mated],
        non_mated_speakers=gallery.speakers[~mated],
    )


def identified(gallery: Gallery) -> Identified:
    """Return the errors of the product on the probes, with its thresholds and its margin."""
    scores, mated = gallery.scores, gallery.mated
    best, rows = scores.argmax(axis=1), np.arange(len(scores))
    asked = gallery.thresholds[rows, best]
    reached = accepted(scores[rows, best], asked)
    clear = np.ones(len(best), dtype=bool)
    if scores.shape[1] > 1:
        first_two = np.partition(scores, -2, axis=1)[:, -2:]
        clear = first_two[:, 1] - first_two[:, 0] >= gallery.margin
    named, right = reached & clear, best == gallery.own
    return Identified(
        gallery_size=scores.shape[1],
        fpir=rate_by_speaker(named[~mated], gallery.speakers[~mated]),
        fnir=rate_by_speaker(~(named & right)[mated], gallery.speakers[mated]),
        wrong_names=int((named & ~right)[mated].sum()),
        inconclusive=int((reached & ~clear).sum()),
        without_threshold=int(np.isnan(asked).sum()),
        missed_by_rank=tuple(_missed_by_rank(gallery.rows(mated))),
    )


def _missed_by_rank(mated: Gallery) -> Iterator[Rate]:
    if not len(mated.own):
        return
    ranks = metrics.rank_of_own(mated.scores, mated.own)
    for rank in range(1, min(_RANKS, mated.scores.shape[1]) + 1):
        yield rate_by_speaker(ranks > rank, mated.speakers)


def identified_by_slice(
    gallery: Gallery, judged: Judged, protocol: Protocol
) -> Iterator[tuple[str, str, Identified]]:
    """Yield attribute, label and errors of each slice of the probes.

    A probe is in the slices of the trial that decides: the one against its best candidate.
    """
    known = attributes(judged.scored, protocol)
    of_probes = {name: np.asarray(values)[gallery.best] for name, values in known.items()}
    for part in metrics.slices(of_probes):
        yield part.attribute, part.label, identified(gallery.rows(part.rows))


def by_threshold(searches: Searches) -> Iterator[AtThreshold]:
    """Yield FPIR and FNIR at every 0.05 of cosine between the lowest and the highest best score."""
    best = np.concatenate([searches.own, searches.non_mated])
    low, high = int(np.floor(_STEPS * best.min())), int(np.ceil(_STEPS * best.max()))
    at = [step / _STEPS for step in range(low, high + 1)]
    drawn = drawn_again(*searches.trials, at)
    for threshold in at:
        counts = metrics.identification_counts(searches, threshold)
        fpir, fnir = rates_at(
            drawn,
            threshold,
            (counts.false_positives, counts.false_negatives),
            (counts.non_mated, counts.mated),
        )
        yield AtThreshold(threshold, fpir, fnir)
