"""Counters, latencies and events of real decisions and changes."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from voiceid import (
    AudioError,
    EmbeddedClip,
    EnrollmentRefused,
    ModelNotInstalled,
    Person,
    SpeakerDetails,
    SpeakerNotFound,
    ThresholdUnavailable,
    VoiceID,
)


@pytest.fixture
def vid(home: Path) -> Iterator[VoiceID]:
    """Alice and bob, in a data folder of this test's own."""
    with VoiceID.open() as opened:
        yield opened


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "voiceid")
    return caplog


def changes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the kinds of the changes that were logged, and forget them."""
    found = [record.kind for record in caplog.records if record.event == "change"]
    caplog.clear()
    return found


def test_every_way_to_a_decision_is_counted_timed_and_logged_once(
    vid: VoiceID, home: Path, ami, events, from_scratch: None
) -> None:
    door, stranger = (ami.cut(t, home / f"{t}.wav") for t in ("alice-4", "stranger"))
    heard = vid.models.hear(door)
    vid.identify(door)
    vid.verify("alice", door)
    vid.verify("bob", door)
    vid.compare(door, stranger)
    vid.identify(EmbeddedClip(heard.embedding.vector, vid.models.space, net_speech_s=5.0))
    list(vid.identify_all([door, stranger, home / "nothing.wav"]))
    list(vid.verify_all("alice", [door, (np.zeros(16_000, np.float32), 16_000)]))
    with pytest.raises(SpeakerNotFound):
        vid.verify("nobody", door)
    vid.search(EmbeddedClip(heard.embedding.vector, vid.models.space))  # decides nothing
    stats = vid.events.stats()
    counted = {f"{c.task} {c.outcome} {c.reason}": c.count for c in stats.decisions}
    assert counted == {
        "identify accepted match": 3,
        "identify rejected unknown": 1,
        "verify accepted match": 2,
        "verify rejected below_threshold": 1,
        "verify inconclusive not_enough_speech": 1,
        "compare rejected below_threshold": 1,
    }
    assert stats.errors == {"AudioNotFound": 1, "SpeakerNotFound": 1}
    assert stats.speakers == {vid.models.space.id: 2}
    logged = [f"{r.task} {r.outcome} {r.reason}" for r in events.records if r.event == "decision"]
    assert {said: logged.count(said) for said in logged} == counted
    exposed = re.findall(
        r'^voiceid_decisions_total{outcome="(\w+)",reason="(\w+)",task="(\w+)"} \d+\.0$',
        stats.to_prometheus(),
        re.MULTILINE,
    )
    assert len(exposed) == len(set(exposed)) == 30, "what can come of a question, and no more"
    assert [r.error for r in events.records if r.event == "error"] == [
        "AudioNotFound",
        "SpeakerNotFound",
    ]
    assert stats.clips == 1 + 3 + 2 + 2 + 2
    assert stats.audio_s == pytest.approx(
        7 * heard.quality.duration_s + 2 * len(ami.samples("stranger")) / 16_000 + 1.0, abs=0.01
    )
    assert {task: found.count for task, found in stats.latencies.items()} == {
        "verify": 4,
        "identify": 4,
        "compare": 1,
    }
    stages = {stage: found.count for stage, found in stats.stages.items()}
    assert stages == {"decode": 10, "detect": 10, "embed": 10, "search": 5}
    assert 0.0 < stats.stages["search"].sum_s < stats.stages["embed"].sum_s
    assert 0.0 < stats.model_load_s < 30.0
    assert json.loads(json.dumps(stats.to_dict()))["clips"] == 10


def test_no_event_names_a_stranger_a_candidate_or_a_recording(
    vid: VoiceID, home: Path, ami, events
) -> None:
    clip = ami.cut("stranger", home / "secret-place.wav")
    decision = vid.identify(clip)
    assert decision.candidates[0].speaker.name == "alice"
    with pytest.raises(AudioError):
        vid.identify(home / "secret-nothing.wav")
    with pytest.raises(SpeakerNotFound):
        vid.verify("secret-name", clip)
    said = repr([vars(record) for record in events.records]) + events.text
    assert "rejected" in said
    for secret in ("alice", "bob", "secret", "array(", "Decision("):
        assert secret not in said


def test_threads_lose_no_count(vid: VoiceID, home: Path, ami) -> None:
    heard = vid.models.hear(ami.cut("alice-4", home / "door.wav"))

    def ask() -> None:
        for _ in range(25):
            vid.identify(EmbeddedClip(heard.embedding.vector, vid.models.space, net_speech_s=5.0))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = vid.events.stats()
    assert [c.count for c in stats.decisions] == [100]
    assert stats.latencies["identify"].count == stats.stages["search"].count == 100


def test_what_a_listener_refuses_is_an_error_and_no_decision(
    vid: VoiceID, home: Path, ami, events
) -> None:
    def refuse(_: object) -> None:
        raise OSError("the disk is full")

    vid.events.on_decision(refuse)
    with pytest.raises(OSError, match="full"):
        vid.verify("alice", ami.cut("alice-4", home / "door.wav"))
    assert vid.events.stats().decisions == ()
    assert vid.events.stats().errors == {"OSError": 1}
    assert [record.event for record in events.records] == ["error"]


def test_a_question_that_cannot_even_be_asked_is_an_error_too(
    vid: VoiceID, home: Path, ami, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = ami.cut("alice-4", home / "door.wav")
    with VoiceID.open(overrides={"models": home / "no-models"}) as other:
        for ask in (
            lambda: other.verify("alice", clip),
            lambda: other.identify(clip),
            lambda: other.compare(clip, clip),
        ):
            with pytest.raises(ModelNotInstalled):
                ask()
        with pytest.raises(ThresholdUnavailable):
            other.identify(EmbeddedClip(np.ones(vid.models.space.dim), vid.models.space))
        assert other.events.stats().errors == {"ModelNotInstalled": 3, "ThresholdUnavailable": 1}
        assert other.events.stats().decisions == ()


def test_counting_neither_makes_a_database_nor_needs_a_sound_one(empty_home: Path) -> None:
    with VoiceID.open() as vid:
        assert vid.events.stats().speakers == {}
        assert vid.events.gallery().spaces == ()
        assert vid.events.gallery().schema is None
        assert not (empty_home / "data").exists()
        (empty_home / "data").mkdir()
        vid.database.location.write_bytes(b"no database")
        assert vid.events.stats().speakers is None


def test_each_change_of_the_enrolled_is_one_event(vid: VoiceID, home: Path, ami, events) -> None:
    names = ("alice-3", "alice-4", "bob-3", "carol-1", "carol-2")
    clips = {turn: ami.cut(turn, home / f"{turn}.wav") for turn in names}
    vid.enroll("alice", [clips["alice-3"]])
    vid.enroll("carol", [clips["carol-1"], clips["carol-2"]])
    [enrolled] = [r for r in events.records if getattr(r, "speaker", None) == "carol"]
    assert (enrolled.kind, enrolled.samples, enrolled.space) == ("enroll", 2, vid.models.space.id)
    assert enrolled.speaker_id == vid.speakers.get("carol").id
    vid.enroll("alice", [clips["alice-3"], clips["alice-4"]], mode="replace")
    assert changes(events) == ["append", "enroll", "replace"]
    vid.enroll("bob", [clips["bob-3"]], dry_run=True)
    with pytest.raises(EnrollmentRefused):
        vid.enroll("mallory", [clips["bob-3"]])
    assert [(r.event, r.doing, r.error) for r in events.records] == [
        ("error", "enroll", "EnrollmentRefused")
    ]
    assert changes(events) == []
    people = [Person("bob", (clips["bob-3"],)), Person("none", (home / "none.wav",))]
    assert [report.enrolled for report in vid.enroll_all(people)] == [True, False]
    assert next(iter(vid.enroll_all(people))).status == "unchanged"
    assert [r.error for r in events.records if r.event == "error"] == ["EnrollmentRefused"]
    assert changes(events) == ["append"]
    vid.speakers.edit("carol", SpeakerDetails(groups=("staff",)))
    vid.speakers.rename("carol", "caroline")
    assert (events.records[-1].speaker, events.records[-1].other) == ("caroline", "carol")
    vid.speakers.export(home / "all.jsonl")
    vid.speakers.merge("bob", "caroline", force=True, dry_run=True)
    vid.speakers.merge("bob", "caroline", force=True)
    assert (events.records[-1].speaker, events.records[-1].other) == ("bob", "caroline")
    carols = [s.id for s in vid.samples.list("bob") if s.source_name.startswith("carol")]
    vid.speakers.split("bob", "carla", carols)
    assert (events.records[-1].speaker, events.records[-1].other) == ("bob", "carla")
    vid.samples.remove(name="carla", sample_ids=[vid.samples.list("carla")[0].id])
    assert (events.records[-1].speaker, events.records[-1].samples) == ("carla", 1)
    vid.speakers.remove("carla")
    vid.speakers.edit("bob", SpeakerDetails(expires_at=vid.speakers.get("bob").created_at))
    vid.speakers.purge_expired(dry_run=True)
    vid.speakers.purge_expired()
    vid.speakers.import_file(home / "all.jsonl", append=True)
    assert changes(events) == [
        *("edit", "rename", "export", "merge", "split", "remove_samples"),
        *("remove", "edit", "remove", "import"),
    ]
    vid.database.backup(home / "copy.sqlite3")
    vid.database.upgrade()
    vid.database.restore(home / "copy.sqlite3")
    vid.index.rebuild()
    vid.database.copy(vid.database.location, home / "moved.sqlite3")
    assert changes(events) == ["backup", "upgrade", "restore", "rebuild_index", "copy"]
    assert sum(vid.events.stats().changes.values()) == 19
    assert vid.events.stats().changes["remove"] == 2


def test_every_model_that_comes_or_goes_is_an_event(
    empty_home: Path, silero_checkpoint: Path, events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_MODELS", str(empty_home / "models"))
    with VoiceID.open() as vid:
        vid.models.pull("silero-vad", source=silero_checkpoint)
        vid.models.pull("silero-vad")  # it is there
        assert events.records[-1].model == "silero-vad"
        vid.models.remove("silero-vad")
        assert vid.events.stats().changes == {"install_model": 1, "remove_model": 1}
    assert changes(events) == ["install_model", "remove_model"]
