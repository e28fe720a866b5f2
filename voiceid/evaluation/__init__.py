"""Evaluation: what errors a model makes on recordings whose speakers are known.

`protocol` reads what is compared, and `pairing` makes it of a manifest; `scoring` scores it as the
product would, which `system` says; `report`, `llrs` and `search` count the errors,
`bounds` says how sure that is, `evaluate` does all of it, and `page` and `charts` show it.
`fitting` makes a calibration of the same trials, and `cache` keeps what was heard.
"""

from voiceid.evaluation.cache import EmbeddingCache
from voiceid.evaluation.evaluate import Evaluation, evaluate
from voiceid.evaluation.pairing import all_pairs, enroll_first, enroll_in_turn
from voiceid.evaluation.protocol import (
    Protocol,
    Recording,
    read_manifest,
    read_models,
    read_trials,
)

__all__ = [
    "EmbeddingCache",
    "Evaluation",
    "Protocol",
    "Recording",
    "all_pairs",
    "enroll_first",
    "enroll_in_turn",
    "evaluate",
    "read_manifest",
    "read_models",
    "read_trials",
]
