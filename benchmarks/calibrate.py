"""Measure a model's error rates by condition, and choose its operating points.

    python -m benchmarks.calibrate [--model campplus] [--without "gain -30 dB"] [--write]

Enrolled are the ten speakers of test-other (every run of three of their ten utterances) and
the speakers of train-clean-100 (three thirds of their one utterance: impostors only, for a
speaker is never compared with their own enrolment's recording).  They are compared with cuts
of 1.3 to 7 s, with thirds and with whole utterances of everybody, as recorded and through every
condition of `benchmarks.degradations`, and sorted by the net speech that the detector
measured, as decisions are.

How a threshold is chosen: the smallest that keeps the false match rate of impostors *of the
same sex* at the target in the *worst* of the conditions, rounded up to two digits.  A
condition changes the clip alone, the enrolment alone, or both: on one door or line both went
through the same microphone or codec, and then strangers are more alike.  Speakers with samples
through a telephone and others are a condition too.  All impostors of all conditions together
stay well below the target, and that distance is the margin for what these corpora do not hold.
No threshold is chosen by looking at genuine scores.

Comparisons are sorted by band as the product sorts them, by what it measured on the clip and
on the enrolment, and each band has points of its own (see `voiceid.decision.rule.band_of`).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks import trials
from benchmarks.corpora import Clip, corpora_argument, cut, split, test_other, train_clean
from benchmarks.degradations import CONDITIONS, TELEPHONES
from benchmarks.tables import markdown, percent
from benchmarks.trials import Enrolled, Table, Voice
from benchmarks.voices import Ear, Hearing
from voiceid import metrics
from voiceid.domain import Band
from voiceid.models.cards import shipped_cards_folder

TARGETS = (0.01, 0.001, 0.0001)
"""False match rates that a card has points for, the loosest first."""

SHOWN = 0.001
"""The target that ships: it has bounds, and the table of conditions shows its thresholds."""

BUCKETS_S = (1.0, 2.0, 4.0, 8.0, math.inf)
"""Doublings: below 1 s nothing is decided, and above 8 s of speech the scores settle."""

MIN_SHARE = 0.1
"""Of a condition's impostors, for it to say something about a band."""

CUTS_S = (1.3, 1.8, 2.5, 7.0)
SHORT_S = 2.0
"""Up to here train-clean-100 is cut as well: its thirds are of the lengths between."""

BOTH = ", enrolment too"


@dataclass(frozen=True, slots=True)
class Point:
    """An operating point, measured.

    ``fmr`` and ``fnmr`` are over all conditions and all impostors; ``fmr_worst`` is of
    impostors of the same sex in the worst condition.  ``fmr_upper``, 95 % by a bootstrap over
    speakers, takes long, and is NaN but for the target that ships.
    """

    band: Band
    target_fmr: float
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
class Heard:
    """All voices through one condition.

    Parameters
    ----------
    whole : list of Voice
        The utterances of test-other.
    thirds : list of Voice
        Those of train-clean-100 in three pieces each, in order.
    other : list of Voice
        Cuts of the former, and cuts and whole utterances of the latter.
    """

    whole: list[Voice]
    thirds: list[Voice]
    other: list[Voice]

    @property
    def probes(self) -> list[Voice]:
        """All of them: no speaker meets an enrolment of their own recording."""
        return [*self.whole, *self.thirds, *self.other]


def listen(
    ear: Ear, other: Sequence[Clip], clean: Sequence[Clip], conditions: Iterable[str]
) -> dict[str, Heard]:
    """Hear both corpora through every condition."""
    short = [s for s in CUTS_S if s <= SHORT_S]
    cuts = [piece for clip in other for piece in _cuts(clip, CUTS_S, (0.25, 0.75))]
    cuts += [piece for clip in clean for piece in [*_cuts(clip, short, (0.5,)), clip]]
    thirds = [piece for clip in clean for piece in split(clip, 3)]
    return {
        name: Heard(*(ear.hear([change(c) for c in clips]) for clips in (other, thirds, cuts)))
        for name in conditions
        for change in [CONDITIONS[name]]
    }


def _cuts(clip: Clip, lengths_s: Sequence[float], places: Sequence[float]) -> list[Clip]:
    shorter = [s for s in lengths_s if s < clip.duration_s]
    return [cut(clip, s, place) for s in shorter for place in places]


