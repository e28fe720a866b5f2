"""``voiceid evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.labelled import input_options, protocol_of
from voiceid.cli.options import Real, common_options
from voiceid.cli.session import open_voiceid
from voiceid.cli.text import fields, table
from voiceid.cli.tree import Command
from voiceid.errors import GateMissed, TrialsInvalid

if TYPE_CHECKING:
    from voiceid.evaluation import Evaluation

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    "evaluate",
    cls=Command,
    short_help="Measure the error rates on recordings whose speakers are known.",
    example="voiceid evaluate people.csv --output report",
)
@input_options
@click.option(
    "--output",
    "-o",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder for the report; an older report in it is replaced.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of what was heard before (default: embeddings in the report's folder).",
)
@click.option("--against", type=_FILE, metavar="FILE", help="Compare with an older report.json.")
@click.option(
    "--max-eer", type=Real(0.0, 1.0), metavar="RATE", help="Exit with 59 above this EER, 0 to 1."
)
@click.option(
    "--max-fnmr-at-fmr",
    type=Real(0.0, 1.0),
    nargs=2,
    metavar="FMR FNMR",
    help="Exit with 59 when FNMR at this FMR (0.01, 0.001 or 0.0001) is above, or cannot be told.",
)
@common_options
@click.pass_obj
def command(  # noqa: PLR0913 - one parameter an option
    console: Console,
    *,
    input: Path,  # noqa: A002 - as the help names it
    output: Path,
    enrolled: Path | None,
    enroll_first: int | None,
    cache: Path | None,
    against: Path | None,
    max_eer: float | None,
    max_fnmr_at_fmr: tuple[float, float] | None,
) -> int:
    """Measure the error rates on recordings whose speakers are known.

    INPUT is a list of trials (`1 a.wav b.wav`, as of VoxCeleb), or a manifest, CSV or JSON
    Lines, of speaker, path and, where known, session and condition, of which all pairs are
    compared that are not within one session.  See docs/evaluating.md.
    """
    older = None if against is None else _older(against)
    with open_voiceid(console) as vid:
        from voiceid.app.evaluating import write_report  # noqa: PLC0415 - loaded by now

        protocol = protocol_of(input, enrolled, enroll_first)
        found = vid.evaluate(
            protocol,
            cache=cache or output / "embeddings",
            tell=lambda done, total: console.count("hearing", done, total),
        )
        drawn = write_report(found, output, input.name)
    if console.settings.as_json:
        console.json(found.to_dict())
    else:
        console.result(_text(found))
        if older is not None:
            console.result("\n" + _difference(older, found.to_dict()))
    if not drawn:
        console.note("no pictures: they need `pip install 'voiceid[plots]'`")
    console.note(f"the report is {output / 'report.html'}")
    _require_gates(found, max_eer, max_fnmr_at_fmr)
    return exit_codes.DONE


def _older(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
        if isinstance(found, dict) and found.get("format") == "voiceid-evaluation":
            _rates(found)
            return found
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise TrialsInvalid(
        f"{path} is no report of an evaluation", hint="Name a report.json that evaluate wrote."
    )


def _text(found: Evaluation) -> str:
    from voiceid.evaluation.page import eer_text, percent, rate_text  # noqa: PLC0415 - loaded by now

    errors = found.overall
    facts = {
        "recordings": str(len(found.protocol.recordings)),
        "failed": rate_text(found.acquisition.fta),
        "trials": f"{errors.genuine} genuine, {errors.impostor} impostor",
        "EER": eer_text(errors),
        **{f"minDCF {prior:g}": f"{cost:.4f}" for prior, cost in errors.min_dcf.items()},
        "FMR": f"{rate_text(errors.fmr)} at the thresholds in use",
        "FNMR": f"{rate_text(errors.fnmr)} at the thresholds in use",
    }
    for one in errors.at_fmr:
        told = f"cannot be told: {one.needed} impostor trials are needed"
        if one.fnmr is not None:
            told = f"{rate_text(one.fnmr)} at {one.threshold:.4f}"
        facts[f"FNMR at FMR {percent(one.fmr)}"] = told
    if (search := found.identification) is not None:
        facts["FPIR"] = f"{rate_text(search.fpir)} among {search.gallery_size}"
        facts["FNIR"] = f"{rate_text(search.fnir)}, {search.wrong_names} as somebody else"
    return fields(facts)


def _rates(report: dict[str, Any]) -> dict[str, float | None]:
    verification = report["verification"]
    shipped = verification["at_shipped_thresholds"]
    rates = {"EER": verification["eer"]}
    rates |= {side.upper(): shipped[side]["rate"] for side in ("fmr", "fnmr")}
    for one in verification["fnmr_at_fmr"]:
        rates[f"FNMR at FMR {one['fmr']:g}"] = None if one["fnmr"] is None else one["fnmr"]["rate"]
    return rates


def _difference(older: dict[str, Any], newer: dict[str, Any]) -> str:
    """Return the rates of two reports side by side, and whether they can be compared."""
    before, now = _rates(older), _rates(newer)
    rows = [
        [name, *(f"{100 * r:.3f} %" if r is not None else "-" for r in (before.get(name), rate))]
        for name, rate in now.items()
    ]
    lines = [table(["", "before", "now"], rows, right={"before", "now"})]
    for key, what in (("trials", "trials"), ("recordings", "recordings")):
        if older.get(key) != newer[key]:
            lines.append(f"not the same {what}: {older.get(key)} before, {newer[key]} now")
    spaces = [one["embedding_space"]["id"] for one in (older, newer)]
    if spaces[0] != spaces[1]:
        lines.append(f"embedding space {spaces[0]} before, {spaces[1]} now")
    return "\n".join(lines)


def _require_gates(
    found: Evaluation, max_eer: float | None, at_fmr: tuple[float, float] | None
) -> None:
    missed = []
    if max_eer is not None and not found.overall.eer <= max_eer:
        missed.append(f"the EER is {found.overall.eer:.5f}, and {max_eer:g} was asked for")
    if at_fmr is not None:
        fmr, most = at_fmr
        rates = {one.fmr: one.fnmr for one in found.overall.at_fmr}
        rate = rates.get(fmr)
        if rate is None:
            missed.append(f"the FNMR at an FMR of {fmr:g} cannot be told from these trials")
        elif not rate.rate <= most:
            missed.append(f"the FNMR at an FMR of {fmr:g} is {rate.rate:.5f}, above {most:g}")
    if missed:
        raise GateMissed("; ".join(missed), hint="The report was written; see what has changed.")
