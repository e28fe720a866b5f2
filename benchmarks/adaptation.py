"""Measure what a back end learned from a site's recordings does for speakers it has not seen.

    python -m benchmarks.adaptation [--model campplus] [--corpora FOLDER] [--cache FOLDER]

Each site is a corpus whose clips were cut short and degraded, so that there are errors to mend.
Enrolments of up to three samples are compared with single ones, of other recordings.  Whatever
learns, learns without the folds of both speakers of a trial (`voiceid.decision.choose`).

The rivals are centring, WCCN, and two-covariance PLDA (Brümmer and de Villiers, The speaker
partitioning problem, Odyssey 2010; Sizov, Lee and Kinnunen, Unifying probabilistic linear
discriminant analysis variants in biometric authentication, S+SSPR 2014), estimated by moments,
shrunk as WCCN is, between and within, after centring and unit length.  Of each rival the
shrinkage of the least minimal Cllr is shown: all are flattered by the same rule.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np

from benchmarks.corpora import ami_turns, corpora_argument, digits, test_other, train_clean
from benchmarks.tables import markdown, percent
from benchmarks.trials import Floats, Ids, Voice, base
from benchmarks.voices import Ear, Hearing
from voiceid import metrics
from voiceid.decision.choice import SHRINKAGES, choose
from voiceid.decision.embeddings import unit
from voiceid.decision.held_out import TrialList, deal, list_trials
from voiceid.decision.transforms import fit, numbered
from voiceid.domain import Float32Array
from voiceid.evaluation.degradations import CONDITIONS, Clip, cut, split
from voiceid.metrics.detection import crossing

SIX = [
    CONDITIONS[name]
    for name in ("clean", "8 kHz", "mp3 33 kbit/s", "opus 20 kbit/s", "noise 20 dB", "noise 10 dB")
]
CUTS_S = (1.8, 2.5, 3.5)
DIGITS_S = (1.0, 2.0)
TURN_S = 2.0
RESAMPLES = 500

Scorer = Callable[[TrialList, Ids, Float32Array], Floats]
"""From some trials (r,) and all vectors to scores (r,)."""

Learner = Callable[[Float32Array, Ids], Scorer]
"""From vectors (n, dim) and their speakers (n,) to a scorer."""


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """Samples of a corpus, and the trials among them.

    Parameters
    ----------
    name : str
    vectors : (n, dim) float32
    names : (n,) str
        Who speaks.
    sessions : (n,) int
        Recordings: never compared with themselves.
    """

    name: str
    vectors: Float32Array
    names: list[str]
    sessions: Ids

    @classmethod
    def of(cls, name: str, voices: Sequence[Voice], *, whole: bool = True) -> Site:
        """Return the site of voices; pieces of a recording are one session unless not whole."""
        heard = [voice for voice in voices if voice.vector is not None]
        takes = [base(v.recording) if whole else v.recording for v in heard]
        vectors = np.stack([v.vector for v in heard if v.vector is not None])
        return cls(name, unit(vectors), [v.speaker for v in heard], numbered(takes))

    @property
    def who(self) -> Ids:
        """(n,) number of each sample's speaker."""
        return numbered(self.names)

    @property
    def trials(self) -> TrialList:
        """The trials of `choose`."""
        return list_trials(self.who, self.sessions, 0)

    def held_out(self, learner: Learner) -> Floats:
        """Return the scores (t,) of the trials by scorers that have seen neither speaker."""
        trials, who = self.trials, self.who
        fold = deal(who, trials, 0)
        one = fold[[run[0] for run in trials.enrolments]][trials.enrolment]
        other = fold[trials.probe]
        scores = np.empty(len(one))
        for i, k in combinations_with_replacement(range(int(fold.max()) + 1), 2):
            rows = np.flatnonzero((np.minimum(one, other) == i) & (np.maximum(one, other) == k))
            rest = ~np.isin(fold, (i, k))
            scores[rows] = learner(self.vectors[rest], who[rest])(trials, rows, self.vectors)
        return scores


