"""Failed attempts lock a claimed name and a caller, in every process over one database."""

from __future__ import annotations

import json
import logging
import re
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_voices import files_holding
from sqlalchemy import Connection, event, update
from torture.voices import new_clips, opened, utterance
from worker_forks import program

from voiceid import Decision, SpeakerDetails, VoiceID
from voiceid.domain import AttemptLimits, DatabaseUrl
from voiceid.errors import (
    AudioError,
    AudioUnreadable,
    ConfigError,
    LockedOut,
    SpeakerNameInvalid,
    SpeakerNotFound,
)
from voiceid.store.attempt_table import Attempt
from voiceid.store.postgres import BEGIN_OPTION
from voiceid.store.tables import attempts
from voiceid.verification.lockout import locked_until

ALICE, BOB, STRANGER = (new_clips(np.random.default_rng(n), 40, n) for n in (1, 2, 9))
LIMIT = 3
Open = Callable[[], VoiceID]


@pytest.fixture
def settings(database: Path | DatabaseUrl) -> dict[str, object]:
    """Few failures lock; the database is a file, or of a server."""
    on_server = isinstance(database, DatabaseUrl)
    return {
        "attempts.max_failures": LIMIT,
        **({"database_url": database.text} if on_server else {}),
    }


@pytest.fixture
def door(settings: dict[str, object], tmp_path: Path) -> Iterator[VoiceID]:
    """Alice and bob are enrolled."""
    with opened(tmp_path / "data", settings) as vid:
        enroll(vid)
        yield vid


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[VoiceID]:
    """The same in a file."""
    with opened(tmp_path / "data", {"attempts.max_failures": LIMIT}) as vid:
        enroll(vid)
        yield vid


def enroll(vid: VoiceID) -> None:
    for name, clips in (("Alice", ALICE), ("bob", BOB)):
        vid.enroll(name, [utterance(clip, vid.models.space) for clip in clips[:3]])


def ask(vid: VoiceID, name: str, clip: int, caller: str = "door", **how: Any) -> str:
    """Return what becomes of an attempt, in a word."""
    try:
        heard = utterance(clip, vid.models.space)
        return vid.verify(name, heard, caller=caller, **how).outcome.value
    except LockedOut:
        return "locked"
    except SpeakerNotFound:
        return "not found"


def fail(vid: VoiceID, name: str, times: int = LIMIT, caller: str = "door") -> None:
    said = [ask(vid, name, STRANGER[n], caller) for n in range(times)]
    assert set(said) <= {"rejected", "not found"}


def test_a_caller_may_have_another_limit_than_a_name(tmp_path: Path) -> None:
    """A telephone system asks for many people: a few who are rejected must not lock it."""
    limits = {"attempts.max_failures": LIMIT, "attempts.caller_max_failures": 2 * LIMIT}
    with opened(tmp_path / "data", limits) as line:
        enroll(line)
        fail(line, "bob")
        assert ask(line, "bob", BOB[4]) == "locked"
        for n in range(LIMIT - 1):
            fail(line, f"caller {n}", 1)
        assert ask(line, "alice", ALICE[4]) == "accepted"
        fail(line, "carol", 1)
        with pytest.raises(LockedOut, match=f"{2 * LIMIT} attempts of 'door'"):
            line.verify("alice", utterance(ALICE[5], line.models.space), caller="door")
        locked = {one.name or one.caller for one in line.attempts.list() if one.locked_until}
        assert locked == {"bob", "door"}
    assert AttemptLimits(LIMIT).of_callers.max_failures == LIMIT


def age(vid: VoiceID, seconds: float) -> None:
    """Make all attempts older."""
    with vid._session.store.write() as writer:
        for made in writer.attempts.since(datetime(2000, 1, 1, tzinfo=UTC)):
            then = made.failed_at - timedelta(seconds=seconds)
            query = update(attempts).where(attempts.c.id == made.id)
            writer.connection.execute(query.values(failed_at=then.isoformat()))


