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
@click.option("--name", "new_name", help="Name of the new model (default: NAME-int8).")
def command(console: Console, name: str, audio: tuple[str, ...], new_name: str | None) -> None:
    """Make the INT8 form of an encoder.

    It is a separate model with a separate embedding space. For campplus the program has measured
    ranges. Any other encoder needs AUDIO, files or folders with the speech of many people, to
    measure the ranges.
    """
    with open_voiceid(console) as vid:
        card = vid.models.quantize(name, clips(audio, console), new_name or f"{name}-int8")
        [status] = [model for model in vid.models.list() if model.name == card.name]
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