def transformed(vectors: Float32Array, who: Ids, *, method: str, shrinkage: float) -> Scorer:
    """Return cosines after a transform."""
    transform = fit(vectors, who, method=method, shrinkage=shrinkage)
    return lambda trials, rows, every: np.asarray(
        trials.cosines(rows, transform.apply(every)), dtype=np.float64
    )


def plda(vectors: Float32Array, who: Ids, *, shrinkage: float) -> Scorer:
    """Return log-likelihood ratios of the two-covariance model, an enrolment as one sample."""
    centre = fit(vectors, who, method="centring")
    within, between = (
        (1.0 - shrinkage) * part + shrinkage * np.trace(part) / len(part) * np.eye(len(part))
        for part in _covariances(centre.apply(vectors), who)
    )
    variances, axes = np.linalg.eigh(within)
    whiten = axes / np.sqrt(variances)
    variances, axes = np.linalg.eigh(whiten.T @ between @ whiten)
    matrix = whiten @ axes

    def scores(trials: TrialList, rows: Ids, every: Float32Array) -> Floats:
        moved = centre.apply(every)
        runs, place = np.unique(trials.enrolment[rows], return_inverse=True)
        means = np.stack([moved[trials.enrolments[run]].mean(axis=0) for run in runs])
        x, y = (side @ matrix for side in (unit(means), moved))
        return _llr(x[place], y[trials.probe[rows]], np.maximum(variances, 0.0))

    return scores


def _covariances(rows: Float32Array, who: Ids) -> tuple[Floats, Floats]:
    """Return the covariances within and between speakers by moments, eigenvalues cut at zero."""
    own = numbered(who)
    counts = np.bincount(own)
    means = np.zeros((len(counts), rows.shape[1]))
    np.add.at(means, own, rows)
    means /= counts[:, None]
    rest = rows - means[own]
    within = rest.T @ rest / (len(rows) - len(counts))
    variances, axes = np.linalg.eigh(np.cov(means.T) - within * np.mean(1.0 / counts))
    return within, (axes * np.maximum(variances, 0.0)) @ axes.T


def _llr(x: Floats, y: Floats, between: Floats) -> Floats:
    """Return the LLR (r,) of rows (r, dim) with unit variance within, ``between`` between."""
    total = between + 1.0
    apart = total**2 - between**2
    product = np.sum(x * y * (between / apart), axis=1)
    squares = np.sum((x**2 + y**2) * (1.0 / total - total / apart), axis=1) / 2.0
    return np.asarray(product + squares + np.sum(np.log(total) - np.log(apart) / 2.0))


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """The corpora, and what hears them."""

    ear: Ear
    corpora: Path

    def sites(self) -> Iterator[Site]:
        """Yield the sites, hearing their clips."""
        other, clean = test_other(self.corpora), train_clean(self.corpora)
        for seconds in CUTS_S:
            pieces = [cut(clip, seconds, 0.25) for clip in other]
            heard = [v for change in SIX for v in self.hear(pieces, change)]
            yield Site.of(f"test-other, {seconds:g} s, six conditions", heard)
        thirds = [third for clip in clean for third in split(clip, 3)]
        yield Site.of(
            "train-clean-100, thirds, a condition each", self.in_turn(thirds), whole=False
        )
        turns = [
            piece
            for turn in ami_turns()
            for piece in split(turn, max(1, int(turn.duration_s / TURN_S)))
        ]
        yield Site.of(f"AMI turns in {TURN_S:g} s pieces", self.ear.hear(turns), whole=False)
        for seconds in DIGITS_S:
            yield Site.of(f"digits, {seconds:g} s", self.ear.hear(digits(self.corpora, seconds)))

    def hear(self, clips: Sequence[Clip], change: Callable[[Clip], Clip]) -> list[Voice]:
        """Return the voices of clips that something happened to."""
        return self.ear.hear([change(clip) for clip in clips])

    def in_turn(self, clips: Sequence[Clip]) -> list[Voice]:
        """Return the voices of clips, each through the next of the conditions."""
        changes = list(SIX)
        return self.ear.hear([changes[i % len(changes)](clip) for i, clip in enumerate(clips)])


