"""How the trials of an evaluation are scored, and by which thresholds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from random_voices import QUALITY, random_unit, sample

from voiceid.decision.aims import Target
from voiceid.decision.embeddings import unit
from voiceid.decision.operating_points import OperatingPoint
from voiceid.decision.rule import DecisionRule
from voiceid.domain import Condition, Utterance
from voiceid.evaluation.protocol import Model, Protocol, Recording
from voiceid.evaluation.scoring import score

POINTS = [
    OperatingPoint(target, min_s, 0.5 + extra, 0.6 + extra, target, 0.01, 1000, 100)
    for min_s in (1.0, 2.0)
    for target, extra in ((0.001, 0.1), (0.01, 0.0), (0.0001, 0.2))
]
RULE = DecisionRule("net", POINTS, margin=0.05)


def heard(n: int, seed: int) -> list[Utterance]:
    """Return utterances of random voices, every second through a telephone."""
    voices = [sample(v).utterance for v in random_unit(np.random.default_rng(seed), n)]
    lines = [replace(QUALITY, telephone=share) for share in (0.0, 1.0)]
    return [replace(v, quality=lines[i % 2]) for i, v in enumerate(voices)]


def test_a_recording_of_an_unknown_line_gets_the_threshold_of_a_telephone() -> None:
    voices = heard(4, 2)
    voices[2] = replace(voices[2], quality=replace(QUALITY, telephone=None))
    found = score(protocol([(0,), (1,)], [2, 3], 4), voices, RULE.aimed(Target(0.01)))
    assert found.thresholds == pytest.approx(np.array([0.5, 0.5, 0.6, 0.6]))
    assert found.conditions.telephone.tolist() == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("either", [False, True])
def test_the_trials_have_the_conditions_and_thresholds_of_decisions(either: bool) -> None:
    rng = np.random.default_rng(3)
    voices = [
        replace(
            voice,
            quality=replace(
                voice.quality,
                net_speech_s=float(rng.uniform(0.5, 5.0)),
                snr_db=None if rng.random() < 0.3 else float(rng.uniform(0.0, 40.0)),
                telephone=None if rng.random() < 0.3 else float(rng.random()),
            ),
        )
        for voice in heard(8, 3)
    ]
    models: list[tuple[int, ...]] = [(0,), (1,)] if either else [(0,), (1, 2, 3)]
    asked = replace(protocol(models, [4, 5, 6, 7], 8), gallery=not either)
    found = score(asked, voices, RULE)
    for i, (model, probe) in enumerate(asked.trials.tolist()):
        clip, enrolled = voices[probe].quality, [voices[j].quality for j in models[model]]
        condition = Condition.of_two(clip, enrolled[0]) if either else Condition.of(clip, enrolled)
        given = found.conditions.rows(slice(i, i + 1))
        assert given.telephone[0] == pytest.approx(condition.telephone)
        assert given.net_speech_s[0] == condition.net_speech_s
        assert given.enrolled_speech_s[0] == pytest.approx(condition.enrolled_speech_s)
        if condition.net_speech_s < 1.0:
            assert np.isnan(found.thresholds[i])
        else:
            assert found.thresholds[i] == pytest.approx(RULE.threshold(condition).value)


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


@pytest.mark.parametrize(
    ("target", "extra"),
    [(0.01, 0.0), (0.005, 0.1 * math.log10(2)), (0.001, 0.1), (0.0001, 0.2), (0.1, 0.0)],
)
def test_the_thresholds_are_those_of_the_target(target: float, extra: float) -> None:
    rule = RULE.aimed(Target(target))
    found = score(protocol([(0,), (1,)], [2, 3], 4), heard(4, 0), rule)
    assert found.thresholds == pytest.approx(np.array([0.5, 0.5, 0.5, 0.6]) + extra)


def test_a_model_of_both_lines_is_the_centroid_that_the_store_would_keep() -> None:
    voices = heard(6, 1)
    found = score(protocol([(0, 1, 2, 4)], [3, 5], 6), voices, RULE)
    vectors = [v.embedding.vector for v in voices]
    expected = unit(np.sum([vectors[i] for i in (0, 1, 2, 4)], axis=0))
    assert found.scores == pytest.approx([expected @ vectors[i] for i in (3, 5)], abs=1e-5)
    assert found.conditions.telephone.tolist() == [0.25, 0.25]
