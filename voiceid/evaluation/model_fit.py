"""What ships with a model: its compensation, its operating points, and what makes its LLRs.

All three are learned from recordings that were sent through lines, rooms and noises: which of them
a recording went through is its *condition*.  The compensation is learned from some speakers; the
thresholds and LLRs are fitted to others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from voiceid import metrics
from voiceid.decision.calibration import Calibration, Conditions, HeldOut, trials_needed
from voiceid.decision.compensation import Compensation
from voiceid.decision.embeddings import centroid, unit
from voiceid.decision.operating_points import OperatingPoint, thresholds_at
from voiceid.domain import Float32Array
from voiceid.evaluation import fitting
from voiceid.evaluation.bounds import Bools, Indices

Floats = npt.NDArray[np.float64]
Texts = npt.NDArray[np.str_]

DIRECTIONS = (4, 12)
"""How many are removed from wideband speech, and from a telephone's.  More from wideband speech
tell the voices of AMI apart less well; fewer from telephones, voices over lines that were not
learned from."""

TARGETS = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""False match rates that a card has points for, the loosest first."""

BUCKETS_S = (1.0, 2.0, 4.0, math.inf)
"""Net speech: below 1 s nothing is decided, and from 4 s on thresholds do not rise any more."""

ENROLLED = (1, 3)
"""Samples of an enrolment."""

_HIGHEST = 0.95
"""No threshold is above: nothing but the very recording would reach it."""
_FITTED = 150_000
"""Trials of a kind that LLRs are fitted to: more change nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What an encoder made of recordings and pieces of recordings: columns (n,), a row each.

    Parameters
    ----------
    speaker, sex : str
        ``sex`` is ``F``, ``M``, or empty where it is not known: then it is as everybody's.
    recording : str
        Two pieces of one recording are never compared.
    condition : str
        What it went through.
    over_telephone : bool
        Whether that is a telephone.
    whole : bool
        Whether it may be enrolled: a recording, or a third of a speaker's only one.
    net_speech_s, snr_db : float
        ``snr_db`` is NaN where it is not known.
    vectors : (n, dim) float32
        As the encoder made them, of unit length.
    """

    speaker: Texts
    sex: Texts
    recording: Texts
    condition: Texts
    over_telephone: Bools
    whole: Bools
    net_speech_s: Floats
    snr_db: Floats
    vectors: Float32Array

    def where(self, rows: Bools | Indices) -> Heard:
        """Return some of the rows."""
        return Heard(*(getattr(self, field.name)[rows] for field in fields(self)))


def learn(heard: Heard, directions: tuple[int, int] = DIRECTIONS) -> Compensation:
    """Learn a compensation from recordings of which each went through all conditions.

    Every speaker weighs the same.  The directions are those in which the means of one speaker's
    embeddings differ most between conditions, after the mean of the line was taken away: for
    wideband speech between wideband conditions, for a telephone's between all.
    """
    means = np.stack([_mean(heard.where(heard.over_telephone == line)) for line in (0, 1)])
    centred = heard.vectors - means[heard.over_telephone.astype(np.intp)]
    moved = replace(heard, vectors=centred.astype(np.float32))
    return Compensation(
        weights=_discriminant(heard).astype(np.float32),
        means=means.astype(np.float32),
        wideband_directions=_nuisance(moved.where(~moved.over_telephone), directions[0]),
        telephone_directions=_nuisance(moved, directions[1]),
    )


def _mean(heard: Heard) -> Floats:
    """Return the mean (dim,) of the speakers' means."""
    names = np.unique(heard.speaker)
    means = [heard.vectors[heard.speaker == name].mean(axis=0) for name in names]
    return np.asarray(np.mean(means, axis=0, dtype=np.float64))


def _nuisance(heard: Heard, count: int) -> Float32Array:
    """Return directions (count, dim) in which one speaker's means differ between conditions."""
    dim = heard.vectors.shape[1]
    total = np.zeros((dim, dim))
    for name in np.unique(heard.speaker):
        own = heard.where(heard.speaker == name)
        conditions = np.unique(own.condition)
        means = np.stack([own.vectors[own.condition == c].mean(axis=0) for c in conditions])
        means = (means - means.mean(axis=0)).astype(np.float64)
        total += means.T @ means / len(means)
    axes = np.linalg.eigh(total)[1][:, ::-1][:, :count].T
    signs = np.sign(axes[np.arange(count), np.abs(axes).argmax(axis=1)])  # an axis has two
    return np.asarray(axes * signs[:, None], dtype=np.float32)


