"""``voiceid models switch``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from voiceid.cli.asking import asks_first, confirm
from voiceid.cli.comparison_text import comparison_text
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import SPEAKER_NAME, branch, leaf
from voiceid.cli.text import counted, fields
from voiceid.errors import NotEnoughSpeech

if TYPE_CHECKING:
    from voiceid.client import VoiceID
    from voiceid.domain import SwitchStatus

_SHOWN = 20


@branch("switch", examples=["voiceid models switch prepare ge2e && voiceid models switch commit"])
def command() -> None:
    """Switch the gallery to another model without enrolling every speaker again.

    `prepare` processes the recordings that `voiceid enroll --keep-audio` kept with the new model,
    and `commit` makes the switch.  `finish` removes the old samples; until then you can switch
    back.  See docs/switching.md.
    """


@leaf(
    "prepare",
    short_help="Process the kept recordings with another model.",
    examples=["voiceid models switch prepare ge2e"],
    group=command,
)
@click.argument("to", metavar="MODEL")
def prepare_command(console: Console, to: str) -> None:
    """Process the kept recordings with another model; decisions do not change.

    First it compares both models on kept recordings; at the end it lists the speakers who must
    enrol again.  Other commands can run meanwhile.  If it is stopped, run it again: it continues.
    """
    with open_voiceid(console) as vid:
        compared = _compare(vid, console, to)
        prepared = vid.models.switch.prepare(to, tell=console.hearing)
        _print(prepared, console, prepared.state, comparison=compared)
        _note_next_step(prepared, console)


@leaf("status", examples=["voiceid models switch status --json"], group=command)
def status_command(console: Console) -> None:
    """Show the progress of the newest switch, and the speakers who must enrol again."""
    with open_voiceid(console) as vid:
        status = vid.models.switch.status()
        if status is None:
            console.answer({"state": "none"}, "none  the model was never switched")
        else:
            _print(status, console, status.state)
            _note_next_step(status, console)


@leaf(
    "commit",
    short_help="Make the prepared switch.",
    examples=["voiceid models switch commit", "voiceid models switch commit --leave dora"],
    group=command,
)
@click.option(
    "--leave",
    multiple=True,
    type=SPEAKER_NAME,
    help="Switch although NAME must enrol again; may be repeated.",
)
@click.option("--leave-all", is_flag=True, help="Switch although speakers must enrol again.")
def commit_command(console: Console, *, leave: tuple[str, ...], leave_all: bool) -> None:
    """Make the prepared switch, for every process at once.

    It is refused (exit code 49) if speakers would be left behind without --leave or --leave-all.
    Speakers who are left behind are not accepted until they enrol again.
    """
    with open_voiceid(console) as vid:
        switched = vid.models.switch.commit(leave=leave, leave_all=leave_all, tell=console.hearing)
        _print(switched, console, switched.state)
        _note_next_step(switched, console)


@leaf("cancel", examples=["voiceid models switch cancel"], group=command)
def cancel_command(console: Console) -> None:
    """Cancel a switch before `commit`, and remove the prepared samples."""
    with open_voiceid(console) as vid:
        _print(vid.models.switch.cancel(), console, "given up")


@leaf("finish", examples=["voiceid models switch finish --yes"], group=command)
@asks_first
def finish_command(console: Console) -> None:
    """Remove the samples of the old model, after `commit`."""
    question = "Remove the samples of the old model? Then only kept audio allows a switch back."
    with open_voiceid(console) as vid:
        confirm(console, question)
        n_removed = vid.models.switch.finish()
    text = f"finished  {counted(n_removed, 'old sample')} removed"
    console.answer({"removed_samples": n_removed}, text)


def _compare(vid: VoiceID, console: Console, to: str) -> dict[str, Any] | None:
    """Show both models on the same recordings, unless an earlier run did."""
    status = vid.models.switch.status()
    if status is not None and status.state != "switched":
        return None
    try:
        compared = vid.models.switch.compare(to)
    except NotEnoughSpeech as error:
        console.note(f"the models cannot be compared on kept audio: {error.message}")
        return None
    if not console.settings.as_json:
        console.result(comparison_text(compared) + "\n")
        if compared.no_eer:
            console.note(f"no EER: {compared.no_eer}")
    return dataclasses.asdict(compared)


def _print(status: SwitchStatus, console: Console, state: str, **more: object) -> None:
    whole = status.speakers - len(status.partly) - len(status.behind)
    rows = {
        state: f"{status.change.from_space} to {status.change.to_space}",
        "speakers": f"{status.speakers}: {whole} with all samples, {len(status.partly)} with some,"
        f" {len(status.behind)} must enrol again",
        "recordings": f"{status.recordings}: {status.prepared} prepared, {status.waiting} waiting",
    }
    if status.partly:
        rows["with some"] = _names(status.partly)
    if status.behind:
        rows["must enrol again"] = _names(status.behind)
    console.answer({**status.to_dict(), "state": state, **more}, fields(rows))


def _note_next_step(status: SwitchStatus, console: Console) -> None:
    if status.state == "switched":
        is_set = console.config.model == status.to_model
        setting = "" if is_set else f"; set `model: {status.to_model}` in {console.config.file}"
        console.note(
            f"every process now uses {status.to_model}{setting}. Calibrations and adaptations of"
            f" {status.from_model} do not apply to it: run `voiceid calibrate`."
            " `voiceid models switch finish` removes the old samples"
        )
    elif status.behind:
        console.note(
            f"{status.from_model} is still used. Enrol these speakers again with --keep-audio,"
            " then run `voiceid models switch commit`; or leave them behind: --leave-all"
        )
    else:
        console.note(
            f"{status.from_model} is still used until `voiceid models switch commit`;"
            " `voiceid models switch cancel` cancels the switch"
        )


def _names(names: tuple[str, ...]) -> str:
    more = f", and {len(names) - _SHOWN} more: --json lists all" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
