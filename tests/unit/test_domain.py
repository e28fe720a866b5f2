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
    Condition,
    Decision,
    EmbeddedClip,
    Embedding,
    EmbeddingSpace,
    Enrolled,
    Outcome,
    QualityReport,
    Reason,
    SpeakerRef,
    Task,
    Threshold,
    speaker_key,
    speaker_name,
    telephone_share,
)
from voiceid.errors import AudioInvalid, SpaceMismatch, SpeakerNameInvalid

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
        *("embedding_space", "gallery_size", "group", "elapsed_ms", "judged_speech_s", "parts"),
        *("more_speech_s", "replay_of"),
    }


@pytest.mark.parametrize(
    "field", ["weights_sha256", "frontend", "windowing", "speech", "compensation", "adaptation"]
)
def test_every_fact_of_a_space_tells_it_from_others(field: str) -> None:
    other = dataclasses.replace(SPACE, **{field: "different"})
    assert other.id != SPACE.id
    with pytest.raises(SpaceMismatch):
        SPACE.require_same(other)


def test_the_id_of_a_space_never_changes() -> None:
    # It is written in databases: a change here orphans every enrolment.
    assert SPACE.id == "net-e5c477454123"
    compensated = dataclasses.replace(SPACE, compensation="ab" * 8)
    assert compensated.id == "net-92b41438fea8"
    adapted = dataclasses.replace(compensated, adaptation="wccn " + "cd" * 8)
    assert adapted.id == "net-e1b9678f3f8e"
    assert dataclasses.replace(SPACE, adaptation="wccn " + "cd" * 8).id == "net-2075fecb5d94"
    assert compensated.raw == adapted.raw == SPACE.raw == SPACE


def test_a_compensation_is_not_taken_for_an_adaptation_of_the_same_name() -> None:
    one, other = ({name: "x"} for name in ("compensation", "adaptation"))
    assert dataclasses.replace(SPACE, **one).id != dataclasses.replace(SPACE, **other).id


@pytest.mark.parametrize("bad", ["", "  ", "a\nb", "a\x1b[2Jb", "x" * 129, "a\u202eb", "\ud800"])
def test_a_name_that_cannot_be_shown_is_refused(bad: str) -> None:
    with pytest.raises(SpeakerNameInvalid):
        speaker_name(bad)


@pytest.mark.parametrize("gap", ["  ", "\u00a0 ", "\u3000\u2003", "\u1680"])
def test_two_names_do_not_differ_in_the_width_of_a_gap(gap: str) -> None:
    assert speaker_name("Ana B") == "Ana B"
    with pytest.raises(SpeakerNameInvalid, match="several spaces in a row"):
        speaker_name(f"Ana{gap}B")


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
    assert shown["telephone"] is None
    known = Embedding(np.array([0.6, 0.8, 0, 0], dtype=np.float32), SPACE, 0.25)
    assert known.to_dict()["telephone"] == 0.25


@pytest.mark.parametrize(
    ("telephone", "mean"), [([0.0], 0.0), ([0.5, 1.0], 0.75), ([None], 1.0), ([None, 0.0], 0.5)]
)
def test_a_line_that_is_not_known_counts_as_a_telephone(
    telephone: list[float | None], mean: float
) -> None:
    assert telephone_share(telephone) == mean


@pytest.mark.parametrize("telephone", [-0.1, 1.01, float("nan"), True, "1"])
def test_a_clip_whose_line_is_no_share_is_refused(telephone: object) -> None:
    with pytest.raises(AudioInvalid, match="telephone of the embedded clip"):
        EmbeddedClip([1.0, 0, 0, 0], SPACE, 3.0, telephone)
    with pytest.raises((TypeError, ValueError), match="telephone of a recording"):
        QualityReport.of_exact({**QUALITY.exact(), "telephone": telephone})


@pytest.mark.parametrize("telephone", [None, 0, 0.25, 1.0])
def test_a_report_is_read_back_with_its_line(telephone: float | None) -> None:
    assert EmbeddedClip([1.0, 0, 0, 0], SPACE, 3.0, telephone).telephone == telephone
    report = dataclasses.replace(QUALITY, telephone=telephone)
    assert QualityReport.of_exact(json.loads(json.dumps(report.exact()))) == report
    older = {key: value for key, value in report.exact().items() if key != "telephone"}
    assert QualityReport.of_exact(older).telephone is None


def heard(
    telephone: float | None, net_speech_s: float = 2.5, snr_db: float = 20.0
) -> QualityReport:
    return dataclasses.replace(
        QUALITY, telephone=telephone, net_speech_s=net_speech_s, snr_db=snr_db
    )


def test_a_comparison_is_over_a_telephone_as_far_as_both_sides_are() -> None:
    call, clear, unknown = heard(0.8), heard(0.0), heard(None)
    assert Condition.of(call, [call]).telephone == pytest.approx(0.64)
    assert Condition.of(call, [call, clear]).telephone == pytest.approx(0.8 * 0.4)
    assert Condition.of(clear, [unknown]).telephone == 0.0
    assert Condition.of(unknown, [unknown]).telephone == 1.0
    joined = Condition.of_joined([call, heard(0.4, 1.0, 5.0)], [clear, unknown])
    assert joined == Condition(3.5, 5.0, 5.0, 2, pytest.approx(0.6 * 0.5), -20.0)


def test_of_two_clips_the_shorter_is_asked_about_and_the_line_is_that_of_both() -> None:
    one, other = heard(0.25, 4.0, 30.0), heard(0.5, 2.0, 10.0)
    expected = Condition(2.0, 10.0, 4.0, 1, 0.125, -20.0)
    assert Condition.of_two(one, other) == Condition.of_two(other, one) == expected


def test_an_enrolment_is_compared_as_its_samples_are() -> None:
    clip, samples = heard(0.75), [heard(0.5), heard(1.0)]
    alice = Enrolled(SpeakerRef(1, "alice"), 0.75, 2, 5.0, None, None)
    found = alice.against(2.5, telephone=0.75, snr_db=20.0, level_dbfs=-20.0)
    assert found == Condition.of(clip, samples)
