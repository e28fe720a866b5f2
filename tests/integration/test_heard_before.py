"""A recording that was enrolled or accepted is known when it comes again."""

from __future__ import annotations

import io
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile
from postgres_server import Databases

from voiceid import ConfigError, Outcome, Reason, VoiceID
from voiceid.domain import EmbeddedClip, HeardAs
from voiceid.errors import StoreError
from voiceid.store import fingerprint_table
from voiceid.verification import replays

ROOT = Path(__file__).resolve().parents[2]
ON = {"replay.check": True}
Open = Callable[..., VoiceID]


@pytest.fixture
def opened_at(tmp_path: Path, enrolled_data: Path, models_folder: Path) -> Iterator[Open]:
    """Open a gallery of this test's own, of alice and bob unless it is new, with settings."""
    shutil.copytree(enrolled_data, tmp_path / "data")
    open_ones: list[VoiceID] = []

    def open_it(data: str = "data", **more: object) -> VoiceID:
        settings = {"models": str(models_folder), "offline": True, **ON}
        settings |= {key.replace("__", "."): value for key, value in more.items()}
        open_ones.append(VoiceID.open(tmp_path / data, home=tmp_path, overrides=settings))
        return open_ones[-1]

    yield open_it
    for vid in open_ones:
        vid.close()


def noisy(samples: np.ndarray, snr_db: float = 25.0) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(len(samples))
    noise *= np.sqrt(np.mean(samples**2)) * 10 ** (-snr_db / 20)
    return (0.5 * (samples + noise)).astype(np.float32)


def in_a_file(samples: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format=kind)
    return file.getvalue()


def kept(vid: VoiceID, name: str) -> list[HeardAs]:
    with vid._session.store.read() as reader:
        speaker = reader.speakers.get(name)
        return [HeardAs(one["heard_as"]) for one in reader.fingerprints.summary(speaker.id)]


def test_what_was_accepted_once_is_not_accepted_again(opened_at: Open, ami) -> None:
    vid, said = opened_at(), ami.samples("alice-3")
    before = datetime.now(UTC)
    assert vid.verify("alice", (said, 16_000)).accepted
    for again in (
        (said, 16_000),
        in_a_file(said, "MP3"),
        (noisy(said), 16_000),
        (np.concatenate([ami.samples("alice-4")[:24_000], said[20_000:80_000]]), 16_000),
    ):
        for decision in (vid.verify("alice", again), vid.identify(again)):
            assert (decision.outcome, decision.reason) == (Outcome.REJECTED, Reason.REPLAYED)
            assert decision.replay_of.heard_as is HeardAs.ACCEPTANCE
            assert before <= decision.replay_of.heard_at <= datetime.now(UTC)
            assert not decision.accepted
    assert vid.identify((said, 16_000)).speaker is None
    assert vid.identify((ami.samples("alice-4"), 16_000)).accepted, (
        "said once, and not heard before"
    )


def test_what_was_enrolled_is_not_accepted_whatever_it_went_through(
    opened_at: Open, ami, monkeypatch: pytest.MonkeyPatch
) -> None:
    vid = opened_at("new")
    monkeypatch.setattr(fingerprint_table, "_AT_ONCE", 1)
    vid.enroll("alice", [(ami.samples(turn), 16_000) for turn in ("alice-1", "alice-2")])
    assert kept(vid, "alice") == [HeardAs.ENROLLMENT] * 2
    decision = vid.verify("alice", (noisy(ami.samples("alice-2")), 16_000))
    assert decision.reason is Reason.REPLAYED
    assert decision.replay_of.heard_as is HeardAs.ENROLLMENT
    assert "enrolled on 2" in decision.detail
    assert decision.to_dict()["replay_of"]["heard_as"] == "enrollment"
    assert vid.verify(
        "alice", (noisy(ami.samples("alice-2")), 16_000), allow_replayed=True
    ).accepted


def test_comparing_two_clips_says_whether_they_are_one_recording(opened_at: Open, ami) -> None:
    vid, said = opened_at(), ami.samples("alice-3")
    of_one = "the clips are of one recording, or have a part in common"
    other = ami.samples("alice-4"), 16_000
    for clip, is_one in ((in_a_file(said[20_000:], "MP3"), True), (other, False)):
        decision = vid.compare((said, 16_000), clip)
        assert (decision.accepted, of_one in decision.detail) == (True, is_one)


def test_nothing_is_kept_or_looked_for_where_it_is_off(opened_at: Open, ami) -> None:
    vid, said = opened_at(replay__check=False), (ami.samples("alice-3"), 16_000)
    assert vid.identify(said).accepted
    assert vid.identify(said).accepted
    assert kept(vid, "alice") == []


