"""How well the models tell speakers apart, and what the choices before them are worth.

    python -m benchmarks.accuracy [--corpora FOLDER] [--cache FOLDER]

Prints markdown tables; ``benchmarks/results/accuracy.md`` holds a copy.  AMI turns are measured too
when ``examples/ami.py`` has fetched them.  ``--speakers 3`` tries it all out in minutes.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import llrs, trials
from benchmarks.attacks import attacks_table, fmr_upper
from benchmarks.calibrate import GROUPS, SPANS_S, Kind, compare_all, group_of, pieces
from benchmarks.corpora import ami_turns, corpora_argument, digits, test_other, train_clean
from benchmarks.raising import raised_table
from benchmarks.tables import markdown, percent
from benchmarks.trials import Table, Voice
from benchmarks.voices import Ear, Hearing, Listener, NakedEncoder, model_store
from voiceid import metrics
from voiceid.decision.compensation import Compensation
from voiceid.decision.rule import DecisionRule
from voiceid.domain import Float32Array
from voiceid.evaluation.degradations import CONDITIONS, Clip, cut, split
from voiceid.evaluation.learning import Heard
from voiceid.evaluation.model_fit import ENROLLED, Comparisons
from voiceid.evaluation.pieces import MILD, Parts, Piece
from voiceid.metrics import Trials
from voiceid.metrics.detection import crossing
from voiceid.models.cards import ModelCard
from voiceid.speech.quality import QualityLimits
from voiceid.speech.vad import SpeechOptions

FLOAT32, INT8 = "campplus", "campplus-int8"
MODELS = (FLOAT32, INT8, "ge2e", "ge2e-800ms")
EER_TARGETS = {"campplus": 0.001, "ge2e": 0.006}
CUTS_S = (1.0, 2.0, 3.0, 5.0)
DIGITS_S = (1.0, 2.0, 4.0)
DIGITS_SHOWN_S = 2.0
PIECES_S = 2.0
"""Length of the pieces that turns of AMI are cut into."""
RESAMPLES = 200
ANY_SPEECH = QualityLimits(min_net_speech_s=0.2)
"""To see what scores are worth where the product declines to give one."""


@dataclass(frozen=True, slots=True, eq=False)
class Corpora:
    """The clips of every corpus."""

    other: list[Clip]
    clean: list[Clip]
    digits: dict[float, list[Clip]]
    ami: list[Clip]

    @classmethod
    def at(cls, folder: Path, speakers: int | None) -> Corpora:
        """Read the corpora; of each the first so many speakers."""
        return cls(
            other=of_speakers(test_other(folder), speakers),
            clean=of_speakers(train_clean(folder), speakers),
            digits={s: of_speakers(digits(folder, s), speakers) for s in DIGITS_S},
            ami=of_speakers(ami_turns(), speakers),
        )


def of_speakers(clips: Sequence[Clip], n: int | None) -> list[Clip]:
    """Return the clips of the first ``n`` speakers; None: of all."""
    chosen = sorted({clip.speaker for clip in clips})[:n]
    return [clip for clip in clips if clip.speaker in chosen]


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """The embeddings of the corpora, before compensation.

    Parameters
    ----------
    by_corpus : dict of Heard
        By the name of a corpus, as recorded; the last is of test-other through all conditions.
    pieces : Heard
        Utterances of test-other and cuts of them, through all conditions.
    compensation : Compensation
        Of the model's card.
    """

    by_corpus: dict[str, Heard]
    pieces: Heard
    compensation: Compensation

    @classmethod
    def heard_by(cls, ear: Ear, corpora: Corpora, compensation: Compensation) -> Material:
        """Hear everything; vectors are to be as the encoder makes them."""
        clips = {
            "test-other": corpora.other,
            f"digits {DIGITS_SHOWN_S:g} s": corpora.digits[DIGITS_SHOWN_S],
            "AMI turns": corpora.ami,
        }
        recorded = {
            name: ear.listen([Piece(clip, whole=True) for clip in own], ["clean"])
            for name, own in clips.items()
            if own
        }
        everything = ear.listen(pieces(corpora.other, []), measured_conditions())
        recorded["test-other, all conditions"] = everything.where(everything.whole)
        return cls(recorded, everything, compensation)


def measured_conditions() -> list[str]:
    """Return the conditions that operating points are measured on."""
    return [name for name in CONDITIONS if name not in MILD]


def corpora_table(model: str, material: Material) -> str:
    """Return the EER of every corpus by one threshold, raw and compensated."""
    headers = ["corpus", "speakers", "pairs genuine / impostor"]
    headers += ["raw: EER %", "95 %", "compensated: EER %", "95 %"]
    rows = []
    for name, heard in material.by_corpus.items():
        sides = [
            all_pairs(heard, vectors)
            for vectors in (heard.vectors, material.compensation.apply(heard.vectors))
        ]
        counts = " / ".join(str(len(side.scores)) for side in sides[0])
        cells = (cell for same, other in sides for cell in _eer_cells(same, other))
        rows.append([name, len(np.unique(heard.speaker)), counts, *cells])
    title = f"{model}: EER, all pairs of clips of different recordings, one threshold for each row"
    return markdown(title, headers, rows)


def all_pairs(heard: Heard, vectors: Float32Array) -> tuple[Trials, Trials]:
    """Compare every two clips of different recordings once: genuine and impostor trials."""
    names, takes = (
        np.unique(column, return_inverse=True)[1] for column in (heard.speaker, heard.recording)
    )
    a, b = np.triu_indices(len(vectors), 1)
    apart = takes[a] != takes[b]
    a, b = a[apart], b[apart]
    scores, speakers = (vectors @ vectors.T)[a, b], np.stack([names[a], names[b]], axis=1)
    genuine = names[a] == names[b]
    same, other = (Trials(scores[rows], speakers[rows]) for rows in (genuine, ~genuine))
    return same, other


def _eer_cells(same: Trials, other: Trials) -> tuple[str, str]:
    rates = metrics.resample_speakers(same, other, resamples=RESAMPLES)
    low, high = np.quantile(crossing(rates.fmr, rates.fnmr), [0.025, 0.975])
    eer = metrics.equal_error_rate(same.scores, other.scores)
    return percent(eer), f"{percent(low)} to {percent(high)}"


def lines_table(rule: DecisionRule, material: Material) -> str:
    """Return FMR and FNMR of the shipped thresholds by line, enrolment and net speech."""
    parts = Parts.of(material.pieces, material.compensation, measured_conditions())
    headers = ["lines", "enrolled", "net speech (s)", "FMR %, same sex", "95 % upper"]
    headers += ["FNMR %", "95 % upper", "impostor", "genuine"]
    title = f"{rule.model}: test-other at the shipped thresholds, FMR {100 * rule.aim.rate:g} %"
    return markdown(title, headers, line_rows(rule, compare_all(parts)))


def line_rows(rule: DecisionRule, tables: Mapping[Kind, Comparisons]) -> Iterator[list[object]]:
    """Yield a row for each group of lines, size of an enrolment and span of net speech."""
    for group in GROUPS:
        for size in ENROLLED:
            mine = [t for kind, t in tables.items() if (group_of(kind), kind[2]) == (group, size)]
            for low, high in SPANS_S if mine else ():
                cells = _rate_cells(rule, mine, (low, high))
                if cells is not None:
                    yield [group, size, f"{low:g} to {high:g}", *cells]


def _rate_cells(
    rule: DecisionRule, tables: Sequence[Comparisons], span_s: tuple[float, float]
) -> list[object] | None:
    """Return FMR and FNMR of clips with so much speech; None without strangers or without mates."""
    wrong, speakers, refused = [], [], []
    for whole in tables:
        net_speech_s = whole.conditions.net_speech_s
        table = whole.where((net_speech_s >= span_s[0]) & (net_speech_s < span_s[1]))
        accepted = table.scores >= rule.thresholds(table.conditions)
        strangers = ~table.genuine & table.same_sex
        wrong.append(accepted[strangers])
        speakers.append(table.speakers[strangers])
        refused.append(~accepted[table.genuine])
    matches, misses = np.concatenate(wrong), np.concatenate(refused)
    if not len(matches) or not len(misses):
        return None
    return [
        percent(float(np.mean(matches))),
        percent(fmr_upper(matches, np.concatenate(speakers))),
        percent(float(np.mean(misses))),
        percent(metrics.rate_upper_bound(int(np.sum(misses)), len(misses))),
        len(matches),
        len(misses),
    ]


def llrs_table(corpora: Corpora, cache: Path | None) -> str:
    """Return what the LLRs of the cards are worth on corpora that nothing was fitted to."""
    cuts = [p for c in corpora.ami for p in split(c, max(1, int(c.duration_s / PIECES_S)))]
    clips = {
        "AMI turns": corpora.ami,
        f"AMI turns in {PIECES_S:g} s pieces": cuts,
        f"digits {DIGITS_SHOWN_S:g} s": corpora.digits[DIGITS_SHOWN_S],
    }
    rows: list[list[object]] = []
    for model in MODELS:
        calibration, ear = model_store().card(model).rule.llrs, Ear(Hearing(model), cache)
        if calibration is not None:
            voices = {name: ear.hear(own) for name, own in clips.items() if own}
            rows += [[model, *row] for row in llrs.corpus_rows(calibration, voices)]
    headers = ["model", "corpus", "enrolled", *llrs.HEADERS]
    return markdown("LLRs of the cards, on corpora that nothing was fitted to", headers, rows)


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
    drawn = metrics.resample_speakers(whole.same.trials, whole.other.trials, resamples=RESAMPLES)
    low, high = drawn.equal_error_rate()
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
    """The results of the shipped thresholds and the margin; rates are 0 to 1.

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
    rule = model_store().card(model).rule
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
    accepted = table.score >= rule.thresholds(table.conditions)
    # Each of the ten galleries holds one enrolment of every speaker.
    ranked = [trials.identify(gallery[turn::10], mine) for turn in range(10)]
    close = [r.lead < rule.margin for r in ranked]
    over = [r.best >= rule.thresholds(r.conditions) for r in ranked]
    return Decided(
        undecided=float(np.mean([voice.vector is None for voice in mine])),
        rank1=float(np.mean(np.concatenate([r.correct for r in ranked]))),
        ambiguous=float(np.mean(np.concatenate(close) & np.concatenate(over))),
        fnmr=float(np.mean(~accepted[table.genuine])),
        fmr=float(np.mean(accepted[~table.genuine])),
        strangers=int(np.sum(strangers.score >= rule.thresholds(strangers.conditions))),
        highest=float(np.max(strangers.score)),
    )


