"""The report of an evaluation as one page of HTML that needs nothing else."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from voiceid.evaluation.bounds import Cost
from voiceid.evaluation.evaluate import Evaluation
from voiceid.evaluation.fitting import PRIORS
from voiceid.evaluation.llrs import Llrs
from voiceid.evaluation.report import AtThresholds, Errors
from voiceid.metrics import Rate

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: 0.6rem 0; font-variant-numeric: tabular-nums;
        display: block; overflow-x: auto; }
th, td { padding: 0.25rem 0.9rem 0.25rem 0; text-align: right; border-bottom: 1px solid #ddd; }
th { font-weight: 600; } th:first-child, td:first-child { text-align: left; }
figure { margin: 1rem 0; } img { max-width: 100%; } p.note { color: #555; }
p.warning { border-left: 4px solid #a30000; padding-left: 0.8rem; font-weight: 600; }
"""

_TITLES = {
    "net_speech_s": "net speech (s)",
    "band": "band",
    "snr_db": "SNR (dB)",
    "condition": "condition",
}
_HONEST = (
    "Bounds, in brackets, are of 95 %. They come from drawing the speakers again, or, where no"
    " trial was an error, from the rule of three, which takes trials for independent: those of"
    " one speaker are not, so the truth may lie outside. Rates hold for recordings like these,"
    " and say nothing about replayed or synthetic voices."
)
NO_LLRS = "none without a calibration: `voiceid calibrate` makes LLRs of scores"


def page(found: Evaluation, pictures: Mapping[str, bytes], title: str) -> str:
    """Return the page.

    Parameters
    ----------
    found : Evaluation
    pictures : mapping of str to bytes
        PNGs by what they show.
    title : str
        What was evaluated; any text.
    """
    body = [
        f"<h1>Evaluation of {escape(title)}</h1>",
        _paragraph(_facts(found)),
        *([] if found.warning is None else [_paragraph(_sentence(found.warning), "warning")]),
        _paragraph(_HONEST, "note"),
        "<h2>Verification</h2>",
        _overall(found.overall),
        "<h2>FNMR at a false match rate</h2>",
        _at_fmr(found.overall),
        "<h2>Calibration</h2>",
        *_calibration(found),
        *_identification(found),
        *_slices(found),
        "<h2>Recordings that gave nothing</h2>",
        _acquisition(found),
        *_figures(pictures),
    ]
    head = f"<meta charset='utf-8'><title>{escape(title)}</title><style>{_STYLE}</style>"
    return f"<!doctype html>\n<html lang='en'>\n{head}\n" + "\n".join(body) + "\n</html>\n"


def percent(rate: float) -> str:
    """Return a rate, 0 to 1, in percent: as many digits as tell it from zero."""
    if math.isnan(rate):
        return "-"
    if rate == 0.0:
        return "0 %"
    return f"{100 * rate:.2f} %" if rate >= 0.0001 else f"{100 * rate:.2g} %"  # noqa: PLR2004


def rate_text(rate: Rate) -> str:
    """Return a rate with its bounds and its counts."""
    bounds = f"{percent(rate.low)} to {percent(rate.high)}"
    return f"{percent(rate.rate)} ({bounds}; {rate.errors} of {rate.trials})"


def eer_text(errors: Errors) -> str:
    """Return the equal error rate with its bounds, if there are any."""
    if errors.eer_bounds is None:
        return percent(errors.eer)
    low, high = errors.eer_bounds
    return f"{percent(errors.eer)} ({percent(low)} to {percent(high)})"


def cost_text(cost: Cost) -> str:
    """Return a cost with its bounds, if there are any."""
    if cost.bounds is None:
        return f"{cost.value:.4f}"
    low, high = cost.bounds
    return f"{cost.value:.4f} ({low:.4f} to {high:.4f})"


def covered_text(found: Llrs) -> str:
    """Return of how many trials a calibration can speak."""
    covered = found.genuine + found.impostor
    if not found.not_covered:
        return f"all {covered} trials"
    return f"{covered} trials; {found.not_covered} more are decided by the card"


