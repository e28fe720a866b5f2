"""``voiceid speakers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voiceid.cli.asking import asks_first, confirm
from voiceid.cli.cmd_speakers_care import inspect_command, merge_command, split_command
from voiceid.cli.cmd_speakers_edit import (
    disable_command,
    edit_command,
    enable_command,
    purge_command,
    withdraw_command,
)
from voiceid.cli.cmd_speakers_exchange import export_command, import_command
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import COUNT, SPEAKER_NAME, branch, leaf, name_argument
from voiceid.cli.speakers_text import speaker_text, speakers_table
from voiceid.cli.text import counted

if TYPE_CHECKING:
    from voiceid.client import VoiceID


@branch("speakers", examples=["voiceid speakers list"])
def command() -> None:
    """List, show, change, compare, remove, export and import speakers."""


@leaf("list", examples=["voiceid speakers list --json"], group=command)
@click.option("--after", type=SPEAKER_NAME, help="Begin after this name.")
@click.option("--limit", type=COUNT, help="At most this many speakers.")
@click.option("--group", metavar="GROUP", help="Only the members of this group.")
def list_command(console: Console, after: str | None, limit: int | None, group: str | None) -> None:
    """List the enrolled speakers, by name: a table for each thousand.

    Columns that are empty or the same for all are left out.  In a sealed gallery only each thousand
    is sorted, and --limit follows the hashes of names.  With --json nothing is left out.
    """
    from voiceid.domain import speaker_key, tag  # noqa: PLC0415 - loads numpy

    group = None if group is None else tag("group", group)
    n_listed = 0
    with open_voiceid(console) as vid:
        for page in vid.speakers.pages(after):
            members = [who for who in page if group is None or group in who.groups]
            shown = members if limit is None else members[: limit - n_listed]
            if limit is None:  # with a limit the last name is the next start
                shown = sorted(shown, key=lambda who: speaker_key(who.name))
            if console.settings.as_json:
                for speaker in shown:
                    console.json(speaker.to_dict())
            elif shown:
                console.result(("\n" if n_listed else "") + speakers_table(shown))
            n_listed += len(shown)
            if n_listed == limit:
                break
        if not n_listed and not console.settings.as_json:
            _note_empty(console, vid, group)


def _note_empty(console: Console, vid: VoiceID, group: str | None) -> None:
    if not vid.speakers.count():
        where = f"in {vid.database.location}; `voiceid enroll NAME AUDIO...` enrols one"
        console.note(f"no speaker is enrolled {where}")
    elif group is not None:
        console.note(f"no speaker is in the group {group!r}")


@leaf("show", examples=["voiceid speakers show alice"], group=command)
@name_argument
def show_command(console: Console, name: str) -> None:
    """Show one speaker and the enrolled samples."""
    with open_voiceid(console) as vid:
        speaker = vid.speakers.get(name)
        samples = vid.samples.list(name)
    listed = [sample.to_dict() for sample in samples]
    console.answer({**speaker.to_dict(), "samples": listed}, speaker_text(speaker, samples))


@leaf("rename", examples=['voiceid speakers rename alice "Alice Liddell"'], group=command)
@name_argument
@click.argument("new_name", type=SPEAKER_NAME)
@click.option("--force", is_flag=True, help="Allow a name that looks like an enrolled one.")
def rename_command(console: Console, name: str, new_name: str, *, force: bool) -> None:
    """Give a speaker another name; the samples stay."""
    with open_voiceid(console) as vid:
        old = vid.speakers.get(name)
        speaker = vid.speakers.rename(name, new_name, force=force)
    console.answer(
        {"renamed": old.name, "speaker": speaker.to_dict()},
        f"renamed  {old.name} is now {speaker.name}",
    )


@leaf("remove", examples=["voiceid speakers remove alice --yes"], group=command)
@name_argument
@asks_first
def remove_command(console: Console, name: str) -> None:
    """Remove a speaker: the name, every sample and every vector, also from the index."""
    with open_voiceid(console) as vid:
        speaker = vid.speakers.get(name)
        samples = counted(speaker.n_samples, "sample")
        question = f"Remove {speaker.name} and {samples}? This cannot be undone."
        confirm(console, question)
        speaker = vid.speakers.remove(name)
    console.answer(
        {"removed": speaker.to_dict()},
        f"removed  {speaker.name} and {counted(speaker.n_samples, 'sample')}",
    )


for subcommand in (
    edit_command,
    disable_command,
    enable_command,
    withdraw_command,
    purge_command,
    inspect_command,
    merge_command,
    split_command,
    export_command,
    import_command,
):
    command.add_command(subcommand)
