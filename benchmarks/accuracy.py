"""How well the models tell speakers apart, and what the choices before them are worth.

    python -m benchmarks.accuracy [--corpora FOLDER] [--cache FOLDER]

Prints markdown tables; ``benchmarks/results/accuracy.md`` holds a copy.  AMI turns are measured too
when ``examples/ami.py`` has fetched them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import trials
from benchmarks.corpora import (
    Clip,
    ami_turns,
    corpora_argument,
    cut,
    digits,
    split,
    test_other,
    train_clean,
)
from benchmarks.tables import markdown, percent
from benchmarks.trials import Table, Voice
from benchmarks.voices import Ear, Hearing, Listener, NakedEncoder, model_store
from voiceid import metrics
from voiceid.decision.calibration import Conditions
from voiceid.decision.rule import DecisionRule
from voiceid.speech.quality import QualityLimits
from voiceid.speech.vad import SpeechOptions

FLOAT32, INT8 = "campplus", "campplus-int8"
MODELS = (FLOAT32, INT8, "ge2e", "ge2e-800ms")
EER_TARGETS = {"campplus": 0.001, "ge2e": 0.006}
CUTS_S = (1.0, 2.0, 3.0, 5.0)
DIGITS_S = (1.0, 2.0, 4.0)
ANY_SPEECH = QualityLimits(min_net_speech_s=0.2)
"""To see what scores are worth where the product declines to give one."""


@dataclass(frozen=True, slots=True, eq=False)
class Corpora:
    """The clips of every corpus."""

    other: list[Clip]
    clean: list[Clip]
    digits: dict[float, list[Clip]]
    ami: list[Clip]


def choices_table(corpora: Corpora, cache: Path | None) -> str:
    """Return EERs with and without speech detection, by padding, and by windowing."""
    headers = ["model", "speech detection", "test-other", "95 %", "minDCF(.01)"]
    headers += [f"cut to {s:g} s" for s in CUTS_S]
    headers += [f"digits {s:g} s" for s in DIGITS_S] + ["AMI turns"]
    rows = [
        [model, name, *_choice(listener, corpora)]
        for model in MODELS
        for name, listener in _listeners(model, cache)
    ]
    return markdown("EER %, all pairs of clips, by what stands before the encoder", headers, rows)


def _listeners(model: str, cache: Path | None) -> list[tuple[str, Listener]]:
    base = Hearing(model, limits=ANY_SPEECH)
    frames = (0, 2, 6, 10) if model == "campplus" else (6,)
    padded = [(n, replace(base, speech=SpeechOptions(pad_ms=32 * n))) for n in frames]
    return [
        ("none", NakedEncoder(base)),
        *((f"{n} frames kept around speech", Ear(hearing, cache)) for n, hearing in padded),
    ]


def _choice(listener: Listener, corpora: Corpora) -> list[str]:
    whole = trials.all_pairs(listener.hear(corpora.other))
    low, high = metrics.bootstrap_by_speaker(
        metrics.equal_error_rate, whole.same.trials, whole.other.trials, resamples=200
    )
    sets = [[cut(clip, s) for clip in corpora.other] for s in CUTS_S]
    sets += [*corpora.digits.values(), corpora.ami]
    return [
        percent(_eer(whole)),
        f"{percent(low)} to {percent(high)}",
        f"{metrics.min_dcf(whole.same.score, whole.other.score):.4f}",
        *(percent(_eer(trials.all_pairs(listener.hear(s)))) if s else "-" for s in sets),
    ]


def _eer(table: Table) -> float:
    return metrics.equal_error_rate(table.same.score, table.other.score)


@dataclass(frozen=True, slots=True)
class Decided:
    """What the shipped thresholds and the margin come to; rates are 0 to 1.

    Parameters
    ----------
    undecided : float
        Clips with too little speech for a score.
    rank1, ambiguous : float
        Clips of the enrolled whose best candidate is right; and whose runner-up is so close
        to an accepted best that the answer is inconclusive.
    fnmr, fmr : float
        Of comparisons with their own enrolments, and with the other nine speakers'.
    strangers : int
        Comparisons with the 251 other speakers that were accepted.
    highest : float
        Their highest score.
    """

    undecided: float
    rank1: float
    ambiguous: float
    fnmr: float
    fmr: float
    strangers: int
    highest: float


def decisions_table(model: str, corpora: Corpora, cache: Path | None) -> tuple[str, Decided]:
    """Return decisions at the shipped thresholds by length of clip, and those on whole clips."""
    ear = Ear(Hearing(model), cache)
    card = model_store().card(model)
    rule = DecisionRule(model, card.operating_points, card.margin)
    gallery = trials.enroll_in_turn(ear.hear(corpora.other))
    found = {}
    for seconds in (*CUTS_S, math.inf):
        mine = ear.hear([cut(c, min(seconds, c.duration_s)) for c in corpora.other])
        theirs = ear.hear([cut(c, min(seconds, c.duration_s)) for c in corpora.clean])
        name = "whole" if math.isinf(seconds) else f"cut to {seconds:g} s"
        found[name] = _decided(rule, gallery, mine, theirs)
    headers = [
        "clips",
        "under 1 s of net speech, no score %",
        "rank-1 %",
        "ambiguous %",
        "FNMR %",
        "FMR % among the ten",
        "of the 251 accepted",
        "highest score of the 251",
    ]
    rows = [
        [
            name,
            *map(percent, (one.undecided, one.rank1, one.ambiguous, one.fnmr, one.fmr)),
            one.strangers,
            f"{one.highest:.3f}",
        ]
        for name, one in found.items()
    ]
    title = f"{model}: three enrolled, the rest, shipped thresholds"
    return markdown(title, headers, rows), found["whole"]


def _decided(
    rule: DecisionRule,
    gallery: Sequence[trials.Enrolled],
    mine: Sequence[Voice],
    theirs: Sequence[Voice],
) -> Decided:
    table, strangers = trials.compare(gallery, mine), trials.compare(gallery, theirs)
    accepted = table.score >= needed(rule, table)
    # Each of the ten galleries holds one enrolment of every speaker.
    ranked = [trials.identify(gallery[turn::10], mine) for turn in range(10)]
    close = [r.lead < rule.margin for r in ranked]
    over = [r.best >= needed(rule, r) for r in ranked]
    return Decided(
        undecided=float(np.mean([voice.vector is None for voice in mine])),
        rank1=float(np.mean(np.concatenate([r.correct for r in ranked]))),
        ambiguous=float(np.mean(np.concatenate(close) & np.concatenate(over))),
        fnmr=float(np.mean(~accepted[table.genuine])),
        fmr=float(np.mean(accepted[~table.genuine])),
        strangers=int(np.sum(strangers.score >= needed(rule, strangers))),
        highest=float(np.max(strangers.score)),
    )


def needed(rule: DecisionRule, of: Table | trials.Identified) -> trials.Floats:
    """Return the threshold that each comparison must reach."""
    n = len(of.band)
    none = np.full(n, np.nan)
    return rule.thresholds(Conditions(of.band, of.net_speech_s, none, none, np.ones(n)))


def int8_table(corpora: Corpora, cache: Path | None) -> str:
    """Return EERs of the INT8 form beside those of float32, on every corpus."""
    sets = {"LibriSpeech test-other": corpora.other}
    sets |= {f"test-other, cut to {s:g} s": [cut(c, s) for c in corpora.other] for s in CUTS_S}
    thirds = [piece for clip in corpora.clean for piece in split(clip, 3)]
    sets |= {"LibriSpeech train-clean-100, thirds of each clip": thirds}
    sets |= {f"Free Spoken Digits, {s:g} s": clips for s, clips in corpora.digits.items()}
    sets |= {"AMI turns": corpora.ami}
    ears = [Ear(Hearing(model, limits=ANY_SPEECH), cache) for model in (FLOAT32, INT8)]
    rows = []
    for name, clips in sets.items():
        exact, coarse = (ear.hear(clips) for ear in ears)
        tables = [trials.all_pairs(voices) for voices in (exact, coarse)]
        rates = [_eer(table) for table in tables]
        n_genuine = len(tables[0].same.score)
        pairs = [(a.vector, b.vector) for a, b in zip(exact, coarse, strict=True)]
        cosines = [float(a @ b) for a, b in pairs if a is not None and b is not None]
        rows.append(
            [
                name,
                *map(percent, rates),
                f"{100 * (rates[1] - rates[0]):+.2f}",
                percent(1 / n_genuine),
                f"{n_genuine} / {len(tables[0].other.score)}",
                f"{np.mean(cosines):.4f}",
            ]
        )
    headers = [
        "corpus",
        f"{FLOAT32} EER %",
        f"{INT8} EER %",
        "difference",
        "one genuine pair is %",
        "pairs genuine / impostor",
        "mean cosine between the two",
    ]
    return markdown("INT8 beside float32, all pairs of clips", headers, rows)


def targets_table(corpora: Corpora, whole: Decided, cache: Path | None) -> str:
    """Return what was asked for and what was measured."""
    rows = []
    for model, target in EER_TARGETS.items():
        eer = _eer(trials.all_pairs(Ear(Hearing(model), cache).hear(corpora.other)))
        rows.append(_target(f"{model}: EER %, all pairs", target, eer))
    passed = "pass" if whole.rank1 == 1.0 else "miss"
    rows.append(["campplus: rank-1 %", "100", percent(whole.rank1), passed])
    rows.append(_target("campplus: true ones refused, %", 0.01, whole.fnmr))
    verdict = "pass" if whole.strangers == 0 else "miss"
    rows.append(["campplus: others of the 251 accepted", "0", f"{whole.strangers}", verdict])
    return markdown("Targets", ["what", "target", "measured", ""], rows)


def _target(what: str, target: float, measured: float) -> list[str]:
    verdict = "pass" if measured <= target else "miss"
    return [what, f"at most {percent(target)}", percent(measured), verdict]


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    corpora_argument(parser)
    parser.add_argument("--int8", action="store_true", help="only INT8 beside float32")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    args = parser.parse_args()
    corpora = Corpora(
        other=test_other(args.corpora),
        clean=train_clean(args.corpora),
        digits={seconds: digits(args.corpora, seconds) for seconds in DIGITS_S},
        ami=ami_turns(),
    )
    if args.int8:
        print(int8_table(corpora, args.cache))
        print(decisions_table(INT8, corpora, args.cache)[0])
        return
    tables = []
    whole = {}
    for model in MODELS:
        table, whole[model] = decisions_table(model, corpora, args.cache)
        tables.append(table)
    print(targets_table(corpora, whole["campplus"], args.cache))
    print("\n".join(tables))
    print(int8_table(corpora, args.cache))
    print(choices_table(corpora, args.cache))


if __name__ == "__main__":
    main()
