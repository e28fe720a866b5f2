"""Speakers, samples, centroids and the change feed, on a migrated database."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_voices import DIM, OTHER_SPACE, QUALITY, SPACE, random_unit, sample
from sqlalchemy import event, insert, update

from voiceid.domain import (
    EMPTY_REVISION,
    DatabaseUrl,
    Embedding,
    NewSample,
    Revision,
    SpeakerDetails,
    SpeakerRef,
    Utterance,
)
from voiceid.errors import (
    SpaceMismatch,
    SpeakerExists,
    SpeakerNameInvalid,
    SpeakerNotFound,
    StoreError,
)
from voiceid.store import Store
from voiceid.store.maintenance import check
from voiceid.store.reader import Reader
from voiceid.store.tables import centroids, speakers
from voiceid.store.writer import Writer

NewDatabase = Callable[[str], Path | DatabaseUrl]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def mean_of(vectors: np.ndarray) -> np.ndarray:
    mean = vectors.astype(np.float64).mean(axis=0)
    return mean / np.linalg.norm(mean)


def test_a_name_whose_key_was_changed_is_listed_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceid.store.speaker_table._PAGE", 2)
    with store.write() as writer:
        for name in ("ana", "ben", "cleo", "dina", "emil"):
            writer.speakers.add(name)
        for name, key in (("ana", "zzz"), ("emil", "aaa")):
            change = update(speakers).where(speakers.c.name == name).values(name_key=key)
            writer.speakers._connection.execute(change)
    with store.read() as reader:
        pages = list(itertools.islice(reader.speakers.pages(), 9))
    assert sorted(s.name for page in pages for s in page) == ["ana", "ben", "cleo", "dina", "emil"]


def test_a_new_database_is_empty(store: Store) -> None:
    with store.read() as reader:
        assert reader.speakers.all() == []
        assert reader.spaces.dims() == {}
        assert reader.revision == EMPTY_REVISION
        assert reader.feed.has(EMPTY_REVISION)
        assert reader.feed.since(0) == []
        assert reader.centroids.table(SPACE.id).ids.shape == (0,)
        assert reader.centroids.count(SPACE.id) == 0
        assert reader.centroids.owners([]) == {}
        with pytest.raises(StoreError, match="centroid 1"):
            reader.centroids.owners([1, 2])
        assert reader.centroids.group("staff", SPACE.id) == []
        assert reader.samples.owners(["0" * 64]) == {}


def test_a_sample_comes_back_as_it_was_written(store: Store, rng: np.random.Generator) -> None:
    vector = random_unit(rng)
    began = datetime.now(UTC)
    new = sample(vector, "Zoë's clip")
    with store.write() as writer:
        alice = writer.speakers.add("Alice")
        writer.samples.add(alice.id, SPACE, [NewSample(new.utterance, ("clipped", "noisy"))])
    with store.read() as reader:
        (found,) = reader.samples.of(alice.id)
        speaker = reader.speakers.get("ALICE")
    np.testing.assert_array_equal(found.vector, vector)
    assert found.vector.dtype == np.float32
    assert (found.speaker_id, found.space_id) == (alice.id, SPACE.id)
    assert (found.source_name, found.pcm_sha256) == ("Zoë's clip.wav", new.utterance.pcm_sha256)
    assert found.quality == QUALITY
    assert found.overrides == ("clipped", "noisy")
    assert began <= found.created_at <= datetime.now(UTC)
    assert (speaker.name, speaker.n_samples, speaker.spaces) == ("Alice", 1, (SPACE.id,))
    assert speaker.net_speech_s == pytest.approx(QUALITY.net_speech_s)
    assert began <= speaker.created_at <= speaker.updated_at


def test_the_centroid_is_the_mean_of_the_samples_there_are(
    store: Store, rng: np.random.Generator
) -> None:
    first, second = random_unit(rng, 3), random_unit(rng, 2)
    with store.write() as writer:
        alice = writer.speakers.add("alice")
        writer.samples.add(alice.id, SPACE, [sample(v) for v in first])
        np.testing.assert_allclose(
            writer.centroids.of(alice.id, SPACE.id), mean_of(first), atol=1e-6
        )
        writer.samples.add(alice.id, SPACE, [sample(v) for v in second])
        both = np.concatenate([first, second])
        np.testing.assert_allclose(
            writer.centroids.of(alice.id, SPACE.id), mean_of(both), atol=1e-6
        )
        writer.samples.remove_of(alice.id, SPACE.id)
        assert writer.centroids.of(alice.id, SPACE.id) is None
        writer.samples.add(alice.id, SPACE, [sample(v) for v in second])
    with store.read() as reader:
        np.testing.assert_allclose(
            reader.centroids.of(alice.id, SPACE.id), mean_of(second), atol=1e-6
        )
        assert reader.centroids.count(SPACE.id) == 1


def over_telephone(new: NewSample, telephone: float | None) -> NewSample:
    quality = replace(new.utterance.quality, telephone=telephone)
    return replace(new, utterance=replace(new.utterance, quality=quality))


def shares(reader: Reader) -> dict[str, tuple[float, int]]:
    found = reader.centroids.owners(reader.centroids.table(SPACE.id).ids.tolist())
    return {one.speaker.name: (one.telephone, one.n_samples) for one in found.values()}


def test_a_telephones_share_is_that_of_the_samples_that_are_there(
    store: Store, rng: np.random.Generator
) -> None:
    clips = [sample(vector) for vector in random_unit(rng, 4)]
    clear, call, doubted, unknown = map(over_telephone, clips, (0.0, 0.75, 0.25, None))
    with store.write() as writer:
        alice, bob = writer.speakers.add("alice"), writer.speakers.add("bob")
        writer.samples.add(alice.id, SPACE, [clear, call])
        writer.samples.add(bob.id, SPACE, [doubted, unknown])
        found = shares(writer)
        assert found == {"alice": (0.375, 2), "bob": (0.625, 2)}, "what is not known counts as one"
        writer.samples.remove_of(alice.id, SPACE.id)
        writer.samples.add(alice.id, SPACE, [clear])
        assert shares(writer) == {"alice": (0.0, 1), "bob": (0.625, 2)}
    with store.read() as reader:
        stored = [one.quality.telephone for one in reader.samples.of(bob.id)]
    assert stored == [0.25, None]
    assert check(store) == []


def test_a_call_weighs_in_a_centroid_as_every_other_sample(
    store: Store, rng: np.random.Generator
) -> None:
    *clear, call = random_unit(rng, 4)
    new = [over_telephone(sample(vector), 0.0) for vector in clear]
    with store.write() as writer:
        alice = writer.speakers.add("alice")
        writer.samples.add(alice.id, SPACE, [*new, over_telephone(sample(call), 1.0)])
    expected = mean_of(np.stack([*clear, call]))
    with store.read() as reader:
        np.testing.assert_allclose(reader.centroids.of(alice.id, SPACE.id), expected, atol=1e-6)
    assert check(store) == []


def test_spaces_are_kept_apart(store: Store, rng: np.random.Generator) -> None:
    a, b = random_unit(rng, 2)
    with store.write() as writer:
        alice = writer.speakers.add("alice")
        writer.samples.add(alice.id, SPACE, [sample(a, "clip")])
        writer.samples.add(alice.id, OTHER_SPACE, [sample(b, "clip", OTHER_SPACE)])
        assert set(writer.speakers.get("alice").spaces) == {SPACE.id, OTHER_SPACE.id}
        writer.samples.remove_of(alice.id, SPACE.id)
    with store.read() as reader:
        assert reader.speakers.get("alice").spaces == (OTHER_SPACE.id,)
        assert reader.centroids.of(alice.id, SPACE.id) is None
        np.testing.assert_allclose(reader.centroids.of(alice.id, OTHER_SPACE.id), b, atol=1e-6)
        assert reader.spaces.dims() == {SPACE.id: DIM, OTHER_SPACE.id: DIM}
        assert [s.space_id for s in reader.samples.of(alice.id)] == [OTHER_SPACE.id]


def test_every_change_of_a_centroid_is_in_the_feed(store: Store, rng: np.random.Generator) -> None:
    voices = [sample(v) for v in random_unit(rng, 4)]
    points = [EMPTY_REVISION]

    def step(change: object) -> list[int]:
        with store.write() as writer:
            change(writer)
            points.append(writer.revision)
            return [one.centroid_id for one in writer.feed.since(points[-2].number)]

    with store.write() as writer:
        alice, bob = writer.speakers.add("alice").id, writer.speakers.add("bob").id
        assert writer.revision == EMPTY_REVISION  # no speaker to search for yet
    (first,) = step(lambda w: w.samples.add(alice, SPACE, voices[:1]))
    assert step(lambda w: w.samples.add(alice, SPACE, voices[1:2])) == [first]
    (second,) = step(lambda w: w.samples.add(bob, SPACE, voices[2:]))
    assert second != first
    assert step(lambda w: w.samples.remove_of(alice, SPACE.id)) == [first]
    assert step(lambda w: w.speakers.remove(bob)) == [second]
    (third,) = step(lambda w: w.samples.add(alice, SPACE, voices[:1]))
    assert third not in {first, second}, "the id of a removed centroid was used again"
    assert [p.number for p in points] == list(range(7))
    with store.read() as reader:
        assert all(reader.feed.has(point) for point in points)
        assert not reader.feed.has(Revision(3, points[2].token))
        assert not reader.feed.has(Revision(99, points[2].token))
        assert {one.centroid_id for one in reader.feed.since(0)} == {first, second, third}


def test_ids_are_never_used_again(store: Store) -> None:
    with store.write() as writer:
        first = writer.speakers.add("alice").id
        writer.speakers.remove(first)
        assert writer.speakers.add("alice").id != first


def test_removing_a_speaker_leaves_no_row(store: Store, rng: np.random.Generator) -> None:
    with store.write() as writer:
        alice, bob = writer.speakers.add("alice").id, writer.speakers.add("bob").id
        writer.samples.add(alice, SPACE, [sample(random_unit(rng), "a")])
        writer.samples.add(bob, SPACE, [sample(random_unit(rng), "b")])
    with store.write() as writer:
        writer.speakers.remove(alice)
    with store.read() as reader:
        assert reader.speakers.find("alice") is None
        assert reader.samples.of(alice) == []
        assert reader.centroids.of(alice, SPACE.id) is None
        assert [s.name for s in reader.speakers.all()] == ["bob"]
        assert reader.centroids.count(SPACE.id) == 1
        with pytest.raises(SpeakerNotFound, match="alice"):
            reader.speakers.get("alice")


def test_a_name_is_one_name_however_it_is_written(store: Store) -> None:
    with store.write() as writer:
        writer.speakers.add(" Zoë ")
        for other in ("Zoë", "ZOË", "zoe\u0308"):
            with pytest.raises(SpeakerExists, match="Zoë"):
                writer.speakers.add(other)
            assert writer.speakers.get(other).name == "Zoë"
        writer.speakers.add("Zoe")
        with pytest.raises(SpeakerNameInvalid):
            writer.speakers.add("\x00")


def test_renaming_keeps_the_voice_and_refuses_a_name_that_is_taken(
    store: Store, rng: np.random.Generator
) -> None:
    with store.write() as writer:
        alice = writer.speakers.add("alice")
        writer.speakers.add("bob")
        writer.samples.add(alice.id, SPACE, [sample(random_unit(rng))])
        before = writer.revision
    with store.write() as writer:
        writer.speakers.rename(alice, "Alice")  # her own name, with a capital
        with pytest.raises(SpeakerExists, match="bob"):
            writer.speakers.rename(alice, "BOB")
        writer.speakers.rename(alice, "carol")
    with store.read() as reader:
        carol = reader.speakers.get("carol")
        assert (carol.id, carol.n_samples, carol.created_at) == (alice.id, 1, alice.created_at)
        assert carol.updated_at >= alice.updated_at
        assert reader.speakers.find("alice") is None
        assert reader.revision == before


def test_whose_a_clip_and_a_centroid_are(store: Store, rng: np.random.Generator) -> None:
    with store.write() as writer:
        alice, bob = writer.speakers.add("alice").id, writer.speakers.add("bob").id
        shared = sample(random_unit(rng), "clip")
        writer.samples.add(alice, SPACE, [shared])
        writer.samples.add(bob, SPACE, [shared])
        ids = writer.centroids.table(SPACE.id).ids.tolist()
    with store.read() as reader:
        owners = reader.centroids.owners(ids)
        assert {one.speaker for one in owners.values()} == {
            SpeakerRef(alice, "alice"),
            SpeakerRef(bob, "bob"),
        }
        digest = shared.utterance.pcm_sha256
        found = reader.samples.owners([digest, "0" * 64])
        assert {key: sorted(ref.name for ref in refs) for key, refs in found.items()} == {
            digest: ["alice", "bob"]
        }


def test_a_clip_is_refused_a_second_time_and_nothing_of_the_change_stays(
    store: Store, rng: np.random.Generator
) -> None:
    a, b = random_unit(rng, 2)
    with store.write() as writer:
        alice = writer.speakers.add("alice")
        writer.samples.add(alice.id, SPACE, [sample(a, "clip")])
    with pytest.raises(StoreError, match=r"(?i)unique") as refused, store.write() as writer:
        writer.samples.add(alice.id, SPACE, [sample(b, "other"), sample(b, "clip")])
    assert refused.value.hint
    with store.read() as reader:
        assert len(reader.samples.of(alice.id)) == 1
        np.testing.assert_allclose(reader.centroids.of(alice.id, SPACE.id), a, atol=1e-6)
        assert reader.revision.number == 1


def test_samples_of_no_speaker_are_refused(store: Store, rng: np.random.Generator) -> None:
    with pytest.raises(StoreError, match=r"(?i)foreign key"), store.write() as writer:
        writer.samples.add(77, SPACE, [sample(random_unit(rng))])


@pytest.mark.parametrize(
    "vector", [np.zeros(DIM), np.ones(DIM), np.full(DIM, np.nan), np.eye(1, DIM + 1)[0]]
)
def test_what_is_not_a_unit_vector_of_the_space_is_not_stored(
    store: Store, vector: np.ndarray
) -> None:
    with store.write() as writer:
        alice = writer.speakers.add("alice").id
        with pytest.raises(ValueError, match="unit vector"):
            writer.samples.add(alice, SPACE, [sample(vector.astype(np.float32))])


def test_an_utterance_without_a_vector_or_of_another_space_is_not_stored(
    store: Store, rng: np.random.Generator
) -> None:
    foreign = Embedding(random_unit(rng), OTHER_SPACE)
    with store.write() as writer:
        alice = writer.speakers.add("alice").id
        with pytest.raises(ValueError, match="no embedding"):
            writer.samples.add(alice, SPACE, [NewSample(Utterance("x", "0" * 64, QUALITY, None))])
        with pytest.raises(SpaceMismatch):
            writer.samples.add(
                alice, SPACE, [NewSample(Utterance("x", "0" * 64, QUALITY, foreign))]
            )


def test_a_sample_row_cannot_be_altered(store: Store, rng: np.random.Generator) -> None:
    with store.write() as writer:
        writer.samples.add(writer.speakers.add("alice").id, SPACE, [sample(random_unit(rng))])
    with pytest.raises(StoreError, match="immutable"), store.write() as writer:
        writer.connection.exec_driver_sql("UPDATE samples SET source_name = 'x'")


DAMAGES = [
    ("sqlite", "UPDATE centroids SET vector = zeroblob(96)", "centroid|vector"),
    ("sqlite", "UPDATE centroids SET vector = zeroblob(92)", "vector"),
    ("sqlite", "{drop}; UPDATE samples SET quality = 'x'", "sample 1"),
    ("sqlite", "{drop}; UPDATE samples SET created_at = 'x'", "sample 1"),
    ("sqlite", "DROP TABLE centroids", "no such table"),
    ("postgresql", "UPDATE centroids SET vector = array_fill(0, ARRAY[24])::vector", "vector"),
    ("postgresql", "{drop} ON samples; UPDATE samples SET quality = 'x'", "sample 1"),
    ("postgresql", "{drop} ON samples; UPDATE samples SET created_at = 'x'", "sample 1"),
    ("postgresql", "DROP TABLE centroids CASCADE", "does not exist"),
]


@pytest.mark.parametrize(("kind", "damage", "message"), DAMAGES)
def test_damaged_rows_are_store_errors(
    new_database: NewDatabase, rng: np.random.Generator, kind: str, damage: str, message: str
) -> None:
    store = Store.open(new_database(kind))
    with store.write() as writer:
        alice = writer.speakers.add("alice").id
        writer.samples.add(alice, SPACE, [sample(random_unit(rng))])
        for statement in damage.format(drop="DROP TRIGGER samples_are_immutable").split("; "):
            writer.connection.exec_driver_sql(statement)
    with pytest.raises(StoreError, match=message) as error, store.read() as reader:
        assert (reader.samples.of(alice), reader.centroids.of(alice, SPACE.id)) is None
    assert error.value.hint
    store.close()


def test_an_exception_of_the_caller_rolls_back_and_passes_unchanged(store: Store) -> None:
    with pytest.raises(FileNotFoundError, match="theirs"), store.write() as writer:
        Path(writer.speakers.add("theirs").name).stat()
    with store.read() as reader:
        assert reader.speakers.all() == []


def test_a_reader_sees_one_snapshot_while_others_write(store: Store) -> None:
    with store.read() as reader:
        assert reader.speakers.all() == []
        with store.write() as writer:
            writer.speakers.add("alice")
        assert reader.speakers.all() == []
        assert reader.speakers.find("alice") is None
    with store.read() as reader:
        assert [s.name for s in reader.speakers.all()] == ["alice"]


def test_forty_readers_and_a_writer_at_once_do_not_wait_for_each_other(store: Store) -> None:
    inside, leave = threading.Barrier(41, timeout=20), threading.Event()

    def read() -> None:
        with store.read() as reader:
            reader.speakers.all()
            inside.wait()
            leave.wait(20)

    threads = [threading.Thread(target=read) for _ in range(40)]
    for thread in threads:
        thread.start()
    inside.wait()
    with store.write() as writer:
        writer.speakers.add("alice")
    leave.set()
    for thread in threads:
        thread.join()


def test_questions_take_as_many_queries_for_many_speakers_as_for_one(
    store: Store, rng: np.random.Generator
) -> None:
    queries: list[str] = []
    event.listen(store._engine, "before_cursor_execute", lambda *args: queries.append(args[2]))

    def count(ask: object) -> int:
        queries.clear()
        with store.read() as reader:
            ask(reader)
        return len(queries)

    asks = [
        lambda r: r.speakers.all(),
        lambda r: r.centroids.table(SPACE.id),
        lambda r: r.centroids.owners(r.centroids.ids(SPACE.id).tolist()),
        lambda r: r.samples.of_speakers(range(400)),
    ]
    counts = []
    for names in (["a"], [f"s{n}" for n in range(50)]):
        with store.write() as writer:
            for name in names:
                alice = writer.speakers.add(name).id
                writer.samples.add(alice, SPACE, [sample(random_unit(rng))])
        counts.append([count(ask) for ask in asks])
    assert counts[0] == counts[1]


def test_thousands_of_speakers_are_listed_by_a_few_statements(store: Store) -> None:
    n_speakers = 10_000 if isinstance(store.path, Path) else 1000  # there an index is kept too
    rng, names = np.random.default_rng(9), [f"speaker {n}" for n in range(n_speakers)]
    vectors = random_unit(rng, len(names)).astype("<f4")
    with store.write() as writer:
        writer.samples.add(writer.speakers.add("first").id, SPACE, [sample(random_unit(rng))])
        now = datetime.now(UTC).isoformat()
        people = [
            {"id": n + 10, "name": name, "name_key": name, "created_at": now, "updated_at": now}
            for n, name in enumerate(names)
        ]
        same = {"space_id": SPACE.id, "n_samples": 1, "telephone": 0.0, "net_speech_s": 2.0}
        voices = [
            {"speaker_id": n + 10, "vector": vector.tobytes(), **same}
            for n, vector in enumerate(vectors)
        ]
        writer.connection.execute(insert(speakers), people)
        writer.connection.execute(insert(centroids), voices)
    with store.read() as reader:
        asked: list[str] = []
        event.listen(
            reader.connection,
            "before_cursor_execute",
            lambda _connection, _cursor, statement, *_: asked.append(statement),
        )
        assert len(reader.speakers.all()) == n_speakers + 1
        assert len(reader.centroids.table(SPACE.id).ids) == n_speakers + 1
        owners = reader.centroids.owners(reader.centroids.table(SPACE.id).ids.tolist())
    assert len(owners) == n_speakers + 1
    assert len(asked) < 100  # pages of a thousand, and not one for each speaker


@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example clears it
)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["enroll", "replace", "remove", "rename", "fail"]), st.integers(0, 3)
        ),
        max_size=12,
    )
)
def test_any_history_leaves_every_centroid_the_mean_of_its_samples(
    store: Store, steps: list[tuple[str, int]]
) -> None:
    rng, held = np.random.default_rng(3), {}
    with store.write() as writer:
        for speaker in writer.speakers.all():
            writer.speakers.remove(speaker.id)
    for what, who in steps:
        name, vectors = f"s{who}", random_unit(rng, 2)
        if what == "fail":
            with pytest.raises(ZeroDivisionError), store.write() as writer:
                assert _apply(writer, "enroll", name, vectors, dict(held)) or 1 / 0
        else:
            with store.write() as writer:
                _apply(writer, what, name, vectors, held)
    with store.read() as reader:
        assert {s.name: s.n_samples for s in reader.speakers.all()} == {
            name: len(vectors) for name, vectors in held.items()
        }
        for name, vectors in held.items():
            centroid = reader.centroids.of(reader.speakers.get(name).id, SPACE.id)
            np.testing.assert_allclose(centroid, mean_of(vectors), atol=1e-6)
        assert reader.centroids.count(SPACE.id) == len(held)


def _apply(
    writer: Writer, what: str, name: str, vectors: np.ndarray, held: dict[str, np.ndarray]
) -> None:
    found = writer.speakers.find(name)
    if what in {"enroll", "replace"}:
        speaker = found or writer.speakers.add(name)
        if what == "replace":
            writer.samples.remove_of(speaker.id, SPACE.id)
        writer.samples.add(speaker.id, SPACE, [sample(v) for v in vectors])
        kept = held.get(name) if what == "enroll" else None
        held[name] = vectors if kept is None else np.concatenate([kept, vectors])
    elif found is not None and what == "remove":
        writer.speakers.remove(found.id)
        del held[name]
    elif found is not None and f"{name}x" not in held:
        writer.speakers.rename(found, f"{name}x")
        held[f"{name}x"] = held.pop(name)


NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def test_what_is_known_of_a_speaker_comes_back_and_what_is_not_named_stays(store: Store) -> None:
    with store.write() as writer:
        alice = writer.speakers.add("alice").id
        first = SpeakerDetails(
            groups=("Staff", "lobby"), metadata={"badge": "4711", "floor": "3"}, expires_at=NOON
        )
        writer.speakers.edit(alice, first)
    with store.write() as writer:
        found = writer.speakers.get("alice")
        assert found.groups == ("lobby", "staff")
        assert found.metadata == {"badge": "4711", "floor": "3"}
        assert (found.expires_at, found.disabled_at) == (NOON, None)
        second = SpeakerDetails(
            groups=("lobby", "night"), not_groups=("STAFF",), metadata={"floor": None, "a": "b"}
        )
        writer.speakers.edit(alice, second)
        writer.speakers.edit(alice, SpeakerDetails(enabled=False))
    with store.write() as writer:
        found = writer.speakers.get("alice")
        assert found.groups == ("lobby", "night")
        assert found.metadata == {"badge": "4711", "a": "b"}
        assert found.expires_at == NOON
        assert found.disabled_at is not None
        writer.speakers.edit(alice, SpeakerDetails(enabled=False))
        assert writer.speakers.get("alice").disabled_at == found.disabled_at
        writer.speakers.edit(alice, SpeakerDetails(enabled=True, never_expires=True))
        found = writer.speakers.get("alice")
        assert (found.expires_at, found.disabled_at) == (None, None)


def test_a_group_is_its_members_centroids_in_one_space(
    store: Store, rng: np.random.Generator
) -> None:
    lobby = SpeakerDetails(groups=("Lobby",))
    with store.write() as writer:
        for name in ("alice", "bob", "carol"):
            speaker = writer.speakers.add(name)
            writer.samples.add(speaker.id, SPACE, [sample(random_unit(rng))])
            if name != "bob":
                writer.speakers.edit(speaker.id, lobby)
        writer.speakers.edit(writer.speakers.add("dora").id, lobby)  # without a sample
    with store.write() as writer:
        found = writer.centroids.owners(writer.centroids.group("LOBBY", SPACE.id))
        assert [one.speaker.name for one in found.values()] == ["alice", "carol"]
        assert writer.centroids.group("lobby", OTHER_SPACE.id) == []
        writer.speakers.remove(writer.speakers.get("alice").id)
        assert len(writer.centroids.group("lobby", SPACE.id)) == 1


@pytest.mark.parametrize("damage", ["'tomorrow'", "'2026-11-24T12:00'", "'00'", "5"])
def test_a_damaged_expiry_is_an_error_and_not_none(
    store: Store, rng: np.random.Generator, damage: str
) -> None:
    with store.write() as writer:
        speaker = writer.speakers.add("alice")
        writer.samples.add(speaker.id, SPACE, [sample(random_unit(rng))])
        writer.connection.exec_driver_sql(f"UPDATE speakers SET expires_at = {damage}")  # noqa: S608
    with store.read() as reader:
        with pytest.raises(StoreError, match="damaged"):
            reader.centroids.owners(reader.centroids.table(SPACE.id).ids.tolist())
        with pytest.raises(StoreError, match="damaged"):
            reader.speakers.get("alice")


def test_a_sample_keeps_its_label(store: Store, rng: np.random.Generator) -> None:
    with store.write() as writer:
        alice = writer.speakers.add("alice").id
        new = [replace(sample(random_unit(rng)), label=label) for label in ("phone", "")]
        writer.samples.add(alice, SPACE, new)
        assert [s.label for s in writer.samples.of(alice)] == ["phone", ""]
