"""What an import brings is judged as an enrolment is, also by what changes while it is judged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from random_voices import SPACE
from vectors import ALICE, BOB, RULE, enroll, heard, opened

from voiceid.domain import CentroidTable, NewSpeakers, SpeakerDetails, Utterance
from voiceid.enrollment import vetting
from voiceid.enrollment.vetting import Vetting
from voiceid.errors import ChangeRefused, SpeakerExists
from voiceid.exchange.adding import add, lacking
from voiceid.index import faiss_index
from voiceid.index.gallery import GalleryIndex
from voiceid.store import Reader, Store, StoreOptions
from voiceid.store.centroid_table import Centroids

CAROL = [0.0, 0.0, 1.0]


@pytest.fixture(params=["searched", "all rows"])
def store(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """Few voices are searched for in the index; many are compared with all rows."""
    if request.param == "all rows":
        monkeypatch.setattr(vetting, "_SEARCHED", 0)
    with opened(tmp_path) as (store, _):
        yield store


class Import:
    """Samples, by the names that they come under, and how they were judged."""

    def __init__(self, store: Store, people: dict[str, list[Utterance]]) -> None:
        clips = [clip for of_speaker in people.values() for clip in of_speaker]
        now, n = datetime.now(UTC), len(clips)
        vectors = [clip.embedding.vector for clip in clips if clip.embedding is not None]
        self.speakers = NewSpeakers(
            names=list(people),
            created_at=[now] * len(people),
            details=[SpeakerDetails()] * len(people),
            owners=np.repeat(np.arange(len(people)), [len(one) for one in people.values()]),
            vectors=np.array(vectors),
            pcm_sha256=[clip.pcm_sha256 for clip in clips],
            source_names=[clip.name for clip in clips],
            qualities=[clip.quality for clip in clips],
            overrides=[()] * n,
            labels=[""] * n,
            sampled_at=[now] * n,
        )
        self.where = [""] * len(people)
        self.rule = RULE
        assert isinstance(store.path, Path)
        gallery = GalleryIndex(SPACE.id, SPACE.dim, store.path.with_suffix(".index"))
        self.vetting = Vetting(store.read, gallery, SPACE.id, lambda _: self.rule, self._lacking)

    def _lacking(self, reader: Reader) -> NewSpeakers:
        lacks = lacking(reader, SPACE, self.speakers, self.where, append=True)
        return lacks.of(self.speakers)

    def is_written(self, store: Store) -> bool:
        with store.write() as writer:
            holds = self.vetting.holds(writer)
            if holds:
                add(writer, SPACE, self.speakers, self.where, append=True)
            return holds


def bring(store: Store, **people: list[Utterance]) -> None:
    """Import samples; raise what is said of them, and leave nothing then."""
    assert Import(store, people).is_written(store)


def test_voices_that_agree_and_are_no_others_are_taken(store: Store) -> None:
    bring(store, alice=[heard(ALICE, "a"), heard(ALICE, "b")], bob=[heard(BOB, "c")])
    bring(store, alice=[heard(ALICE, "d")])
    with store.read() as reader:
        assert [s.n_samples for s in reader.speakers.all()] == [3, 1]


def test_of_a_speaker_who_was_there_the_new_samples_are_the_odd_ones(store: Store) -> None:
    """Also where the newest sample of all is hers, and the new ones have more speech."""
    enroll(store, "alice", heard(ALICE, "old"))
    strangers = [heard(BOB, name, net_speech_s=9.0) for name in ("x", "y")]
    with pytest.raises(ChangeRefused, match=r"x\.wav and 1 more of alice do not agree"):
        bring(store, alice=strangers)
    with store.read() as reader:
        assert reader.speakers.get("alice").n_samples == 1


def test_a_new_speaker_of_two_voices_is_refused(store: Store) -> None:
    with pytest.raises(ChangeRefused, match="of carol do not agree with the other samples"):
        bring(store, carol=[heard(ALICE, "a"), heard(BOB, "b")])


def test_a_voice_that_has_other_names_is_said_with_all_of_them(store: Store) -> None:
    enroll(store, "alice", heard(ALICE, "a"))
    with pytest.raises(ChangeRefused, match=r"voice of al is enrolled as: alice \(score 1\.000\)$"):
        bring(store, al=[heard(ALICE, "b")])
    for number in range(4):
        enroll(store, f"twin {number}", heard([0.8, 0.6], f"t{number}"))
    with pytest.raises(ChangeRefused) as refused:
        bring(store, al=[heard(ALICE, "b")])
    scores = {"alice": "1.000", **{f"twin {number}": "0.800" for number in range(4)}}
    for name, score in scores.items():
        assert f"{name} (score {score})" in refused.value.message
    assert "matches several speakers" in refused.value.message
    enroll(store, "twin 4", heard([0.8, 0.6], "t4"))
    with pytest.raises(ChangeRefused) as refused:
        bring(store, alice=[heard(ALICE, "c")])
    assert "voice of alice matches several speakers" in refused.value.message
    assert refused.value.message.count("twin") == 5
    with pytest.raises(ChangeRefused, match="voice of one is enrolled as: other"):
        bring(store, one=[heard(BOB, "c")], other=[heard(BOB, "d")])


def test_one_voice_is_compared_with_those_alone_who_may_be_nearest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each row of a sealed gallery has to be opened: 3 s for one of 100,000."""
    few = 20 if vetting._SEARCHED else 100
    for number in range(40):
        voice = [0.0, 0.0, np.cos(number), np.sin(number)]
        enroll(store, f"speaker {number}", heard(voice, f"{number}"))
    bring(store, first=[heard(ALICE, "a")])
    read: list[int] = []
    table = Centroids.table

    def counted(self: Centroids, space_id: str, ids: list[int]) -> CentroidTable:
        read.append(len(ids))
        return table(self, space_id, ids)

    monkeypatch.setattr(Centroids, "table", counted)
    bring(store, bob=[heard(BOB, "b")])
    assert sum(read) <= few


