"""How the trials of an evaluation are scored, and by which thresholds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from random_voices import QUALITY, random_unit, sample

from voiceid.decision.aims import Target
from voiceid.decision.embeddings import unit
from voiceid.decision.rule import DecisionRule, OperatingPoint
from voiceid.domain import Band, Utterance
from voiceid.evaluation.protocol import Model, Protocol, Recording
from voiceid.evaluation.scoring import score

POINTS = [
    OperatingPoint(band, min_s, threshold + extra, target, 0.01, 1000, 100, target)
    for band, threshold in (("wideband", 0.5), ("narrowband", 0.6), ("crossband", 0.3))
    for min_s in (1.0, 2.0)
    for target, extra in ((0.001, 0.1), (0.01, 0.0), (0.0001, 0.2))
]
RULE = DecisionRule("net", POINTS, margin=0.05)


def heard(n: int, seed: int) -> list[Utterance]:
    """Return utterances of random voices, every second through a telephone."""
    voices = [sample(v).utterance for v in random_unit(np.random.default_rng(seed), n)]
    narrow = replace(QUALITY, warnings=("narrowband",))
    return [replace(v, quality=narrow) if i % 2 else v for i, v in enumerate(voices)]


def test_a_recording_of_uncertain_bandwidth_gets_the_strictest_threshold() -> None:
    voices = heard(4, 2)
    doubt = replace(QUALITY, warnings=("bandwidth_uncertain",))
    voices[2] = replace(voices[2], quality=doubt)
    found = score(protocol([(0,), (1,)], [2, 3], 4), voices, RULE.aimed(Target(0.01)))
    assert found.thresholds == pytest.approx(np.array([0.5, 0.3, 0.6, 0.6]))
    assert (found.given.band >= len(Band)).tolist() == [True, False, True, False]


def protocol(models: list[tuple[int, ...]], probes: list[int], n: int) -> Protocol:
    """Return every model against every probe."""
    trials = np.array([[m, p] for m in range(len(models)) for p in probes])
    return Protocol(
        recordings=tuple(Recording(f"{i}.wav", f"{i}.wav", f"speaker {i}") for i in range(n)),
        models=tuple(Model(f"m{i}", f"s{i}", model) for i, model in enumerate(models)),
        trials=trials,
        target=np.zeros(len(trials), dtype=bool),
        gallery=True,
    )


@pytest.mark.parametrize("target", [0.01, 0.005, 0.001, 0.0001])
def test_the_points_of_the_target_decide_and_no_looser_ones(target: float) -> None:
    rule = RULE.aimed(Target(target))
    found = score(protocol([(0,), (1,)], [2, 3], 4), heard(4, 0), rule)
    strict = 0.0 if target == 0.01 else 0.2 if target == 0.0001 else 0.1
    assert found.thresholds == pytest.approx(np.array([0.5, 0.3, 0.3, 0.6]) + strict)


def test_a_model_of_both_bands_is_the_centroid_that_the_store_would_keep() -> None:
    voices = heard(6, 1)
    found = score(protocol([(0, 1, 2, 4)], [3, 5], 6), voices, RULE)
    vectors = [v.embedding.vector for v in voices]
    wide = unit(np.sum([vectors[i] for i in (0, 2, 4)], axis=0))
    expected = unit(wide + vectors[1])
    assert found.scores == pytest.approx([expected @ vectors[i] for i in (3, 5)], abs=1e-5)
    assert [list(Band)[i] for i in found.given.band] == [Band.MIXEDBAND] * 2
