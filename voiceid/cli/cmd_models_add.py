"""``voiceid models add``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import COUNT, FILE, leaf
from voiceid.cli.text import fields

if TYPE_CHECKING:
    from voiceid.models.cards import ModelCard

_FRONT_ENDS = ("kaldi-fbank-80", "ge2e-mel-40", "redimnet-mel-72", "waveform")
_FRAMEWORKS = ("3d-speaker", "wespeaker")
_TAPERS = ("povey", "hamming", "hann")
_KINDS = ("encoder", "countermeasure")


@leaf(
    "add",
    examples=[
        "voiceid models add resnet34.onnx --frontend kaldi-fbank-80 --framework wespeaker",
        "voiceid models add detector.onnx --kind countermeasure --frontend waveform",
    ],
)
@click.argument("file", metavar="FILE.onnx", type=FILE)
@click.option(
    "--frontend",
    "front_end",
    type=click.Choice(_FRONT_ENDS),
    required=True,
    help="The network's input: the mel spectrogram of Kaldi, GE2E or ReDimNet2, or samples.",
)
@click.option(
    "--kind",
    type=click.Choice(_KINDS),
    default=_KINDS[0],
    help="encoder: vectors of voices; countermeasure: one score, higher for bona fide speech.",
)
@click.option("--name", help="Name of the model (default: the file's name).")
@click.option(
    "--framework",
    type=click.Choice(_FRAMEWORKS),
    help="The toolkit that trained it, with its filter bank (default: from the file).",
)
@click.option("--rate", "rate_hz", metavar="HZ", type=COUNT, help="Must be 16000.")
@click.option("--dim", type=COUNT, help="Dimension of a vector, to be checked.")
@click.option("--window", "window_frames", type=COUNT, help="Frames of ge2e-mel-40's windows.")
@click.option("--step", "step_frames", type=COUNT, help="Frames between windows (half a window).")
@click.option("--taper", type=click.Choice(_TAPERS), help="Window of kaldi-fbank-80's frames.")
@click.option(
    "--samples",
    type=click.Choice(["unit", "int16"]),
    help="Scale of the samples: from -1 to 1, or 16-bit integers.",
)
@click.option(
    "--mean/--no-mean",
    "mean_removed",
    default=None,
    help="Whether to remove the mean over time from kaldi-fbank-80.",
)
@click.option(
    "--license", metavar="TEXT", default="not known", help="Licence of the weights, for the card."
)
def command(console: Console, /, file: Path, samples: str | None, **options: Any) -> None:
    """Add a network from an ONNX file as a model.

    A network that takes features gets a front end. FILE.onnx has one input and one output, like
    the exports of WeSpeaker, 3D-Speaker and sherpa-onnx. Give the properties that the file does
    not state; properties that both state must agree. The combined model must give the same output
    as the network, or nothing is installed.

    A countermeasure finds attacks (docs/attacks.md): it needs `voiceid calibrate --countermeasure`,
    and the setting `countermeasure`.
    """
    with open_voiceid(console) as vid:
        from voiceid.models.add import Addition  # noqa: PLC0415 - loads the engine

        int16 = None if samples is None else samples == "int16"
        addition = Addition(int16=int16, **options)
        card = vid.models.add(file, addition, progress=console.progress)
    facts = _facts(card)
    lines = {key.replace("_", " "): str(value) for key, value in facts.items()}
    console.answer(facts, f"added  {card.name}\n{fields(lines)}")
    console.note(_next(card))


def _next(card: ModelCard) -> str:
    """Return the next step before the model can decide."""
    if card.kind == "countermeasure":
        return (
            f"{card.name} has no threshold yet: `voiceid calibrate LIST --countermeasure"
            f" {card.name}` fits one to recordings with attacks; then set `countermeasure:"
            f" {card.name}`"
        )
    return (
        f"{card.name} has no threshold yet, so it accepts no speaker: `voiceid models fit"
        f" {card.name}` makes what the shipped models have, from recordings of many people;"
        " `voiceid calibrate` measures thresholds alone, on recordings of your site"
    )


def _facts(card: ModelCard) -> dict[str, object]:
    return {
        "name": card.name,
        "title": card.title,
        "kind": card.kind,
        "dim": card.dim,
        "frontend": card.frontend,
        "windowing": card.windowing.describe(),
        "file_sha256": card.checkpoint_sha256,
    }
