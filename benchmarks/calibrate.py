"""Measure a model's operating points on LibriSpeech, and print what goes into its card.

    python -m benchmarks.calibrate [--model campplus] [--target 0.001] [--write]

Enrolled are the ten speakers of test-other (every run of three of their ten utterances) and
the speakers of train-clean-100 (three thirds of their one utterance: impostors only, for a
speaker is never compared with their own enrolment's recording).  They are compared with cuts
of 1.3 to 10 s from everybody's utterances and with whole ones, clean and degraded, and
sorted by the net speech that the detector measured, as decisions are.

How a threshold is chosen: the smallest that keeps the false match rate of impostors *of the
same sex* at the target in the *worst* of the conditions, rounded up to two digits.  A
condition changes the clip alone, or the enrolment as well: on one door or line both went
through the same microphone or codec, and then strangers are more alike.  All impostors of
all conditions together stay well below the target, and that distance is the margin for what
these corpora do not hold.  No threshold is chosen by looking at genuine scores.

Comparisons are sorted by band as the product sorts them, by what it measured on the clip and
on the enrolment, and each band has points of its own (see `voiceid.scoring.band_of`).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks import trials
from benchmarks.corpora import (
    CONDITIONS,
    Clip,
    corpora_argument,
    cut,
    split,
    test_other,
    train_clean,
)
from benchmarks.tables import markdown, percent
from benchmarks.trials import Enrolled, Table
from benchmarks.voices import Ear, Hearing
from voiceid import metrics
from voiceid.domain import Band
from voiceid.registry import shipped_cards_folder

BUCKETS_S = (1.0, 2.0, 4.0, 8.0, math.inf)
"""Doublings: below 1 s nothing is decided, and above 8 s of speech the scores settle."""

MIN_SHOWN = 100
"""Trials of a kind below which a row would be noise."""

CUTS_S = (1.3, 1.8, 2.5, 3.5, 5.0, 7.0, 10.0)
NARROW = "8 kHz"


@dataclass(frozen=True, slots=True)
class Point:
    """An operating point, measured.

    ``fmr`` and ``fnmr`` are over all conditions and all impostors; ``fmr_worst`` is of
    impostors of the same sex in the worst condition.
    """

    band: Band
    min_net_speech_s: float
    below_s: float
    threshold: float
    fmr: float
    fmr_upper: float
    fmr_worst: float
    fnmr: float
    fnmr_upper: float
    impostor_trials: int
    genuine_trials: int

    def of(self, table: Table) -> Table:
        """Return the comparisons that this point judges."""
        return table.of_band(self.band).between(self.min_net_speech_s, self.below_s)


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Clips of both corpora, and what hears them."""

    ear: Ear
    other: list[Clip]
    clean: list[Clip]

    def galleries(self, condition: str = "clean", per_run: int = 3) -> list[Enrolled]:
        """Return everybody's enrolments; the first ``per_run`` of three clips are degraded."""
        change = CONDITIONS[condition]
        whole = self.ear.hear(self.other), self.ear.hear([change(clip) for clip in self.other])
        enrolled = trials.enroll_in_turn(*whole, per_run)
        thirds = [split(clip, 3) for clip in self.clean]
        pieces = [
            change(piece) if i < per_run else piece for own in thirds for i, piece in enumerate(own)
        ]
        speakers = trials.by_speaker(self.ear.hear(pieces)).values()
        enrolled += [
            trials.enroll(own) for own in speakers if all(v.vector is not None for v in own)
        ]
        return enrolled

    def probes(self, condition: str) -> list[Clip]:
        """Return the clips to be judged: cuts and whole ones, degraded by the condition."""
        change = CONDITIONS[condition]
        pieces = [piece for clip in self.other for piece in _cuts(clip, (0.25, 0.75))]
        pieces += [piece for clip in self.clean for piece in _cuts(clip, (0.5,))]
        return [change(piece) for piece in pieces]

    def tables(self) -> dict[str, Table]:
        """Return the comparisons by what happened to the clip and to the enrolment."""
        heard = {name: self.ear.hear(self.probes(name)) for name in CONDITIONS}
        clean, narrow = self.galleries(), self.galleries(NARROW)
        tables = {name: trials.compare(clean, heard[name]) for name in CONDITIONS}
        for name in CONDITIONS.keys() - {"clean", NARROW}:
            tables[f"{name}, enrolment too"] = trials.compare(self.galleries(name), heard[name])
        tables[f"{NARROW}, enrolment too"] = trials.compare(narrow, heard[NARROW])
        tables[f"{NARROW} enrolment only"] = trials.compare(narrow, heard["clean"])
        one = self.galleries(NARROW, per_run=1)
        tables[f"{NARROW}, one enrolled clip of three too"] = trials.compare(one, heard[NARROW])
        return dict(sorted(tables.items()))


def _cuts(clip: Clip, places: Sequence[float]) -> list[Clip]:
    lengths = [s for s in CUTS_S if s < clip.duration_s]
    return [cut(clip, s, place) for s in lengths for place in places] + [clip]


def fit(tables: Mapping[str, Table], target: float) -> list[Point]:
    """Choose a threshold for every band and bucket, by the rule at the top of this file."""
    return [
        _point(band, low, high, tables, target)
        for band in Band
        for low, high in pairwise(BUCKETS_S)
    ]