def test_a_blind_answer_does_not_say_that_it_was_a_replay(opened_at: Open, ami) -> None:
    vid, said = opened_at(), (ami.samples("alice-3"), 16_000)
    assert vid.verify("alice", said, blind=True).accepted
    replayed = vid.verify("alice", said, blind=True)
    wrong = vid.verify("alice", (ami.samples("bob-3"), 16_000), blind=True)
    shown = [{**one.to_dict(), "elapsed_ms": 0, "quality": None} for one in (replayed, wrong)]
    shown = [{k: v for k, v in one.items() if k != "judged_speech_s"} for one in shown]
    assert shown[0] == shown[1]


@pytest.mark.parametrize("where", ["sqlite", "postgres"])
def test_of_two_at_once_with_one_recording_one_is_accepted(
    opened_at: Open, ami, where: str, request: pytest.FixtureRequest
) -> None:
    vid = opened_at()
    if where == "postgres":
        databases: Databases = request.getfixturevalue("postgres")
        url = databases.empty()
        vid.database.copy(vid.database.location, url)
        vid = opened_at("served", database_url=url.text)
    said = (ami.samples("alice-3"), 16_000)
    assert not vid.verify("alice", (ami.samples("bob-3"), 16_000)).accepted, "models are loaded"
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: vid.verify("alice", said).outcome, range(4)))
    assert sorted(outcomes) == [Outcome.ACCEPTED] + [Outcome.REJECTED] * 3


def test_an_acceptance_that_came_since_the_look_is_seen(
    opened_at: Open, ami, monkeypatch: pytest.MonkeyPatch
) -> None:
    vid, said, looked = opened_at(), (ami.samples("alice-3"), 16_000), threading.Barrier(2)
    look = replays.replay_in

    def together(*of: object) -> object:
        replay = look(*of)
        if len(of) == 3:  # the first look: neither has kept anything yet
            looked.wait(60)
        return replay

    monkeypatch.setattr(replays, "replay_in", together)
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda _: vid.verify("alice", said).outcome, range(2)))
    assert sorted(outcomes) == [Outcome.ACCEPTED, Outcome.REJECTED]


@pytest.mark.parametrize("words", [b"\x00", b"\x00" * 7, "text", 7])
def test_where_a_fingerprint_is_damaged_nothing_is_accepted(
    opened_at: Open, ami, tmp_path: Path, words: object
) -> None:
    vid = opened_at()
    assert vid.verify("alice", (ami.samples("alice-3"), 16_000)).accepted
    with closing(sqlite3.connect(tmp_path / "data" / "voiceid.sqlite3")) as db, db:
        db.execute("UPDATE fingerprints SET words = ?", (words,))
    with pytest.raises(StoreError, match="fingerprint 1 in the database is damaged"):
        vid.verify("alice", (ami.samples("alice-4"), 16_000))


def test_an_embedding_alone_is_not_accepted(opened_at: Open, ami) -> None:
    vid = opened_at()
    embedding = vid.embed((ami.samples("alice-3"), 16_000))
    clip = EmbeddedClip(embedding.vector, embedding.space, net_speech_s=5.0, telephone=0.0)
    with pytest.raises(ConfigError, match="whether its recording was heard before"):
        vid.identify(clip)
    assert vid.identify(clip, allow_replayed=True).accepted


def test_a_fingerprint_ends_with_its_days(opened_at: Open, ami, tmp_path: Path) -> None:
    vid, said = opened_at(replay__keep_days=2), (ami.samples("alice-3"), 16_000)
    assert vid.verify("alice", said).accepted
    ago = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    with closing(sqlite3.connect(tmp_path / "data" / "voiceid.sqlite3")) as connection:
        [(until,)] = connection.execute("SELECT expires_at FROM fingerprints").fetchall()
        assert datetime.fromisoformat(until) - datetime.now(UTC) > timedelta(days=1.9)
        connection.execute("UPDATE fingerprints SET expires_at = ?", (ago,))
        connection.commit()
    assert vid.verify("alice", said).accepted, "its time is over, and it is not dropped yet"
    with closing(sqlite3.connect(tmp_path / "data" / "voiceid.sqlite3")) as connection:
        connection.execute("UPDATE fingerprints SET expires_at = ?", (ago,))
        connection.commit()
    vid.privacy.run()
    assert kept(vid, "alice") == []


@pytest.mark.parametrize("sealed", [False, True])
def test_fingerprints_go_with_the_speaker_and_the_sample(
    opened_at: Open, ami, tmp_path: Path, sealed: bool
) -> None:
    vid = opened_at("new")
    vid.enroll("alice", [(ami.samples(turn), 16_000) for turn in ("alice-1", "alice-2")])
    vid.enroll("bob", [(ami.samples(turn), 16_000) for turn in ("bob-1", "bob-2")])
    said = (ami.samples("alice-3"), 16_000)
    assert vid.verify("alice", said).accepted
    words = stored(tmp_path)
    if sealed:  # what is kept is brought over, sealed, and read again
        vid.keys.gallery.init()
        assert not set(words) & set(stored(tmp_path))
        assert vid.verify("alice", said).reason is Reason.REPLAYED
        assert len(vid.privacy.report("alice").fingerprints) == 3
    first = vid.samples.list("alice")[0]
    [of_first, *others] = stored(tmp_path)
    vid.samples.remove("alice", [first.id])
    assert kept(vid, "alice") == [HeardAs.ENROLLMENT, HeardAs.ACCEPTANCE]
    receipt = vid.privacy.erase("alice")
    assert receipt.facts["erased"]["fingerprints"] == 2
    assert kept(vid, "bob") == [HeardAs.ENROLLMENT] * 2
    alices = [of_first, others[0], others[-1]]
    for file in (tmp_path / "new").rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not [one for one in alices if one in content], file
            assert not sealed or not [one for one in words if one in content], file


