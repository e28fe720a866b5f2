"""From a card and the file that holds its weights to the graph that is installed."""

from __future__ import annotations

from voiceid.errors import ModelUnknown
from voiceid.models.cards import ModelCard, Quantized
from voiceid.models.checkpoint import read_checkpoint

_BUILDERS = {"campplus": 6, "int8": 6}
"""The version of each network's graph, else 4.  Raised when the graphs change; models of an older
version are built again."""


def builder(card: ModelCard) -> int:
    """Return the version of the code that writes the graph of a card."""
    return _BUILDERS.get(card.network, 4)


def build_graph(card: ModelCard, checkpoint: bytes) -> bytes:
    """Return the ONNX file of a card's network with the weights of a checkpoint.

    The checkpoint of a quantized model is the installed graph of its base.
    """
    if card.network == "onnx":
        from voiceid.models import add  # noqa: PLC0415 - onnx and the engine, once per install

        return add.build(card, checkpoint)
    if isinstance(card.source, Quantized):
        from voiceid.models import quantize  # noqa: PLC0415 - onnx and the engine, once per install

        return quantize.build(card.source, checkpoint)
    if card.network == "silero":
        from voiceid.models import silero  # noqa: PLC0415 - onnx, once per install

        return silero.build(silero.read_weights(checkpoint))
    tensors = read_checkpoint(checkpoint, name=f"the checkpoint of {card.name}")
    if card.network == "campplus":
        from voiceid.models import campplus  # noqa: PLC0415 - onnx, once per install

        return campplus.build(tensors)
    if card.network == "ge2e":
        from voiceid.models import ge2e  # noqa: PLC0415 - onnx, once per install

        return ge2e.build(tensors, card.windowing)
    if card.network == "segmentation":
        from voiceid.models import segmentation  # noqa: PLC0415 - onnx, once per install

        return segmentation.build(tensors)
    raise ModelUnknown(
        f"the card of {card.name} names the network {card.network!r}, which is unknown",
        hint="Install a newer voiceid.",
    )
