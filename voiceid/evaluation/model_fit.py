"""A model's operating points and calibration, from comparisons through conditions.

They are fitted to other speakers than those of the compensation.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from voiceid import metrics
from voiceid.decision.aims import LEAST_THRESHOLD
from voiceid.decision.calibration import Calibration, Conditions, HeldOut, trials_needed
from voiceid.decision.embeddings import centroid
from voiceid.decision.operating_points import OperatingPoint, thresholds_at
from voiceid.domain import Float32Array
from voiceid.evaluation import fitting
from voiceid.evaluation.bounds import Bools, Floats, Indices
from voiceid.evaluation.learning import Heard

TARGETS = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""False match rates that a card has points for, the highest first."""

BUCKETS_S = (1.0, 2.0, 4.0, math.inf)
"""Net speech: below 1 s there is no decision, and above 4 s thresholds do not rise."""

ENROLLED = (1, 3)
"""Samples of an enrolment."""

_HIGHEST = 0.95
"""The highest threshold: only the same recording would reach a higher one."""
_COMPARED = 400_000
"""Most comparisons of one part: of more, a sample is drawn.  0.01 % takes 30,000 of one sex."""
_FITTED = 150_000
"""Trials of a kind that LLRs are fitted to: more do not change them."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Comparisons of enrolments through one condition with clips through another, a row each."""

    scores: Floats
    genuine: Bools
    same_sex: Bools
    conditions: Conditions
    speakers: Indices

    def where(self, rows: Bools | Indices) -> Comparisons:
        """Return some of the rows."""
        return Comparisons(
            self.scores[rows],
            self.genuine[rows],
            self.same_sex[rows],
            self.conditions.rows(rows),
            self.speakers[rows],
        )


def compare(
    heard: Heard, vectors: Float32Array, telephone: Float32Array, pair: tuple[str, str], size: int
) -> Comparisons:
    """Compare enrolments of ``size`` samples through ``pair[0]`` with clips through ``pair[1]``.

    - `vectors` (n, dim), `telephone` (n,): of `heard`, compensated.

    A clip is never compared with an enrolment that holds the same recording.
    """
    runs, clips = _drawn(
        np.array(list(_runs(heard, pair[0], size)), dtype=np.int64).reshape(-1, size),
        np.flatnonzero(heard.condition == pair[1]),
    )
    centroids = np.array([centroid(vectors[run]) for run in runs], dtype=np.float32)
    scores = centroids.reshape(len(runs), vectors.shape[1]) @ vectors[clips].T
    first = runs[:, 0]
    genuine = heard.speaker[first][:, None] == heard.speaker[clips]
    takes = np.unique(heard.recording, return_inverse=True)[1]
    apart = ~(takes[runs][:, :, None] == takes[clips]).any(axis=1)
    sexes = heard.sex[first][:, None], heard.sex[clips]
    same_sex = (sexes[0] == sexes[1]) | (sexes[0] == "") | (sexes[1] == "")
    enrolments, places = np.nonzero(apart | ~genuine)
    rows = clips[places]
    numbers = np.unique(heard.speaker, return_inverse=True)[1]
    enrolled_s = heard.net_speech_s[runs].sum(axis=1)
    shares = telephone[runs].mean(axis=1).astype(np.float64)
    return Comparisons(
        scores=scores[enrolments, places].astype(np.float64),
        genuine=genuine[enrolments, places],
        same_sex=same_sex[enrolments, places],
        conditions=Conditions(
            net_speech_s=heard.net_speech_s[rows],
            snr_db=heard.snr_db[rows],
            enrolled_speech_s=enrolled_s[enrolments],
            n_enrolled=np.full(len(rows), float(size)),
            telephone=shares[enrolments] * telephone[rows].astype(np.float64),
        ),
        speakers=np.stack([numbers[first][enrolments], numbers[rows]], axis=1).astype(np.int64),
    )


def _drawn(runs: Indices, clips: Indices) -> tuple[Indices, Indices]:
    """Return enrolments and clips, as many of both as the bound on comparisons allows."""
    share = math.sqrt(_COMPARED / max(1, len(runs) * len(clips)))
    if share >= 1.0:
        return runs, clips
    rng = np.random.default_rng(0)
    draws = (rng.choice(len(x), int(share * len(x)), replace=False) for x in (runs, clips))
    of_runs, of_clips = (np.sort(draw) for draw in draws)
    return runs[of_runs], clips[of_clips]