def _point(
    band: Band, low_s: float, high_s: float, tables: Mapping[str, Table], target: float
) -> Point:
    parts = [table.of_band(band).between(low_s, high_s) for table in tables.values()]
    strangers = [part.other.where(part.other.same_sex).score for part in parts]
    # Fewer say nothing about the target (rule of three); they count among all impostors.
    enough = [scores for scores in strangers if len(scores) >= 3 / target]
    needed = max(metrics.threshold_at_fmr(scores, target) for scores in enough)
    threshold = math.ceil(needed * 100) / 100
    whole = trials.join(parts)
    genuine, impostor = whole.same, whole.other
    fmr, fnmr = metrics.error_rates(genuine.score, impostor.score, threshold)
    accepted = impostor.score >= threshold
    _, fmr_upper = metrics.false_match_interval(accepted, impostor.trials.speakers)
    refused = round(fnmr * len(genuine.score))
    return Point(
        band=band,
        min_net_speech_s=low_s,
        below_s=high_s,
        threshold=threshold,
        fmr=fmr,
        fmr_upper=fmr_upper,
        fmr_worst=max(float(np.mean(scores >= threshold)) for scores in enough),
        fnmr=fnmr,
        fnmr_upper=metrics.rate_upper_bound(refused, len(genuine.score)),
        impostor_trials=len(impostor.score),
        genuine_trials=len(genuine.score),
    )


def points_table(title: str, points: Sequence[Point]) -> str:
    """Return the operating points as a table."""
    headers = [
        "band",
        "net speech from (s)",
        "threshold",
        "FMR %",
        "95 % upper, by speaker",
        "FMR %, same sex, worst condition",
        "FNMR %",
        "95 % upper",
        "impostor trials",
        "genuine trials",
    ]
    rows = [
        [
            p.band.value,
            f"{p.min_net_speech_s:g}",
            f"{p.threshold:.2f}",
            *map(percent, (p.fmr, p.fmr_upper, p.fmr_worst, p.fnmr, p.fnmr_upper)),
            p.impostor_trials,
            p.genuine_trials,
        ]
        for p in points
    ]
    return markdown(title, headers, rows)


def conditions_table(band: Band, tables: Mapping[str, Table], points: Sequence[Point]) -> str:
    """Return both error rates and the score quantiles of each condition and bucket."""
    headers = [
        "condition",
        "net speech (s)",
        "threshold",
        "FMR %",
        "same sex",
        "FNMR %",
        "genuine 1 % / 5 % / 50 %",
        "impostor 50 % / 99 % / 99.9 % / max",
        "trials genuine / impostor",
    ]
    rows = []
    for name, table in tables.items():
        for point in points:
            part = point.of(table)
            same, other = part.same.score, part.other.score
            close = part.other.where(part.other.same_sex).score
            if point.band is not band or min(len(same), len(close)) < MIN_SHOWN:
                continue
            fmr, fnmr = metrics.error_rates(same, other, point.threshold)
            rows.append(
                [
                    name,
                    f"{point.min_net_speech_s:g} to {point.below_s:g}",
                    f"{point.threshold:.2f}",
                    percent(fmr),
                    percent(float(np.mean(close >= point.threshold))),
                    percent(fnmr),
                    _quantiles(same, (0.01, 0.05, 0.5)),
                    _quantiles(other, (0.5, 0.99, 0.999, 1.0)),
                    f"{len(same)} / {len(other)}",
                ]
            )
    return markdown(f"Each condition, {band.value}", headers, rows)


def _quantiles(scores: trials.Floats, at: Sequence[float]) -> str:
    return " / ".join(f"{q:.2f}" for q in np.quantile(scores, at))


def toml_of(points: Sequence[Point]) -> str:
    """Return the points as the tables of a model card."""
    return "\n".join(
        "[[operating_points]]\n"
        f'band = "{p.band.value}"\n'
        f"min_net_speech_s = {p.min_net_speech_s}\n"
        f"threshold = {p.threshold:.2f}\n"
        f"fmr = {p.fmr:.6f}\n"
        f"fnmr = {p.fnmr:.6f}\n"
        f"impostor_trials = {p.impostor_trials}\n"
        f"genuine_trials = {p.genuine_trials}\n"
        for p in points
    )


def write_points(card: Path, toml: str) -> None:
    """Put the tables in place of the card's operating points, comments and all else kept."""
    blocks = card.read_text(encoding="utf-8").split("\n\n")
    is_point = [block.startswith("[[operating_points]]") for block in blocks]
    kept = [block for block, point in zip(blocks, is_point, strict=True) if not point]
    first = is_point.index(True) if True in is_point else len(blocks)
    kept[first:first] = [block.strip() for block in toml.split("\n\n")]
    card.write_text("\n\n".join(kept), encoding="utf-8")


def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    corpora_argument(parser)
    parser.add_argument("--model", default="campplus")
    parser.add_argument("--target", type=float, default=0.001, help="false match rate, 0 to 1")
    parser.add_argument("--write", action="store_true", help="into the model's card")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    args = parser.parse_args()
    ear = Ear(Hearing(args.model), args.cache)
    tables = Material(ear, test_other(args.corpora), train_clean(args.corpora)).tables()
    points = fit(tables, args.target)
    print(points_table(f"Operating points of {args.model}", points))
    for band in Band:
        print(conditions_table(band, tables, points))
    if args.write:
        write_points(shipped_cards_folder() / f"{args.model}.toml", toml_of(points))


if __name__ == "__main__":
    main()