ATTACK = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from torture.voices import Heard, opened, utterance
from voiceid.errors import LockedOut

data, settings, clips = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])

def slow(self, source, *_):
    time.sleep(0.2)
    return source

Heard.with_speech = Heard.utterance = slow
with opened(data, settings) as vid:
    space = vid.models.space
    print("ready", flush=True)
    sys.stdin.readline()

    def attempt(clip):
        try:
            return vid.verify("alice", utterance(clip, space), caller="a line").outcome.value
        except LockedOut:
            return "locked"

    with ThreadPoolExecutor(4) as pool:
        print(json.dumps(list(pool.map(attempt, clips))), flush=True)
"""


def test_two_processes_at_once_have_no_more_tries_than_one(
    door: VoiceID, settings: dict[str, object], tmp_path: Path
) -> None:
    door.close()
    given = tmp_path / "data", json.dumps(settings)
    with ExitStack() as stack:
        attackers = [
            stack.enter_context(program(ATTACK, *given, json.dumps(STRANGER[n : n + 8])))
            for n in (0, 8)
        ]
        for one in attackers:
            assert one.stdout.readline() == "ready\n"
        for one in attackers:
            one.stdin.write("\n")
            one.stdin.flush()
        said = [word for one in attackers for word in json.loads(one.communicate()[0])]
    assert sorted(said) == ["locked"] * (16 - LIMIT) + ["rejected"] * LIMIT


KILLED = """
import json, os, signal, sys
from torture.voices import opened, utterance

data, settings, clips = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
with opened(data, settings) as vid:
    for clip in clips:
        vid.verify("alice", utterance(clip, vid.models.space), caller="a line")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_failures_are_counted_of_a_process_that_is_killed_after_its_answers(
    door: VoiceID, settings: dict[str, object], tmp_path: Path
) -> None:
    words = [tmp_path / "data", json.dumps(settings), json.dumps(STRANGER[:LIMIT])]
    with program(KILLED, *words) as worker:
        assert worker.wait() == -signal.SIGKILL
    assert ask(door, "alice", ALICE[5]) == "locked"


def test_a_failure_waits_for_the_disk_and_acceptances_after_the_first_write_nothing(
    desk: VoiceID,
) -> None:
    """2 is FULL (sqlite.org/pragma.html): the commit is on the disk."""
    levels = list[int]()

    def note(connection: Connection) -> None:
        if connection.get_execution_options()[BEGIN_OPTION].writes:
            levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())

    event.listen(desk._session.store._engine, "commit", note)
    for _ in range(2):
        assert ask(desk, "alice", ALICE[5]) == "accepted"
        assert levels == [2], "the first, which shows that failures can be counted"
    assert ask(desk, "alice", STRANGER[0]) == "rejected"
    assert levels == [2, 2]
    assert ask(desk, "alice", ALICE[5]) == "accepted"
    assert levels == [2, 2, 2], "the failure is forgotten"


def test_a_lock_outlives_the_process_and_ends_with_its_window(
    door: VoiceID, settings: dict[str, object], tmp_path: Path
) -> None:
    fail(door, "alice")
    door.close()
    with opened(tmp_path / "data", settings) as again:
        heard = utterance(ALICE[5], again.models.space)
        with pytest.raises(LockedOut, match="3 attempts as 'ALICE' failed") as locked:
            again.verify("ALICE", heard, caller="another door")
        assert locked.value.exit_code == 67
        assert 890 < locked.value.retry_after_s <= 900
        assert again.verify("alice", heard).accepted, "who names no caller is not counted"
        assert ask(again, "bob", BOB[5], "another door") == "accepted"
        assert ask(again, "bob", BOB[5]) == "locked", "the caller is locked as well"
        age(again, 901)
        assert ask(again, "alice", ALICE[5]) == "accepted"
        assert again.attempts.list() == []


