"""The pictures of a report.  Importing it raises ExtraMissing where there is no matplotlib."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from voiceid import metrics, pictures
from voiceid.errors import ThresholdUnavailable
from voiceid.evaluation.bounds import Bools, Floats
from voiceid.evaluation.evaluate import Evaluation
from voiceid.evaluation.report import attributes
from voiceid.metrics import Scores

Charts: TypeAlias = dict[str, tuple[str, bytes]]
"""The title and the bytes of each picture, by file name: PNGs, and an SVG of the DET curve."""

_DET = "Detection error trade-off (DET)"
_MOST_CURVES = 6
"""Most curves in one picture: the number of line styles."""


def charts(result: Evaluation) -> Charts:
    """Return the pictures of an evaluation."""
    scored = result.judged.scored
    sides = _sides(result, scored.scores)
    histograms = pictures.score_histograms(*sides, _marks(scored.thresholds))
    curve = det(result)
    return {
        "det.svg": (_DET, pictures.svg(curve)),
        "det.png": (_DET, pictures.png(curve)),
        **_det_by_condition(result),
        "scores.png": ("Scores of genuine and impostor trials", pictures.png(histograms)),
        **_of_llrs(result),
        **_of_searches(result),
    }


def det(result: Evaluation) -> pictures.Picture:
    """Draw the DET curve of the cosines, and beside it that of the LLRs of the same trials."""
    judged, overall = result.judged, result.overall
    at = {"at the card's thresholds": overall.shipped}
    if overall.calibrated is not None:
        at["at the calibrated thresholds"] = overall.calibrated
    points = {name: (rates.fmr.rate, rates.fnmr.rate) for name, rates in at.items()}
    cosine = f"{result.space.model}, cosine"
    if judged.llrs is None or overall.llrs is None or overall.llrs.cllr is None:
        curves = {cosine: _sides(result, judged.scored.scores)}
    else:
        rows = judged.covered
        of = "" if rows.all() else ", what the calibration covers"
        curves = {
            f"{cosine}{of}": _sides(result, judged.scored.scores, rows),
            f"{result.space.model}, LLR{of}": _sides(result, judged.llrs, rows),
        }
    return pictures.det(curves, points=points, title=result.protocol.source)


def det_of_report(report: Mapping[str, Any], scores: Iterable[str]) -> pictures.Picture:
    """Draw the DET curve of a report's JSON and its ``model probe score target`` lines.

    Raises `KeyError`, `ValueError` or `TypeError`: the data is not that of a report.
    """
    sides = {"target": array("d"), "nontarget": array("d")}
    for line in scores:
        _, score, side = line.rsplit(maxsplit=2)
        sides[side].append(float(score))
    at = {
        "at the card's thresholds": report["verification"]["at_shipped_thresholds"],
        "at the calibrated thresholds": report["verification"]["at_calibrated_thresholds"],
    }
    name = f"{report['embedding_space']['model']}, cosine"
    return pictures.det(
        {name: (np.array(sides["target"]), np.array(sides["nontarget"]))},
        points={name: (of["fmr"]["rate"], of["fnmr"]["rate"]) for name, of in at.items() if of},
        title=str(report.get("source", "")),
    )


def _det_by_condition(result: Evaluation) -> Charts:
    """Draw a DET curve for each condition, if they are few enough to be distinguished."""
    labels = [label for attribute, label, _ in result.slices if attribute == "condition"]
    if not 1 < len(labels) <= _MOST_CURVES:
        return {}
    scored = result.judged.scored
    curves = {
        part.label: _sides(result, scored.scores, part.rows)
        for part in metrics.slices({"condition": attributes(scored, result.protocol)["condition"]})
        if part.label in labels
    }
    png = pictures.png(pictures.det(curves, title=result.protocol.source))
    return {"det_by_condition.png": ("Detection error trade-off by condition", png)}


def _of_llrs(result: Evaluation) -> Charts:
    """Draw the LLRs and their calibration, if it covers both kinds of trials."""
    llrs, worth, calibration = result.judged.llrs, result.overall.llrs, result.calibration
    if llrs is None or calibration is None or worth is None or worth.cllr is None:
        return {}
    target, marks = result.judged.targets[1], {}
    with contextlib.suppress(ThresholdUnavailable):
        marks[f"for FMR {100 * target:.3g} %"] = calibration.calibration.llr_at(target)
    return charts_of_llrs(*_sides(result, llrs, result.judged.covered), marks)


def charts_of_llrs(
    genuine: Scores, impostor: Scores, marks: Mapping[str, float] | None = None
) -> Charts:
    """Return pictures of the LLRs of trials, with thresholds by their names."""
    sides = genuine, impostor
    histograms = pictures.score_histograms(*sides, marks or {}, score_name="LLR, natural logarithm")
    reliability = pictures.reliability(metrics.reliability(*sides))
    return {
        "llrs.png": ("LLRs of genuine and impostor trials", pictures.png(histograms)),
        "reliability.png": ("Calibration: how true the LLRs are", pictures.png(reliability)),
    }


def _of_searches(result: Evaluation) -> Charts:
    named = result.identification
    if named is None:
        return {}
    curve = metrics.identification_curve(named.searches)
    marks = _marks(named.gallery.thresholds)
    open_set = pictures.open_set(curve.thresholds, curve.fpir, curve.fnir, marks)
    ranks = pictures.cmc({result.space.model: np.array(named.overall.rank_rates)})
    return {
        "open_set.png": ("Identification: FPIR and FNIR by threshold", pictures.png(open_set)),
        "cmc.png": ("Identification by rank", pictures.png(ranks)),
    }


def _sides(result: Evaluation, scores: Scores, rows: Bools | None = None) -> tuple[Scores, Scores]:
    """Return the genuine and the impostor scores of some trials, or of all."""
    target = result.judged.scored.target
    chosen = np.ones(len(target), dtype=bool) if rows is None else rows
    return scores[chosen & target], scores[chosen & ~target]


def _marks(thresholds: Floats) -> dict[str, float]:
    """Return the thresholds in use, as marks of a picture: they differ by trial."""
    used = thresholds[~np.isnan(thresholds)]
    if not used.size:
        return {}
    low, high = float(used.min()), float(used.max())
    return {"threshold": low} if low == high else {"lowest": low, "highest": high}