def _runs(heard: Heard, condition: str, size: int) -> Iterator[Indices]:
    """Yield the recordings of each enrolment: every run of a speaker's recordings, cyclically."""
    for name in np.unique(heard.speaker):
        own = np.flatnonzero((heard.speaker == name) & (heard.condition == condition) & heard.whole)
        own = own[np.argsort(heard.recording[own], kind="stable")]
        several = len(np.unique(heard.recording[own])) > 1 and len(own) > size
        n_runs = len(own) if several else 1  # else each would be the same
        for start in range(n_runs if len(own) >= size else 0):
            yield own[(start + np.arange(size)) % len(own)]


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Comparisons of enrolments of one size, through one condition, with clips through another.

    - `pair`: the two conditions.
    - `telephones`: whether both are telephones.
    - `size`: samples of an enrolment.
    """

    pair: tuple[str, str]
    telephones: bool
    size: int
    comparisons: Comparisons


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutLlrs:
    """LLRs by fits without either speaker, of the comparisons that were drawn, a row each.

    - `values` (n,) float64, `genuine` (n,) bool, `speakers` (n, 2) int64.
    - `part` (n,) int64: which of the parts each is of, counted from 0.
    """

    values: Floats
    genuine: Bools
    speakers: Indices
    part: Indices


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """The fit of one model; ``held_out`` is of the LLRs, on speakers of other folds.

    - `llrs`: the LLRs behind ``held_out``.
    - `worst`: by rate and amount of speech, the highest FMR of any pair of conditions, of strangers
      of one sex.
    - `strangers`: by amount of speech, the comparisons of strangers of one sex in the pair with
      most; of telephones or of other lines, whichever is less.
    """

    points: tuple[OperatingPoint, ...]
    calibration: Calibration
    held_out: HeldOut
    llrs: HeldOutLlrs
    worst: Mapping[tuple[float, float], float]
    strangers: Mapping[float, int]


@dataclass(frozen=True, slots=True, eq=False)
class _Strangers:
    """Scores (n,) of strangers of one sex, with one amount of speech, and shares of a telephone."""

    pair: tuple[str, str]
    telephones: bool
    scores: Float32Array
    share: Float32Array

    @classmethod
    def joined(cls, parts: Sequence[_Strangers]) -> _Strangers:
        """Return the strangers of several parts of one pair."""
        columns = ([part.scores for part in parts], [part.share for part in parts])
        return cls(parts[0].pair, parts[0].telephones, *map(np.concatenate, columns))

    def telephone_threshold(self, wideband: float, target: float) -> float:
        """Return the telephone's threshold that keeps a rate, if some seem not to be of a phone."""
        above = self.scores.astype(np.float64) - wideband
        reaches = wideband + above / np.maximum(self.share, 1e-3)
        return float(metrics.threshold_at_fmr(np.sort(reaches), target))

    def accepted(self, point: OperatingPoint) -> float:
        """Return the share that a point accepts."""
        step = point.telephone_threshold - point.threshold
        asked = point.threshold + self.share.astype(np.float64) * step
        return float(np.mean(self.scores >= asked))


