"""Comparison of a report of `voiceid evaluate` with an older one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from voiceid.cli.text import table
from voiceid.errors import TrialsInvalid
from voiceid.foreign_files import REPORT, Unfit, content


def older_report(path: Path) -> dict[str, Any]:
    """Return the report in a file."""
    from voiceid.evaluation.evaluate import VERSION  # noqa: PLC0415 - not for --help

    try:
        report = json.loads(content(path, REPORT))
        if isinstance(report, dict) and report.get("format") == "voiceid-evaluation":
            if report["version"] != VERSION:
                raise TrialsInvalid(
                    f"{path} is a report of version {report['version']}, but this voiceid reads"
                    f" version {VERSION}",
                    hint="Compare with the voiceid that wrote the report.",
                )
            difference(report, report)  # raises if a compared figure is missing
            return report
    except Unfit as error:
        raise TrialsInvalid(f"{path} is not a report of an evaluation: {error}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise TrialsInvalid(
        f"{path} is not a report of an evaluation", hint="Name a report.json that evaluate wrote."
    )


def difference(older: dict[str, Any], newer: dict[str, Any]) -> str:
    """Return the figures of two reports side by side, and whether they can be compared."""
    before, now = _figures(older), _figures(newer)
    names = dict.fromkeys([*now, *before])
    rows = [[name, before.get(name, "-"), now.get(name, "-")] for name in names]
    lines = [table(["", "before", "now"], rows, right={"before", "now"})]
    lines += [
        f"not the same {key}: {older[key]} before, {newer[key]} now"
        for key in ("trials", "recordings")
        if older[key] != newer[key]
    ]
    spaces = [report["embedding_space"]["id"] for report in (older, newer)]
    if spaces[0] != spaces[1]:
        lines.append(f"embedding space {spaces[0]} before, {spaces[1]} now")
    calibrations = [_calibration(report) for report in (older, newer)]
    if calibrations[0] != calibrations[1]:
        lines.append(f"calibration {calibrations[0]} before, {calibrations[1]} now")
    return "\n".join(lines)


def _figures(report: dict[str, Any]) -> dict[str, str]:
    """Return the figures of a report, by name."""
    of = report["verification"]
    rates: dict[str, float | None] = {"EER": of["eer"]}
    at = {"": of["at_shipped_thresholds"], "calibrated ": of["at_calibrated_thresholds"]}
    for kind, rates_at in at.items():
        if rates_at is not None:
            rates |= {f"{kind}{side.upper()}": rates_at[side]["rate"] for side in ("fmr", "fnmr")}
    for row in of["fnmr_at_fmr"]:
        rates[f"FNMR at FMR {row['fmr']:g}"] = None if row["fnmr"] is None else row["fnmr"]["rate"]
    if (search := report["identification"]) is not None:
        rates |= {side.upper(): search[side]["rate"] for side in ("fpir", "fnir")}
    costs = {f"minDCF {prior}": cost for prior, cost in of["min_dcf"].items()}
    costs["minCllr"] = of["min_cllr"]
    llrs = of["llrs"]
    if llrs is not None and llrs["cllr"] is not None:
        costs |= {f"actDCF {prior}": cost for prior, cost in llrs["act_dcf"].items()}
        costs |= {"Cllr": llrs["cllr"], "minCllr of the LLRs": llrs["min_cllr"]}
    shown = {name: "-" if rate is None else f"{100 * rate:.3f} %" for name, rate in rates.items()}
    return shown | {name: f"{cost:.4f}" for name, cost in costs.items()}


def _calibration(report: dict[str, Any]) -> str:
    calibration = report["calibration"]
    return "none" if calibration is None else f"{calibration['id']} ({calibration['source']})"
