"""An adaptation on a real database: no speaker is lost, nothing is compared across spaces."""

from __future__ import annotations

import numpy as np
import pytest
from random_voices import DIM, SPACE, random_unit, sample
from sqlalchemy import update

from voiceid.decision.adaptation import adapted_space
from voiceid.decision.calibration import CalibratedPoint, Calibration, HeldOut
from voiceid.decision.embeddings import centroid
from voiceid.decision.operating_points import OperatingPoint
from voiceid.decision.rule import DecisionRule
from voiceid.decision.transforms import Transform, fit
from voiceid.domain import Condition, Embedding, Task
from voiceid.errors import StoreError, ThresholdUnavailable
from voiceid.store import Store, maintenance
from voiceid.store.tables import adaptations, centroids
from voiceid.verification import Policy

RULE = DecisionRule("test", [OperatingPoint(0.001, 1.0, 0.5, 0.6, 0.0, 0.0, 1, 1)], 0.05)
HELD_OUT = HeldOut(10, 100, 1000, 0.01, 0.1, 0.1, {"0.01": 0.1}, {"0.01": 0.1})


@pytest.fixture
def store(database):
    opened = Store.open(database)
    yield opened
    opened.close()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(4)


@pytest.fixture
def transform(rng) -> Transform:
    vectors, who = random_unit(rng, 60), np.repeat(np.arange(20), 3)
    return fit(vectors, who, method="wccn", shrinkage=0.5)


def enroll(store: Store, rng, name: str, n: int = 2) -> list[np.ndarray]:
    vectors = list(random_unit(rng, n))
    with store.write() as writer:
        speaker = writer.speakers.find(name) or writer.speakers.add(name)
        writer.samples.add(speaker.id, SPACE, [sample(vector) for vector in vectors])
    return vectors


def calibration() -> Calibration:
    point = CalibratedPoint(0.001, 2.0, (0.0, 0.01), 0.01, (0.0, 0.1))
    return Calibration(10.0, -4.0, (), (0.0, 1.0), 1.0, (point,), 3000)


def test_every_speaker_gets_a_centroid_there_and_later_changes_follow(
    store, rng, transform
) -> None:
    before = enroll(store, rng, "alice")
    adapted = adapted_space(SPACE, transform)
    assert adapted.id != SPACE.id
    with store.write() as writer:
        number = writer.adaptations.add(SPACE, transform, {}, "site")
    later = enroll(store, rng, "alice")
    others = enroll(store, rng, "bob", 3)
    with store.read() as reader:
        assert reader.adaptations.in_use(SPACE.id) is None
        for name, vectors in (("alice", before + later), ("bob", others)):
            speaker = reader.speakers.get(name)
            expected = centroid(transform.apply(np.array(vectors)))
            assert reader.centroids.of(speaker.id, adapted.id) == pytest.approx(expected, abs=1e-6)
            assert speaker.spaces == (SPACE.id,), "no other enrolment"
            assert speaker.n_samples == len(vectors)
        [stored] = reader.adaptations.list()
        assert (stored.id, stored.adapted_id) == (number, adapted.id)
        assert stored.transform.digest == transform.digest
    assert maintenance.check(store) == []
    with store.write() as writer:
        writer.speakers.remove(writer.speakers.get("bob").id)
    with store.read() as reader:
        assert reader.centroids.count(adapted.id) == 1
    assert maintenance.check(store) == []


def test_what_is_wrong_with_an_adapted_centroid_is_found(store, rng, transform) -> None:
    enroll(store, rng, "alice")
    with store.write() as writer:
        writer.adaptations.add(SPACE, transform, {}, "site")
        other = random_unit(rng).astype("<f4").tobytes()
        adapted = adapted_space(SPACE, transform).id
        mine = centroids.c.space_id == adapted
        writer.connection.execute(update(centroids).where(mine).values(vector=other))
    assert maintenance.check(store) == [
        f"the centroid of alice in {adapted} is not what the samples make"
    ]


