"""The report of an evaluation as one self-contained page of HTML."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from voiceid.evaluation.bounds import Cost
from voiceid.evaluation.evaluate import Evaluation
from voiceid.evaluation.fitting import PRIORS
from voiceid.evaluation.llrs import Llrs
from voiceid.evaluation.report import AtThresholds, Errors
from voiceid.metrics import Rate

_TITLES = {
    "net_speech_s": "net speech (s)",
    "line": "line",
    "snr_db": "SNR (dB)",
    "condition": "condition",
}
_TERMS = {
    "EER": "equal error rate: at the threshold where FMR and FNMR are the same",
    "FMR": "false match rate: strangers who are accepted",
    "FNMR": "false non-match rate: right speakers who are refused",
    "minDCF": "least detection cost that a threshold could reach: 0 is perfect, 1 is useless",
    "actDCF": "detection cost of deciding by the LLRs as they are",
    "minCllr": "least Cllr that a calibration could reach",
    "Cllr": "cost of the LLRs in bits: 0 is perfect, 1 is useless",
    "FPIR": "false positive identification rate: strangers who are named",
    "FNIR": "false negative identification rate: enrolled speakers who are not named",
    "FTA": "failure to acquire: recordings that gave no embedding",
    "FTE": "failure to enrol: speakers or recordings to compare with of which nothing is left",
    "IAPAR": "attacks that are accepted as the speaker whom they imitate",
    "APCER": "attacks that the countermeasure takes for bona fide",
    "BPCER": "bona fide recordings that it takes for attacks",
    "DCF": "cost of both in tandem: 1 is a countermeasure of no use",
    "SNR": "signal-to-noise ratio",
}
_HONEST = (
    "In brackets are the bounds, at 95 %, and the counts. Bounds come from resampled speakers, or,"
    " if there was no error, from the rule of three, which assumes independent comparisons: those"
    " of one speaker are not, so the true rate may lie outside. Rates hold for recordings like"
    " these, and say nothing about attacks of species that are not named here."
)
_WORDS = 24
"""A cell with more characters is a sentence, which may be broken."""
NO_LLRS = (
    "none without a calibration: `voiceid calibrate` turns scores into log-likelihood ratios (LLRs)"
)


def page(result: Evaluation, pictures: Mapping[str, bytes], title: str) -> str:
    """Return the page.

    - `pictures`: PNGs by their titles.
    - `title`: the data that was evaluated; any text.
    """
    body = [
        _paragraph(lead(result.overall), "lead"),
        _paragraph(_facts(result)),
        *([] if result.warning is None else [_paragraph(_sentence(result.warning), "warning")]),
        *_figures(pictures),
        _paragraph(_HONEST, "note"),
        "<h2>Verification</h2>",
        _overall(result.overall),
        "<h2>FNMR at a false match rate</h2>",
        _at_fmr(result),
        "<h2>Calibration</h2>",
        *_calibration(result),
        *_identification(result),
        *_attacks(result),
        *_slices(result),
        "<h2>Recordings without an embedding</h2>",
        *_acquisition(result),
    ]
    template = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    return template.substitute(title=escape(title), body="\n".join(body))


def lead(errors: Errors) -> str:
    """Return a sentence on the errors at the thresholds in use."""
    at = errors.calibrated or errors.shipped
    if at.without_threshold == at.fmr.trials + at.fnmr.trials:
        return "No speaker would be accepted: there is no threshold for any of these comparisons."
    accepted = _in_words(at.fmr, "strangers", "accepted")
    refused = _in_words(at.fnmr, "right speakers", "refused")
    return f"At today's thresholds {accepted}, and {refused}."


def _in_words(rate: Rate, people: str, outcome: str) -> str:
    """Return a rate as people of a thousand, or of a larger number, so that it is at least one."""
    shown = rate.rate or rate.high
    of = next((n for n in (1000, 10_000, 100_000) if n * shown >= 1), 1_000_000)
    if rate.errors:
        return f"{round(of * shown)} of {of} {people} would be {outcome}"
    return (
        f"at most {math.ceil(of * shown)} of {of} {people} would be {outcome}"
        f" (none of {rate.trials} was)"
    )


def percent(rate: float) -> str:
    """Return a rate, 0 to 1, in percent: with enough digits to differ from zero."""
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


def covered_text(llrs: Llrs) -> str:
    """Return how many trials a calibration covers."""
    covered = llrs.genuine + llrs.impostor
    if not llrs.not_covered:
        return f"all {covered} comparisons"
    return f"{covered} comparisons; {llrs.not_covered} more are decided by the card"


def _facts(result: Evaluation) -> str:
    used = result.calibration
    calibration = "none" if used is None else f"{used.id}, fitted on {used.source}"
    return (
        f"{len(result.protocol.recordings)} recordings of {result.protocol.n_speakers} speakers:"
        f" {result.protocol.description}. That makes {result.overall.genuine} genuine comparisons"
        f" (of one speaker) and {result.overall.impostor} impostor comparisons (of two)."
        f" Embedding space {result.space.id}, {result.made_at:%Y-%m-%d %H:%M} UTC. Calibration in"
        f" use: {calibration}."
    )


def _overall(errors: Errors) -> str:
    rows = [
        ["EER", eer_text(errors)],
        *_decided("at the thresholds of the model's card", errors.shipped),
    ]
    if errors.calibrated is not None:
        rows += _decided("at the calibrated thresholds", errors.calibrated)
    rows += [[f"minDCF, prior {prior:g}", cost_text(c)] for prior, c in errors.min_dcf.items()]
    rows.append(["minCllr (bit)", f"{errors.min_cllr:.4f}"])
    return _table(["", "all comparisons"], rows)


def _decided(where: str, at: AtThresholds) -> list[list[str]]:
    rows = [
        [f"FMR {where}, for {percent(at.target_fmr)}", rate_text(at.fmr)],
        [f"FNMR {where}", rate_text(at.fnmr)],
    ]
    if at.without_threshold:
        rows.append([f"refused without a threshold, {where}", str(at.without_threshold)])
    return rows


def _calibration(result: Evaluation) -> Iterable[str]:
    llrs = result.overall.llrs
    if llrs is None or result.calibration is None:
        yield _paragraph(f"Cllr and actDCF: {NO_LLRS}.")
        return
    rows = [["it covers", covered_text(llrs)]]
    if llrs.cllr is not None and llrs.act_dcf is not None and llrs.min_dcf is not None:
        rows += [
            ["Cllr (bit)", cost_text(llrs.cllr)],
            ["minCllr (bit)", f"{llrs.min_cllr:.4f}"],
            *[[f"actDCF, prior {prior:g}", cost_text(c)] for prior, c in llrs.act_dcf.items()],
            *[[f"minDCF, prior {prior:g}", f"{c:.4f}"] for prior, c in llrs.min_dcf.items()],
            ["factor by which the LLRs would fit", f"{llrs.scale:.3g}"],
        ]
    yield _table(["", f"calibration {result.calibration.id}"], rows)
    yield _paragraph(
        f"It was fitted on {result.calibration.source}: if these are the same recordings, or the"
        " same people, the figures are too good. LLRs without information cost 1 bit.",
        "note",
    )


def _at_fmr(result: Evaluation) -> str:
    asked = result.judged.targets[1]
    rows = []
    for at in result.overall.at_fmr:
        fmr = percent(at.fmr) + (", as asked for" if at.fmr == asked else "")
        if at.threshold is None or at.fnmr is None:
            impostors = result.overall.impostor
            few = f"needs {at.needed} impostor comparisons, but there are {impostors}"
            rows.append([fmr, "none", few])
        else:
            rows.append([fmr, f"{at.threshold:.4f}", rate_text(at.fnmr)])
    note = (
        "These thresholds are chosen on these very comparisons: on others the FMR will be"
        " somewhat higher."
    )
    return _table(["FMR", "threshold", "FNMR"], rows) + _paragraph(note, "note")


def _identification(result: Evaluation) -> Iterable[str]:
    named = result.identification
    if named is None:
        return
    overall, target = named.overall, named.gallery.target
    yield f"<h2>Identification among {overall.gallery_size}</h2>"
    rows = [
        ["FPIR", rate_text(overall.fpir)],
        ["FNIR", rate_text(overall.fnir)],
        ["of these, named as another speaker", str(overall.wrong_names)],
        ["inconclusive: within the margin", str(overall.inconclusive)],
    ]
    if (with_index := named.fnir_with_index) is not None:
        missed = f"{percent(with_index[0])}, at most {percent(with_index[1])}"
        rows.insert(2, ["FNIR with the speakers that the index in use misses", missed])
    if overall.without_threshold:
        rows.append(["without a threshold: no speaker is named", str(overall.without_threshold)])
    aim = f"for a {target.name} of {percent(target.rate)}, margin {named.gallery.margin:g}"
    yield _table(["", f"at the thresholds in use, {aim}"], rows)
    ranks = zip(overall.rank_rates, overall.missed_by_rank, strict=True)
    yield _table(
        ["rank", "searches with the speaker at this rank or above"],
        [
            [str(rank), f"{percent(rate)} ({percent(1 - miss.high)} to {percent(1 - miss.low)})"]
            for rank, (rate, miss) in enumerate(ranks, start=1)
        ],
    )
    yield _table(
        ["one threshold for all", "FPIR", "FNIR"],
        [
            [f"{at.threshold:.2f}", rate_text(at.fpir), rate_text(at.fnir)]
            for at in named.by_threshold
        ],
    )


def _attacks(result: Evaluation) -> Iterable[str]:
    attacks = result.attacks
    if attacks is None:
        return
    yield "<h2>Attacks</h2>"
    header = ["species", "attacks", "IAPAR, voice alone", "APCER", "accepted by both", "t-DCF"]
    rows = []
    for rates in (*attacks.species, attacks.overall):
        row = [rates.name, str(rates.attacks), rate_text(rates.iapar)]
        row += ["-" if rate is None else rate_text(rate) for rate in (rates.apcer, rates.accepted)]
        rows.append([*row, "-" if rates.tandem is None else cost_text(rates.tandem.cost)])
    yield _table(header, rows)
    if attacks.bpcer is None:
        yield _paragraph("APCER, BPCER and t-DCF: none without a countermeasure.")
        return
    rows = [["BPCER", rate_text(attacks.bpcer)]]
    if attacks.overall.tandem is not None:
        rows.append(["least t-DCF of any threshold", f"{attacks.overall.tandem.least:.4f}"])
    yield _table(["", f"countermeasure {attacks.countermeasure}"], rows)


def _slices(result: Evaluation) -> Iterable[str]:
    for attribute in dict.fromkeys(attribute for attribute, _, _ in result.slices):
        title = _TITLES.get(attribute, attribute)
        yield f"<h2>By {escape(title)}</h2>"
        slices = [(label, errors) for name, label, errors in result.slices if name == attribute]
        yield _slice_table(title, slices)
        if result.calibration is not None:
            yield _llr_table(title, slices)
        yield from _searches_by(result, attribute, title)


def _slice_table(title: str, slices: Sequence[tuple[str, Errors]]) -> str:
    header = [title, "comparisons", "EER", "minCllr", "FMR by the card", "FNMR by the card"]
    rows = []
    for label, of in slices:
        row = [label, f"{of.genuine} + {of.impostor}", eer_text(of), f"{of.min_cllr:.4f}"]
        rows.append([*row, rate_text(of.shipped.fmr), rate_text(of.shipped.fnmr)])
    return _table(header, rows)


def _llr_table(title: str, slices: Sequence[tuple[str, Errors]]) -> str:
    header = [title, "calibrated FMR", "FNMR", "not covered", "Cllr", "minCllr"]
    header += [f"actDCF {prior:g}" for prior in PRIORS]
    rows = []
    for label, errors in slices:
        at, llrs = errors.calibrated, errors.llrs
        if at is None or llrs is None:
            continue
        row = [label, rate_text(at.fmr), rate_text(at.fnmr), str(llrs.not_covered)]
        costs = ["-"] * (2 + len(PRIORS))
        if llrs.cllr is not None and llrs.act_dcf is not None:
            costs = [cost_text(llrs.cllr), f"{llrs.min_cllr:.4f}"]
            costs += [cost_text(cost) for cost in llrs.act_dcf.values()]
        rows.append(row + costs)
    return _table(header, rows)


def _searches_by(result: Evaluation, attribute: str, title: str) -> Iterable[str]:
    if result.identification is None:
        return
    rows = [
        [label, rate_text(named.fpir), rate_text(named.fnir), *map(percent, named.rank_rates[:1])]
        for name, label, named in result.identification.slices
        if name == attribute
    ]
    yield _table([title, "FPIR", "FNIR", "rank 1"], [(*row, "-")[:4] for row in rows])


def _acquisition(result: Evaluation) -> Iterable[str]:
    missing = result.acquisition
    rows = [["FTA", rate_text(missing.fta)], ["FTE", rate_text(missing.fte)]]
    yield _table(["", "rate"], rows)
    if failures := [[failed.recording.name, failed.message] for failed in missing.failures]:
        yield _table(["recording", "why"], failures, kind="text")


def _figures(pictures: Mapping[str, bytes]) -> Iterable[str]:
    for title, png in pictures.items():
        data, alt = base64.b64encode(png).decode("ascii"), escape(title)
        image = f"<img alt='{alt}' src='data:image/png;base64,{data}'>"
        yield f"<figure><figcaption>{alt}</figcaption>{image}</figure>"


def _marked(text: str) -> str:
    """Return text as HTML; text between backticks is code, and a % stays at its number."""
    return re.sub("`([^`]*)`", r"<code>\1</code>", escape(text).replace(" %", "\u00a0%"))


def _paragraph(text: str, kind: str = "") -> str:
    return f"<p class='{kind}'>{_marked(text)}</p>" if kind else f"<p>{_marked(text)}</p>"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "wide") -> str:
    """Return a table; terms of the field are explained where they first appear in it."""
    explained: set[str] = set()

    def label(text: str) -> str:
        term = next((t for t in _TERMS if t in re.findall(r"\w+", text)), None)
        if term is None or term in explained or kind == "text":
            return _marked(text)
        explained.add(term)
        return f"{_marked(text)}<small>{_TERMS[term]}</small>"

    def cell(text: str) -> str:
        if kind == "text":
            return f"<td>{_marked(text)}</td>"
        value, bracket, bounds = text.partition(" (")
        small = f"<small>{escape(bracket[1:] + bounds)}</small>" if bounds else ""
        words = " class='words'" if len(value) > _WORDS else ""
        return f"<td{words}>{escape(value)}{small}</td>"

    head = "".join(f"<th>{label(text)}</th>" for text in header)
    body = [f"<tr><td>{label(row[0])}</td>" + "".join(map(cell, row[1:])) for row in rows]
    return f"<div class='{kind}'><table><tr>{head}</tr>{'</tr>'.join([*body, ''])}</table></div>"
