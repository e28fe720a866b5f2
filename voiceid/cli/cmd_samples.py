"""``voiceid samples``."""

from __future__ import annotations

import click

from voiceid.cli.asking import asks_first, confirm
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import branch, leaf, name_argument
from voiceid.cli.speakers_text import samples_table
from voiceid.cli.text import counted


@branch("samples", examples=["voiceid samples list alice"])
def command() -> None:
    """List and remove the samples of a speaker."""


@leaf("list", examples=["voiceid samples list alice --json"], group=command)
@name_argument
def list_command(console: Console, name: str) -> None:
    """List the samples of a speaker, oldest first."""
    with open_voiceid(console) as vid:
        samples = vid.samples.list(name)
    console.answers([sample.to_dict() for sample in samples], samples_table(samples))


@leaf("remove", examples=["voiceid samples remove alice 17 --yes"], group=command)
@name_argument
@click.argument("sample_ids", metavar="ID...", nargs=-1, required=True, type=int)
@asks_first
def remove_command(console: Console, name: str, sample_ids: tuple[int, ...]) -> None:
    """Erase samples of a speaker, also from the index; the last one cannot be erased."""
    with open_voiceid(console) as vid:
        number = counted(len(set(sample_ids)), "sample")
        question = f"Erase {number} of {vid.speakers.get(name).name}? This cannot be undone."
        confirm(console, question)
        removed = vid.samples.remove(name, sample_ids)
        left_s = vid.speakers.get(name).net_speech_s
        needed_s = console.config.enrollment.min_speech_s
    console.answers(
        [{"removed": sample.to_dict()} for sample in removed],
        f"removed  {counted(len(removed), 'sample')} of {name}",
    )
    if left_s < needed_s:
        console.warn(f"{name} has {left_s:.1f} s of net speech left, but {needed_s:g} are required")
