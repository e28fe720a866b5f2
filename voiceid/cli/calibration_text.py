"""Calibrations and adaptations, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from voiceid.cli.text import fields, table
from voiceid.decision.adaptation import StoredAdaptation
from voiceid.decision.calibration import CalibratedPoint, StoredCalibration
from voiceid.decision.rule import percent

if TYPE_CHECKING:
    from voiceid.evaluation.countermeasure_fit import CountermeasureFit
    from voiceid.resources.calibrations import CalibrationFit


def calibration_text(stored: StoredCalibration) -> str:
    """Return the facts of a calibration, and its errors on held-out speakers."""
    return f"{_facts(stored)}\n\n{_points(stored.calibration.points)}"


def countermeasure_text(name: str, fit: CountermeasureFit) -> str:
    """Return the threshold that was fitted to a countermeasure, and its error rates."""
    from voiceid.evaluation.page import rate_text  # noqa: PLC0415 - loaded by now

    at = fit.threshold
    facts = {
        "threshold": f"{at.value:.6g}",
        "fitted to": f"{at.bona_fide} bona fide clips and {at.attacks} attacks of {at.source}",
        "BPCER": f"{rate_text(fit.bpcer)}, target {percent(at.target_bpcer)}",
        **{f"APCER {species}": rate_text(rate) for species, rate in fit.apcer.items()},
    }
    return f"fitted  {name}\n{fields(facts)}"


def fit_text(fit: CalibrationFit) -> str:
    """Return a new calibration's errors beside those of the thresholds without it."""
    mark = "decides now" if fit.calibration.in_use else "would decide"
    rows = [
        [
            row.source,
            "-" if row.target_fmr is None else percent(row.target_fmr),
            _counts(row.false_matches, row.impostor),
            _counts(row.false_non_matches, row.genuine),
            mark if row.decides else "",
        ]
        for row in fit.rates
    ]
    names = ["held-out trials", "target FMR", "FMR", "FNMR", ""]
    return (
        f"{_facts(fit.calibration)}\n\n{table(names, rows, right=set(names[1:4]))}\n\n"
        f"lowest FMR that it supports: {percent(fit.least_fmr)}"
    )


def _facts(stored: StoredCalibration) -> str:
    calibration, held_out = stored.calibration, stored.held_out
    shares = dict.fromkeys(map(percent, calibration.telephone))  # the lowest and the highest
    measured = [weight.feature.replace("_", " ") for weight in calibration.weights]
    use = "in use" if stored.in_use else "not in use"
    facts = {
        "calibration": f"{stored.id} of {stored.space_id}, {use}",
        "fitted on": f"{stored.source}: {held_out.speakers} speakers,"
        f" {held_out.genuine} genuine and {held_out.impostor} impostor trials",
        "heard": f"a telephone on both sides: {' to '.join(shares)}; clips from"
        f" {calibration.min_net_speech_s:.1f} s of net speech on",
        "takes in": ", ".join(["score", *measured]),
        "EER": percent(held_out.eer),
        "Cllr": f"{held_out.cllr:.4f} bit (least {held_out.min_cllr:.4f})",
    }
    facts |= {
        f"actDCF {prior}": f"{cost:.4f} (least {held_out.min_dcf[prior]:.4f})"
        for prior, cost in held_out.act_dcf.items()
    }
    if stored.target_fmr is not None:
        facts["target"] = f"FMR {percent(stored.target_fmr)}"
    return fields(facts)


def _counts(errors: int, trials: int) -> str:
    return f"{percent(errors / trials)} ({errors} of {trials})" if trials else "-"


def calibrations_table(calibrations: Sequence[StoredCalibration]) -> str:
    """Return calibrations, one per line."""
    rows = [
        [
            *(fit.id, fit.space_id, fit.source, fit.held_out.speakers, fit.held_out.impostor),
            f"{fit.held_out.cllr:.4f}",
            None if fit.target_fmr is None else percent(fit.target_fmr),
            "yes" if fit.in_use else "",
        ]
        for fit in calibrations
    ]
    names = ["id", "space", "fitted on", "speakers", "impostor trials", "Cllr", "FMR", "in use"]
    return table(names, rows, right={"id", "speakers", "impostor trials", "Cllr"})


def adapted_text(measured: dict[str, Any]) -> str:
    """Return the figures of every candidate adaptation on held-out speakers."""
    rows = [
        [
            tried["candidate"] + (" *" if tried["candidate"] == measured["chosen"] else ""),
            percent(tried["eer"]),
            f"{tried['min_dcf']:.4f}",
            f"{tried['min_cllr']:.4f}",
            f"{tried['gain']:.4f}",
            f"{tried['gain_lower']:.4f}",
        ]
        for tried in measured["measured"]
    ]
    names = ["held out", "EER", "minDCF 0.01", "minCllr", "gain", "at least"]
    return table(names, rows, right=set(names[1:]))


def adaptations_table(adaptations: Sequence[StoredAdaptation]) -> str:
    """Return adaptations, one per line."""
    rows = [
        [
            *(fit.id, fit.space_id, fit.source, fit.measured["chosen"]),
            *(fit.transform.n_speakers, fit.transform.n_samples),
            "yes" if fit.in_use else "",
        ]
        for fit in adaptations
    ]
    names = ["id", "space", "learned from", "method", "speakers", "samples", "in use"]
    return table(names, rows, right={"id", "speakers", "samples"})


def _points(points: Sequence[CalibratedPoint]) -> str:
    rows = [
        [
            percent(point.fmr),
            f"{point.llr:.3f}",
            _bounds(point.fmr_bounds),
            percent(point.fnmr),
            _bounds(point.fnmr_bounds),
        ]
        for point in points
    ]
    names = ["FMR", "LLR", "95 % of FMR", "FNMR", "95 % of FNMR"]
    return table(names, rows, right=set(names))


def _bounds(bounds: tuple[float, float]) -> str:
    return " to ".join(map(percent, bounds))