def fit(parts: Collection[Part], targets: Sequence[float] = TARGETS) -> Fitted:
    """Choose thresholds, and fit LLRs.

    ``parts`` are read twice, and not kept meanwhile: they may be made when they are needed.


    A threshold is the smallest that keeps the false match rate of strangers *of the same sex* at
    the target in the *worst* pair of conditions.  No threshold is chosen by looking at genuine
    scores.  A pair with too few comparisons for a rate (rule of three), with enrolments of one size
    and of all, is not used for it.  A rate without any pair, of telephones or of other lines, or
    with a threshold above 0.95, has no point.

    LLRs also compare a speaker only with strangers of the same sex: with those of the other sex
    they would be overconfident for the strangers who matter.

    Raises `FitRefused`: there are too few speakers or comparisons for LLRs.
    """
    strangers: dict[float, list[_Strangers]] = {low: [] for low in BUCKETS_S[:-1]}
    drawn: list[Comparisons] = []
    rng = np.random.default_rng(0)
    for part in parts:
        for bucket in pairwise(BUCKETS_S):
            strangers[bucket[0]].append(_strangers(part, bucket))
        drawn.append(joined(list(_some(part.comparisons, _FITTED // len(parts), rng))))
    _merge(strangers, trials_needed(max(targets)))
    judging = {low: [*own, *_together(own)] for low, own in strangers.items()}
    points = [pair for low, own in judging.items() for pair in _thresholds(low, own, targets)]
    chosen = joined(drawn)
    llrs = fitting.fit(chosen.scores, chosen.genuine, chosen.conditions, chosen.speakers)
    sizes = [len(part.scores) for part in drawn]
    of_part = np.repeat(np.arange(len(drawn)), sizes)
    return Fitted(
        _measured([point for point, _ in points], parts),
        llrs.calibration,
        llrs.held_out,
        HeldOutLlrs(
            llrs.llrs, chosen.genuine[llrs.rows], chosen.speakers[llrs.rows], of_part[llrs.rows]
        ),
        {(point.target_fmr, point.min_net_speech_s): highest for point, highest in points},
        {low: min(_most(own, line) for line in (False, True)) for low, own in judging.items()},
    )


def _merge(strangers: dict[float, list[_Strangers]], needed: int) -> None:
    """Join an amount of speech without any judged rate to the next smaller one.

    The threshold of that one holds for it anyway, and must be judged by it too.
    """
    for lower, low in reversed(list(pairwise(BUCKETS_S[:-1]))):
        judging = [*strangers[low], *_together(strangers[low])]
        if min(_most(judging, line) for line in (False, True)) < needed:
            parts = zip(strangers[lower], strangers.pop(low), strict=True)
            strangers[lower] = [_Strangers.joined(both) for both in parts]


def _thresholds(
    low: float, judging: Sequence[_Strangers], targets: Sequence[float]
) -> Iterator[tuple[OperatingPoint, float]]:
    """Yield points, without their rates, and the highest FMR of the pairs that judge each."""
    wideband = telephone = LEAST_THRESHOLD
    for target in sorted(targets, reverse=True):
        enough = [group for group in judging if len(group.scores) >= trials_needed(target)]
        others = [group for group in enough if not group.telephones]
        phones = [group for group in enough if group.telephones]
        if not others or not phones:
            return
        needed = (metrics.threshold_at_fmr(np.sort(group.scores), target) for group in others)
        wideband = min(_HIGHEST, max(wideband, *needed))
        needed = (group.telephone_threshold(wideband, target) for group in phones)
        telephone = min(_HIGHEST, max(telephone, wideband, *needed))
        point = OperatingPoint(target, low, _up(wideband), _up(telephone), 0.0, 0.0, 0, 0)
        highest = max(group.accepted(point) for group in enough)
        if highest > target:
            return
        yield point, highest


def _between(part: Comparisons, bucket_s: tuple[float, float]) -> Comparisons:
    net_speech_s = part.conditions.net_speech_s
    return part.where((net_speech_s >= bucket_s[0]) & (net_speech_s < bucket_s[1]))


def _strangers(part: Part, bucket_s: tuple[float, float]) -> _Strangers:
    inside = _between(part.comparisons, bucket_s)
    rows = ~inside.genuine & inside.same_sex
    columns = (inside.scores[rows], inside.conditions.telephone[rows])
    scores, share = (column.astype(np.float32) for column in columns)  # of all pairs they are many
    return _Strangers(part.pair, part.telephones, scores, share)


def _together(drawn: Sequence[_Strangers]) -> Iterator[_Strangers]:
    """Yield the strangers of each pair of conditions, with enrolments of all sizes."""
    for pair in dict.fromkeys(group.pair for group in drawn):
        own = [group for group in drawn if group.pair == pair]
        if len(own) > 1:
            yield _Strangers.joined(own)


def _most(judging: Sequence[_Strangers], line: bool) -> int:
    return max((len(group.scores) for group in judging if group.telephones == line), default=0)


def _up(threshold: float) -> float:
    """Return a threshold rounded up to three digits."""
    return math.ceil(threshold * 1000.0) / 1000.0


def _measured(
    points: Sequence[OperatingPoint], parts: Collection[Part]
) -> tuple[OperatingPoint, ...]:
    """Return points with their rates over all comparisons."""
    counts = np.zeros((len(points), 4), dtype=np.int64)
    steps = sorted({point.min_net_speech_s for point in points})
    for part in parts:
        for bucket in pairwise([*steps, math.inf]):
            inside = _between(part.comparisons, bucket)
            for i, point in enumerate(points):
                if point.min_net_speech_s == bucket[0]:
                    counts[i] += _errors(point, inside)
    return tuple(
        replace(
            point,
            fmr=matches / max(1, impostor),
            fnmr=refused / max(1, genuine),
            impostor_trials=impostor,
            genuine_trials=genuine,
        )
        for point, (matches, impostor, refused, genuine) in zip(
            points, counts.tolist(), strict=True
        )
    )


def _errors(point: OperatingPoint, part: Comparisons) -> tuple[int, int, int, int]:
    """Return false matches and impostor trials, false non-matches and genuine trials."""
    accepted = part.scores >= thresholds_at([point], point.target_fmr, part.conditions)
    same = part.genuine
    return (
        int((accepted & ~same).sum()),
        int((~same).sum()),
        int((~accepted & same).sum()),
        int(same.sum()),
    )


def _some(part: Comparisons, most: int, rng: np.random.Generator) -> Iterator[Comparisons]:
    """Yield few enough comparisons of each kind, of one sex, to fit LLRs in seconds."""
    for kind in (part.genuine, ~part.genuine & part.same_sex):
        rows = np.flatnonzero(kind)
        yield part.where(rng.choice(rows, most, replace=False) if len(rows) > most else rows)


def joined(parts: Sequence[Comparisons]) -> Comparisons:
    """Return the comparisons of all parts."""
    return Comparisons(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.genuine for part in parts]),
        np.concatenate([part.same_sex for part in parts]),
        Conditions.joined([part.conditions for part in parts]),
        np.concatenate([part.speakers for part in parts]),
    )
