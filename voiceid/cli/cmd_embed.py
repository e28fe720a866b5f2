"""``voiceid embed``."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voiceid.cli.clip_arguments import checked
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import leaf
from voiceid.cli.output_files import agreed_format, save
from voiceid.cli.streams import is_terminal
from voiceid.cli.text import json_line

if TYPE_CHECKING:
    from voiceid.domain import Embedding


@leaf(
    "embed", examples=["voiceid embed clip.mp3 --model ge2e --format npy -o clip.npy"], audio=True
)
@click.argument("audio")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "npy"]),
    help="text (default), json, or npy: NumPy's file format, float32.",
)
@click.option("--raw", is_flag=True, help="The encoder's own output, not compensated.")
@click.option("-o", "--output", metavar="FILE", help="File to write to instead of standard output.")
def command(
    console: Console, audio: str, form: str | None, output: str | None, *, raw: bool
) -> None:
    """Print the embedding of a clip: the unit-length vector that represents its voice.

    Vectors of different models or speech settings must not be compared.  Programs that expect the
    encoder's own vectors, such as speech synthesis, need --raw.
    """
    form = agreed_format(console, form)
    target = None if output in {None, "-"} else output
    if form == "npy" and target is None and is_terminal(sys.stdout):
        raise click.UsageError("A binary npy file cannot be shown on a terminal; use -o FILE.")
    [source] = checked([audio])
    with open_voiceid(console) as vid:
        data = _rendered(vid.embed(source, raw=raw), form)
    if target is None:
        console.binary(data)
    else:
        save(Path(target), data)
        console.note(f"wrote {target}")


def _rendered(embedding: Embedding, form: str) -> bytes:
    import numpy as np  # noqa: PLC0415 - not needed to show the help

    if form == "npy":
        file = io.BytesIO()
        np.save(file, embedding.vector)
        return file.getvalue()
    if form == "json":
        return (json_line(embedding.to_dict(), ascii_only=True) + "\n").encode()
    # The shortest digits that give the same float32 back.
    values = ", ".join(np.format_float_positional(x, trim="0") for x in embedding.vector)
    shape = list(embedding.vector.shape)
    return f"embeddings shape: {shape}\nembeddings: [{values}]\n".encode()
