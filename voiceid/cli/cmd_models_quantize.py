"""``voiceid models quantize``."""

from __future__ import annotations

import click

from voiceid.cli.clip_arguments import clips
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import leaf
from voiceid.cli.text import megabytes


@leaf("quantize", examples=["voiceid models quantize campplus"], audio=True)
@click.argument("name")
@click.argument("audio", metavar="[AUDIO...]", nargs=-1)
@click.option("--name", "new_name", help="Of the new model; NAME-int8 when left out.")
def command(console: Console, name: str, audio: tuple[str, ...], new_name: str | None) -> None:
    """Make the INT8 form of an encoder.

    It is a model, and an embedding space, of its own. For campplus the ranges were measured and
    come with the program. Any other encoder needs AUDIO, files or folders with the speech of many
    people, to measure them on.
    """
    with open_voiceid(console) as vid:
        card = vid.models.quantize(name, clips(audio, console), new_name or f"{name}-int8")
        [status] = [one for one in vid.models.list() if one.name == card.name]
    facts = {
        "name": card.name,
        "base": name,
        "size_bytes": status.size_bytes,
        "has_threshold": bool(card.operating_points),
    }
    console.answer(facts, f"{card.name}  installed, {megabytes(status.size_bytes or 0)}")
    if not card.operating_points:
        console.note(
            f"{card.name} has no threshold yet, so it accepts no speaker: `voiceid calibrate`"
            " measures one on your own recordings"
        )
