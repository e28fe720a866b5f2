"""Measure rules that could make better vectors of the ones there are, before any is adopted.

    python -m benchmarks.candidates [--model campplus] [--cache FOLDER]

Clips are those of `benchmarks.calibrate`, and whole utterances of train-clean-100.  Three clips are
enrolled, of train-clean-100 thirds of one.  Rules are compared at equal FMR, each with thresholds
of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import trials
from benchmarks.calibrate import pieces
from benchmarks.corpora import corpora_argument, test_other, train_clean
from benchmarks.tables import markdown, percent
from benchmarks.trials import Enrolled, Rule, Table, Voice
from benchmarks.voices import Ear, Hearing
from voiceid import metrics
from voiceid.decision.embeddings import unit
from voiceid.evaluation.degradations import CONDITIONS, Clip
from voiceid.evaluation.pieces import Piece

TARGET = 0.001
BUCKET_S = (2.0, 4.0)
"""Clips that are neither trivial nor hopeless in most conditions."""


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """All voices through one condition, and those of them that may be enrolled."""

    probes: list[Voice]
    whole: list[Voice]

    @classmethod
    def of(
        cls, ear: Ear, other: Sequence[Clip], clean: Sequence[Clip], change: Callable[[Clip], Clip]
    ) -> Heard:
        """Hear both corpora through a condition."""
        found = [*pieces(other, clean), *(Piece(clip, whole=False) for clip in clean)]
        voices = ear.hear([change(piece.clip) for piece in found])
        whole = [v for v, piece in zip(voices, found, strict=True) if piece.whole]
        return cls(voices, whole)

    def gallery(self, rule: Rule) -> list[Enrolled]:
        """Enrol every run of three utterances, and the thirds of each single one."""
        thirds = [voice for voice in self.whole if "/" in voice.recording]
        utterances = [voice for voice in self.whole if "/" not in voice.recording]
        return trials.enroll_in_turn(utterances, rule=rule) + [
            rule(own)
            for own in trials.by_speaker(thirds).values()
            if all(voice.vector is not None for voice in own)
        ]


def by_net_speech(voices: Sequence[Voice]) -> Enrolled:
    """Return the mean of all samples, each weighed by its net speech."""
    rows = [voice.net_speech_s * voice.vector for voice in voices if voice.vector is not None]
    return replace(trials.enroll(voices), vector=unit(np.sum(rows, axis=0)))


def with_crops(voices: Sequence[Voice]) -> list[Voice]:
    """Return the longest clip of each recording, its vector averaged with those of its pieces."""
    found: dict[str, list[Voice]] = {}
    for voice in voices:
        if voice.vector is not None:
            found.setdefault(trials.base(voice.recording), []).append(voice)
    whole = [(max(own, key=lambda voice: voice.net_speech_s), own) for own in found.values()]
    return [replace(long, vector=trials.enroll(own).vector) for long, own in whole if len(own) > 1]


def longest(voices: Sequence[Voice]) -> list[Voice]:
    """Return the same clips as :func:`with_crops`, as they are."""
    own = {trials.base(v.recording): v for v in sorted(voices, key=lambda v: v.net_speech_s)}
    chosen = with_crops(voices)
    return [own[trials.base(voice.recording)] for voice in chosen]


def rule_rows(heard: Mapping[str, Heard]) -> Iterator[list[object]]:
    """Yield EER and FNMR of each condition, for clean enrolments and for those alike."""
    for name, voices in heard.items():
        for enrolment, enrolled in (("clean", heard["clean"]), ("alike", voices)):
            if name == "clean" and enrolment == "alike":
                continue
            galleries = [enrolled.gallery(rule) for rule in (trials.enroll, by_net_speech)]
            short = [trials.compare(g, voices.probes).between(*BUCKET_S) for g in galleries]
            long = [
                trials.compare(galleries[0], kind(voices.probes)) for kind in (longest, with_crops)
            ]
            yield [name, enrolment, *(cell for table in [*short, *long] for cell in _rates(table))]


def _rates(table: Table) -> tuple[str, str]:
    same, other = table.same.score, table.other.score
    refused = same < metrics.threshold_at_fmr(other, TARGET)
    return percent(metrics.equal_error_rate(same, other)), percent(float(np.mean(refused)))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    corpora_argument(parser)
    parser.add_argument("--model", default="campplus")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    args = parser.parse_args()
    ear = Ear(Hearing(args.model), args.cache)
    other, clean = test_other(args.corpora), train_clean(args.corpora)
    heard = {name: Heard.of(ear, other, clean, change) for name, change in CONDITIONS.items()}
    pairs = ["mean", "by net speech", "whole clip", "and its pieces"]
    headers = ["condition", "enrolment", *(f"{p}: {x}" for p in pairs for x in ("EER %", "FNMR %"))]
    title = f"{args.model}: FNMR at FMR {100 * TARGET:g} %, clips of 2 to 4 s and whole ones"
    print(markdown(title, headers, rule_rows(heard)))


if __name__ == "__main__":
    main()
