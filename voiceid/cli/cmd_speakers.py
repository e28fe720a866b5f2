"""``voiceid speakers``."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.options import SpeakerName, common_options, name_argument
from voiceid.cli.session import open_voiceid
from voiceid.cli.streams import is_terminal
from voiceid.cli.text import counted, fields, printable, seconds, table
from voiceid.cli.tree import Command, Group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voiceid.domain import Sample, Speaker


@click.group(
    "speakers",
    cls=Group,
    short_help="List, show, rename and remove speakers.",
    example="voiceid speakers list",
)
@common_options
def command() -> None:
    """List, show, rename and remove speakers."""


@command.command("list", cls=Command, example="voiceid speakers list --json")
@common_options
@click.pass_obj
def list_command(console: Console) -> int:
    """List everybody who is enrolled.

    With --json: one object a line for each speaker.
    """
    with open_voiceid(console) as vid:
        speakers = vid.speakers()
    if console.settings.as_json:
        for speaker in speakers:
            console.json(speaker.to_dict())
    elif not speakers:
        console.note("nobody is enrolled; `voiceid enroll NAME AUDIO...` enrols somebody")
    else:
        console.result(_speakers_table(speakers))
    return exit_codes.DONE


@command.command("show", cls=Command, example="voiceid speakers show alice")
@name_argument
@common_options
@click.pass_obj
def show_command(console: Console, name: str) -> int:
    """Show one speaker and the samples that were enrolled."""
    with open_voiceid(console) as vid:
        speaker = vid.speaker(name)
        samples = vid.samples(name)
    if console.settings.as_json:
        listed = [sample.to_dict() for sample in samples]
        console.json({**speaker.to_dict(), "samples": listed})
    else:
        console.result(_speaker_text(speaker, samples))
    return exit_codes.DONE


@command.command("rename", cls=Command, example='voiceid speakers rename alice "Alice Liddell"')
@name_argument
@click.argument("new_name", metavar="NEW_NAME", type=SpeakerName())
@common_options
@click.pass_obj
def rename_command(console: Console, name: str, new_name: str) -> int:
    """Give a speaker another name; the samples stay."""
    with open_voiceid(console) as vid:
        old = vid.speaker(name)
        speaker = vid.rename(name, new_name)
    if console.settings.as_json:
        console.json({"renamed": old.name, "speaker": speaker.to_dict()})
    else:
        console.result(f"renamed  {old.name} is {speaker.name} now")
    return exit_codes.DONE


@command.command("remove", cls=Command, example="voiceid speakers remove alice --yes")
@name_argument
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common_options
@click.pass_obj
def remove_command(console: Console, name: str, *, yes: bool) -> int:
    """Remove a speaker: the name, every sample and every vector, from the index too.

    Asks first on a terminal; elsewhere --yes is needed.
    """
    if not yes and not is_terminal(sys.stdin):
        raise click.UsageError("There is no terminal to ask on; --yes removes without asking.")
    with open_voiceid(console) as vid:
        if not yes and not _confirmed(vid.speaker(name)):
            console.complain("nothing was removed")
            return exit_codes.INTERRUPTED
        speaker = vid.remove(name)
    if console.settings.as_json:
        console.json({"removed": speaker.to_dict()})
    else:
        console.result(f"removed  {speaker.name} and {counted(speaker.n_samples, 'sample')}")
    return exit_codes.DONE


def _confirmed(speaker: Speaker) -> bool:
    samples = counted(speaker.n_samples, "sample")
    question = f"Remove {printable(speaker.name)} and {samples}? This cannot be undone."
    return click.confirm(question, err=True)


def _speakers_table(speakers: Sequence[Speaker]) -> str:
    rows = [
        [
            speaker.name,
            str(speaker.n_samples),
            seconds(speaker.net_speech_s),
            _day(speaker.updated_at),
            ", ".join(speaker.spaces) or "-",
        ]
        for speaker in speakers
    ]
    header = ["speaker", "samples", "net speech", "updated", "embedding spaces"]
    return table(header, rows, right={"samples", "net speech"})


def _speaker_text(speaker: Speaker, samples: Sequence[Sample]) -> str:
    facts = fields(
        {
            "speaker": speaker.name,
            "id": str(speaker.id),
            "enrolled": _day(speaker.created_at),
            "updated": _day(speaker.updated_at),
            "net speech": seconds(speaker.net_speech_s),
            "embedding spaces": ", ".join(speaker.spaces) or "-",
        }
    )
    rows = [
        [
            str(sample.id),
            sample.source_name,
            seconds(sample.quality.net_speech_s),
            "-" if sample.quality.snr_db is None else f"{sample.quality.snr_db:.0f} dB",
            _day(sample.created_at),
            sample.space_id,
            ", ".join(sample.quality.warnings) or "-",
            ", ".join(sample.overrides) or "-",
        ]
        for sample in samples
    ]
    header = [
        "sample",
        "clip",
        "net speech",
        "SNR",
        "enrolled",
        "embedding space",
        "warnings",
        "overridden",
    ]
    return f"{facts}\n\n{table(header, rows, right={'sample', 'net speech', 'SNR'})}"


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")