def _facts(found: Evaluation) -> str:
    calibration = "none"
    if found.calibration is not None:
        calibration = f"{found.calibration.id}, fitted on {found.calibration.source}"
    return (
        f"{len(found.protocol.recordings)} recordings of {found.protocol.n_speakers} speakers,"
        f" {found.overall.genuine} genuine and {found.overall.impostor} impostor trials,"
        f" in {found.space.id}, {found.made_at:%Y-%m-%d %H:%M} UTC. Calibration in use:"
        f" {calibration}."
    )


def _overall(errors: Errors) -> str:
    rows = [
        ["EER", eer_text(errors)],
        *[[f"minDCF, prior {prior:g}", cost_text(one)] for prior, one in errors.min_dcf.items()],
        ["minCllr (bit)", f"{errors.min_cllr:.4f}"],
        *_decided("at the thresholds of the model's card", errors.shipped),
    ]
    if errors.calibrated is not None:
        rows += _decided("at the calibrated thresholds", errors.calibrated)
    return _table(["", "all trials"], rows)


def _decided(where: str, one: AtThresholds) -> list[list[str]]:
    rows = [
        [f"FMR {where}, aimed at {percent(one.target_fmr)}", rate_text(one.fmr)],
        [f"FNMR {where}", rate_text(one.fnmr)],
    ]
    if one.without_threshold:
        rows.append([f"trials without a threshold, refused, {where}", str(one.without_threshold)])
    return rows


def _calibration(found: Evaluation) -> Iterable[str]:
    one = found.overall.llrs
    if one is None or found.calibration is None:
        yield _paragraph(f"Cllr and actDCF: {NO_LLRS}.")
        return
    rows = [["it can speak of", covered_text(one)]]
    if one.cllr is not None and one.act_dcf is not None and one.min_dcf is not None:
        rows += [
            ["Cllr (bit)", cost_text(one.cllr)],
            ["minCllr (bit)", f"{one.min_cllr:.4f}"],
            *[[f"actDCF, prior {prior:g}", cost_text(cost)] for prior, cost in one.act_dcf.items()],
            *[[f"minDCF, prior {prior:g}", f"{cost:.4f}"] for prior, cost in one.min_dcf.items()],
            ["factor by which the LLRs would fit", f"{one.scale:.3g}"],
        ]
    yield _table(["", f"calibration {found.calibration.id}"], rows)
    yield _paragraph(
        f"It was fitted on {found.calibration.source}: if these are the same recordings, or the"
        " same people, the figures flatter it. LLRs that say nothing cost 1 bit.",
        "note",
    )


def _at_fmr(errors: Errors) -> str:
    rows = []
    for one in errors.at_fmr:
        if one.threshold is None or one.fnmr is None:
            rows.append([percent(one.fmr), "-", f"{one.needed} impostor trials are needed"])
        else:
            rows.append([percent(one.fmr), f"{one.threshold:.4f}", rate_text(one.fnmr)])
    note = "Thresholds are chosen on these very trials: on others the FMR will be somewhat higher."
    return _table(["FMR", "threshold", "FNMR"], rows) + _paragraph(note, "note")