def test_it_is_chosen_left_and_removed_without_a_trace(store, rng, transform) -> None:
    enroll(store, rng, "alice")
    adapted = adapted_space(SPACE, transform)
    with store.write() as writer:
        number = writer.adaptations.add(SPACE, transform, {}, "site")
        made = writer.calibrations.add(adapted, calibration(), HELD_OUT, "site", None)
        writer.calibrations.use(adapted.id, made)
        writer.adaptations.use(SPACE.id, number)
    policy = Policy(SPACE, RULE)
    with store.read() as reader:
        back_end = policy.read(reader)
        assert back_end.space == adapted
        assert back_end.rule.calibration.id == made
        assert back_end.rule.points == (), "what was measured of the model alone does not hold"
    with store.write() as writer:
        writer.adaptations.use(SPACE.id, None)
    with store.read() as reader:
        back_end = policy.read(reader)
        assert (back_end.space, back_end.transform, back_end.rule) == (SPACE, None, RULE)
    with store.write() as writer:
        revision = writer.revision
        writer.adaptations.remove(writer.adaptations.list()[0])
    with store.read() as reader:
        assert reader.adaptations.list() == []
        assert reader.calibrations.list() == []
        assert reader.centroids.count(adapted.id) == 0
        assert reader.revision.number > revision.number, "the index does not learn of it"
        assert reader.centroids.count(SPACE.id) == 1
    assert maintenance.check(store) == []


def test_without_a_calibration_of_its_own_no_speaker_is_accepted(store, rng, transform) -> None:
    enroll(store, rng, "alice")
    with store.write() as writer:
        plain = writer.calibrations.add(SPACE, calibration(), HELD_OUT, "site", None)
        writer.calibrations.use(SPACE.id, plain)
        writer.adaptations.use(SPACE.id, writer.adaptations.add(SPACE, transform, {}, "site"))
    with store.read() as reader:
        back_end = Policy(SPACE, RULE).read(reader)
        assert back_end.rule.calibration is None
        with pytest.raises(ThresholdUnavailable):
            back_end.rule.judged(0.99, Condition(5.0, None, 9.0, 2, telephone=0.0))


def test_vectors_are_moved_once(store, rng, transform) -> None:
    with store.write() as writer:
        writer.adaptations.use(SPACE.id, writer.adaptations.add(SPACE, transform, {}, "site"))
    with store.read() as reader:
        back_end = Policy(SPACE, RULE).read(reader)
    vector = random_unit(rng)
    moved = back_end.moved(Embedding(vector, SPACE))
    assert moved.space == back_end.space
    assert moved.vector == pytest.approx(transform.apply(vector))
    assert back_end.moved(moved) is moved


def test_a_damaged_transform_accepts_no_speaker(store, rng, transform) -> None:
    with store.write() as writer:
        writer.adaptations.use(SPACE.id, writer.adaptations.add(SPACE, transform, {}, "site"))
        raw = writer.connection.exec_driver_sql
        raw("UPDATE adaptations SET transform = substr(transform, 1, 500)")
    with store.read() as reader, pytest.raises(StoreError, match="adaptation 1"):
        Policy(SPACE, RULE).read(reader)


def test_a_transform_that_is_not_the_one_of_its_space_accepts_no_speaker(
    store, rng, transform
) -> None:
    other = fit(random_unit(rng, 60), np.repeat(np.arange(20), 3), method="centring")
    with store.write() as writer:
        writer.adaptations.use(SPACE.id, writer.adaptations.add(SPACE, transform, {}, "site"))
        writer.connection.execute(update(adaptations).values(transform=other.to_bytes()))
    with store.read() as reader, pytest.raises(StoreError, match="makes"):
        Policy(SPACE, RULE).read(reader)


def test_a_calibration_of_normalised_scores_accepts_no_speaker(store) -> None:
    """It is refused even if a row of it is there, which an upgrade would have deleted."""
    with store.write() as writer:
        made = writer.calibrations.add(SPACE, calibration(), HELD_OUT, "site", None)
        writer.calibrations.use(SPACE.id, made)
        writer.connection.exec_driver_sql(
            """UPDATE calibrations SET facts = replace(facts, '{"calibration": {',"""
            """ '{"calibration": {"normalization": {"cohort": 7, "top": 60}, ')"""
        )
    with store.read() as reader, pytest.raises(StoreError, match=f"calibration {made}"):
        Policy(SPACE, RULE).read(reader)


def test_without_a_database_the_model_alone_decides() -> None:
    back_end = Policy(SPACE, RULE).read(None)
    assert (back_end.space, back_end.rule) == (SPACE, RULE)
    judged = back_end.rule.judged(0.6, Condition(5.0, None, 9.0, 1, telephone=0.0))
    assert (judged.threshold.value, judged.llr, judged.calibration) == (0.5, None, None)
    assert Task.COMPARE
    assert back_end.space.dim == DIM