def test_an_acceptance_forgets_the_failures_of_the_name_of_any_caller(door: VoiceID) -> None:
    fail(door, "alice", 1, "one")
    fail(door, "alice", 1, "two")
    fail(door, "bob", 1, "two")
    assert ask(door, "alice", ALICE[5], "three") == "accepted"
    assert [(one.name, one.caller, one.failures) for one in door.attempts.list()] == [
        ("bob", None, 1),
        (None, "two", 1),
    ]


def test_what_says_nothing_of_the_voice_is_not_counted(desk: VoiceID) -> None:
    heard = utterance(STRANGER[0], desk.models.space)
    silence = replace(heard, embedding=None)

    class Unreadable:
        def __getattr__(self, _: str) -> None:
            raise AudioUnreadable("it is not audio")

    for _ in range(LIMIT + 1):
        assert desk.verify("alice", silence, caller="door").outcome.value == "inconclusive"
        with pytest.raises(AudioError):
            desk.verify("alice", Unreadable(), caller="door")
    assert desk.attempts.list() == []


def test_failures_that_count_no_more_go_with_the_next_failure_or_the_run_of_a_night(
    desk: VoiceID,
) -> None:
    def kept() -> list[str]:
        with desk._session.store.read() as reader:
            return [one.name_key for one in reader.attempts.since(datetime(2000, 1, 1, tzinfo=UTC))]

    fail(desk, "alice", 1)
    age(desk, 901)
    fail(desk, "bob", 1)
    assert kept() == ["bob"]
    age(desk, 901)
    desk.privacy.run()
    assert kept() == []


@pytest.mark.parametrize("clip", [ALICE[5], STRANGER[0]], ids=["accepted", "rejected"])
def test_a_lock_that_begins_while_a_clip_is_judged_takes_the_place_of_the_answer(
    desk: VoiceID, clip: int
) -> None:
    heard = utterance(clip, desk.models.space)

    class Clip:
        def __getattr__(self, name: str) -> Any:
            fail(desk, "alice", LIMIT - len(made()), "another")
            return getattr(heard, name)

    def made() -> list[int]:
        return [n for one in desk.attempts.list() if one.name for n in range(one.failures)]

    with pytest.raises(LockedOut, match="3 attempts as 'alice' failed"):
        desk.verify("alice", Clip(), caller="door")
    assert len(made()) == LIMIT


def test_a_locked_name_is_not_heard(desk: VoiceID, tmp_path: Path) -> None:
    fail(desk, "alice")
    with pytest.raises(LockedOut):
        desk.verify("alice", tmp_path / "none.wav", caller="another")


def test_many_honest_callers_at_once_are_not_refused(desk: VoiceID) -> None:
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda clip: ask(desk, "alice", clip), ALICE[5:21]))
    assert said == ["accepted"] * 16


def test_failures_of_a_clock_that_was_ahead_make_no_lock_without_end(desk: VoiceID) -> None:
    fail(desk, "alice")
    age(desk, -86_400)
    assert desk.attempts.list() == []
    assert ask(desk, "alice", ALICE[5]) == "accepted"


def test_a_lock_ends_when_the_oldest_of_as_many_as_may_fail_is_too_old() -> None:
    limits, noon = AttemptLimits(LIMIT, 60.0), datetime(2026, 1, 1, 12, tzinfo=UTC)
    made = [Attempt(n, "a", "c", noon - timedelta(seconds=n)) for n in range(5)]
    assert locked_until(made, limits) == noon + timedelta(seconds=60 - 2)
    assert locked_until(made[: LIMIT - 1], limits) is None


def test_of_two_locks_the_one_that_ends_last_is_said(desk: VoiceID) -> None:
    fail(desk, "alice", caller="one")
    age(desk, 100)
    fail(desk, "bob", caller="two")
    with pytest.raises(LockedOut, match="of 'two' failed") as locked:
        desk.verify("alice", utterance(ALICE[5], desk.models.space), caller="two")
    assert locked.value.retry_after_s > 890


