"""``voiceid models compare``."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.options import audio_options
from voiceid.cli.session import open_voiceid
from voiceid.cli.sources import STDIN, clips
from voiceid.cli.text import megabytes, table
from voiceid.cli.tree import Command

if TYPE_CHECKING:
    from voiceid.app.side_by_side import Comparison


@click.command(
    "compare", cls=Command, example="voiceid models compare campplus campplus-int8 recordings/"
)
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.argument("audio", metavar="AUDIO...", nargs=-1, required=True)
@audio_options
@click.pass_obj
def command(console: Console, a: str, b: str, audio: tuple[str, ...]) -> int:
    """Show two encoders side by side on the same recordings: speed, size, agreement, EER.

    They hear each file in turn, from the file to the embedding, three times; medians count. The
    vectors of the two are never compared with each other, only their scores of all pairs of
    files. AUDIO is files or folders; the equal error rate takes a folder for a speaker.
    """
    if STDIN in audio:
        raise click.UsageError("Standard input (-) can be heard once only; name files.")
    with open_voiceid(console) as vid:
        found = vid.compare_models(a, b, clips(audio))
    if console.settings.as_json:
        console.json(dataclasses.asdict(found))
    else:
        console.result(_text(found))
        if found.no_eer:
            console.note(f"no EER: {found.no_eer}")
    return exit_codes.DONE


def _text(found: Comparison) -> str:
    rows = [
        [
            side.name,
            megabytes(side.size_bytes),
            f"{side.real_time:.0f} x real time",
            "-" if side.eer is None else f"{100 * side.eer:.2f} %",
        ]
        for side in (found.a, found.b)
    ]
    header = ["model", "size", "speed", "EER"]
    left_out = f", {found.left_out} left out: too little speech" if found.left_out else ""
    return (
        table(header, rows, right=set(header[1:]))
        + f"\n\n{found.b.name} is {found.speed_ratio:.2f} times as fast as {found.a.name}"
        f"   {found.clips} clips, {found.audio_s:.1f} s{left_out}\n"
        f"scores of {found.pairs} pairs   rank correlation {found.rank_correlation:.4f},"
        f" mean difference {found.mean_difference:+.4f}"
    )
