"""Measure whether a calibration holds: for speakers and on recordings that it was not fitted on.

    python -m benchmarks.calibrated [--model campplus] [--corpora FOLDER] [--cache FOLDER]

Recordings of LibriSpeech are degraded, each time by a condition and to a length that are drawn
from a fixed seed; the others are taken as they are.  One, two and three recordings are enrolled
in turn and compared with all of other takes, as `voiceid calibrate` does, and fitted by
`voiceid.evaluation.fitting`.

- Halves: fitted on five of the ten speakers of test-other, judged on the other five.
- Draws: fitted on some speakers of train-clean-100, judged on all others.
- Corpora: fitted on all of one, judged on the others, and against the model's card.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.corpora import ami_turns, corpora_argument, digits, test_other, train_clean
from benchmarks.tables import markdown, percent
from benchmarks.trials import Flags, Floats, Voice
from benchmarks.voices import Ear, Hearing, model_store
from voiceid import metrics
from voiceid.decision.aims import Target
from voiceid.decision.calibration import Calibration, Conditions
from voiceid.decision.rule import DecisionRule
from voiceid.domain import Embedding, EmbeddingSpace, QualityReport, Utterance
from voiceid.errors import FitRefused
from voiceid.evaluation.bounds import Indices
from voiceid.evaluation.degradations import CONDITIONS, Clip, cut, split
from voiceid.evaluation.fitting import PRIORS, Fit, fit
from voiceid.evaluation.pairing import enroll_in_turn
from voiceid.evaluation.protocol import Recording
from voiceid.evaluation.scoring import Failure, score

TARGETS = (0.01, 0.001)
LENGTHS_S = (1.3, 1.8, 2.5, 7.0)
PLACES = (0.25, 0.75)
DIGITS_S = 2.0
HALVES = 8
DRAWN = (10, 20, 40)
"""Speakers that are drawn from train-clean-100."""
DRAWS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """Trials of a corpus, one row each.

    Parameters
    ----------
    scores : (n,) float32
    target : (n,) bool
    given : Conditions
    speakers : (n, 2) int64
        Who is enrolled and who speaks, numbered in the order of their names.
    """

    scores: Floats
    target: Flags
    conditions: Conditions
    speakers: Indices

    @property
    def everybody(self) -> Indices:
        """Numbers of the speakers."""
        return np.unique(self.speakers)

    def where(self, rows: Flags) -> Comparisons:
        """Return the rows that are marked."""
        given = self.conditions.rows(rows)
        return Comparisons(self.scores[rows], self.target[rows], given, self.speakers[rows])

    def among(self, speakers: Indices) -> Comparisons:
        """Return the trials whose two speakers are both of these."""
        return self.where(np.asarray(np.isin(self.speakers, speakers).all(axis=1)))

    def fitted(self) -> Fit:
        """Return a calibration that was fitted on these trials."""
        return fit(self.scores, self.target, self.conditions, self.speakers)


def compared(voices: Sequence[Voice], space: EmbeddingSpace) -> Comparisons:
    """Enrol up to three voices in turn and compare them with all of other recordings."""
    recordings = [
        Recording(str(i), v.recording, v.speaker, v.recording) for i, v in enumerate(voices)
    ]
    protocol = enroll_in_turn(recordings)
    heard = [_heard(v, one, space) for v, one in zip(voices, recordings, strict=True)]
    found = score(protocol, heard, DecisionRule("none", (), 0.0))
    number = {name: i for i, name in enumerate(sorted({v.speaker for v in voices}))}
    enrolled = np.array([number[model.speaker] for model in protocol.models])
    asked = np.array([number[one.speaker] for one in recordings])
    speakers = np.stack([enrolled[found.trials[:, 0]], asked[found.trials[:, 1]]], axis=1)
    return Comparisons(found.scores.astype(np.float64), found.target, found.conditions, speakers)


def _heard(voice: Voice, recording: Recording, space: EmbeddingSpace) -> Utterance | Failure:
    if voice.vector is None:
        return Failure(recording, "no_speech", "too little speech")
    net_s = voice.net_speech_s
    snr_db, telephone = (None if np.isnan(x) else x for x in (voice.snr_db, voice.telephone))
    quality = QualityReport(net_s, net_s, snr_db, 0.0, None, 16000, None, telephone=telephone)
    return Utterance(voice.recording, "", quality, Embedding(voice.vector, space, telephone))


def degraded(clips: Sequence[Clip], times: int, lengths_s: Sequence[float] = ()) -> list[Clip]:
    """Return the clips so many times over, each time through another condition.

    The clips of one turn follow each other, so that those enrolled together are of different
    recordings.  Without lengths they stay whole.
    """
    rng = np.random.default_rng(0)
    names = [rng.permutation(list(CONDITIONS))[:times] for _ in clips]
    found = []
    for turn in range(times):
        for clip, own in zip(clips, names, strict=True):
            place = float(rng.choice(PLACES))
            piece = cut(clip, float(rng.choice(lengths_s)), place) if lengths_s else clip
            found.append(CONDITIONS[own[turn]](piece))
    return found


def halves(speakers: Indices, n: int, seed: int = 0) -> Iterator[tuple[Indices, Indices]]:
    """Yield so many different splits of the speakers into halves, in both directions."""
    first, rest = speakers[:1], speakers[1:]
    ways = list(itertools.combinations(rest.tolist(), len(speakers) // 2 - 1))
    drawn = np.random.default_rng(seed).permutation(len(ways))[:n]
    for way in drawn:
        one = np.concatenate([first, np.array(ways[way], dtype=speakers.dtype)])
        other = np.setdiff1d(speakers, one)
        yield one, other
        yield other, one


@dataclass(frozen=True, slots=True)
class Held:
    """The results of a threshold for a target on trials that it was not fitted to.

    Parameters
    ----------
    target : float
        FMR aimed at.
    bounds : (low, high)
        Of the FMR, as the fit reports them.
    fmr, fnmr : float
        Measured.
    """

    target: float
    bounds: tuple[float, float]
    fmr: float
    fnmr: float

    @property
    def within(self) -> bool:
        """Whether the FMR lies within the bounds."""
        low, high = self.bounds
        return low <= self.fmr <= high

    @property
    def above(self) -> bool:
        """Whether the FMR lies above the bounds: more strangers got in than was said."""
        return self.fmr > self.bounds[1]


@dataclass(frozen=True, slots=True)
class Judged:
    """The quality of a calibration on trials that it was not fitted to.

    Parameters
    ----------
    covered : float
        Share of the trials that it can speak of; all else is of these.
    cllr, min_cllr : float
        In bits.
    act_dcf, min_dcf : tuple of float
        Of each of `PRIORS`.
    held : tuple of Held
        Of each of `TARGETS` that it supports.
    """

    covered: float
    cllr: float
    min_cllr: float
    act_dcf: tuple[float, ...]
    min_dcf: tuple[float, ...]
    held: tuple[Held, ...]

    @property
    def ratio(self) -> float:
        """Cllr by minCllr."""
        return self.cllr / self.min_cllr


def judge(calibration: Calibration, on: Comparisons) -> Judged:
    """Judge a calibration on trials."""
    llrs = calibration.llrs(on.scores, on.conditions)
    known = np.isfinite(llrs)
    genuine, impostor = np.sort(llrs[known & on.target]), np.sort(llrs[known & ~on.target])
    held = []
    for point in calibration.points:
        if point.fmr in TARGETS:
            fmr, fnmr = metrics.error_rates(genuine, impostor, point.llr)
            held.append(Held(point.fmr, point.fmr_bounds, fmr, fnmr))
    return Judged(
        covered=float(known.mean()),
        cllr=metrics.cllr(genuine, impostor),
        min_cllr=metrics.min_cllr(genuine, impostor),
        act_dcf=tuple(metrics.act_dcf(genuine, impostor, p_target=p) for p in PRIORS),
        min_dcf=tuple(metrics.min_dcf(genuine, impostor, p_target=p) for p in PRIORS),
        held=tuple(held),
    )


def over_halves(on: Comparisons) -> list[Judged]:
    """Fit on one half of the speakers and judge on the other, again and again."""
    return [
        judge(on.among(one).fitted().calibration, on.among(other))
        for one, other in halves(on.everybody, HALVES)
    ]


def over_draws(voices: Sequence[Voice], space: EmbeddingSpace, n: int) -> list[Judged]:
    """Fit on ``n`` speakers that are drawn and judge on all others, again and again."""
    everybody = compared(voices, space)
    names = np.array(sorted({voice.speaker for voice in voices}))
    found = []
    for seed in range(DRAWS):
        drawn = np.random.default_rng(seed).permutation(len(names))[:n]
        mine = compared([voice for voice in voices if voice.speaker in names[drawn]], space)
        others = everybody.among(np.setdiff1d(everybody.everybody, drawn))
        try:
            found.append(judge(mine.fitted().calibration, others))
        except FitRefused:  # too few trials of either line
            continue
    return found


def held_rows(name: str, judged: Sequence[Judged]) -> Iterator[list[str]]:
    """Yield a row for each target: how often it held, and by how much it was missed."""
    for target in TARGETS:
        held = [one for j in judged for one in j.held if one.target == target]
        if not held:
            continue
        factor = np.array([one.fmr / target for one in held])
        bounds = zip(*(one.bounds for one in held), strict=True)
        yield [
            name,
            f"{100 * target:g}",
            str(len(held)),
            f"{100 * np.mean([one.within for one in held]):.0f}",
            f"{100 * np.mean([one.above for one in held]):.0f}",
            " to ".join(f"{np.median(side) / target:.2f}" for side in bounds),
            f"{np.median(factor):.2f}",
            f"{factor.min():.2f} to {factor.max():.2f}",
            percent(float(np.median([one.fnmr for one in held]))),
        ]


HELD_HEADERS = (
    "fitted and judged on",
    "target FMR %",
    "fits",
    "within the bounds, % of fits",
    "above them, %",
    "bounds by target, median",
    "FMR by target, median",
    "least and most",
    "FNMR %, median",
)


def cost_row(name: str, judged: Sequence[Judged]) -> list[str]:
    """Return the costs of believing the LLRs against the least, over many fits."""
    ratio = [one.ratio for one in judged]
    row = [
        name,
        f"{np.median([one.cllr for one in judged]):.3f}",
        f"{np.median([one.min_cllr for one in judged]):.3f}",
        f"{np.median(ratio):.2f}",
        f"{100 * np.mean(np.array(ratio) <= 1.2):.0f}",
        f"{max(ratio):.2f}",
    ]
    for i in range(len(PRIORS)):
        act, least = (np.median([getattr(j, d)[i] for j in judged]) for d in ("act_dcf", "min_dcf"))
        row.append(f"{act:.3f} / {least:.3f}")
    return row


COST_HEADERS = (
    "fitted and judged on",
    "Cllr, median",
    "minCllr",
    "Cllr by minCllr, median",
    "at most 1.2, % of fits",
    "most",
    *(f"actDCF / minDCF, P {p:g}, median" for p in PRIORS),
)


def corpus_rows(
    sites: dict[str, Comparisons], fits: dict[str, Fit], card: DecisionRule
) -> Iterator[list[str]]:
    """Yield the results of each fit, and of the card, on each corpus."""
    for on, trials in sites.items():
        for source, one in fits.items():
            if source != on:
                yield _corpus_row(on, source, judge(one.calibration, trials))
            else:
                yield _held_out_row(on, one)
        yield _card_row(on, trials, card)


def _corpus_row(on: str, source: str, judged: Judged) -> list[str]:
    rates = {one.target: f"{percent(one.fmr)} / {percent(one.fnmr)}" for one in judged.held}
    return [
        on,
        source,
        f"{100 * (1 - judged.covered):.1f}",
        *_cost_cells(judged),
        *(rates.get(target, "") for target in TARGETS),
    ]


def _held_out_row(on: str, one: Fit) -> list[str]:
    held = one.held_out
    rates = {p.fmr: f"{percent(p.fmr)} / {percent(p.fnmr)}" for p in one.calibration.points}
    return [
        on,
        "itself, held-out folds",
        f"{100 * (1 - one.rows.mean()):.1f}",
        f"{held.cllr:.3f} / {held.min_cllr:.3f}",
        *(f"{held.act_dcf[f'{p:g}']:.3f} / {held.min_dcf[f'{p:g}']:.3f}" for p in PRIORS),
        *(rates.get(target, "") for target in TARGETS),
    ]


def _card_row(on: str, trials: Comparisons, card: DecisionRule) -> list[str]:
    cells, uncovered = [], []
    for target in TARGETS:
        thresholds = card.aimed(Target(target)).thresholds(trials.conditions)
        known = np.isfinite(thresholds)
        uncovered.append(1 - float(known.mean()))
        if not known.any():
            cells.append("no point")
            continue
        accepted = trials.scores[known] >= thresholds[known]
        same = trials.target[known]
        fmr, fnmr = float(accepted[~same].mean()), float((~accepted[same]).mean())
        cells.append(f"{percent(fmr)} / {percent(fnmr)}")
    costs = [""] * (1 + len(PRIORS))
    if card.llrs is not None:
        costs = _cost_cells(judge(card.llrs, trials))
    return [on, "the card", f"{100 * min(uncovered):.1f}", *costs, *cells]


def _cost_cells(judged: Judged) -> list[str]:
    return [
        f"{judged.cllr:.3f} / {judged.min_cllr:.3f}",
        *(f"{a:.3f} / {m:.3f}" for a, m in zip(judged.act_dcf, judged.min_dcf, strict=True)),
    ]


CORPUS_HEADERS = (
    "judged on",
    "fitted on",
    "not covered, % of trials",
    "Cllr / minCllr",
    *(f"actDCF / minDCF, P {p:g}" for p in PRIORS),
    *(f"FMR / FNMR %, target {100 * t:g} %" for t in TARGETS),
)


def listen(ear: Ear, corpora: Path) -> dict[str, list[Voice]]:
    """Hear the four corpora."""
    thirds = [third for clip in train_clean(corpora) for third in split(clip, 3)]
    clips = {
        "test-other": degraded(test_other(corpora), 4, LENGTHS_S),
        "train-clean-100": degraded(thirds, 2),
        "digits": digits(corpora, DIGITS_S),
        "AMI": ami_turns(),
    }
    return {name: ear.hear(own) for name, own in clips.items() if own}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    corpora_argument(parser)
    parser.add_argument("--model", default="campplus")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    args = parser.parse_args()
    ear, card = Ear(Hearing(args.model), args.cache), model_store().card(args.model).rule
    space = ear.embedder.space
    voices = listen(ear, args.corpora)
    sites = {name: compared(own, space) for name, own in voices.items()}
    for name, site in sites.items():
        n_same = int(site.target.sum())
        print(
            f"{name}: {len(site.everybody)} speakers, {n_same} genuine,"
            f" {len(site.target) - n_same} impostor",
            flush=True,
        )
    found = {"halves of test-other, 5 and 5 speakers": over_halves(sites["test-other"])}
    for n in DRAWN:
        name = f"train-clean-100, {n} speakers and all others"
        found[name] = over_draws(voices["train-clean-100"], space, n)
    rows = [row for name, judged in found.items() for row in held_rows(name, judged)]
    print(markdown(f"Thresholds on other speakers, {args.model}", HELD_HEADERS, rows), flush=True)
    costs = [cost_row(name, judged) for name, judged in found.items() if judged]
    print(markdown(f"LLRs on other speakers, {args.model}", COST_HEADERS, costs), flush=True)
    fits = {name: sites[name].fitted() for name in ("test-other", "train-clean-100")}
    rows = list(corpus_rows(sites, fits, card))
    print(markdown(f"Calibrations and the card on each corpus, {args.model}", CORPUS_HEADERS, rows))


if __name__ == "__main__":
    main()