def test_a_name_that_is_not_enrolled_locks_in_the_same_words(desk: VoiceID) -> None:
    said = []
    for name in ("bob", "nobody"):
        fail(desk, name, caller=f"a line of {name}")
        with pytest.raises(LockedOut) as locked:
            desk.verify(name, utterance(STRANGER[0], desk.models.space), caller="another")
        message = re.sub(r"for \d+ s", "for N s", locked.value.message)
        said.append((message.replace(name, "NAME"), locked.value.hint))
    assert said[0] == said[1]
    with pytest.raises(SpeakerNameInvalid):
        ask(desk, "", STRANGER[0])


def test_a_lock_is_ended_by_hand_for_a_name_or_a_caller(door: VoiceID) -> None:
    fail(door, "alice")
    locked = door.attempts.list()
    assert [(one.name, one.caller, one.failures) for one in locked] == [
        ("Alice", None, LIMIT),
        (None, "door", LIMIT),
    ]
    assert all(one.locked_until > datetime.now(UTC) for one in locked)
    assert door.attempts.unlock("ALICE") == LIMIT
    assert ask(door, "alice", ALICE[5]) == "accepted"
    for name in ("x", "y", "z"):
        assert ask(door, name, STRANGER[0]) == "not found"
    assert ask(door, "alice", ALICE[5]) == "locked"
    assert door.attempts.unlock_caller(" door ") == 3
    assert ask(door, "alice", ALICE[5]) == "accepted"


def test_the_log_says_once_when_a_lock_begins_and_when_it_is_ended(
    desk: VoiceID, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "voiceid"):
        fail(desk, "alice")
        assert ask(desk, "alice", ALICE[5]) == "locked"
        desk.attempts.unlock("alice")
        fail(desk, "alice", caller="other")
        desk.attempts.unlock_caller("other")
    changes = [record for record in caplog.records if getattr(record, "event", "") == "change"]
    assert [(one.kind, one.speaker, one.caller) for one in changes] == [
        ("lock", "alice", None),
        ("lock", None, "door"),
        ("unlock", "alice", None),
        ("lock", "alice", None),
        ("lock", None, "other"),
        ("unlock", None, "other"),
    ]


def test_a_rename_and_a_merge_end_no_lock(desk: VoiceID) -> None:
    fail(desk, "alice")
    desk.speakers.rename("alice", "alicia")
    assert ask(desk, "alicia", ALICE[5], "another") == "locked"
    desk.speakers.merge("bob", "alicia", force=True)
    assert ask(desk, "bob", BOB[5], "another") == "locked"


def test_the_attempts_of_a_removed_speaker_are_in_no_file(desk: VoiceID, tmp_path: Path) -> None:
    space = desk.models.space
    for voice, name in ((3, "Zelda Removed"), (4, "Yvonne Merged")):
        clips = new_clips(np.random.default_rng(voice), 3, voice)
        desk.enroll(name, [utterance(clip, space) for clip in clips])
        fail(desk, name, 2, name[:1])
    desk.speakers.remove("zelda removed")
    desk.speakers.merge("bob", "yvonne merged", force=True)
    desk.close()
    names = [b"zelda removed", b"yvonne merged"]
    assert files_holding(tmp_path / "data", names) == set()


def test_clips_of_one_call_are_attempts_each_in_their_order(desk: VoiceID) -> None:
    class Slow:
        def __init__(self, clip: int) -> None:
            self.heard = utterance(clip, desk.models.space)

        def __getattr__(self, name: str) -> Any:
            time.sleep(0.05)
            return getattr(self.heard, name)

    clips = [Slow(ALICE[5]), *(utterance(clip, desk.models.space) for clip in STRANGER[:4])]
    said = []
    with pytest.raises(LockedOut):
        said.extend(desk.verify_all("alice", clips, caller="door"))
    assert [one.outcome.value for one in said] == ["accepted"] + ["rejected"] * LIMIT


@pytest.mark.parametrize("caller", ["", " ", "a\nb", "x" * 201, 7])
def test_a_caller_has_a_name(desk: VoiceID, caller: Any) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a caller"):
        ask(desk, "alice", ALICE[5], caller)


# Blind


