"""``voiceid evaluate``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voiceid.cli.console import Console
from voiceid.cli.labelled import Asked, input_options, protocol_of
from voiceid.cli.older_report import difference, older_report
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import FOLDER, RATE_LIMIT, READABLE_FILE, Real, leaf
from voiceid.cli.text import fields
from voiceid.errors import GateMissed

if TYPE_CHECKING:
    from voiceid.evaluation import Evaluation
    from voiceid.evaluation.report import AtThresholds


@leaf("evaluate", examples=["voiceid evaluate people.csv --output report"], audio=True)
@input_options
@click.option(
    "--output",
    "-o",
    type=FOLDER,
    required=True,
    help="Folder for the report; an older report in it is replaced.",
)
@click.option(
    "--cache",
    type=FOLDER,
    help="Folder of cached embeddings (default: embeddings in the report's folder).",
)
@click.option("--against", type=READABLE_FILE, help="Compare with an older report.json.")
@click.option("--max-eer", type=RATE_LIMIT, help="Exit with 59 above this EER.")
@click.option(
    "--max-fnmr-at-fmr",
    type=RATE_LIMIT,
    nargs=2,
    metavar="FMR FNMR",
    help="Exit with 59 if FNMR at this FMR (1%, 0.1% or 0.01%) is higher or cannot be measured.",
)
@click.option(
    "--max-apcer",
    type=RATE_LIMIT,
    help="Exit with 59 if the countermeasure misses more attacks of any species.",
)
@click.option(
    "--max-bpcer",
    type=RATE_LIMIT,
    help="Exit with 59 if it takes more bona fide recordings for attacks.",
)
@click.option(
    "--max-iapar",
    type=RATE_LIMIT,
    help="Exit with 59 if more attacks of any species are accepted, by the countermeasure too.",
)
@click.option(
    "--max-t-dcf",
    type=Real(0.0),
    metavar="COST",
    help="Exit with 59 above this normalized tandem cost, or if it cannot be measured.",
)
def command(  # noqa: PLR0913 - one parameter an option
    console: Console,
    *,
    asked: Asked,
    output: Path,
    cache: Path | None,
    against: Path | None,
    max_eer: float | None,
    max_fnmr_at_fmr: tuple[float, float] | None,
    **most_of_attacks: float | None,
) -> None:
    """Measure the error rates on labelled recordings.

    INPUT is a folder with a folder for each speaker, or a list, CSV or JSON Lines, of name,
    path and, if known, session, condition and attack (docs/attacks.md): all pairs are compared
    except those of one speaker within one session.  Or it is a list of trials (`1 a.wav b.wav`).
    See docs/evaluating.md.
    """
    older = None if against is None else older_report(against)
    with open_voiceid(console) as vid:
        from voiceid.evaluation import page  # noqa: PLC0415
        from voiceid.evaluation.report_folder import write_report  # noqa: PLC0415 - loaded by now

        protocol = protocol_of(console, asked)
        result = vid.calibrations.evaluate(
            protocol, cache=cache or output / "embeddings", tell=console.hearing
        )
        drawn = write_report(result, output, asked.source)
    text = f"{page.lead(result.overall)}\n\n{_text(result)}"
    if older is not None:
        text += f"\n\n{difference(older, result.to_dict())}"
    console.answer(result.to_dict(), text)
    _warn(console, result, asked.source)
    if not drawn:
        console.note("no pictures: they need `pip install 'voiceid[plots]'`")
    console.note(f"the report is {output / 'report.html'}")
    missed = [*_missed(result, max_eer, max_fnmr_at_fmr)]
    missed += _missed_by_attacks(result, most_of_attacks)
    if missed:
        raise GateMissed("; ".join(missed), hint="The report was written; see what changed.")


def _warn(console: Console, result: Evaluation, name: str) -> None:
    if result.warning is not None:
        console.warn(result.warning)
    for failure in result.acquisition.failures:
        console.warn(f"{failure.recording.name} left out: {failure.message}")
    if result.calibration is not None and result.calibration.source == name:
        console.warn(
            f"calibration {result.calibration.id} was fitted on {name}: if it is this list, Cllr,"
            " actDCF and the calibrated rates flatter; evaluate recordings of other people"
        )


def _text(result: Evaluation) -> str:
    from voiceid.evaluation import page  # noqa: PLC0415 - loaded by now

    errors = result.overall
    facts = {
        "recordings": str(len(result.protocol.recordings)),
        "failed": page.rate_text(result.acquisition.fta),
        "trials": f"{errors.genuine} genuine, {errors.impostor} impostor",
        "EER": page.eer_text(errors),
        **{f"minDCF {prior:g}": page.cost_text(cost) for prior, cost in errors.min_dcf.items()},
        "minCllr": f"{errors.min_cllr:.4f} bit",
        **_decided("FMR", "FNMR", "the card's thresholds", errors.shipped),
    }
    for at in errors.at_fmr:
        measured = f"cannot be measured: {at.needed} impostor trials are needed"
        if at.fnmr is not None:
            measured = f"{page.rate_text(at.fnmr)} at {at.threshold:.4f}"
        facts[f"FNMR at FMR {page.percent(at.fmr)}"] = measured
    facts |= _calibrated(result)
    if result.identification is not None:
        search = result.identification.overall
        facts["FPIR"] = f"{page.rate_text(search.fpir)} among {search.gallery_size}"
        facts["FNIR"] = f"{page.rate_text(search.fnir)}, {search.wrong_names} as another speaker"
    return fields(facts | _attacked(result))


def _attacked(result: Evaluation) -> dict[str, str]:
    """Return the error rates for attacks, species by species."""
    from voiceid.evaluation import page  # noqa: PLC0415 - loaded by now

    if (attacks := result.attacks) is None:
        return {}
    facts = {}
    for rates in (*attacks.species, attacks.overall):
        facts[f"IAPAR {rates.name}"] = f"{page.rate_text(rates.iapar)} accepted by the voice alone"
        if rates.apcer is not None and rates.accepted is not None:
            facts[f"APCER {rates.name}"] = page.rate_text(rates.apcer)
            facts[f"accepted {rates.name}"] = f"{page.rate_text(rates.accepted)} by both"
    if attacks.bpcer is not None:
        facts["BPCER"] = f"{page.rate_text(attacks.bpcer)} of {attacks.countermeasure}"
    if (tandem := attacks.overall.tandem) is not None:
        facts["t-DCF"] = f"{page.cost_text(tandem.cost)}, least {tandem.least:.4f}"
    return facts


def _decided(fmr: str, fnmr: str, thresholds: str, at: AtThresholds) -> dict[str, str]:
    from voiceid.evaluation.page import percent, rate_text  # noqa: PLC0415 - loaded by now

    if at.without_threshold == at.fmr.trials + at.fnmr.trials:
        return {fmr: f"{thresholds} do not hold for any of these trials"}
    return {
        fmr: f"{rate_text(at.fmr)} at {thresholds}, target {percent(at.target_fmr)}",
        fnmr: f"{rate_text(at.fnmr)} at {thresholds}",
    }


def _calibrated(result: Evaluation) -> dict[str, str]:
    """Return the quality of the calibration in use on these trials."""
    from voiceid.evaluation import page  # noqa: PLC0415 - loaded by now

    llrs, at = result.overall.llrs, result.overall.calibrated
    if result.calibration is None or llrs is None or at is None:
        return {"Cllr, actDCF": page.NO_LLRS}
    facts = {
        "calibration": f"{result.calibration.id}, fitted on {result.calibration.source}",
        "covers": page.covered_text(llrs),
        **_decided("calibrated FMR", "calibrated FNMR", "the thresholds in use", at),
    }
    if llrs.cllr is not None and llrs.act_dcf is not None and llrs.min_dcf is not None:
        facts["Cllr"] = f"{page.cost_text(llrs.cllr)} bit, least {llrs.min_cllr:.4f}"
        for prior, cost in llrs.act_dcf.items():
            facts[f"actDCF {prior:g}"] = f"{page.cost_text(cost)}, least {llrs.min_dcf[prior]:.4f}"
    return facts


def _missed(
    result: Evaluation, max_eer: float | None, at_fmr: tuple[float, float] | None
) -> Iterator[str]:
    if max_eer is not None and not result.overall.eer <= max_eer:
        yield f"the EER is {result.overall.eer:.5f}, above {max_eer:g}"
    if at_fmr is not None:
        fmr, most = at_fmr
        rates = {point.fmr: point.fnmr for point in result.overall.at_fmr}
        rate = rates.get(fmr)
        if rate is None:
            yield f"the FNMR at an FMR of {fmr:g} cannot be measured from these trials"
        elif not rate.rate <= most:
            yield f"the FNMR at an FMR of {fmr:g} is {rate.rate:.5f}, above {most:g}"


def _missed_by_attacks(result: Evaluation, most: Mapping[str, float | None]) -> Iterator[str]:
    measured = {} if result.attacks is None else result.attacks.gates
    for name, limit in most.items():
        if limit is None:
            continue
        value = measured.get(name)
        rate = name.removeprefix("max_").replace("_", "-")
        if value is None:
            yield f"the {rate} cannot be measured from these recordings, with this countermeasure"
        elif not value <= limit:
            yield f"the {rate} is {value:.5f}, above {limit:g}"