def test_samples_of_an_unknown_line_need_what_a_telephones_need(store: Store) -> None:
    new = [heard(parts, name) for parts, name in ((ALICE, "a"), ([0.8, 0.6], "b"))]
    unknown = [replace(one, quality=replace(one.quality, telephone=None)) for one in new]
    with pytest.raises(ChangeRefused, match="do not agree"):
        bring(store, alice=unknown)
    bring(store, alice=new)
    with pytest.raises(ChangeRefused, match="do not agree"):
        bring(store, alice=[heard(CAROL, "c")])


def test_others_write_while_the_voices_of_an_import_are_judged(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what they write then is judged when the import is written."""
    judge = faiss_index.nearest_to_each

    def enrolled_meanwhile(*given: object) -> object:
        monkeypatch.undo()
        judged = judge(*given)  # type: ignore[arg-type]
        others = Store.open(tmp_path / "voices.sqlite3", StoreOptions(busy_timeout_ms=0))
        enroll(others, "bob", heard(BOB, "b"))
        others.close()
        return judged

    for voice, refusal in ((ALICE, ""), (BOB, "voice of new is enrolled as: bob")):
        monkeypatch.setattr(faiss_index, "nearest_to_each", enrolled_meanwhile)
        new = Import(store, {"new": [heard(voice, "n")]})
        if refusal:
            with pytest.raises(ChangeRefused, match=refusal):
                new.is_written(store)
        else:
            assert new.is_written(store)
            with store.write() as writer:
                for name in ("new", "bob"):
                    writer.speakers.remove(writer.speakers.get(name).id)


def test_speakers_of_the_import_who_change_while_it_is_judged_are_judged_again(
    store: Store,
) -> None:
    enroll(store, "alice", heard(ALICE, "a"))
    enroll(store, "carol", heard(CAROL, "c"))

    def removed(name: str) -> None:
        with store.write() as writer:
            writer.speakers.remove(writer.speakers.get(name).id)

    def emptied(name: str) -> None:
        with store.write() as writer:
            writer.samples.remove_of(writer.speakers.get(name).id, SPACE.id)

    def renamed(name: str, new_name: str) -> None:
        with store.write() as writer:
            writer.speakers.rename(writer.speakers.get(name), new_name)

    of_alice, of_bob = {"alice": [heard(ALICE, "x")]}, {"bob": [heard(BOB, "y")]}
    steps: list[tuple[dict[str, list[Utterance]], Callable[[], None]]] = [
        (of_alice, lambda: enroll(store, "alice", heard(ALICE, "more"))),
        (of_alice, lambda: emptied("alice")),
        (of_alice, lambda: enroll(store, "alice", heard(ALICE, "again"))),
        (of_bob, lambda: enroll(store, "bob", heard(BOB, "b"))),
        (of_bob, lambda: removed("bob")),
        (of_bob, lambda: renamed("carol", "bob")),
        (of_alice, lambda: renamed("alice", "al")),
    ]
    for people, change in steps:
        new = Import(store, people)
        change()
        assert not new.is_written(store)


def test_a_rule_or_a_gallery_that_became_another_is_judged_by_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = Import(store, {"alice": [heard(ALICE, "x")]})
    new.rule = replace(RULE, margin=0.1)
    assert not new.is_written(store)
    monkeypatch.setattr(vetting, "_AT_ONCE", 2)
    for n_changes, is_written in ((2, True), (3, False)):
        new = Import(
            store, {f"new {n_changes}": [heard([0.0] * n_changes + [1.0], f"{n_changes}")]}
        )
        for number in range(n_changes):
            enroll(store, "bob", heard(BOB, f"b {n_changes} {number}"))
        assert new.is_written(store) == is_written


def test_a_name_that_looks_like_one_enrolled_meanwhile_is_refused(store: Store) -> None:
    enroll(store, "carol", heard(CAROL, "c"))
    with pytest.raises(SpeakerExists, match="looks like 'carol'"):
        Import(store, {"cаrol": [heard(BOB, "b")]})  # noqa: RUF001 - the second letter is Cyrillic
    new = Import(store, {"аlice": [heard(ALICE, "x")]})  # noqa: RUF001 - as above
    enroll(store, "alice", heard(BOB, "b"))
    with pytest.raises(SpeakerExists, match="looks like 'alice'"):
        new.is_written(store)
