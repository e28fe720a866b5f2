"""``voiceid models fit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voiceid.cli.console import Console
from voiceid.cli.labelled import recordings_of
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import FILE, FOLDER, leaf
from voiceid.cli.text import fields, table
from voiceid.decision.rule import percent

if TYPE_CHECKING:
    from voiceid.evaluation.corpus import ModelFit


@leaf(
    "fit",
    examples=[
        "voiceid models fit redimnet2-b6 people.csv",
        "voiceid models fit redimnet2-b6 people.csv --cache heard",
    ],
    audio=True,
)
@click.argument("name")
@click.argument("input", type=FILE)
@click.option(
    "--condition",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help="Use only this condition, e.g. 'clean' or '8 kHz'; may be repeated (default: all"
    " conditions of the shipped models).",
)
@click.option(
    "--cache",
    type=FOLDER,
    help="Folder of cached embeddings: a killed run continues from it (default: no cache is kept).",
)
@click.option(
    "--replace",
    is_flag=True,
    help="Replace a compensation with which speakers are enrolled: then only their kept audio can"
    " convert them.",
)
def command(
    console: Console,
    *,
    name: str,
    input: Path,  # noqa: A002 - as the help names it
    conditions: tuple[str, ...],
    cache: Path | None,
    replace: bool,
) -> None:
    """Make compensation, thresholds and LLRs for an added model.

    INPUT is a list (.csv or .jsonl) or a folder as for `voiceid evaluate`: wideband recordings of
    many speakers, several of each; a list may give the sex (F or M). Each recording is degraded by
    telephones, codecs, noise and rooms. The compensation is learned from half of the speakers, and
    the rest is fitted to the other half. It takes seconds per recording.

    Until the end, and after an error, the model is unchanged. See docs/models.md.
    """
    recordings = recordings_of(input, console)
    with open_voiceid(console) as vid:
        fit = vid.models.fit(
            name,
            recordings,
            source=input.resolve().name,
            conditions=conditions,
            cache=cache,
            replace=replace,
            tell=console.count,
        )
    console.answer({"name": name, **fit.to_dict()}, _text(name, fit))
    if fit.unsupported:
        needed = ", ".join(f"{percent(rate)} takes {n}" for rate, n in fit.unsupported.items())
        counts = ", ".join(f"{n} from {low:g} s on" for low, n in fit.strangers.items())
        console.note(
            "rates without enough trials for every amount of speech, by the rule of three: of"
            f" comparisons of strangers of one sex in a pair of conditions {needed}, but these"
            f" recordings give {counts}"
        )


def _text(name: str, fit: ModelFit) -> str:
    held_out = fit.held_out
    facts = {
        "conditions": ", ".join(fit.conditions),
        "recordings": str(fit.recordings),
        "compensation": f"learned from {fit.learned_speakers} speakers",
        "thresholds, LLRs": f"fitted to {fit.judging_speakers} others",
        "sex not known": f"of {fit.unknown_sex} speakers",
        "LLRs, held out": f"Cllr {held_out.cllr:.3f}, least {held_out.min_cllr:.3f}, of"
        f" {held_out.genuine} genuine and {held_out.impostor} impostor comparisons",
    }
    rows = [
        [
            percent(p.target_fmr),
            f"{p.min_net_speech_s:g}",
            f"{p.threshold:.3f}",
            f"{p.telephone_threshold:.3f}",
            percent(p.fmr),
            percent(worst),
            percent(p.fnmr),
            str(p.impostor_trials),
            str(p.genuine_trials),
        ]
        for p, worst in zip(fit.operating_points, fit.worst_fmr, strict=True)
    ]
    names = ["target FMR", "speech from (s)", "threshold", "telephone"]
    names += ["FMR", "one sex, worst", "FNMR", "impostor", "genuine"]
    return f"fitted  {name}\n{fields(facts)}\n\n{table(names, rows, right=set(names))}"
