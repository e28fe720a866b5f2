"""The report of an evaluation as one page of HTML that needs nothing else."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from voiceid.evaluation.evaluate import Evaluation
from voiceid.evaluation.report import Errors
from voiceid.metrics import Rate

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color: #1a1a1a; background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: 0.6rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.9rem 0.25rem 0; text-align: right; border-bottom: 1px solid #ddd; }
th { font-weight: 600; } th:first-child, td:first-child { text-align: left; }
figure { margin: 1rem 0; } img { max-width: 100%; } p.note { color: #555; }
"""

_TITLES = {
    "net_speech_s": "net speech (s)",
    "band": "band",
    "snr_db": "SNR (dB)",
    "condition": "condition",
}
_HONEST = (
    "Bounds are of 95 %. They come from drawing the speakers again, or, where no trial was an"
    " error, from the rule of three, which takes trials for independent: those of one speaker"
    " are not, so the truth may lie outside. Rates hold for recordings like these, and say"
    " nothing about replayed or synthetic voices."
)


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
        _paragraph(_HONEST, note=True),
        "<h2>Verification</h2>",
        _overall(found.overall),
        "<h2>FNMR at a false match rate</h2>",
        _at_fmr(found.overall),
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


def _facts(found: Evaluation) -> str:
    return (
        f"{len(found.protocol.recordings)} recordings of {found.protocol.n_speakers} speakers,"
        f" {found.overall.genuine} genuine and {found.overall.impostor} impostor trials,"
        f" in {found.space.id}, {found.made_at:%Y-%m-%d %H:%M} UTC."
    )


def _overall(errors: Errors) -> str:
    rows = [
        ["EER", eer_text(errors)],
        *[[f"minDCF, prior {prior:g}", f"{cost:.4f}"] for prior, cost in errors.min_dcf.items()],
        ["FMR at the thresholds of the product", rate_text(errors.fmr)],
        ["FNMR at the thresholds of the product", rate_text(errors.fnmr)],
    ]
    if errors.without_threshold:
        rows.append(["trials without a threshold: refused", str(errors.without_threshold)])
    return _table(["", "all trials"], rows)


def _at_fmr(errors: Errors) -> str:
    rows = []
    for one in errors.at_fmr:
        if one.threshold is None or one.fnmr is None:
            rows.append([percent(one.fmr), "-", f"{one.needed} impostor trials are needed"])
        else:
            rows.append([percent(one.fmr), f"{one.threshold:.4f}", rate_text(one.fnmr)])
    note = "Thresholds are chosen on these very trials: on others the FMR will be somewhat higher."
    return _table(["FMR", "threshold", "FNMR"], rows) + _paragraph(note, note=True)


def _identification(found: Evaluation) -> Iterable[str]:
    one = found.identification
    if one is None:
        return
    yield f"<h2>Identification among {one.gallery_size}</h2>"
    ranks = ", ".join(percent(rate) for rate in one.rank_rates)
    yield _table(
        ["", "at the thresholds and the margin of the product"],
        [
            ["FPIR: strangers who were named", rate_text(one.fpir)],
            ["FNIR: enrolled who were not named", rate_text(one.fnir)],
            ["of these, named as somebody else", str(one.wrong_names)],
            ["inconclusive: within the margin", str(one.inconclusive)],
            [f"among the first 1 to {len(one.rank_rates)}", ranks],
        ],
    )


def _slices(found: Evaluation) -> Iterable[str]:
    for attribute in dict.fromkeys(attribute for attribute, _, _ in found.slices):
        rows = [
            [
                label,
                f"{errors.genuine} + {errors.impostor}",
                percent(errors.eer),
                rate_text(errors.fmr),
                rate_text(errors.fnmr),
            ]
            for name, label, errors in found.slices
            if name == attribute
        ]
        title = _TITLES.get(attribute, attribute)
        yield f"<h2>By {escape(title)}</h2>"
        yield _table([title, "trials", "EER", "FMR", "FNMR"], rows)


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


def _paragraph(text: str, *, note: bool = False) -> str:
    return f"<p class='note'>{escape(text)}</p>" if note else f"<p>{escape(text)}</p>"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    head = line(header, "th") if any(header) else ""
    return f"<table>{head}{''.join(line(row, 'td') for row in rows)}</table>"
