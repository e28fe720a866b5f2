"""A clip of two people is neither accepted nor enrolled, and who speaks when is said."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from live_answers import in_turns

from voiceid import EnrollmentRefused, VoiceID
from voiceid.domain import Decision, Outcome, Reason
from voiceid.errors import ConfigError

RATE = 16_000


@pytest.fixture(scope="module")
def two(ami) -> tuple[np.ndarray, int]:
    """Alice for 6.8 s, and then bob."""
    return np.concatenate([ami.samples("alice-4"), ami.samples("bob-3")]), RATE


def names(decision: Decision) -> list[str | None]:
    return [part.sounds_like for part in decision.parts]


def test_two_in_turn_are_inconclusive_and_named_where_each_speaks(
    opened: VoiceID, two: tuple[np.ndarray, int]
) -> None:
    decision = opened.identify(two)
    assert (decision.outcome, decision.reason) == (Outcome.INCONCLUSIVE, Reason.SEVERAL_VOICES)
    assert names(decision) == ["alice", "bob"]
    assert decision.parts[0].end_s == pytest.approx(6.77, abs=0.6)
    assert decision.speaker is None
    assert opened.identify(two, solo="off").accepted
    warned = opened.identify(two, solo="warn")
    assert warned.accepted
    assert warned.parts == decision.parts
    assert "several_voices" in warned.quality.warnings


def test_two_who_alternate_every_second_are_found(opened: VoiceID, ami) -> None:
    decision = opened.identify((in_turns(ami.samples("bob-3"), ami.samples("carol-1")), RATE))
    assert decision.reason is Reason.SEVERAL_VOICES
    assert names(decision)[0] == "bob"
    found = [(part.voice, part.start_s) for part in decision.parts[:5]]
    assert found == [(1 + at % 2, pytest.approx(at, abs=0.3)) for at in range(5)]


def test_a_few_words_of_another_are_found_by_how_little_they_are_like_the_enrolled(
    opened: VoiceID, ami
) -> None:
    words = ami.samples("carol-1")[8_000:20_800]
    both = np.concatenate([ami.samples("bob-3")[: 3 * RATE], words]), RATE
    for decision in (opened.identify(both), opened.verify("bob", both)):
        assert decision.reason is Reason.SEVERAL_VOICES
        assert names(decision) == ["bob", None]
        assert decision.parts[1].start_s == pytest.approx(3.0, abs=0.3)


def test_of_a_claimed_speaker_only_their_own_part_is_named(
    opened: VoiceID, two: tuple[np.ndarray, int]
) -> None:
    decision = opened.verify("alice", two, target_fmr=0.01)
    assert decision.reason is Reason.SEVERAL_VOICES
    assert names(decision) == ["alice", None]
    assert decision.speaker.name == "alice"


def test_either_clip_of_a_comparison_must_be_of_one_voice(
    opened: VoiceID, two: tuple[np.ndarray, int], ami
) -> None:
    alone = (ami.samples("alice-3"), RATE)
    for pair in ((alone, two), (two, alone)):
        decision = opened.compare(*pair, target_fmr=0.01)
        assert decision.reason is Reason.SEVERAL_VOICES
    assert opened.compare(alone, (ami.samples("alice-4"), RATE)).accepted


def test_clips_of_one_person_are_accepted_as_before(opened: VoiceID, ami) -> None:
    for turn, name in (("alice-3", "alice"), ("alice-4", "alice"), ("bob-3", "bob")):
        checked, unchecked = (
            opened.identify((ami.samples(turn), RATE), solo=solo) for solo in ("require", "off")
        )
        assert checked.speaker.name == unchecked.speaker.name == name
        assert checked.score == unchecked.score
        assert checked.parts == ()


def test_what_is_no_way_to_deal_with_it_is_an_error(opened: VoiceID) -> None:
    with pytest.raises(ConfigError, match="off, warn, require"):
        opened.identify(b"", solo="maybe")


def test_a_clip_of_two_is_not_enrolled_unless_forced(vid: VoiceID, ami) -> None:
    both = (np.concatenate([ami.samples("carol-1"), ami.samples("alice-3")]), RATE)
    with pytest.raises(EnrollmentRefused, match="several people speak in it") as refused:
        vid.enroll("alice", both)
    [problem] = refused.value.report.problems
    assert (problem.code, problem.overridable) == ("several_voices", True)
    assert "--part" in problem.message
    assert vid.speakers.list() == []
    report = vid.enroll("alice", both, force=True)
    assert [problem.code for problem in report.problems] == ["several_voices"]
    assert vid.samples.list("alice")[0].overrides == ("several_voices",)


def test_the_part_of_one_person_is_enrolled_by_its_seconds_or_as_the_most_spoken(
    vid: VoiceID, ami
) -> None:
    first, second = ami.samples("carol-1"), ami.samples("alice-3")
    both = (np.concatenate([first, second]), RATE)
    change_s = len(first) / RATE
    named = vid.enroll("alice", both, part=(change_s, 60.0))
    alone = vid.models.hear((second, RATE))
    assert named.clips[0].quality.net_speech_s == pytest.approx(alone.quality.net_speech_s, abs=0.1)
    assert named.clips[0].pcm_sha256 == alone.pcm_sha256
    file = io.BytesIO()
    soundfile.write(file, both[0], RATE, format="FLAC")
    file.seek(0)
    solo = vid.enroll("alice", file, part="solo")  # a file object can be read again
    vector = vid.samples.list("alice")[1].vector
    assert float(vector @ alone.embedding.vector) > 0.9
    assert solo.clips[0].quality.duration_s < alone.quality.duration_s


def test_a_part_that_is_none_is_refused(vid: VoiceID, ami) -> None:
    clip = (ami.samples("alice-3"), RATE)
    for part in (
        (3.0, 2.0),
        (-1.0, 2.0),
        (0.0, float("inf")),
        (1.0,),
        " ",
        ("a", "b"),
        (None, None),
    ):
        with pytest.raises(ConfigError, match="part"):
            vid.enroll("alice", clip, part=part)
    with pytest.raises(ConfigError, match="2 recordings"):
        vid.enroll("alice", [clip, clip], part=(0.0, 2.0))
    with pytest.raises(EnrollmentRefused, match=r"is 6.81 s long") as refused:
        vid.enroll("alice", clip, part=(60.0, 90.0))
    assert refused.value.report.problems[0].code == "unreadable"