def enroll_all(
    clean: Heard, degraded: Heard, n_degraded: int, rule: trials.Rule = trials.enroll
) -> list[Enrolled]:
    """Return everybody's enrolments; the first ``n_degraded`` of three samples are degraded."""
    enrolled = trials.enroll_in_turn(clean.whole, degraded.whole, n_degraded, rule=rule)
    pairs = zip(clean.thirds, degraded.thirds, strict=True)
    thirds = [b if i % 3 < n_degraded else a for i, (a, b) in enumerate(pairs)]
    return enrolled + [
        rule(own)
        for own in trials.by_speaker(thirds).values()
        if all(voice.vector is not None for voice in own)
    ]


def compare_all(heard: Mapping[str, Heard]) -> dict[str, Table]:
    """Return the comparisons by what happened to the clip and to the enrolment."""
    clean = heard["clean"]
    recorded = enroll_all(clean, clean, 0)
    tables = {}
    for name, voices in heard.items():
        tables[name] = trials.compare(recorded, voices.probes)
        if name != "clean":
            alike = enroll_all(clean, voices, 3)
            tables[name + BOTH] = trials.compare(alike, voices.probes)
        if name in TELEPHONES:
            tables[f"{name}, enrolment only"] = trials.compare(alike, clean.probes)
            for n in (1, 2):
                mixed = enroll_all(clean, voices, n)
                tables[f"{name}, {n} of 3 enrolled too"] = trials.compare(mixed, voices.probes)
                tables[f"{name}, {n} of 3 enrolled only"] = trials.compare(mixed, clean.probes)
    return tables


def fit(tables: Mapping[str, Table], targets: Sequence[float] = TARGETS) -> list[Point]:
    """Choose thresholds for every band, target and bucket, by the rule at the top of this file.

    A target that the worst condition has too few impostors for has no point: with fewer than
    three by the target, none accepted would say nothing about it (rule of three).
    """
    points = [
        point
        for band in Band
        for low, high in pairwise(BUCKETS_S)
        for point in _points(band, (low, high), tables, targets)
    ]
    bands = list(Band)
    return sorted(points, key=lambda p: (bands.index(p.band), -p.target_fmr))


def _points(
    band: Band, bucket_s: tuple[float, float], tables: Mapping[str, Table], targets: Sequence[float]
) -> Iterator[Point]:
    """Yield a bucket's points, the loosest target first; a stricter one is never lower."""
    parts = [table.between(*bucket_s) for table in tables.values()]
    strangers = [scores for part in parts if len(scores := _strangers(part, band))]
    whole = trials.join(part.of_band(band) for part in parts)
    impostor = whole.other
    loosest, needed = max(targets), -1.0
    known = [scores for scores in strangers if len(scores) >= 3 / loosest]
    if not known:
        return
    worst = max(known, key=lambda scores: metrics.threshold_at_fmr(scores, loosest))
    for target in sorted(targets, reverse=True):
        if len(worst) < 3 / target:
            return
        enough = [scores for scores in strangers if len(scores) >= 3 / target]
        needed = max(needed, *(metrics.threshold_at_fmr(scores, target) for scores in enough))
        threshold = math.ceil(needed * 100) / 100
        fmr, fnmr = metrics.error_rates(whole.same.score, impostor.score, threshold)
        accepted = impostor.score >= threshold
        upper = math.nan
        if target == SHOWN:
            _, upper = metrics.false_match_interval(accepted, impostor.trials.speakers)
        n_genuine = len(whole.score) - len(impostor.score)
        yield Point(
            band=band,
            target_fmr=target,
            min_net_speech_s=bucket_s[0],
            below_s=bucket_s[1],
            threshold=threshold,
            fmr=fmr,
            fmr_upper=upper,
            fmr_worst=max(float(np.mean(scores >= threshold)) for scores in enough),
            fnmr=fnmr,
            fnmr_upper=metrics.rate_upper_bound(round(fnmr * n_genuine), n_genuine),
            impostor_trials=len(impostor.score),
            genuine_trials=n_genuine,
        )


def _strangers(table: Table, band: Band) -> trials.Floats:
    """Return the scores of impostors of the same sex, ascending; none where few are of the band.

    A few clips are taken for another band than their condition's.  They are the worst
    case of no speaker, but one clip against everybody; they count among all impostors.
    """
    other = table.other
    mine = other.of_band(band)
    if len(mine.score) < MIN_SHARE * len(other.score):
        return np.zeros(0)
    return np.sort(mine.where(mine.same_sex).score)


