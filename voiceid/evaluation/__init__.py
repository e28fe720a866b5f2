"""Evaluation: the errors of a model on recordings whose speakers are known.

`protocol` reads the comparisons, and `pairing` makes them from a manifest; `scoring` scores them as
the product would, by `system`; `report`, `llrs` and `search` count the errors, `bounds` gives their
bounds, `evaluate` does all of it, and `page` and `charts` show it.  `fitting` makes a calibration
of the same trials, and `cache` keeps the embeddings.
"""

from voiceid.evaluation.cache import EmbeddingCache as EmbeddingCache
from voiceid.evaluation.evaluate import Evaluation as Evaluation
from voiceid.evaluation.evaluate import evaluate as evaluate
from voiceid.evaluation.pairing import all_pairs as all_pairs
from voiceid.evaluation.pairing import enroll_first as enroll_first
from voiceid.evaluation.pairing import enroll_in_turn as enroll_in_turn
from voiceid.evaluation.protocol import Protocol as Protocol
from voiceid.evaluation.protocol import Recording as Recording
from voiceid.evaluation.protocol import read_manifest as read_manifest
from voiceid.evaluation.protocol import read_models as read_models
from voiceid.evaluation.protocol import read_trials as read_trials
