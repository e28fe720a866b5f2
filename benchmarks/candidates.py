"""Measure rules that could make better vectors of the ones there are, before any is adopted.

    python -m benchmarks.candidates [--model campplus] [--cache FOLDER]

Clips and enrolments are those of `benchmarks.calibrate`.  Rules of one table are compared at
equal FMR, each with thresholds of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import trials
from benchmarks.calibrate import Heard, enroll_all, listen
from benchmarks.corpora import corpora_argument, test_other, train_clean
from benchmarks.degradations import CONDITIONS, TELEPHONES
from benchmarks.tables import markdown, percent
from benchmarks.trials import Enrolled, Floats, Rule, Table, Voice
from benchmarks.voices import Ear, Hearing
from voiceid import metrics
from voiceid.decision.embeddings import unit

TARGET = 0.001
BUCKET_S = (2.0, 4.0)
"""Clips that are neither trivial nor hopeless in most conditions."""


def weighted(voices: Sequence[Voice], weights: Sequence[float]) -> Enrolled:
    """Return an enrolment by a weighted mean of the vectors, whatever their bands."""
    rows = [w * v.vector for v, w in zip(voices, weights, strict=True) if v.vector is not None]
    return replace(trials.enroll(voices), vector=unit(np.sum(rows, axis=0)))


def plain(voices: Sequence[Voice]) -> Enrolled:
    """Return the mean of all samples."""
    return weighted(voices, [1.0] * len(voices))


def by_net_speech(voices: Sequence[Voice]) -> Enrolled:
    """Return the mean of all samples, each weighed by its net speech."""
    return weighted(voices, [voice.net_speech_s for voice in voices])


def with_crops(voices: Sequence[Voice]) -> list[Voice]:
    """Return the longest clip of each recording, its vector averaged with those of its pieces."""
    pieces: dict[str, list[Voice]] = {}
    for voice in voices:
        if voice.vector is not None:
            pieces.setdefault(trials.base(voice.recording), []).append(voice)
    whole = [(max(own, key=lambda voice: voice.net_speech_s), own) for own in pieces.values()]
    return [replace(long, vector=plain(own).vector) for long, own in whole if len(own) > 1]


def longest(voices: Sequence[Voice]) -> list[Voice]:
    """Return the same clips as :func:`with_crops`, as they are."""
    own = {trials.base(v.recording): v for v in sorted(voices, key=lambda v: v.net_speech_s)}
    chosen = with_crops(voices)
    return [own[trials.base(voice.recording)] for voice in chosen]


def same_kind_rows(heard: Mapping[str, Heard]) -> Iterator[list[object]]:
    """Yield EER and FNMR of each condition, for enrolments and clips of one kind."""
    for name, voices in heard.items():
        for n, enrolment in ((0, "clean"), (3, "alike")):
            if name == "clean" and n:
                continue
            galleries = [
                enroll_all(heard["clean"], voices, n, rule) for rule in (plain, by_net_speech)
            ]
            short = [trials.compare(g, voices.probes).between(*BUCKET_S) for g in galleries]
            long = [
                trials.compare(galleries[0], kind(voices.probes)) for kind in (longest, with_crops)
            ]
            yield [name, enrolment, *(cell for table in [*short, *long] for cell in _rates(table))]


def _rates(table: Table) -> tuple[str, str]:
    same, other = table.same.score, table.other.score
    refused = same < metrics.threshold_at_fmr(other, TARGET)
    return percent(metrics.equal_error_rate(same, other)), percent(float(np.mean(refused)))


def mixed_rows(heard: Mapping[str, Heard], rules: Sequence[Rule]) -> Iterator[list[object]]:
    """Yield what each rule needs and refuses when one or two of three samples are telephone's.

    The last rows have one threshold for all mixes and telephones, as a card has.
    """
    found: dict[str, list[list[Table]]] = {}
    for name in TELEPHONES:
        for n in (1, 2):
            galleries = [enroll_all(heard["clean"], heard[name], n, rule) for rule in rules]
            for through in ("clean", name):
                tables = [
                    trials.compare(g, heard[through].probes).between(*BUCKET_S) for g in galleries
                ]
                needed = [_needed(table) for table in tables]
                kind = "clean" if through == "clean" else "telephone"
                found.setdefault(kind, []).append(tables)
                yield [name, f"{n} of 3", kind, *_refused([[t] for t in tables], needed)]
    for kind, all_tables in found.items():
        by_rule = [list(tables) for tables in zip(*all_tables, strict=True)]
        worst = [max(map(_needed, tables)) for tables in by_rule]
        yield ["all", "any", kind, *_refused(by_rule, worst)]


def _needed(table: Table) -> float:
    return metrics.threshold_at_fmr(table.other.where(table.other.same_sex).score, TARGET)


def _refused(by_rule: Sequence[Sequence[Table]], needed: Sequence[float]) -> list[str]:
    scores: list[Floats] = [np.concatenate([t.same.score for t in tables]) for tables in by_rule]
    rates = [float(np.mean(s < least)) for s, least in zip(scores, needed, strict=True)]
    return [*(f"{least:.3f}" for least in needed), *map(percent, rates), str(len(scores[0]))]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    corpora_argument(parser)
    parser.add_argument("--model", default="campplus")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    args = parser.parse_args()
    ear = Ear(Hearing(args.model), args.cache)
    clips = test_other(args.corpora), train_clean(args.corpora)
    heard = listen(ear, *clips, ["clean", *TELEPHONES])
    headers = ["telephone", "samples", "clip", "threshold: mean", "mean of the bands"]
    headers += ["FNMR %: mean", "mean of the bands", "genuine"]
    title = f"{args.model}: samples of both bands, FMR {100 * TARGET:g} % of strangers of one sex"
    print(markdown(title, headers, mixed_rows(heard, (plain, trials.enroll))), flush=True)
    heard |= listen(ear, *clips, CONDITIONS.keys() - heard.keys())
    pairs = ["mean", "by net speech", "whole clip", "and its pieces"]
    headers = ["condition", "enrolment", *(f"{p}: {x}" for p in pairs for x in ("EER %", "FNMR %"))]
    title = f"{args.model}: FNMR at FMR {100 * TARGET:g} %, clips of 2 to 4 s and whole ones"
    print(markdown(title, headers, same_kind_rows(heard)))


if __name__ == "__main__":
    main()
