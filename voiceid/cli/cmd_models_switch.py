"""``voiceid migrate``."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from voiceid.cli import exit_codes
from voiceid.cli.asking import confirmed, require_answer
from voiceid.cli.comparison_text import comparison_text
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import SpeakerName, common_options
from voiceid.cli.text import counted, fields
from voiceid.cli.tree import Command
from voiceid.errors import NotEnoughSpeech

if TYPE_CHECKING:
    from voiceid.client import VoiceID
    from voiceid.domain import Migration

_SHOWN = 20


@click.command(
    "migrate",
    cls=Command,
    short_help="Change the model without enrolling everybody again.",
    example="voiceid migrate --to ge2e && voiceid migrate --switch",
)
@click.option("--to", metavar="MODEL", help="Have MODEL hear all kept audio; switch nothing yet.")
@click.option("--switch", is_flag=True, help="Let it take the place of the model in use.")
@click.option(
    "--leave",
    multiple=True,
    type=SpeakerName(),
    metavar="NAME",
    help="Switch though NAME must enrol again; may be given often.",
)
@click.option("--leave-all", is_flag=True, help="Switch whoever must enrol again.")
@click.option("--status", is_flag=True, help="Show how far it is, and who must enrol again.")
@click.option("--cancel", is_flag=True, help="Give it up, and remove what was prepared.")
@click.option("--finish", is_flag=True, help="After the switch: remove the old samples.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before --finish.")
@common_options
@click.pass_obj
def command(  # noqa: PLR0913 - one parameter an option
    console: Console,
    *,
    to: str | None,
    switch: bool,
    leave: tuple[str, ...],
    leave_all: bool,
    status: bool,
    cancel: bool,
    finish: bool,
    yes: bool,
) -> int:
    """Change the model without enrolling everybody again.

    --to MODEL compares both models on the recordings that `voiceid enroll --keep-audio` kept,
    then has MODEL hear all of them beside the model in use, and lists who must enrol again. It
    works in the background of normal use, and goes on where it was when it is started again.
    --switch makes the change for every process at once, and refuses (exit code 49) while
    anybody would be left behind whom --leave or --leave-all does not allow. --to with the old
    model goes back, until --finish. See docs/migrating.md.
    """
    if sum([to is not None or switch, status, cancel, finish]) != 1:
        raise click.UsageError("Say one of --to MODEL, --switch, --status, --cancel, --finish.")
    if (leave or leave_all) and not switch:
        raise click.UsageError("--leave and --leave-all go with --switch.")
    require_answer(yes=yes or not finish)
    with open_voiceid(console) as vid:
        if finish:
            return _finish(vid, console, yes=yes)
        if cancel:
            _tell(vid.models.switch.cancel(), console, "given up")
            return exit_codes.DONE
        compared = _compare(vid, console, to) if to is not None else None
        found = vid.models.switch.status() if status else None
        if to is not None:
            found = vid.models.switch.prepare(to, tell=_hearing(console))
        if switch:
            found = vid.models.switch.commit(
                leave=leave, leave_all=leave_all, tell=_hearing(console)
            )
        if console.settings.as_json:
            facts = {"state": "none"} if found is None else found.to_dict()
            console.json(facts if to is None else {**facts, "comparison": compared})
        elif found is None:
            console.result("none  the model was never changed")
        else:
            _tell(found, console, found.state)
            _say_what_is_next(found, console, console.config.model)
    return exit_codes.DONE


def _hearing(console: Console) -> Callable[[int, int], None]:
    return lambda done, total: console.count("hearing", done, total)


def _compare(vid: VoiceID, console: Console, to: str) -> dict[str, Any] | None:
    """Show both models on the same recordings, before anything is done; not when it goes on."""
    found = vid.models.switch.status()
    if found is not None and found.state != "switched":
        return None
    try:
        compared = vid.models.switch.compare(to)
    except NotEnoughSpeech as error:
        console.note(f"the models cannot be compared: of kept audio, {error.message}")
        return None
    if not console.settings.as_json:
        console.result(comparison_text(compared) + "\n")
        if compared.no_eer:
            console.note(f"no EER: {compared.no_eer}")
    return dataclasses.asdict(compared)


def _finish(vid: VoiceID, console: Console, *, yes: bool) -> int:
    question = "Remove the samples of the old model? Then only kept audio leads back."
    if not confirmed(console, question, yes=yes):
        return exit_codes.INTERRUPTED
    n_removed = vid.models.switch.finish()
    if console.settings.as_json:
        console.json({"removed_samples": n_removed})
    else:
        console.result(f"finished  {counted(n_removed, 'old sample')} removed")
    return exit_codes.DONE


def _tell(found: Migration, console: Console, state: str) -> None:
    if console.settings.as_json:
        console.json({**found.to_dict(), "state": state})
        return
    whole = found.speakers - len(found.partly) - len(found.behind)
    rows = {
        state: f"{found.change.from_space} to {found.change.to_space}",
        "speakers": f"{found.speakers}: {whole} with all samples, {len(found.partly)} with some,"
        f" {len(found.behind)} must enrol again",
        "recordings": f"{found.recordings}: {found.prepared} prepared, {found.waiting} waiting",
    }
    if found.partly:
        rows["with some"] = _names(found.partly)
    if found.behind:
        rows["must enrol again"] = _names(found.behind)
    console.result(fields(rows))


def _say_what_is_next(found: Migration, console: Console, configured: str) -> None:
    if found.state == "switched":
        told = "" if configured == found.to_model else f"; set `model: {found.to_model}`"
        console.note(
            f"every process uses {found.to_model} now{told}. Calibrations and adaptations of"
            f" {found.from_model} do not hold for it: `voiceid calibrate`."
            " `voiceid migrate --finish` removes the old samples"
        )
    elif found.behind:
        console.note(
            f"{found.from_model} is used as before. Let who must enrol again do so with"
            " --keep-audio, then `voiceid migrate --switch`; or leave them: --leave-all"
        )
    else:
        console.note(
            f"{found.from_model} is used as before, until `voiceid migrate --switch`;"
            " `voiceid migrate --cancel` gives it up"
        )


def _names(names: tuple[str, ...]) -> str:
    more = f", and {len(names) - _SHOWN} more: --json lists all" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