def _identification(found: Evaluation) -> Iterable[str]:
    one = found.identification
    if one is None:
        return
    overall, target = one.overall, one.gallery.target
    yield f"<h2>Identification among {overall.gallery_size}</h2>"
    rows = [
        ["FPIR: strangers who were named", rate_text(overall.fpir)],
        ["FNIR: enrolled who were not named", rate_text(overall.fnir)],
        ["of these, named as somebody else", str(overall.wrong_names)],
        ["inconclusive: within the margin", str(overall.inconclusive)],
    ]
    if (with_index := one.fnir_with_index) is not None:
        told = f"{percent(with_index[0])}, at most {percent(with_index[1])}"
        rows.insert(2, ["FNIR with whom the index in use loses", told])
    if overall.without_threshold:
        rows.append(["without a threshold: nobody is named", str(overall.without_threshold)])
    aim = f"aimed at a {target.name} of {percent(target.rate)}, margin {one.gallery.margin:g}"
    yield _table(["", f"at the thresholds in use, {aim}"], rows)
    ranks = zip(overall.rank_rates, overall.missed_by_rank, strict=True)
    yield _table(
        ["rank", "searches whose speaker is among the first so many"],
        [
            [str(rank), f"{percent(rate)} ({percent(1 - miss.high)} to {percent(1 - miss.low)})"]
            for rank, (rate, miss) in enumerate(ranks, start=1)
        ],
    )
    yield _table(
        ["one threshold for all", "FPIR", "FNIR"],
        [
            [f"{at.threshold:.2f}", rate_text(at.fpir), rate_text(at.fnir)]
            for at in one.by_threshold
        ],
    )


def _slices(found: Evaluation) -> Iterable[str]:
    for attribute in dict.fromkeys(attribute for attribute, _, _ in found.slices):
        title = _TITLES.get(attribute, attribute)
        yield f"<h2>By {escape(title)}</h2>"
        mine = [(label, errors) for name, label, errors in found.slices if name == attribute]
        yield _slice_table(title, mine)
        if found.calibration is not None:
            yield _llr_table(title, mine)
        yield from _searches_by(found, attribute, title)


def _slice_table(title: str, slices: Sequence[tuple[str, Errors]]) -> str:
    header = [title, "trials", "EER", "minCllr", "FMR by the card", "FNMR by the card"]
    rows = []
    for label, one in slices:
        row = [label, f"{one.genuine} + {one.impostor}", eer_text(one), f"{one.min_cllr:.4f}"]
        rows.append([*row, rate_text(one.shipped.fmr), rate_text(one.shipped.fnmr)])
    return _table(header, rows)


def _llr_table(title: str, slices: Sequence[tuple[str, Errors]]) -> str:
    header = [title, "calibrated FMR", "FNMR", "not covered", "Cllr", "minCllr"]
    header += [f"actDCF {prior:g}" for prior in PRIORS]
    rows = []
    for label, errors in slices:
        at, one = errors.calibrated, errors.llrs
        if at is None or one is None:
            continue
        row = [label, rate_text(at.fmr), rate_text(at.fnmr), str(one.not_covered)]
        costs = ["-"] * (2 + len(PRIORS))
        if one.cllr is not None and one.act_dcf is not None:
            costs = [cost_text(one.cllr), f"{one.min_cllr:.4f}"]
            costs += [cost_text(cost) for cost in one.act_dcf.values()]
        rows.append(row + costs)
    return _table(header, rows)


def _searches_by(found: Evaluation, attribute: str, title: str) -> Iterable[str]:
    if found.identification is None:
        return
    rows = [
        [label, rate_text(one.fpir), rate_text(one.fnir), *map(percent, one.rank_rates[:1])]
        for name, label, one in found.identification.slices
        if name == attribute
    ]
    yield _table([title, "FPIR", "FNIR", "rank 1"], [(*row, "-")[:4] for row in rows])


def _acquisition(found: Evaluation) -> str:
    one = found.acquisition
    rows = [["FTA: recordings", rate_text(one.fta)], ["FTE: models", rate_text(one.fte)]]
    rows += [[failed.recording.name, failed.message] for failed in one.failures]
    return _table(["", ""], rows)


def _figures(pictures: Mapping[str, bytes]) -> Iterable[str]:
    for title, png in pictures.items():
        data = base64.b64encode(png).decode("ascii")
        yield f"<h2>{escape(title)}</h2>"
        yield f"<figure><img alt='{escape(title)}' src='data:image/png;base64,{data}'></figure>"


def _paragraph(text: str, kind: str = "") -> str:
    return f"<p class='{kind}'>{escape(text)}</p>" if kind else f"<p>{escape(text)}</p>"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    head = line(header, "th") if any(header) else ""
    return f"<table>{head}{''.join(line(row, 'td') for row in rows)}</table>"