def rivals(site: Site) -> dict[str, Floats]:
    """Return the scores (t,) of each rival, of several shrinkages those of least Cllr."""
    found = {
        "none": site.held_out(partial(transformed, method="none", shrinkage=1.0)),
        "centring": site.held_out(partial(transformed, method="centring", shrinkage=1.0)),
    }
    for name, learner in (("WCCN", partial(transformed, method="wccn")), ("PLDA", plda)):
        tried = {s: site.held_out(partial(learner, shrinkage=s)) for s in SHRINKAGES}
        best = min(tried, key=lambda s: _min_cllr(site, tried[s]))
        found[f"{name}, shrinkage {best:g}"] = tried[best]
    return found


def _min_cllr(site: Site, scores: Floats) -> float:
    same, other = site.trials.sides(scores)
    return metrics.min_cllr(same.scores, other.scores)


HEADERS = (
    "back end",
    "EER %",
    "gain, points",
    "95 % interval, by speaker",
    "minDCF 0.01",
    "minimal Cllr, bits",
)


def title(model: str, site: Site) -> str:
    """Return what a site is, and how much of it there is."""
    genuine = int(np.sum(site.trials.genuine))
    return (
        f"{model}: {site.name}; {len(np.unique(site.who))} speakers, {len(site.who)} samples,"
        f" {genuine} genuine and {len(site.trials.probe) - genuine} impostor trials"
    )


def rows(site: Site, found: dict[str, Floats]) -> Iterator[list[object]]:
    """Yield a row for each rival: its errors, and its gain with the interval of paired draws."""
    trials = site.trials
    plain, drawn = 0.0, np.zeros(RESAMPLES)
    for name, scores in found.items():
        same, other = trials.sides(scores)
        eer = metrics.equal_error_rate(same.scores, other.scores)
        rates = metrics.resample_speakers(same, other, resamples=RESAMPLES)
        eers = crossing(rates.fmr, rates.fnmr)
        if name == "none":
            plain, drawn = eer, eers
        low, high = 100 * np.quantile(drawn - eers, [0.025, 0.975])
        yield [
            name,
            percent(eer),
            f"{100 * (plain - eer):+.2f}",
            f"{low:+.2f} to {high:+.2f}",
            f"{metrics.min_dcf(same.scores, other.scores, p_target=0.01):.3f}",
            f"{metrics.min_cllr(same.scores, other.scores):.3f}",
        ]


def verdict(site: Site) -> list[object]:
    """Return what `choose` says of a site."""
    try:
        choice = choose(site.vectors, site.names, site.sessions)
    except ValueError as refused:
        return [site.name, "refused", str(refused), ""]
    gain = f"{choice.after.gain:+.3f}, at least {choice.after.gain_lower:+.3f}"
    return [site.name, "adopted" if choice.adopted else "not adopted", choice.reason, gain]


def main() -> None:
    """Measure every site and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    corpora_argument(parser)
    parser.add_argument("--model", default="campplus")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    args = parser.parse_args()
    material = Material(Ear(Hearing(args.model), args.cache), args.corpora)
    sites = list(material.sites())
    for site in sites:
        found = rows(site, rivals(site))
        print(markdown(title(args.model, site), HEADERS, found), flush=True)
    headers = ("site", "verdict", "reason", "gain in minimal Cllr, bits, and its lower bound")
    print(markdown(f"{args.model}: what `choose` says", headers, map(verdict, sites)))


if __name__ == "__main__":
    main()
