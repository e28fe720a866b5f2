"""The INT8 form of an encoder: from a card that has its ranges, or from recordings."""

from __future__ import annotations

from collections.abc import Sequence

from voiceid.app.parts import Parts
from voiceid.audio import AudioSource
from voiceid.errors import ModelError
from voiceid.models.cards import ModelCard, Quantized

LONGEST_S = 10
"""Of each recording: ranges settle long before, and what is measured is kept in memory."""


def quantize(parts: Parts, name: str, sources: Sequence[AudioSource], new_name: str) -> ModelCard:
    """Make and install it; see :meth:`voiceid.app.VoiceID.quantize`."""
    store = parts.models
    base = store.card(name)
    if not sources:
        card = store.cards.get(new_name)
        if card is None or not isinstance(card.source, Quantized) or card.source.base != name:
            raise ModelError(
                f"the ranges of {name} were not measured for a model {new_name}",
                hint=f"Give recordings of many people: `voiceid models quantize {name} AUDIO...`.",
            )
        store.ensure(new_name, parts.progress)
        return card
    if base.kind != "encoder" or isinstance(base.source, Quantized):
        raise ModelError(
            f"{name} is no encoder in float32, so it cannot be quantized",
            hint="`voiceid models list` shows the encoders that there are.",
        )
    # What an encoder hears is the speech of a recording, whoever finds it.
    with_base = parts.with_model(name)
    clips = [with_base.embedder.speech(source)[: LONGEST_S * 16_000] for source in sources]
    heard = [clip for clip in clips if len(clip) >= with_base.embedder.min_samples]
    return store.quantize(name, heard, new_name, parts.progress)
