"""How far a question goes through the program: files that it crosses, and SQL that it takes.

A crossing is a call of a function in another file of the package (`crossings`); decoding and
hearing, with the compensation of what was heard, are the work itself and left out.  Statements are
counted as SQLAlchemy gives them to the driver: one of several rows is one.  BEGIN and COMMIT, and
the waiting for a turn (PRAGMA busy_timeout), are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crossings import crossings
from sqlalchemy import event

from voiceid import VoiceID

THE_WORK = (
    *("audio/", "speech/", "decision/compensation.py"),
    "store/connections.py:_stored_text",  # the driver calls it for each text that it read
)
THE_CHECK = re.compile(r"JOIN protection\b")
"""The state of the gallery: whether the index has seen all that there is, and the protection."""


@pytest.fixture
def vid(home: Path) -> Iterator[VoiceID]:
    """Alice and bob, and a dozen voices beside them, so that the best five are to be read."""
    with VoiceID.open() as opened:
        vectors = np.random.default_rng(5).standard_normal((12, opened.models.space.dim))
        np.save(home / "others.npy", vectors.astype(np.float32))
        (home / "others.txt").write_text("".join(f"Person {n}\n" for n in range(12)))
        opened.speakers.import_embeddings(
            home / "others.npy",
            ids=home / "others.txt",
            space=opened.models.space.id,
            net_speech_s=12.0,
        )
        yield opened


@pytest.fixture
def statements(vid: VoiceID) -> Iterator[Callable[[Callable[[], Any]], list[str]]]:
    """Return the statements that an act takes."""
    ran: list[str] = []
    engine = vid._session.store._engine

    def watch(_connection: Any, _cursor: Any, statement: str, *_: object) -> None:
        ran.append(statement)

    def of(act: Callable[[], Any]) -> list[str]:
        ran.clear()
        act()
        return [statement for statement in ran if not statement.startswith("BEGIN")]

    event.listen(engine, "before_cursor_execute", watch)
    yield of
    event.remove(engine, "before_cursor_execute", watch)


def test_an_identification_crosses_at_most_60_times_between_files(
    vid: VoiceID, home: Path, ami
) -> None:
    door = ami.cut("alice-4", home / "door.wav")
    assert vid.identify(door).accepted  # warm: everything is loaded now
    counts = crossings(lambda: vid.identify(door), outside=THE_WORK)
    assert 20 < sum(counts.values()) <= 60, counts.most_common()


def test_an_identification_takes_two_statements_and_one_check_for_changes_and_protection(
    vid: VoiceID, home: Path, ami, statements
) -> None:
    door = ami.cut("alice-4", home / "door.wav")
    vid.identify(door)
    ran = statements(lambda: vid.identify(door))
    checks = [one for one in ran if THE_CHECK.search(one)]
    assert len(checks) == 1, ran
    assert len(ran) - len(checks) <= 2, ran


def test_a_counted_verification_takes_nine_statements_in_three_transactions(
    vid: VoiceID, home: Path, ami, statements
) -> None:
    door, began = ami.cut("alice-4", home / "door.wav"), []
    ask = partial(vid.verify, "alice", door, caller="door")
    assert ask().accepted  # the first one is written
    event.listen(vid._session.store._engine, "begin", began.append)
    ran = statements(ask)
    assert len(began) == 3, ran  # a lock and the name; the decision; a lock once more
    assert len(ran) <= 9, ran


def test_a_new_speaker_with_two_clips_takes_sixteen_statements(
    vid: VoiceID, home: Path, ami, statements
) -> None:
    clips = [ami.cut(turn, home / f"{turn}.wav") for turn in ("carol-1", "carol-2")]
    vid.identify(clips[0])
    ran = statements(lambda: vid.enroll("carol", clips))
    assert vid.speakers.get("carol").n_samples == 2
    assert len(ran) <= 16, ran  # three of them for the record


def test_a_new_name_takes_six_statements(vid: VoiceID, statements) -> None:
    ran = statements(lambda: vid.speakers.rename("alice", "alicia"))
    assert vid.speakers.get("alicia").n_samples
    assert len(ran) <= 6, ran  # three of them for the record
