"""Measure the card of the INT8 form of an encoder on speech, and write it.

    python -m benchmarks.quantize [--model campplus]      (then benchmarks.calibrate --write)

The speech is 96 of the speakers of LibriSpeech train-clean-100, up to 5 s each as the product
hears them.  The card that is written holds every range, so that a model is built from it
without recordings, the same to the byte with the same version of ONNX Runtime.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from benchmarks.corpora import corpora_argument, train_clean
from benchmarks.voices import Hearing, model_store, open_embedder
from voiceid.models.card_text import card_text
from voiceid.models.cards import shipped_cards_folder
from voiceid.models.quantize import card_of

CLIPS = 96
LONGEST_S = 5
HEADER = """\
# The card of {name}: written by benchmarks/quantize.py, its operating points by
# benchmarks/calibrate.py.
"""


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    corpora_argument(parser)
    parser.add_argument("--model", default="campplus")
    args = parser.parse_args()
    store = model_store()
    store.ensure(args.model)
    ear = open_embedder(Hearing(args.model))
    clips = [ear.speech(clip.source) for clip in train_clean(args.corpora)]
    clips = [clip[: LONGEST_S * 16_000] for clip in clips if len(clip) >= 2 * 16_000][::2][:CLIPS]
    data = store.installed(args.model).path.read_bytes()
    name = f"{args.model}-int8"
    base = store.card(args.model)
    card = card_of(name, base, data, clips, lambda *_: None)
    card = replace(card, operating_points_data=base.operating_points_data)
    path = shipped_cards_folder() / f"{name}.toml"
    path.write_text(HEADER.format(name=name) + card_text(card), encoding="utf-8")
    print(f"{name}: {card.title}")


if __name__ == "__main__":
    main()
