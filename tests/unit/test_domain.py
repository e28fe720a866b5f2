"""The frozen values: names, spaces, and what a decision refuses to be."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.domain import (
    Candidate,
    Decision,
    Embedding,
    EmbeddingSpace,
    Outcome,
    QualityReport,
    Reason,
    SpeakerRef,
    Task,
    Threshold,
    speaker_key,
    speaker_name,
)
from voiceid.errors import SpaceMismatch, SpeakerNameInvalid

SPACE = EmbeddingSpace("net", 4, "aa", "fbank", "whole", "vad")
QUALITY = QualityReport(3.0, 2.5, 20.0, 0.0, 7000.0, 16000, -20.0)


def decision(outcome: Outcome) -> Decision:
    alice = SpeakerRef(1, "alice")
    return Decision(
        task=Task.IDENTIFY,
        outcome=outcome,
        reason=Reason.MATCH,
        speaker=alice,
        score=0.81234567,
        threshold=Threshold(0.5, "card campplus"),
        llr=None,
        calibration=None,
        margin=None,
        runner_up=None,
        candidates=(Candidate(alice, 0.81234567),),
        quality=QUALITY,
        embedding_space=SPACE,
        gallery_size=1,
        group=None,
        elapsed_ms=12.34,
        detail="",
    )


@pytest.mark.parametrize("outcome", list(Outcome))
def test_a_decision_is_never_a_truth_value(outcome: Outcome) -> None:
    with pytest.raises(TypeError, match="accepted"):
        bool(decision(outcome))


def test_only_one_outcome_is_accepted() -> None:
    assert [decision(o).accepted for o in Outcome] == [True, False, False]


def test_the_json_of_a_decision_has_the_documented_keys() -> None:
    keys = set(json.loads(json.dumps(decision(Outcome.ACCEPTED).to_dict())))
    assert keys == {
        *("task", "outcome", "reason", "detail", "speaker", "score", "score_scale", "threshold"),
        *("threshold_source", "llr", "calibration", "margin", "runner_up", "candidates", "quality"),
        *("embedding_space", "gallery_size", "group", "elapsed_ms", "judged_speech_s"),
    }


@pytest.mark.parametrize("field", ["weights_sha256", "frontend", "windowing", "speech"])
def test_every_fact_of_a_space_tells_it_from_others(field: str) -> None:
    other = dataclasses.replace(SPACE, **{field: "different"})
    assert other.id != SPACE.id
    with pytest.raises(SpaceMismatch):
        SPACE.require_same(other)


def test_the_id_of_a_space_never_changes() -> None:
    # It is written in databases: a change here orphans every enrolment.
    assert SPACE.id == "net-e5c477454123"


@pytest.mark.parametrize("bad", ["", "  ", "a\nb", "a\x1b[2Jb", "x" * 129, "a\u202eb", "\ud800"])
def test_a_name_that_cannot_be_shown_is_refused(bad: str) -> None:
    with pytest.raises(SpeakerNameInvalid):
        speaker_name(bad)


@given(st.text(max_size=140))
def test_a_name_is_either_refused_or_stable(text: str) -> None:
    try:
        name = speaker_name(text)
    except SpeakerNameInvalid:
        return
    assert speaker_name(name) == name
    assert speaker_key(name) == speaker_key(text)


def test_names_that_look_alike_are_one_name() -> None:
    assert speaker_key(" Alice ") == speaker_key("ALICE")
    assert speaker_key("Jose\u0301") == speaker_key("JOSÉ")


def test_an_embedding_prints_its_shape_and_values() -> None:
    shown = Embedding(np.array([0.6, 0.8, 0, 0], dtype=np.float32), SPACE).to_dict()
    assert shown["shape"] == [4]
    assert shown["embedding"][0] == pytest.approx(0.6)