def int8_table(corpora: Corpora, cache: Path | None) -> str:
    """Return EERs of the INT8 form beside those of float32, on every corpus."""
    sets = {"LibriSpeech test-other": corpora.other}
    sets |= {f"test-other, cut to {s:g} s": [cut(c, s) for c in corpora.other] for s in CUTS_S}
    thirds = [piece for clip in corpora.clean for piece in split(clip, 3)]
    sets |= {"LibriSpeech train-clean-100, thirds of each clip": thirds}
    sets |= {f"Free Spoken Digits, {s:g} s": clips for s, clips in corpora.digits.items()}
    sets |= {"AMI turns": corpora.ami}
    models = FLOAT32, INT8  # of which each has a compensation of its own
    ears = [Ear(Hearing(model, limits=ANY_SPEECH), cache, raw=True) for model in models]
    rows = []
    for name, clips in sets.items():
        exact, coarse = (ear.hear(clips) for ear in ears)
        tables = [
            trials.all_pairs(compensated(model_store().card(model), voices))
            for model, voices in zip(models, (exact, coarse), strict=True)
        ]
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
        "mean cosine between the two, raw",
    ]
    return markdown("INT8 beside float32, all pairs of clips", headers, rows)


def compensated(card: ModelCard, voices: Sequence[Voice]) -> list[Voice]:
    """Return voices with the compensation of a card, if it has one."""
    compensation = card.compensation()
    if compensation is None:
        return list(voices)
    return [
        voice if voice.vector is None else replace(voice, vector=compensation.apply(voice.vector))
        for voice in voices
    ]


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