def stored(tmp_path: Path) -> list[bytes]:
    with closing(sqlite3.connect(tmp_path / "new" / "voiceid.sqlite3")) as connection:
        rows = connection.execute("SELECT words FROM fingerprints ORDER BY id").fetchall()
    return [bytes(words) for (words,) in rows]


@pytest.mark.parametrize("sealed", [False, True])
def test_a_merge_takes_fingerprints_along(opened_at: Open, ami, sealed: bool) -> None:
    vid = opened_at("new")
    if sealed:
        vid.enroll("bob", [(ami.samples(turn), 16_000) for turn in ("bob-1", "bob-2")])
        vid.keys.gallery.init()
    vid.enroll("alice", [(ami.samples("alice-2"), 16_000)])
    vid.enroll("alicia", [(ami.samples("alice-4"), 16_000)], force=True)
    said = (ami.samples("alice-3"), 16_000)
    assert vid.verify("alicia", said).accepted
    vid.speakers.merge("alice", "alicia")
    assert sorted(kept(vid, "alice")) == ["acceptance", "enrollment", "enrollment"]
    assert vid.verify("alice", said).reason is Reason.REPLAYED
    assert vid.verify("alice", (noisy(ami.samples("alice-4")), 16_000)).reason is Reason.REPLAYED


def test_a_listener_is_no_replay_of_itself_and_knows_what_it_heard(opened_at: Open, ami) -> None:
    vid, pause = opened_at(), np.zeros(24_000, np.float32)

    def listened(*parts: np.ndarray) -> list[Reason]:
        live = vid.listen(speaker="alice")
        samples = np.concatenate([part for one in parts for part in (pause, one)] + [pause])
        events = [*live.feed(samples, 16_000), *live.finish()]
        return [e.decision.reason for e in events if e.kind.value == "decision"]

    said = ami.samples("alice-3")
    assert listened(said) == [Reason.MATCH]
    assert set(listened(said)) == {Reason.REPLAYED}
    end = vid.verify("alice", (said[-60_000:], 16_000))
    assert end.reason is Reason.REPLAYED, "what was said after the decision is known too"


def test_a_listener_keeps_nothing_where_replays_are_allowed(opened_at: Open, ami) -> None:
    vid, pause = opened_at(), np.zeros(24_000, np.float32)
    live = vid.listen(speaker="alice", allow_replayed=True)
    events = live.feed(np.concatenate([pause, ami.samples("alice-3"), pause]), 16_000)
    assert [e.decision.reason for e in events if e.kind.value == "decision"] == [Reason.MATCH]
    assert kept(vid, "alice") == []


@pytest.mark.parametrize("sealed", [False, True])
def test_what_was_enrolled_before_is_known_by_its_kept_audio(
    opened_at: Open, ami, sealed: bool
) -> None:
    for name, keeps in (("alice", True), ("bob", False)):
        vid = opened_at("new", replay__check=False, enrollment__keep_audio=keeps)
        vid.enroll(name, [(ami.samples(f"{name}-{turn}"), 16_000) for turn in (1, 2)])
    if sealed:
        vid.keys.gallery.init()
    vid.index.rebuild()
    assert kept(vid, "alice") == [], "it is not asked for"
    vid, said = opened_at("new"), []
    vid._session.notify = said.append
    vid.index.rebuild()
    assert [kept(vid, name) for name in ("alice", "bob")] == [[HeardAs.ENROLLMENT] * 2, []]
    assert said == ["2 fingerprints were made from kept audio"]
    vid.index.rebuild()
    assert len(said) == 1
    decision = vid.verify("alice", (noisy(ami.samples("alice-2")), 16_000))
    assert decision.reason is Reason.REPLAYED
    assert decision.replay_of.heard_at == vid.samples.list("alice")[1].created_at


def test_doctor_says_how_many_recordings_have_no_fingerprint(opened_at: Open, ami) -> None:
    vid = opened_at()

    def said() -> str:
        return {one.subject: one for one in vid.events.examine()}["replays"].message

    assert said().startswith("4 enrolled recordings have no fingerprint")
    for name in ("alice", "bob"):
        turns = [(ami.samples(f"{name}-{n}"), 16_000) for n in (1, 2)]
        vid.enroll(name, turns, mode="replace")
    assert said() == "every enrolled recording has a fingerprint"
