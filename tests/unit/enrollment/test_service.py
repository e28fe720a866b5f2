"""What an enrolment writes, and what became of the speaker while the clips were read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from random_voices import OTHER_SPACE, SPACE
from vectors import ALICE, BOB, enroll, heard, opened

from voiceid.audio import KeptAudio
from voiceid.domain import EnrollmentReport, Speaker, SpeakerDetails, Utterance
from voiceid.enrollment.clips import Person
from voiceid.enrollment.service import Enroller, Turn
from voiceid.errors import EnrollmentRefused, SpaceMismatch
from voiceid.store import Store
from voiceid.store.change import Change

HOUR = timedelta(hours=1)


@dataclass
class Desk:
    """Where speakers are enrolled; their clips are what the sources say."""

    store: Store
    enroller: Enroller

    def enroll(self, name: str, *clips: Utterance, **how: object) -> EnrollmentReport:
        person = Person(name, tuple(lambda one=one: one for one in clips))  # type: ignore[misc]
        return self.enroller.enroll(person, **how)

    def samples(self, name: str) -> list[str]:
        with self.store.read() as reader:
            return [s.source_name for s in reader.samples.of(reader.speakers.get(name).id)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with opened(tmp_path) as (store, checks):

        @contextmanager
        def door(_: object) -> Iterator[Change]:
            with store.write() as writer:
                yield Change(writer)

        embedder = SimpleNamespace(space=SPACE, workers=1, with_speech=lambda source, *_: source())
        kept = KeptAudio(tmp_path / "audio")
        yield Desk(
            store, Enroller(embedder, store, checks, kept, door, lambda _: (), lambda *_: ())
        )  # type: ignore[arg-type]


def codes(refused: pytest.ExceptionInfo[EnrollmentRefused]) -> list[str]:
    return [problem.code for problem in refused.value.report.blocking]


def test_an_enrolment_with_a_model_that_was_switched_away_writes_nothing(desk: Desk) -> None:
    desk.enroll("alice", heard(ALICE, "a"), heard(ALICE, "b"))
    with desk.store.write() as writer:
        writer.switches.switch(writer.switches.begin(SPACE.id, OTHER_SPACE))
    for how in ({}, {"dry_run": True}, {"force": True}):
        with pytest.raises(SpaceMismatch, match="was switched"):
            desk.enroll("bob", heard(BOB, "c"), heard(BOB, "d"), **how)
        with pytest.raises(SpaceMismatch):
            desk.enroll("alice", heard(ALICE, "e"), **how)
    with desk.store.read() as reader:
        assert [s.name for s in reader.speakers.all()] == ["alice"]
    assert desk.samples("alice") == ["a.wav", "b.wav"]


def test_appended_samples_join_the_others_and_replaced_ones_leave(desk: Desk) -> None:
    desk.enroll("alice", heard(ALICE, "a"), heard(ALICE, "b"))
    desk.enroll("alice", heard(ALICE, "c"))
    assert desk.samples("alice") == ["a.wav", "b.wav", "c.wav"]
    desk.enroll("alice", heard(ALICE, "d"), heard(ALICE, "b"), mode="replace")
    assert desk.samples("alice") == ["d.wav", "b.wav"]
    desk.enroll("alice", heard(ALICE, "e"), dry_run=True)
    assert desk.samples("alice") == ["d.wav", "b.wav"]


def test_force_overrides_what_is_judgement_and_each_sample_says_what(desk: Desk) -> None:
    odd, loud, whole = heard(BOB, "odd"), heard(ALICE, "loud", "clipped"), heard(ALICE, "whole")
    with pytest.raises(EnrollmentRefused) as refused:
        desk.enroll("alice", whole, loud, odd)
    assert sorted(codes(refused)) == ["clipped", "inconsistent"]
    assert desk.enroll("alice", whole, loud, odd, force=True).enrolled
    with desk.store.read() as reader:
        samples = reader.samples.of(reader.speakers.get("alice").id)
    assert {s.source_name: s.overrides for s in samples} == {
        "whole.wav": (),
        "loud.wav": ("clipped",),
        "odd.wav": ("inconsistent",),
    }
    with pytest.raises(EnrollmentRefused) as refused:
        desk.enroll("alice", whole, heard(ALICE, "new", "truncated"), force=True)
    assert codes(refused) == ["duplicate_clip"], "it is no judgement; the other is overridden"


def _edited(**details: object) -> Callable[[Store], None]:
    def edit(store: Store) -> None:
        with store.write() as writer:
            writer.speakers.edit(writer.speakers.get("alice").id, SpeakerDetails(**details))

    return edit


def _removed(store: Store) -> None:
    with store.write() as writer:
        writer.speakers.remove(writer.speakers.get("alice").id)


def _renewed(store: Store) -> None:
    _removed(store)
    enroll(store, "alice", heard(ALICE, "z"))


MEANWHILE = {
    "removed": (_removed, "was removed"),
    "removed, and another of the name enrolled": (_renewed, "was removed"),
    "disabled": (_edited(enabled=False), "was disabled"),
    "given an expiry": (_edited(expires_at=datetime.now(UTC) + HOUR), "another expiry"),
    "taken into a group": (_edited(groups=("vault",)), "other groups"),
}


@pytest.mark.parametrize("change", MEANWHILE)
def test_who_changed_while_the_clips_were_read_is_not_enrolled(desk: Desk, change: str) -> None:
    desk.enroll("alice", heard(ALICE, "a"), heard(ALICE, "b"))
    act, said = MEANWHILE[change]

    def hear() -> Utterance:
        act(desk.store)
        return heard(ALICE, "new")

    with pytest.raises(EnrollmentRefused, match=f"{said}.* while the clips were read") as refused:
        desk.enroller.enroll(Person("alice", (hear,)), force=True)  # type: ignore[arg-type]
    assert "changed_meanwhile" in codes(refused)
    with desk.store.read() as reader:
        assert "new.wav" not in [
            s.source_name for one in reader.speakers.all() for s in reader.samples.of(one.id)
        ]


def test_an_expiry_that_comes_meanwhile_counts_from_its_very_moment_on() -> None:
    began, tick = datetime(2026, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

    def changed(expires_at: datetime, now: datetime) -> bool:
        alice = Speaker(1, "alice", began, began, 1, 2.0, (SPACE.id,), expires_at=expires_at)
        [*problems] = Turn(alice, began, None).changes(replace(alice), now)
        return bool(problems)

    end = began + HOUR
    assert not changed(end, end - tick)
    assert changed(end, end)
    assert changed(began + tick, end)
    assert not changed(began, end), "it had expired before: that is judged elsewhere"