def points_table(title: str, points: Sequence[Point]) -> str:
    """Return the operating points as a table."""
    headers = [
        "band",
        "target FMR %",
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
            f"{100 * p.target_fmr:g}",
            f"{p.min_net_speech_s:g}",
            f"{p.threshold:.2f}",
            percent(p.fmr),
            "" if math.isnan(p.fmr_upper) else percent(p.fmr_upper),
            *map(percent, (p.fmr_worst, p.fnmr, p.fnmr_upper)),
            p.impostor_trials,
            p.genuine_trials,
        ]
        for p in points
    ]
    return markdown(title, headers, rows)


def eer_table(model: str, tables: Mapping[str, Table]) -> str:
    """Return the EER by condition and net speech, for a clean enrolment and for one alike."""
    headers = ["condition", "enrolment", *map(_bucket, pairwise(BUCKETS_S)), "genuine", "impostor"]
    rows = []
    for name in CONDITIONS:
        for enrolment, key in (("clean", name), ("alike", name + BOTH)):
            if key in tables:
                parts = [tables[key].between(*bucket) for bucket in pairwise(BUCKETS_S)]
                counts = [
                    " / ".join(str(len(getattr(p, side).score)) for p in parts)
                    for side in ("same", "other")
                ]
                rows.append([name, enrolment, *map(_eer, parts), *counts])
    return markdown(f"EER % of {model} by condition and net speech (s)", headers, rows)


def _bucket(bucket_s: tuple[float, float]) -> str:
    low, high = bucket_s
    return f"{low:g} to {high:g} s" if math.isfinite(high) else f"{low:g} s and more"


def _eer(table: Table) -> str:
    return percent(metrics.equal_error_rate(table.same.score, table.other.score))


def conditions_table(model: str, tables: Mapping[str, Table], points: Sequence[Point]) -> str:
    """Return the error rates of the decisions in each condition, at the target that ships."""
    buckets = list(pairwise(BUCKETS_S))
    headers = ["condition"]
    headers += [f"FMR %, same sex, {_bucket(b)}" for b in buckets]
    headers += [f"FNMR %, {_bucket(b)}" for b in buckets]
    shown = [p for p in points if p.target_fmr == SHOWN]
    rows = []
    for name, table in tables.items():
        accepted = [_accepted(table.between(*bucket), shown) for bucket in buckets]
        parts = [table.between(*bucket) for bucket in buckets]
        fmr = [a[~p.genuine & p.same_sex] for a, p in zip(accepted, parts, strict=True)]
        fnmr = [~a[p.genuine] for a, p in zip(accepted, parts, strict=True)]
        rows.append([name, *(percent(float(np.mean(errors))) for errors in [*fmr, *fnmr])])
    return markdown(f"Each condition, {model}, target FMR {100 * SHOWN:g} %", headers, rows)


def _accepted(table: Table, points: Sequence[Point]) -> trials.Flags:
    """Return which comparisons the points accept; without a point no speaker is accepted."""
    accepted = np.zeros(len(table.score), dtype=bool)
    for p in points:
        mine = (
            (table.band == trials.BANDS.index(p.band))
            & (table.net_speech_s >= p.min_net_speech_s)
            & (table.net_speech_s < p.below_s)
        )
        accepted |= mine & (table.score >= p.threshold)
    return accepted


def toml_of(points: Sequence[Point]) -> str:
    """Return the points as the tables of a model card."""
    return "\n".join(
        "[[operating_points]]\n"
        f'band = "{p.band.value}"\n'
        f"target_fmr = {p.target_fmr:g}\n"
        f"min_net_speech_s = {p.min_net_speech_s}\n"
        f"threshold = {p.threshold:.2f}\n"
        f"fmr = {p.fmr:.7f}\n"
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
    parser.add_argument("--without", nargs="+", default=[], metavar="CONDITION")
    parser.add_argument("--write", action="store_true", help="into the model's card")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    args = parser.parse_args()
    ear = Ear(Hearing(args.model), args.cache)
    other, clean = test_other(args.corpora), train_clean(args.corpora)
    asked = [name for name in CONDITIONS if name == "clean" or name not in args.without]
    tables = compare_all(listen(ear, other, clean, asked))
    points = fit(tables)
    print(eer_table(args.model, tables))
    print(points_table(f"Operating points of {args.model}", points))
    print(conditions_table(args.model, tables, points))
    if args.write:
        write_points(shipped_cards_folder() / f"{args.model}.toml", toml_of(points))


if __name__ == "__main__":
    main()
