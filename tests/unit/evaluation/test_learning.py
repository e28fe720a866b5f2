"""What each condition weighs in what is learned."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from voiceid.decision.compensation import Compensation
from voiceid.decision.embeddings import unit
from voiceid.evaluation.degradations import UNFILTERED
from voiceid.evaluation.learning import Heard, learn

DIM, SPEAKERS = 24, 8
RAISED = next(iter(UNFILTERED))
CONDITIONS = {"clean": False, "noise 10 dB": False, "8 kHz": True, RAISED: True}
"""And whether they are telephones."""


def heard() -> Heard:
    """Two recordings of every speaker, through all conditions, each of which moves embeddings."""
    rng = np.random.default_rng(7)
    moves = {name: rng.normal(size=DIM) for name in CONDITIONS}
    rows, vectors = [], []
    for s in range(SPEAKERS):
        for r in range(2):
            for name, telephone in CONDITIONS.items():
                rows.append(
                    (f"s{s}", "F", f"{s}-{r}", f"{s}-{r}", name, telephone, True, 4.0, 20.0)
                )
                vectors.append(moves[name] + rng.normal(size=DIM))
    columns = (np.array(column) for column in zip(*rows, strict=True))
    return Heard(*columns, unit(np.array(vectors, dtype=np.float32)))


def test_speech_that_was_raised_without_a_filter_weighs_a_third() -> None:
    one = heard()
    times = np.where(one.condition == RAISED, 1, 3)
    thrice = one.where(np.repeat(np.arange(len(times)), times))
    other_name = np.where(thrice.condition == RAISED, "a line", thrice.condition)
    found, expected = learn(one), learn(replace(thrice, condition=other_name))
    for field in fields(Compensation):
        ours, theirs = (getattr(of, field.name) for of in (found, expected))
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())