def shown(decision: Decision) -> dict[str, Any]:
    facts = decision.to_dict()
    assert facts.pop("elapsed_ms") > 0
    return facts


def test_a_blind_rejection_is_the_same_for_every_name(desk: VoiceID) -> None:
    desk.speakers.edit("bob", SpeakerDetails(enabled=False))
    desk.enroll("carol", [utterance(clip, desk.models.space) for clip in STRANGER[10:13]])
    heard = utterance(STRANGER[0], desk.models.space)
    desk.speakers.edit("carol", SpeakerDetails(expires_at=datetime(2020, 1, 1, tzinfo=UTC)))
    names = ("Alice", "bob", "carol", "nobody")
    said = [shown(desk.verify(name, heard, blind=True)) for name in names]
    assert said[0]["outcome"] == "rejected"
    assert said[0]["reason"] == "below_threshold"
    assert all(one == said[0] for one in said)
    bobs = utterance(BOB[5], desk.models.space)
    assert shown(desk.verify("bob", bobs, blind=True))["reason"] == "below_threshold"
    in_group = [shown(desk.verify(name, heard, group="vault", blind=True)) for name in names]
    assert all(one == {**said[0], "group": "vault"} for one in in_group)
    replayed = utterance(ALICE[0], desk.models.space)
    assert shown(desk.verify("alice", replayed, blind=True))["reason"] == "below_threshold"
    told = json.dumps(said)
    assert not any(name in told for name in (*names, "score 0"))


def test_a_blind_acceptance_has_the_name_and_no_score(desk: VoiceID) -> None:
    heard = utterance(ALICE[5], desk.models.space)
    decision = desk.verify("alice", heard, blind=True)
    assert decision.accepted
    assert decision.speaker.name == "Alice"
    facts = shown(decision)
    for key in ("score", "threshold", "llr", "calibration", "margin", "runner_up"):
        assert facts[key] is None
    assert facts["candidates"] == []
    assert desk.verify("alice", heard).score is not None


def test_too_little_speech_is_inconclusive_for_every_name(desk: VoiceID) -> None:
    desk.speakers.edit("bob", SpeakerDetails(enabled=False))
    silence = replace(utterance(STRANGER[0], desk.models.space), embedding=None)
    said = [shown(desk.verify(name, silence, blind=True)) for name in ("alice", "bob", "nobody")]
    assert said[0]["reason"] == "not_enough_speech"
    assert said[0] == said[1] == said[2]


def test_the_clip_is_heard_before_a_blind_rejection_and_not_before_an_error(
    vid: VoiceID, tmp_path: Path
) -> None:
    missing = tmp_path / "none.wav"
    with pytest.raises(AudioError):
        vid.verify("nobody", missing, blind=True)
    with pytest.raises(SpeakerNotFound):
        vid.verify("nobody", missing)


def test_the_log_knows_why_a_blind_claim_was_rejected(
    desk: VoiceID, caplog: pytest.LogCaptureFixture
) -> None:
    desk.speakers.edit("bob", SpeakerDetails(enabled=False))
    heard = utterance(STRANGER[0], desk.models.space)
    with caplog.at_level(logging.INFO, "voiceid"):
        for name in ("alice", "bob", "nobody"):
            desk.verify(name, heard, blind=True)
    said = [(record.reason, record.speaker, record.score is not None) for record in caplog.records]
    assert said == [
        ("below_threshold", "Alice", True),
        ("speaker_disabled", "bob", True),
        ("unknown", None, False),
    ]


def test_blind_claims_count_and_lock_alike(desk: VoiceID) -> None:
    for name in ("alice", "nobody"):
        said = [ask(desk, name, STRANGER[n], name, blind=True) for n in range(LIMIT + 1)]
        assert said == ["rejected"] * LIMIT + ["locked"]


def test_threads_of_one_process_have_no_more_tries(desk: VoiceID) -> None:
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda clip: ask(desk, "alice", clip), STRANGER[:16]))
    assert said.count("rejected") == LIMIT
