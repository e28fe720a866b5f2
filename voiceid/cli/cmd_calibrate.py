"""``voiceid calibrate``."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voiceid.cli.calibration_text import countermeasure_text, fit_text
from voiceid.cli.console import Console
from voiceid.cli.labelled import Asked, fitting_options, input_options, protocol_of, recordings_of
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import RATE, leaf
from voiceid.cli.streams import is_terminal
from voiceid.decision.rule import percent

if TYPE_CHECKING:
    from voiceid.client import VoiceID
    from voiceid.resources.calibrations import CalibrationFit


@leaf(
    "calibrate",
    examples=[
        "voiceid calibrate people.csv",
        "voiceid calibrate people.csv --target-fmr 1/1000 --use",
        "voiceid calibrate attacks.csv --countermeasure detector --target-bpcer 5%",
    ],
    audio=True,
)
@input_options
@fitting_options
@click.option(
    "--use/--no-use",
    default=None,
    help="Use the calibration from now on, or only store it, without a question.",
)
@click.option(
    "--countermeasure",
    metavar="NAME",
    help="Fit the threshold of this countermeasure instead: INPUT is a list with attacks.",
)
@click.option(
    "--target-bpcer",
    type=RATE,
    help="How often bona fide speech may be taken for an attack (default: 1%).",
)
def command(  # noqa: PLR0913 - one parameter an option
    console: Console,
    *,
    asked: Asked,
    target_fmr: float | None,
    cache: Path | None,
    use: bool | None,
    countermeasure: str | None,
    target_bpcer: float | None,
) -> None:
    """Fit the thresholds to labelled recordings.

    INPUT is as for `voiceid evaluate`; from a list or folder, one to three recordings of each
    speaker are enrolled in turn and compared with all others.  The recordings should come from the
    microphones and lines that you will use.

    It shows the error rates of the new calibration beside those of the thresholds in use, on other
    speakers than those of the fit, and asks on a terminal whether to use it from now on.
    See docs/calibrating.md; for countermeasures docs/attacks.md.
    """
    if countermeasure is not None:
        if (use, cache, target_fmr, *asked[1:]) != (None,) * 5:
            raise click.UsageError("--countermeasure only takes INPUT and --target-bpcer.")
        _countermeasure(console, countermeasure, asked.input, target_bpcer or 0.01)
        return
    if target_bpcer is not None:
        raise click.UsageError("--target-bpcer needs --countermeasure.")
    with open_voiceid(console) as vid:
        from voiceid import evaluation  # noqa: PLC0415 - loads the engines

        fit = vid.calibrations.fit(
            protocol_of(console, asked, evaluation.enroll_in_turn),
            cache=cache,
            source=asked.source,
            target_fmr=target_fmr,
            tell=console.hearing,
        )
        if use:
            fit = _used(vid, fit)
        console.answer(fit.to_dict(), fit_text(fit))
        _note_rates(fit, console)
        if use is None and is_terminal(sys.stdin):
            question = f"Use calibration {fit.calibration.id} from now on?"
            if click.confirm(question, err=True):
                fit = _used(vid, fit)
                console.note(f"calibration {fit.calibration.id} is used from now on")
    if not fit.calibration.in_use:
        number = fit.calibration.id
        console.note(
            f"calibration {number} is stored but not used: `voiceid calibrations use {number}`"
        )


def _countermeasure(console: Console, name: str, path: Path, target_bpcer: float) -> None:
    with open_voiceid(console) as vid:
        fit = vid.models.fit_countermeasure(
            name,
            recordings_of(path, console),
            source=path.resolve().name,
            target_bpcer=target_bpcer,
            tell=console.hearing,
        )
        console.answer({"name": name, **fit.to_dict()}, countermeasure_text(name, fit))
        console.note(f"set `countermeasure: {name}`: then {name} examines what would be accepted")


def _used(vid: VoiceID, fit: CalibrationFit) -> CalibrationFit:
    used = vid.calibrations.use(fit.calibration.id)
    return fit if used is None else replace(fit, calibration=used)


def _note_rates(fit: CalibrationFit, console: Console) -> None:
    """Report when another source than the calibration gives the usual threshold."""
    for row in (row for row in fit.rates if row.decides):
        if row.target_fmr is None:
            console.note(f"the threshold set by hand in {row.source} decides in both cases")
        elif not fit.calibration.calibration.supports(row.target_fmr):
            console.note(
                f"these trials do not support the target FMR of {percent(row.target_fmr)},"
                f" so {row.source} decides; use a target of {percent(fit.least_fmr)} or above"
                " with --target-fmr"
            )
