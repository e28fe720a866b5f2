"""Who spoke when in real meetings, and by which name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile

from benchmarks.diarization import errors, labels, plain
from voiceid import (
    ConfigError,
    Consent,
    Decision,
    Diarization,
    EnrollmentRefused,
    LinkedVoices,
    Reason,
    SpeakerDetails,
    VoiceID,
)
from voiceid.diarization.local_voices import cut
from voiceid.speech.segmenter import STEP_SAMPLES, WINDOW_SAMPLES

RATE = 16_000


@pytest.fixture(scope="module")
def talk(ami) -> tuple[np.ndarray, int]:
    """Alice, bob, a stranger, and alice again, with pauses: 26 s."""
    pause = np.random.default_rng(0).normal(0, 1e-3, RATE).astype(np.float32)
    turns = [ami.samples(name) for name in ("alice-3", "bob-3", "stranger", "alice-4")]
    return np.concatenate([part for turn in turns for part in (pause, turn)]), RATE


@pytest.fixture(scope="module")
def found(opened: VoiceID, talk: tuple[np.ndarray, int]) -> Diarization:
    return opened.diarize(talk)


def test_each_voice_has_its_name_and_its_turns(found: Diarization) -> None:
    assert [voice.name for voice in found.voices] == ["alice", "bob", "unknown-1"]
    assert [turn.voice for turn in found.turns] == ["alice", "bob", "unknown-1", "alice"]
    changes = np.cumsum([8.81, 4.75 + 1, 3.38 + 1])
    assert [turn.start_s for turn in found.turns[1:]] == pytest.approx(changes, abs=0.5)
    alice, _, unknown = found.voices
    assert alice.decision.accepted
    assert alice.decision.score >= alice.decision.threshold.value
    assert (unknown.speaker, unknown.decision.reason) == (None, Reason.UNKNOWN)
    assert found.pcm_sha256
    assert found.overlap_s <= found.speech_s <= found.duration_s


def test_the_json_of_a_diarization_has_voices_and_turns(found: Diarization) -> None:
    facts = found.to_dict()
    assert [voice["name"] for voice in facts["voices"]] == ["alice", "bob", "unknown-1"]
    assert facts["voices"][0]["decision"]["outcome"] == "accepted"
    assert facts["turns"][0].keys() == {"start_s", "end_s", "voice"}
    assert facts["embedding_space"] == found.embedding_space.id


def test_listeners_receive_what_was_decided_of_each_voice_and_progress_is_said_of_both_stages(
    opened: VoiceID, talk: tuple[np.ndarray, int]
) -> None:
    heard: list[Decision] = []
    said: list[tuple[str, float, float | None]] = []
    stop = opened.events.on_decision(heard.append)
    opened.diarize(talk, progress=lambda *stage: said.append(stage))
    stop()
    assert sorted(d.speaker.name for d in heard if d.accepted) == ["alice", "bob"]
    assert list(dict.fromkeys(stage for stage, *_ in said)) == ["hear", "name"]
    named = [(done_s, total_s) for stage, done_s, total_s in said if stage == "name"]
    assert [done_s for done_s, _ in named] == sorted(done_s for done_s, _ in named)
    assert (named[0][0], len(named)) == (0.0, 4)
    assert named[-1][0] == pytest.approx(named[-1][1], abs=0.01)


def test_a_speaker_who_is_disabled_is_not_named(vid: VoiceID, ami, talk) -> None:
    vid.enroll("alice", [(ami.samples(f"alice-{n}"), RATE) for n in (1, 2)])
    vid.speakers.edit("alice", SpeakerDetails(expires_at=datetime.now(UTC) - timedelta(days=1)))
    first = vid.diarize(talk).voices[0]
    assert (first.name, first.decision.reason) == ("unknown-1", Reason.SPEAKER_EXPIRED)


def test_a_speaker_without_a_consent_for_the_purpose_is_not_named(vid: VoiceID, ami, talk) -> None:
    clips = [(ami.samples(f"alice-{n}"), RATE) for n in (1, 2)]
    vid.enroll("alice", clips, consent=Consent("2026-03", ("minutes",)))
    found = [vid.diarize(talk, purpose=purpose).voices[0] for purpose in ("minutes", "payment")]
    assert [voice.name for voice in found] == ["alice", "unknown-1"]
    assert found[1].decision.reason == Reason.NO_CONSENT


def test_names_are_looked_for_where_it_is_said(opened: VoiceID, talk) -> None:
    assert {v.name[:7] for v in opened.diarize(talk, group="vault").voices} == {"unknown"}
    nameless = opened.diarize(talk, names=False)
    assert [voice.name for voice in nameless.voices] == ["unknown-1", "unknown-2", "unknown-3"]
    assert all(voice.decision is None for voice in nameless.voices)


def test_there_are_at_most_as_many_voices_as_are_said(opened: VoiceID, talk) -> None:
    assert len(opened.diarize(talk, speakers=2, names=False).voices) == 2
    assert len(opened.diarize(talk, speakers=(1, 1), names=False).voices) == 1


@pytest.mark.parametrize("speakers", [0, (3, 2), (1,), True, "2"])
def test_a_number_of_speakers_that_is_none_is_an_error(opened: VoiceID, speakers: object) -> None:
    with pytest.raises(ConfigError, match="which is not a number of people"):
        opened.diarize(b"", speakers=speakers)


@pytest.mark.parametrize("n_samples", [1, 900, 5000, 3 * RATE])
def test_silence_has_no_voices(opened: VoiceID, n_samples: int) -> None:
    found = opened.diarize((np.zeros(n_samples, np.float32), RATE))
    assert (found.voices, found.turns) == ((), ())


def test_it_does_not_depend_on_the_rate_or_the_file(
    opened: VoiceID, talk, found: Diarization, tmp_path: Path
) -> None:
    path = tmp_path / "talk.flac"
    soundfile.write(path, talk[0], RATE)
    again = opened.diarize(path)
    assert again.clip == "talk.flac"
    assert [turn.voice for turn in again.turns] == [turn.voice for turn in found.turns]


def test_of_a_real_meeting_most_is_right(opened: VoiceID, ami) -> None:
    found = opened.diarize(ami.folder / "trn03.wav", names=False)
    made = errors(labels(ami.folder)["trn03"], plain(found.turns), found.duration_s)
    assert sum(made.seconds[:3]) < 0.1 * made.total_s


@pytest.mark.parametrize("n_samples", [990, 991, 80_000, 160_000, 160_271, 300_000, 480_123])
@pytest.mark.parametrize("block", [270, 4096, 100_000])
def test_windows_cover_a_recording_however_it_comes(n_samples: int, block: int) -> None:
    samples = np.arange(n_samples, dtype=np.float32)
    blocks = [samples[at : at + block] for at in range(0, n_samples, block)]
    found = list(cut(blocks))
    if n_samples < 991:
        assert found == []
        return
    for first, window in found:
        assert window[0] == first * STEP_SAMPLES
        assert len(window) == min(n_samples, WINDOW_SAMPLES)
    firsts = [first for first, _ in found]
    assert firsts == sorted(set(firsts))
    assert n_samples - (firsts[-1] * STEP_SAMPLES + len(found[-1][1])) < STEP_SAMPLES


def test_a_voice_that_is_unknown_is_enrolled_and_then_known(vid: VoiceID, ami, talk) -> None:
    vid.enroll("alice", [(ami.samples(f"alice-{n}"), RATE) for n in (1, 2)])
    names = [voice.name for voice in vid.diarize(talk).voices]
    assert names == ["alice", "unknown-1", "unknown-2"]
    report = vid.enroll("bob", talk, part="unknown-1")
    assert 3.5 < report.clips[0].quality.duration_s < 5.1  # of 4.75
    assert [voice.name for voice in vid.diarize(talk).voices] == ["alice", "bob", "unknown-1"]
    alone = vid.models.hear((ami.samples("bob-3"), RATE)).embedding
    assert float(vid.samples.list("bob")[0].vector @ alone.vector) > 0.9


def test_a_voice_that_is_not_there_is_refused(vid: VoiceID, talk) -> None:
    with pytest.raises(EnrollmentRefused, match=r"has no voice unknown-9 .* unknown-1, unknown-2"):
        vid.enroll("bob", talk, part="unknown-9")
    with pytest.raises(ConfigError, match="2 recordings"):
        vid.enroll("bob", [talk, talk], part="unknown-1")


def test_an_unknown_voice_has_one_name_in_two_recordings(opened: VoiceID, ami) -> None:
    pause = np.zeros(RATE, np.float32)

    def recording(*turns: str) -> tuple[np.ndarray, int]:
        parts = [part for turn in turns for part in (pause, ami.samples(turn))]
        return np.concatenate(parts), RATE

    links = LinkedVoices()
    first = opened.diarize(recording("carol-1", "stranger"), names=links)
    second = opened.diarize(recording("bob-3", "stranger", "carol-2"), names=links)
    assert [voice.name for voice in first.voices] == ["unknown-a", "unknown-b"]
    assert [voice.name for voice in second.voices] == ["bob", "unknown-b", "unknown-a"]
    stranger = second.voices[1]
    assert (stranger.own_name, stranger.link.voice) == ("unknown-1", "unknown-2")
    assert stranger.link.score >= stranger.link.threshold
    with pytest.raises(EnrollmentRefused, match=r"no voice unknown-b .* unknown-1, unknown-2"):
        opened.enroll("dave", recording("bob-3", "stranger", "carol-2"), part="unknown-b")
