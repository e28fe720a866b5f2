"""Who is compared with whom when thresholds are measured."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import trials
from benchmarks.trials import Voice


def voice(
    speaker: str,
    take: str,
    *,
    net_speech_s: float = 3.0,
    heard: bool = True,
    telephone: float = 0.0,
) -> Voice:
    """Return a voice whose vector points where its speaker's do, more or less."""
    rng = np.random.default_rng(sum(map(ord, speaker)))
    vector = rng.standard_normal(8) + 0.1 * np.random.default_rng(
        list(take.encode())
    ).standard_normal(8)
    unit = (vector / np.linalg.norm(vector)).astype(np.float32)
    return Voice(
        recording=f"{speaker}-{take}",
        speaker=speaker,
        sex="F" if speaker < "c" else "M",
        net_speech_s=net_speech_s,
        snr_db=np.nan,
        telephone=telephone,
        vector=unit if heard else None,
    )


VOICES = [voice(speaker, str(take)) for speaker in "abcd" for take in range(4)]


def test_no_speaker_is_compared_with_an_enrolment_that_holds_their_own_recording() -> None:
    gallery = trials.enroll_in_turn(VOICES)
    table = trials.compare(gallery, VOICES)
    # 4 speakers with 4 runs of 3 out of 4: each voice is outside one run of its own speaker.
    assert table.genuine.sum() == len(VOICES)
    assert (~table.genuine).sum() == len(VOICES) * 3 * 4


@pytest.mark.parametrize(
    ("enrolled", "asking"), [(VOICES, []), ([], VOICES), ([], []), (VOICES[:4], VOICES[:4])]
)
def test_without_a_stranger_there_is_no_comparison_with_one(
    enrolled: list[Voice], asking: list[Voice]
) -> None:
    table = trials.compare(trials.enroll_in_turn(enrolled), asking)
    assert len(table.other.score) == 0


def test_pieces_of_a_recording_count_as_that_recording() -> None:
    pieces = [voice("a", "0/0"), voice("a", "0/1"), voice("a", "0/2")]
    table = trials.compare([trials.enroll(pieces)], [voice("a", "0"), voice("b", "0")])
    assert table.genuine.tolist() == [False]


def test_all_pairs_are_every_two_voices_once() -> None:
    table = trials.all_pairs(VOICES)
    assert len(table.score) == len(VOICES) * (len(VOICES) - 1) // 2
    assert table.genuine.sum() == 4 * (4 * 3 // 2)
    assert table.same.score.min() > table.other.score.max()


def test_voices_without_a_vector_are_left_out() -> None:
    silent = voice("a", "9", heard=False)
    assert len(trials.all_pairs([*VOICES, silent]).score) == len(trials.all_pairs(VOICES).score)


def test_a_table_is_cut_by_net_speech_and_by_sex() -> None:
    mixed = [voice("a", "5", net_speech_s=1.0), voice("b", "5", net_speech_s=2.0)]
    table = trials.compare(trials.enroll_in_turn(VOICES), mixed)
    short = table.between(1.0, 2.0)
    assert set(short.net_speech_s) == {1.0}
    assert short.other.where(short.other.same_sex).score.size == 4  # a against b's four runs


def test_identification_leaves_out_what_was_enrolled() -> None:
    gallery = [trials.enroll([v for v in VOICES if v.speaker == s][:3]) for s in "abc"]
    found = trials.identify(gallery, VOICES)
    assert found.known.tolist() == [True, True, True, False, False, False, False]
    assert found.correct[found.known].all()
    assert np.all(found.lead >= 0)


@pytest.mark.parametrize("name", ["a-0", "a-0/2"])
def test_the_recording_of_a_piece_is_what_stands_before_the_slash(name: str) -> None:
    assert trials.base(name) == "a-0"


def test_a_comparison_is_over_a_telephone_as_far_as_both_sides_are() -> None:
    enrolled = [voice("a", str(take), telephone=share) for take, share in enumerate((1.0, 0.5))]
    entry = trials.enroll(enrolled)
    assert entry.telephone == pytest.approx(0.75)
    asked = [voice("b", "0", telephone=0.4), voice("b", "1", telephone=np.nan)]
    given = trials.compare([entry], asked).conditions
    np.testing.assert_allclose(given.telephone, [0.3, 0.75])  # unknown counts as a telephone
    np.testing.assert_allclose(given.enrolled_speech_s, 6.0)
    np.testing.assert_allclose(given.n_enrolled, 2.0)
    pairs = trials.all_pairs([enrolled[1], asked[0]])
    np.testing.assert_allclose(pairs.conditions.telephone, [0.2])
