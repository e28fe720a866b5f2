"""What each way of making centroids compares, chooses and accepts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import centroids
from benchmarks.centroids import RULES, Pair
from benchmarks.trials import Voice
from voiceid.decision.embeddings import cosine, unit
from voiceid.decision.operating_points import OperatingPoint
from voiceid.decision.rule import DecisionRule

DIM = 16
WIDEBAND, TELEPHONE = 0.5, 0.8
CARD = DecisionRule(
    "a model", [OperatingPoint(0.001, 1.0, WIDEBAND, TELEPHONE, 0.001, 0.0, 1, 1)], 0.05
)
ONE, BEST_SCORE, BEST_LEAD, *_ = RULES


def voice(speaker: str, take: int, *, phone: bool = False, noise: float = 0.2) -> Voice:
    """Return a voice near its speaker's direction, which a phone turns for all alike."""
    own = np.random.default_rng(ord(speaker)).standard_normal(DIM)
    line = 3.0 * np.eye(DIM)[0] if phone else np.zeros(DIM)
    blur = np.random.default_rng([ord(speaker), take, phone]).standard_normal(DIM)
    vector = unit((own + line + noise * blur).astype(np.float32))
    return Voice(f"{speaker}-{take}", speaker, "F", 3.0, 30.0, float(phone), vector)


SPEAKERS = "abcd"
DOOR = [voice(s, take) for s in SPEAKERS for take in range(8)]
PHONE = [voice(s, take, phone=True) for s in SPEAKERS for take in range(8)]


def gallery(n_door: int) -> list[Pair]:
    """Return one enrolment of each speaker."""
    return centroids.runs(DOOR, PHONE, n_door)[::8]


@pytest.mark.parametrize("n_door", [1, 3, 5])
def test_a_run_holds_six_recordings_each_through_one_label(n_door: int) -> None:
    for door, phone in centroids.runs(DOOR, PHONE, n_door):
        assert (len(door), len(phone)) == (n_door, 6 - n_door)
        assert not any(v.telephone for v in door)
        assert all(v.telephone == 1.0 for v in phone)
        assert len({v.recording for v in [*door, *phone]}) == 6


def test_a_speaker_with_a_silent_recording_is_left_out() -> None:
    silent = [replace(v, vector=None) if v.recording == "b-3" else v for v in PHONE]
    assert {door[0].speaker for door, _ in centroids.runs(DOOR, silent, 3)} == set("acd")


def test_labels_that_weigh_the_same_are_equally_near() -> None:
    for pair in gallery(5):
        (mean,), (door, phone) = centroids.by_label(pair), centroids.apart(pair)
        assert cosine(mean.vector, door.vector) == pytest.approx(cosine(mean.vector, phone.vector))
        assert mean.telephone == 0.5
        assert centroids.together(pair)[0].telephone == pytest.approx(1 / 6)


def test_one_centroid_knows_no_labels() -> None:
    for door, _ in gallery(5):
        (one,), (again,) = (centroids.together((door[:n], door[n:])) for n in (1, 4))
        assert cosine(one.vector, again.vector) == pytest.approx(1.0)
        assert cosine(centroids.by_label((door[:4], door[4:]))[0].vector, one.vector) < 0.9999


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_no_recording_is_compared_with_an_enrolment_that_holds_it_or_its_copy(rule) -> None:
    judged = centroids.judge(CARD, rule, gallery(3), [*DOOR, *PHONE])
    # Each of 64 clips meets the three other speakers, and of 16 a speaker 4 their own.
    assert np.sum(~judged.genuine) == len(DOOR) * 2 * 3
    assert np.sum(judged.genuine) == 4 * len(SPEAKERS)


@pytest.mark.parametrize("probes", [DOOR, PHONE], ids=["door", "phone"])
def test_the_best_score_and_the_best_lead_are_the_maxima_over_the_labels(probes) -> None:
    pairs, clips = gallery(3), probes[6::8]
    by_score, by_lead = (centroids.judge(CARD, r, pairs, clips) for r in (BEST_SCORE, BEST_LEAD))
    rows = [(clip, centroids.apart(pair)) for clip in clips for pair in pairs]
    for row, (clip, (door, phone)) in enumerate(rows):
        scores = [cosine(clip.vector, door.vector), cosine(clip.vector, phone.vector)]
        # The door's centroid has not come over a telephone, whatever the clip has.
        leads = [scores[0] - WIDEBAND, scores[1] - (TELEPHONE if clip.telephone else WIDEBAND)]
        assert by_score.score[row] == pytest.approx(max(scores), abs=1e-6)
        assert by_score.lead[row] == pytest.approx(leads[int(np.argmax(scores))], abs=1e-6)
        assert by_lead.lead[row] == pytest.approx(max(leads), abs=1e-6)


def test_one_label_alone_is_judged_as_one_centroid() -> None:
    pairs = [(door, door) for door, _ in gallery(5)]
    one = centroids.judge(CARD, ONE, pairs, DOOR)
    for rule in RULES[1:]:
        again = centroids.judge(CARD, rule, pairs, DOOR)
        assert np.allclose(again.score, one.score, atol=1e-6)
        assert np.allclose(again.lead, one.lead, atol=1e-6)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_identification_names_the_enrolled_and_knows_the_others(rule) -> None:
    known, first, accepted = centroids.identify(CARD, rule, gallery(3)[:3], DOOR)
    assert np.sum(known) == 3 * 2
    assert np.sum(~known) == 8
    assert first[known].all()
    assert not first[~known].any()
    assert accepted[known].all()