def _discriminant(heard: Heard) -> Floats:
    """Return weights and offset (dim + 1,) of the log odds of a telephone.

    Fisher's linear discriminant, with a covariance that is shrunk by a tenth: the posterior of two
    Gaussians of one covariance, and nothing to converge.
    """
    vectors = heard.vectors.astype(np.float64)
    weights = _speaker_weights(heard)
    over_telephone = heard.over_telephone.astype(np.intp)
    means = np.stack([_weighted(vectors, weights * (over_telephone == line)) for line in (0, 1)])
    vectors = vectors - means[over_telephone]
    covariance = (vectors * weights[:, None]).T @ vectors / weights.sum()
    dim = len(covariance)
    shrunk = 0.9 * covariance + 0.1 * np.trace(covariance) / dim * np.eye(dim)
    slopes = np.linalg.solve(shrunk, means[1] - means[0])
    return np.append(slopes, -slopes @ means.mean(axis=0))


def _speaker_weights(heard: Heard) -> Floats:
    """Return the weight (n,) of each row: every speaker has the same."""
    _, who, counts = np.unique(heard.speaker, return_inverse=True, return_counts=True)
    return 1.0 / counts[who]


def _weighted(vectors: Floats, weights: Floats) -> Floats:
    return np.asarray(weights @ vectors / weights.sum())


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Comparisons of enrolments through one condition with clips through another, a row each."""

    scores: Floats
    genuine: Bools
    same_sex: Bools
    given: Conditions
    speakers: Indices

    def where(self, rows: Bools | Indices) -> Comparisons:
        """Return some of the rows."""
        return Comparisons(
            self.scores[rows],
            self.genuine[rows],
            self.same_sex[rows],
            self.given.rows(rows),
            self.speakers[rows],
        )


def compare(
    heard: Heard, vectors: Float32Array, telephone: Float32Array, pair: tuple[str, str], size: int
) -> Comparisons:
    """Compare enrolments of so many samples through ``pair[0]`` with clips through ``pair[1]``.

    - `vectors` (n, dim), `telephone` (n,): of `heard`, compensated.

    A speaker is never compared with an enrolment that the same recording is part of.
    """
    runs = list(_runs(heard, pair[0], size))
    clips = np.flatnonzero(heard.condition == pair[1])
    centroids = np.stack([centroid(vectors[run]) for run in runs])
    scores = centroids @ vectors[clips].T
    first = np.array([run[0] for run in runs])
    genuine = heard.speaker[first][:, None] == heard.speaker[clips]
    apart = ~np.array([np.isin(heard.recording[clips], heard.recording[run]) for run in runs])
    sexes = heard.sex[first][:, None], heard.sex[clips]
    same_sex = (sexes[0] == sexes[1]) | (sexes[0] == "") | (sexes[1] == "")
    enrolments, places = np.nonzero(apart | ~genuine)
    rows = clips[places]
    numbers = np.unique(heard.speaker, return_inverse=True)[1]
    enrolled_s = np.array([heard.net_speech_s[run].sum() for run in runs])
    shares = np.array([float(telephone[run].mean()) for run in runs])
    return Comparisons(
        scores=scores[enrolments, places].astype(np.float64),
        genuine=genuine[enrolments, places],
        same_sex=same_sex[enrolments, places],
        given=Conditions(
            net_speech_s=heard.net_speech_s[rows],
            snr_db=heard.snr_db[rows],
            enrolled_speech_s=enrolled_s[enrolments],
            n_enrolled=np.full(len(rows), float(size)),
            telephone=shares[enrolments] * telephone[rows].astype(np.float64),
        ),
        speakers=np.stack([numbers[first][enrolments], numbers[rows]], axis=1).astype(np.int64),
    )


def _runs(heard: Heard, condition: str, size: int) -> Iterator[Indices]:
    """Yield what is enrolled together: every run of a speaker's recordings, round and round.

    Each is another one; a speaker of one recording has one.
    """
    for name in np.unique(heard.speaker):
        own = np.flatnonzero((heard.speaker == name) & (heard.condition == condition) & heard.whole)
        own = own[np.argsort(heard.recording[own], kind="stable")]
        turns = len(own) > size and len(np.unique(heard.recording[own])) > 1
        n_runs = len(own) if turns else int(len(own) >= size)
        for start in range(n_runs):
            yield own[(start + np.arange(size)) % len(own)]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What was fitted to one model; ``held_out`` is of the LLRs, on speakers of other folds."""

    points: tuple[OperatingPoint, ...]
    calibration: Calibration
    held_out: HeldOut
    worst: dict[tuple[float, float], float]
    """By rate and amount of speech: the highest FMR of any condition, of strangers of one sex."""


