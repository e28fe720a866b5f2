"""Learn a model's compensation, choose its operating points, fit its LLRs, and measure them.

    python -m benchmarks.calibrate [--model campplus] [--without "GSM 13 kbit/s"] [--write]

It is what `voiceid models fit` does, of the models that ship and of corpora whose speakers are
divided by hand.  The compensation is learned from every second speaker of train-clean-100 (126:
thirds and cuts of their one utterance).  Thresholds and LLRs are of the 125 others, who are
impostors only, and of the ten speakers of test-other.  Enrolled are runs of one and of three
utterances (of train-clean-100 thirds), through one condition, and compared with cuts of 1.3 to
3.5 s, thirds and whole utterances through another: see `voiceid.evaluation.pieces`.
Opus of 20 kbit/s, clipping and low gain judge, and nothing is learned from them; from bad lines
and from rates that were raised without a filter is learned, and they do not judge.
`--conditions` takes some conditions alone, for models that are slow.

What wideband embeddings lose: see `voiceid.evaluation.directions.fit_compensation`.
How a threshold is chosen: see `voiceid.evaluation.model_fit.fit`.  LLRs are shown as
fits that had seen neither speaker make them.  `--without` leaves conditions out of all that is
learned and chosen, and measures what came of it on them alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np

from benchmarks import llrs
from benchmarks.corpora import corpora_argument, test_other, train_clean
from benchmarks.tables import markdown, percent
from benchmarks.voices import Ear, Hearing
from voiceid import metrics
from voiceid.decision.compensation import Compensation
from voiceid.decision.operating_points import thresholds_at
from voiceid.evaluation import model_fit
from voiceid.evaluation.degradations import BAD_LINES, CONDITIONS, Clip, is_telephone
from voiceid.evaluation.directions import fit_compensation
from voiceid.evaluation.llrs import worth
from voiceid.evaluation.model_fit import Comparisons, Fitted, HeldOutLlrs, Part
from voiceid.evaluation.pieces import MILD, Parts, Piece, pairs_of, pieces_of
from voiceid.models.card_text import calibration_tables, point_tables
from voiceid.models.cards import shipped_cards_folder

SHOWN = 0.001
"""The target that ships."""

Kind: TypeAlias = tuple[str, str, int]
"""Conditions of the enrolment and of the clip, and how many samples were enrolled."""


def pieces(other: Sequence[Clip], clean: Sequence[Clip]) -> list[Piece]:
    """Return what is heard, first what may be enrolled."""
    found = [piece for clip in other for piece in pieces_of(clip, alone=False)]
    found += [piece for clip in clean for piece in pieces_of(clip, alone=True)]
    return sorted(found, key=lambda piece: not piece.whole)


def compare_all(parts: Iterable[Part]) -> dict[Kind, Comparisons]:
    """Return the comparisons of each pair of conditions and each size of enrolment."""
    return {(*part.pair, part.size): part.comparisons for part in parts}


def group_of(pair: Kind) -> str:
    """Return which lines a pair of conditions joins."""
    phones = [is_telephone(name) for name in pair[:2]]
    if not any(phones):
        return "wideband"
    if not all(phones):
        return "wideband x telephone"
    return "same codec" if pair[0] == pair[1] else "two codecs"


GROUPS = ("wideband", "wideband x telephone", "two codecs", "same codec")
SPANS_S = ((1.0, 2.0), (2.0, 3.0), (3.0, 4.0), (4.0, 8.0), (8.0, np.inf))


def rates_table(title: str, tables: Mapping[Kind, Comparisons], fitted: Fitted) -> str:
    """Return FMR and FNMR of the shipped target by lines, net speech and size of enrolment."""
    headers = ["lines", "enrolled", "net speech (s)", "FMR %, same sex", "FNMR %", "95 % upper"]
    headers += ["impostor", "genuine"]
    rows = []
    for group in GROUPS:
        for size in model_fit.ENROLLED:
            for low, high in SPANS_S:
                found = _errors(tables, fitted, (group, size), (low, high))
                if found is not None:
                    rows.append([group, size, f"{low:g} to {high:g}", *found])
    return markdown(title, headers, rows)


def _errors(
    tables: Mapping[Kind, Comparisons],
    fitted: Fitted,
    kind: tuple[str, int],
    span_s: tuple[float, float],
) -> list[object] | None:
    wrong, refused = [0, 0], [0, 0]
    for pair, table in tables.items():
        if (group_of(pair), pair[2]) != kind:
            continue
        inside = table.where(
            (table.conditions.net_speech_s >= span_s[0])
            & (table.conditions.net_speech_s < span_s[1])
        )
        accepted = inside.scores >= thresholds_at(fitted.points, SHOWN, inside.conditions)
        strangers = ~inside.genuine & inside.same_sex
        for counts, rows, errors in (
            (wrong, strangers, accepted),
            (refused, inside.genuine, ~accepted),
        ):
            counts[0] += int((rows & errors).sum())
            counts[1] += int(rows.sum())
    if not wrong[1] or not refused[1]:
        return None
    rates = [errors / trials for errors, trials in (wrong, refused)]
    upper = metrics.rate_upper_bound(refused[0], refused[1])
    return [f"{100 * rates[0]:.4f}", *map(percent, (rates[1], upper)), wrong[1], refused[1]]


def llrs_table(model: str, kinds: Sequence[Kind], found: HeldOutLlrs) -> str:
    """Return what held-out LLRs are worth by lines, and by condition.

    - `kinds`: of the parts, in their order.
    """
    groups = {group: [group_of(kind) == group for kind in kinds] for group in GROUPS}
    conditions = dict.fromkeys(name for kind in kinds for name in kind[:2])
    groups |= {name: [name in kind[:2] for kind in kinds] for name in conditions}
    rows = []
    for name, chosen in groups.items():
        own = np.isin(found.part, np.flatnonzero(chosen))
        value = worth(found.values[own], found.genuine[own], found.speakers[own])
        rows.append([name, *llrs.cells(value)])
    headers = ["lines, or a condition on either side or both", *llrs.HEADERS]
    return markdown(f"{model}: LLRs of speakers that the fit had not seen", headers, rows)


def points_table(fitted: Fitted) -> str:
    """Return the operating points as a table."""
    headers = ["target FMR %", "net speech from (s)", "threshold", "telephone, both sides"]
    headers += ["FMR %", "FMR %, same sex, worst condition", "FNMR %", "impostor", "genuine"]
    rows = [
        [
            f"{100 * p.target_fmr:g}",
            f"{p.min_net_speech_s:g}",
            f"{p.threshold:.3f}",
            f"{p.telephone_threshold:.3f}",
            percent(p.fmr),
            percent(fitted.worst[p.target_fmr, p.min_net_speech_s]),
            percent(p.fnmr),
            p.impostor_trials,
            p.genuine_trials,
        ]
        for p in fitted.points
    ]
    return markdown("Operating points", headers, rows)


def write(model: str, compensation: Compensation, fitted: Fitted) -> None:
    """Put what was learned beside the model's card, and into it; all else of it is kept."""
    folder = shipped_cards_folder()
    (folder / f"{model}.npz").write_bytes(compensation.to_bytes())
    card = folder / f"{model}.toml"
    lines = card.read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("compensation_sha256")]
    place = next(i for i, line in enumerate(lines) if line.startswith("dim ="))
    lines.insert(place + 1, f'compensation_sha256 = "{compensation.digest}"')
    blocks = "\n".join(lines).split("\n\n")
    learned = ("[[operating_points]]", "[calibration]", "[[calibration.")
    kept = [block for block in blocks if not block.startswith(learned)]
    place = next(i for i, block in enumerate(kept) if "[source]" in block) + 1
    kept[place:place] = [*point_tables(fitted.points), *calibration_tables(fitted.calibration)]
    card.write_text("\n\n".join(block.strip("\n") for block in kept) + "\n", encoding="utf-8")