def print_of_card(model: str, corpora: Corpora, cache: Path | None) -> None:
    """Print what a model's compensation and thresholds are worth, and what attacks do to them."""
    card = model_store().card(model)
    compensation = card.compensation()
    if compensation is None:
        raise SystemExit(f"the card of {model} has no compensation")
    material = Material.heard_by(Ear(Hearing(model), cache, raw=True), corpora, compensation)
    print(corpora_table(model, material), flush=True)
    print(lines_table(card.rule, material), flush=True)
    ear = Ear(Hearing(model), cache)
    print(attacks_table(card.rule, ear, corpora.clean), flush=True)
    print(raised_table(card.rule, ear, corpora.clean), flush=True)


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    corpora_argument(parser)
    parser.add_argument("--int8", action="store_true", help="only INT8 beside float32")
    parser.add_argument("--card", choices=MODELS, help="only what the card of a model is worth")
    parser.add_argument("--speakers", type=int, metavar="N", help="of each corpus, to try it out")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    args = parser.parse_args()
    corpora = Corpora.at(args.corpora, args.speakers)
    if args.int8:
        print(int8_table(corpora, args.cache))
        print(decisions_table(INT8, corpora, args.cache)[0])
        return
    print_of_card(args.card or FLOAT32, corpora, args.cache)
    if args.card:
        return
    tables = []
    whole = {}
    for model in MODELS:
        table, whole[model] = decisions_table(model, corpora, args.cache)
        tables.append(table)
    print(targets_table(corpora, whole["campplus"], args.cache))
    print("\n".join(tables))
    print(llrs_table(corpora, args.cache))
    print(int8_table(corpora, args.cache))
    print(choices_table(corpora, args.cache))


if __name__ == "__main__":
    main()
