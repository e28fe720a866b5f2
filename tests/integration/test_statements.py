"""How many SQL statements the work of every day takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import event

from voiceid import VoiceID

Clips = Callable[[str, str], list[Path]]


def statements(vid: VoiceID, act: Callable[[], object]) -> list[list[str]]:
    """Return the SQL of each transaction, without what begins it."""
    found: list[list[str]] = []
    engine = vid._session.store._engine

    def begin(*_: object) -> None:
        found.append([])

    def note(*args: object) -> None:
        if not str(args[2]).startswith("BEGIN"):
            found[-1].append(str(args[2]))

    event.listen(engine, "begin", begin)
    event.listen(engine, "before_cursor_execute", note)
    try:
        act()
    finally:
        event.remove(engine, "begin", begin)
        event.remove(engine, "before_cursor_execute", note)
    return found


OF_AN_EVENT = 5
"""Statements that append a row to the audit chain."""


def test_the_work_of_every_day_takes_few_statements(vid: VoiceID, clips: Clips) -> None:
    vid.enroll("bob", clips("MEE009", "dev00"))
    asked = clips("MEE009", "dev01")[0]
    vid.identify(asked)
    pair = clips("FEE083", "trn06")[1:3]
    enrolling = statements(vid, lambda: vid.enroll("alice", pair, force=True))
    written = next(some for some in enrolling if any("INSERT" in one for one in some))
    assert len(written) <= 14 + OF_AN_EVENT, "\n".join(written)
    vid.identify(asked)
    decided = statements(vid, lambda: vid.identify(asked))[-1]
    checks = ("FROM changes", "FROM protection")
    besides = [one for one in decided if not any(check in one for check in checks)]
    assert len(besides) <= 2, "\n".join(decided)
    renamed, *logged = statements(vid, lambda: vid.speakers.rename("alice", "alicia"))
    assert len(logged) <= 1, "a log, if there is one, asks whether it may have names"
    assert len(renamed) <= 3 + OF_AN_EVENT, "\n".join(renamed)
