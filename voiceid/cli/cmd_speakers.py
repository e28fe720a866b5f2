"""``voiceid speakers``."""

from __future__ import annotations

import click

from voiceid.cli import exit_codes
from voiceid.cli.asking import confirmed, require_answer
from voiceid.cli.cmd_speakers_care import inspect_command, merge_command, split_command
from voiceid.cli.cmd_speakers_edit import (
    disable_command,
    edit_command,
    enable_command,
    purge_command,
)
from voiceid.cli.cmd_speakers_exchange import export_command, import_command
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import SpeakerName, branch, leaf, name_argument, yes_option
from voiceid.cli.speakers_text import speaker_text, speakers_table
from voiceid.cli.text import counted


@branch("speakers", examples=["voiceid speakers list"])
def command() -> None:
    """List, show, change, compare, remove, export and import speakers."""


@leaf("list", examples=["voiceid speakers list --json"], group=command)
@click.option("--after", metavar="NAME", type=SpeakerName(), help="Begin after this name.")
@click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most so many speakers.")
def list_command(console: Console, after: str | None, limit: int | None) -> int:
    """List everybody who is enrolled, by name: a table for each thousand.

    With --json: one object a line for each speaker.
    """
    left = limit
    with open_voiceid(console) as vid:
        for number, page in enumerate(vid.speakers.pages(after)):
            shown = page[:left]
            if console.settings.as_json:
                for speaker in shown:
                    console.json(speaker.to_dict())
            else:
                console.result(("\n" if number else "") + speakers_table(shown))
            left = None if left is None else left - len(shown)
            if left == 0:
                return exit_codes.DONE
        if not console.settings.as_json and not vid.speakers.count():
            console.note("nobody is enrolled; `voiceid enroll NAME AUDIO...` enrols somebody")
    return exit_codes.DONE


@leaf("show", examples=["voiceid speakers show alice"], group=command)
@name_argument
def show_command(console: Console, name: str) -> int:
    """Show one speaker and the samples that were enrolled."""
    with open_voiceid(console) as vid:
        speaker = vid.speakers.get(name)
        samples = vid.samples.list(name)
    if console.settings.as_json:
        listed = [sample.to_dict() for sample in samples]
        console.json({**speaker.to_dict(), "samples": listed})
    else:
        console.result(speaker_text(speaker, samples))
    return exit_codes.DONE


@leaf("rename", examples=['voiceid speakers rename alice "Alice Liddell"'], group=command)
@name_argument
@click.argument("new_name", metavar="NEW_NAME", type=SpeakerName())
def rename_command(console: Console, name: str, new_name: str) -> int:
    """Give a speaker another name; the samples stay."""
    with open_voiceid(console) as vid:
        old = vid.speakers.get(name)
        speaker = vid.speakers.rename(name, new_name)
    return console.answer(
        {"renamed": old.name, "speaker": speaker.to_dict()},
        f"renamed  {old.name} is {speaker.name} now",
    )


@leaf("remove", examples=["voiceid speakers remove alice --yes"], group=command)
@name_argument
@yes_option
def remove_command(console: Console, name: str, *, yes: bool) -> int:
    """Remove a speaker: the name, every sample and every vector, from the index too.

    Asks first on a terminal; elsewhere --yes is needed.
    """
    require_answer(yes=yes)
    with open_voiceid(console) as vid:
        speaker = vid.speakers.get(name)
        samples = counted(speaker.n_samples, "sample")
        question = f"Remove {speaker.name} and {samples}? This cannot be undone."
        if not confirmed(console, question, yes=yes):
            return exit_codes.INTERRUPTED
        speaker = vid.speakers.remove(name)
    return console.answer(
        {"removed": speaker.to_dict()},
        f"removed  {speaker.name} and {counted(speaker.n_samples, 'sample')}",
    )


for other in (
    edit_command,
    disable_command,
    enable_command,
    purge_command,
    inspect_command,
    merge_command,
    split_command,
    export_command,
    import_command,
):
    command.add_command(other)