def main() -> None:
    """Learn, measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    corpora_argument(parser)
    parser.add_argument("--model", default="campplus")
    parser.add_argument("--conditions", nargs="+", default=[], metavar="CONDITION")
    parser.add_argument("--without", nargs="+", default=[], metavar="CONDITION")
    parser.add_argument("--write", action="store_true", help="into the model's card")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    args = parser.parse_args()
    other, clean = test_other(args.corpora), train_clean(args.corpora)
    ear = Ear(Hearing(args.model), args.cache, raw=True)
    measured = args.conditions or list(CONDITIONS)
    lines = () if args.conditions else BAD_LINES
    everything = ear.listen(pieces(other, clean), [*measured, *lines])
    # 1. Who is learned from, and who judges.
    known = sorted({clip.speaker for clip in clean})[::2]
    asked = ~np.isin(everything.condition, [*args.without, *MILD])
    learning = everything.where(np.isin(everything.speaker, known) & asked)
    compensation, refused = fit_compensation(learning)
    judging = everything.where(~np.isin(everything.speaker, known))
    if refused is not None:
        own, wider = map(percent, refused)
        print(f"Refused in wideband, of those learned from: {own} %, and {wider} % without a")
        print(f"telephone's directions: {len(compensation.wideband_directions)} are removed.\n")
    # 2. Thresholds and LLRs.
    conditions = [name for name in measured if name not in args.without]
    parts = list(Parts.of(judging, compensation, conditions))
    tables, fitted = compare_all(parts), model_fit.fit(parts)
    print(points_table(fitted))
    print(rates_table(f"{args.model}, target FMR {100 * SHOWN:g} %", tables, fitted))
    print(llrs_table(args.model, list(tables), fitted.llrs))
    held_out = fitted.held_out
    print(f"LLRs: Cllr {held_out.cllr:.4f}, minCllr {held_out.min_cllr:.4f}\n")
    # 3. The conditions that nothing was learned from.
    if args.without:
        pairs = [pair for pair in pairs_of(measured) if set(pair) & set(args.without)]
        unseen = compare_all(replace(Parts.of(judging, compensation, measured), pairs=pairs))
        print(rates_table(f"{args.model}, on {', '.join(args.without)}", unseen, fitted))
    if args.write:
        write(args.model, compensation, fitted)


if __name__ == "__main__":
    main()