def fit(
    parts: Sequence[tuple[bool, Comparisons]],
    targets: Sequence[float] = TARGETS,
    together: Sequence[tuple[bool, Comparisons]] = (),
) -> Fitted:
    """Choose thresholds, and fit LLRs.

    - `parts`: the comparisons of each pair of conditions, and whether both are telephones.
    - `together`: some of these parts joined, for rates that one alone has too few comparisons for.

    A threshold is the smallest that keeps the false match rate of strangers *of the same sex* at
    the target in the *worst* pair of conditions.  No threshold is chosen by looking at genuine
    scores.  A pair with too few comparisons for a rate (rule of three) does not judge it; a rate
    that no pair judges, of telephones or of others, has no point.
    """
    points: list[OperatingPoint] = []
    worst: dict[tuple[float, float], float] = {}
    for bucket in pairwise(BUCKETS_S):
        in_bucket = [(line, _between(part, bucket)) for line, part in parts]
        judging = [*in_bucket, *((line, _between(part, bucket)) for line, part in together)]
        strangers = [(line, _strangers(part)) for line, part in judging]
        wideband = telephone = -1.0
        for target in sorted(targets, reverse=True):
            enough = [(line, s) for line, s in strangers if len(s.scores) >= trials_needed(target)]
            others = [s for line, s in enough if not line]
            phones = [s for line, s in enough if line]
            if not others or not phones:
                break
            wideband = max(
                wideband, *(metrics.threshold_at_fmr(np.sort(s.scores), target) for s in others)
            )
            needed = [_telephone_threshold(s, wideband, target) for s in phones]
            telephone = min(_HIGHEST, max(telephone, wideband, *needed))
            point = OperatingPoint(target, bucket[0], _up(wideband), _up(telephone), 0.0, 0.0, 0, 0)
            point, highest = _measured(point, in_bucket, [s for _, s in enough])
            points.append(point)
            worst[target, bucket[0]] = highest
    chosen = _some([part for _, part in parts])
    llrs = fitting.fit(chosen.scores, chosen.genuine, chosen.given, chosen.speakers)
    return Fitted(tuple(points), llrs.calibration, llrs.held_out, worst)


def _between(part: Comparisons, bucket_s: tuple[float, float]) -> Comparisons:
    net_speech_s = part.given.net_speech_s
    return part.where((net_speech_s >= bucket_s[0]) & (net_speech_s < bucket_s[1]))


def _strangers(part: Comparisons) -> Comparisons:
    return part.where(~part.genuine & part.same_sex)


def _telephone_threshold(strangers: Comparisons, wideband: float, target: float) -> float:
    """Return the telephone's threshold that keeps a rate, where some seem to be of no telephone."""
    share = np.maximum(strangers.given.telephone, 1e-3)
    reaches = wideband + (strangers.scores - wideband) / share
    return float(metrics.threshold_at_fmr(np.sort(reaches), target))


def _up(threshold: float) -> float:
    """Return a threshold rounded up to three digits."""
    return math.ceil(threshold * 1000.0) / 1000.0


def _measured(
    point: OperatingPoint,
    in_bucket: Sequence[tuple[bool, Comparisons]],
    strangers: Sequence[Comparisons],
) -> tuple[OperatingPoint, float]:
    """Return a point with its rates over all comparisons, and the highest FMR of ``strangers``."""
    matches, genuine = [], []
    for _, part in in_bucket:
        matches.append(_accepted(point, part))
        genuine.append(part.genuine)
    accepted, same = np.concatenate(matches), np.concatenate(genuine)
    highest = max(float(np.mean(_accepted(point, part))) for part in strangers)
    rates = float(np.mean(accepted[~same])), float(np.mean(~accepted[same])) if same.any() else 0.0
    counts = int((~same).sum()), int(same.sum())
    return (
        replace(
            point, fmr=rates[0], fnmr=rates[1], impostor_trials=counts[0], genuine_trials=counts[1]
        ),
        highest,
    )


def _accepted(point: OperatingPoint, part: Comparisons) -> Bools:
    return np.asarray(part.scores >= thresholds_at([point], point.target_fmr, part.given))


def _some(parts: Sequence[Comparisons]) -> Comparisons:
    """Return comparisons of all parts, so many of each kind that LLRs can be fitted in seconds."""
    rng = np.random.default_rng(0)
    drawn: list[Comparisons] = []
    for part in parts:
        for kind in (part.genuine, ~part.genuine):
            rows = np.flatnonzero(kind)
            most = _FITTED // len(parts)
            drawn.append(
                part.where(rng.choice(rows, most, replace=False) if len(rows) > most else rows)
            )
    return joined(drawn)


def joined(parts: Sequence[Comparisons]) -> Comparisons:
    """Return the comparisons of all parts."""
    return Comparisons(
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.genuine for part in parts]),
        np.concatenate([part.same_sex for part in parts]),
        Conditions.joined([part.given for part in parts]),
        np.concatenate([part.speakers for part in parts]),
    )


def compensated(heard: Heard, compensation: Compensation) -> tuple[Float32Array, Float32Array]:
    """Return the compensated embeddings (n, dim), and the posteriors of a telephone (n,)."""
    return compensation.apply(heard.vectors), compensation.telephone(unit(heard.vectors))
