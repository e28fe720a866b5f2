"""Decisions at their edges, over a real database and index; only the vectors are made by hand.

Their cosines are halves and quarters, which float32 has exactly: so a score can be the threshold,
and a lead the margin, to the last bit.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from clocks import set_clock
from random_voices import DIM, QUALITY, SPACE

from voiceid.decision.aims import Aim, threshold_by_hand
from voiceid.decision.operating_points import OperatingPoint
from voiceid.decision.rule import DecisionRule
from voiceid.domain import (
    Decision,
    Embedding,
    EmbeddingSpace,
    Float32Array,
    NewSample,
    Outcome,
    Reason,
    Solo,
    SpeakerDetails,
    Speech,
    Utterance,
    VoicePart,
)
from voiceid.errors import IndexFault, ModelRuntimeError, SpeakerNotFound
from voiceid.index.base import confirmed
from voiceid.index.gallery import GalleryIndex
from voiceid.speech.turns import Several
from voiceid.store import Store, Writer
from voiceid.verification import Claim, Policy, Search, Verifier, compare

HALF = [0.5, 0.5, 0.5, 0.5]
ALICE, BOB = [1.0], [0.0, 1.0]
NOTHING, FIVE = Aim(), Search()
THRESHOLD = 0.5
Act = Callable[[], object]


def vector(parts: list[float]) -> Float32Array:
    return np.array([*parts, *[0.0] * (DIM - len(parts))], dtype=np.float32)


def utterance(parts: list[float], recording: str = "asked", net_speech_s: float = 3.0) -> Utterance:
    quality = replace(QUALITY, net_speech_s=net_speech_s, warnings=(), telephone=0.0)
    digest = hashlib.sha256(recording.encode()).hexdigest()
    return Utterance(f"{recording}.wav", digest, quality, Embedding(vector(parts), SPACE))


def card(*thresholds: tuple[float, float], margin: float = 0.0) -> DecisionRule:
    """Thresholds by false match rate, from no speech on."""
    points = [
        OperatingPoint(fmr, 0.0, cosine, 0.99, fmr, 0.01, 10**7, 100)
        for fmr, cosine in thresholds or [(0.001, THRESHOLD)]
    ]
    return DecisionRule("test", points, margin)


@dataclass
class Desk:
    """A gallery, and the questions that it is asked."""

    store: Store
    folder: Path
    policy: Policy
    galleries: dict[str, GalleryIndex]

    def enroll(self, name: str, *clips: list[float]) -> None:
        with self.store.write() as writer:
            speaker = writer.speakers.find(name) or writer.speakers.add(name)
            heard = [utterance(parts, f"{name} {n}") for n, parts in enumerate(clips)]
            writer.samples.add(speaker.id, SPACE, [NewSample(clip) for clip in heard])

    def edit(self, name: str, **details: object) -> None:
        with self.store.write() as writer:
            writer.speakers.edit(writer.speakers.get(name).id, SpeakerDetails(**details))

    def remove(self, name: str) -> None:
        with self.store.write() as writer:
            writer.speakers.remove(writer.speakers.get(name).id)

    def gallery(self, space: EmbeddingSpace) -> GalleryIndex:
        path = self.folder / f"{space.id}.index"
        return self.galleries.setdefault(space.id, GalleryIndex(space.id, space.dim, path))

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.policy, self.store, self.gallery, lambda _: None)

    def verify(
        self,
        name: str,
        clip: Utterance,
        aim: Aim = NOTHING,
        group: str | None = None,
        meanwhile: Act = lambda: None,
    ) -> Decision:
        """Ask whether a clip is a speaker's; something happens while it is heard."""

        def hear(_: object) -> Utterance:
            meanwhile()
            return clip

        return self.verifier.verify(hear, b"", Claim(name, aim, group))

    def identify(self, clip: Utterance, search: Search = FIVE) -> Decision:
        return self.verifier.identify(lambda _: clip, b"", search)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Alice and bob, at right angles."""
    store = Store.open(tmp_path / "voices.sqlite3")
    made = Desk(store, tmp_path / "index", Policy(SPACE, card()), {})
    made.enroll("alice", ALICE)
    made.enroll("bob", BOB)
    yield made
    store.close()


def end(decision: Decision) -> tuple[Outcome, Reason]:
    return decision.outcome, decision.reason


ACCEPTED = (Outcome.ACCEPTED, Reason.MATCH)


def test_a_score_that_is_the_threshold_is_accepted_and_the_next_lower_one_is_not(
    desk: Desk,
) -> None:
    clip = utterance([0.5, 0.0, *HALF[:3]])
    for threshold, reached in ((0.5, True), (math.nextafter(0.5, 1.0), False)):
        desk.policy = Policy(SPACE, card((0.001, threshold)))
        for decision in (desk.verify("alice", clip), desk.identify(clip)):
            assert decision.score == 0.5
            assert decision.accepted == reached
            sign = ">=" if reached else "<"
            assert decision.detail.startswith(f"score 0.500 {sign} threshold 0.5 ")
        assert (desk.identify(clip).speaker is None) == (not reached)
        compared = compare(
            lambda one: one, (clip, utterance(ALICE)), lambda: desk.policy.read(None)
        )
        assert (compared.accepted, compared.score) == (reached, 0.5)


def test_a_lead_that_is_the_margin_is_enough_and_less_is_not(desk: Desk) -> None:
    """Alice has a half and bob a quarter."""
    clip = utterance([0.5, 0.25, 0.5, 0.5, math.sqrt(0.1875)])
    for margin, expected in ((0.25, ACCEPTED), (0.2500001, (Outcome.INCONCLUSIVE, "ambiguous"))):
        for top in (1, 5):
            decision = desk.identify(clip, Search(Aim(margin=margin), top=top))
            assert end(decision) == expected
            assert (decision.margin, decision.score, decision.runner_up.score) == (0.25, 0.5, 0.25)
            assert decision.runner_up.speaker.name == "bob"
            assert len(decision.candidates) == min(top, 2)
            assert (decision.speaker is None) == (expected != ACCEPTED)


def test_the_claimed_speaker_is_looked_at_again_after_the_clip_was_heard(desk: Desk) -> None:
    clip = utterance(ALICE)
    past = datetime.now(UTC) - timedelta(days=1)
    for change, reason in (
        (lambda: desk.edit("alice", enabled=False), Reason.SPEAKER_DISABLED),
        (lambda: desk.edit("alice", enabled=True, expires_at=past), Reason.SPEAKER_EXPIRED),
        (lambda: desk.edit("alice", never_expires=True), Reason.MATCH),
    ):
        assert desk.verify("alice", clip, meanwhile=change).reason is reason
    with pytest.raises(SpeakerNotFound):
        desk.verify("alice", clip, group="vault")
    desk.edit("alice", groups=("lobby",))
    with pytest.raises(SpeakerNotFound, match="not in the group vault"):
        desk.verify("alice", clip, group="vault")
    desk.edit("alice", groups=("vault",))
    assert desk.verify("alice", clip, group="vault").accepted
    out = lambda: desk.edit("alice", not_groups=("vault",))  # noqa: E731
    with pytest.raises(SpeakerNotFound, match="not in the group vault"):
        desk.verify("alice", clip, group="vault", meanwhile=out)
    with pytest.raises(SpeakerNotFound):
        desk.verify("alice", clip, meanwhile=lambda: desk.remove("alice"))


def test_a_voice_that_was_replaced_while_the_clip_was_heard_is_compared_as_it_is_now(
    desk: Desk,
) -> None:
    def replaced() -> None:
        desk.remove("alice")
        desk.enroll("alice", [0.0, 0.0, 1.0])

    decision = desk.verify("alice", utterance(ALICE), meanwhile=replaced)
    assert (decision.score, decision.reason) == (0.0, Reason.BELOW_THRESHOLD)


def test_a_wrong_name_is_an_error_before_the_clip_is_heard(desk: Desk) -> None:
    def heard() -> None:
        raise AssertionError("it was heard")

    with pytest.raises(SpeakerNotFound):
        desk.verify("nobody", utterance(ALICE), meanwhile=heard)


def test_a_speaker_who_may_not_be_accepted_is_not_whatever_the_score(desk: Desk) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    for details, reason in (
        ({"enabled": False}, Reason.SPEAKER_DISABLED),
        ({"enabled": True, "expires_at": past}, Reason.SPEAKER_EXPIRED),
    ):
        desk.edit("alice", **details)
        rejected = (Outcome.REJECTED, reason)
        assert end(desk.verify("alice", utterance(ALICE))) == rejected
        assert end(desk.verify("alice", utterance(BOB))) == rejected, "also by a low score"
        unheard = replace(utterance(ALICE), embedding=None)
        assert end(desk.verify("alice", unheard)) == rejected, "also without one"
        found = desk.identify(utterance(ALICE))
        assert (end(found), found.speaker) == (rejected, None)
        assert desk.identify(utterance(BOB)).accepted


def test_one_who_is_disabled_is_called_so_though_expired_too(desk: Desk) -> None:
    desk.edit("alice", enabled=False, expires_at=datetime.now(UTC) - timedelta(days=1))
    assert desk.verify("alice", utterance(ALICE)).reason is Reason.SPEAKER_DISABLED


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Set the clock of decisions."""
    return lambda moment: set_clock(monkeypatch, moment, "voiceid.verification.verifier")


def test_from_the_very_moment_of_the_expiry_on_a_speaker_is_expired(
    desk: Desk, clock: Callable[[datetime], None]
) -> None:
    expiry = datetime.now(UTC) + timedelta(hours=1)
    desk.edit("alice", expires_at=expiry)
    tick = timedelta(microseconds=1)
    for moment, reason in ((expiry - tick, Reason.MATCH), (expiry, Reason.SPEAKER_EXPIRED)):
        clock(moment)
        assert desk.verify("alice", utterance(ALICE)).reason is reason
        assert desk.identify(utterance(ALICE)).reason is reason


def test_a_clock_before_the_newest_row_is_behind_and_one_at_it_is_not(
    desk: Desk, clock: Callable[[datetime], None]
) -> None:
    desk.edit("alice", expires_at=datetime.now(UTC) + timedelta(hours=1))
    with desk.store.read() as reader:
        newest = reader.newest_row()
    assert newest is not None
    tick = timedelta(microseconds=1)
    for moment, reason in ((newest, Reason.MATCH), (newest - tick, Reason.CLOCK_BEHIND)):
        clock(moment)
        assert desk.verify("alice", utterance(ALICE)).reason is reason
        assert desk.identify(utterance(ALICE)).reason is reason
        assert desk.verify("bob", utterance(BOB)).accepted, "without an expiry"


@pytest.mark.parametrize(
    "done",
    [
        lambda writer: writer.retention.begin_run(),
        lambda writer: writer.backups.add("voices.sqlite3", "0" * 64),
    ],
    ids=["nightly run", "backup"],
)
def test_what_is_done_day_by_day_tells_that_the_clock_is_behind(
    desk: Desk, clock: Callable[[datetime], None], done: Callable[[Writer], object]
) -> None:
    desk.edit("alice", expires_at=datetime.now(UTC) + timedelta(hours=1))
    enrolled = datetime.now(UTC)
    with desk.store.write() as writer:
        done(writer)
    clock(enrolled)
    assert desk.verify("alice", utterance(ALICE)).reason is Reason.CLOCK_BEHIND


@pytest.mark.parametrize("of", ["alice 0", "bob 0"])
def test_a_recording_that_is_enrolled_by_any_speaker_is_a_replay(desk: Desk, of: str) -> None:
    clip = utterance(ALICE, of)
    replay = (Outcome.REJECTED, Reason.REPLAYED)
    assert end(desk.verify("alice", clip)) == end(desk.identify(clip)) == replay
    allowed = Aim(allow_replayed=True)
    assert desk.verify("alice", clip, allowed).accepted
    assert desk.identify(clip, Search(allowed)).accepted
    assert desk.verify("bob", clip).reason is Reason.BELOW_THRESHOLD


def test_who_allows_replays_is_the_most_special_level_that_says_so() -> None:
    vault = {"vault": Aim(allow_replayed=False)}
    policy = Policy(SPACE, card(), Aim(allow_replayed=True), vault, SPACE.id)
    assert policy.read(None).allow_replayed
    assert not policy.read(None, Aim(), "vault").allow_replayed
    assert policy.read(None, Aim(allow_replayed=True), "vault").allow_replayed
    assert not policy.read(None, Aim(allow_replayed=False)).allow_replayed
    assert not Policy(SPACE, card()).read(None).allow_replayed


def test_a_target_of_a_search_is_divided_among_those_who_are_searched(desk: Desk) -> None:
    """Of two comparisons each may fail half as often as the search."""
    desk.policy = Policy(SPACE, card((0.01, 0.3), (0.005, 0.6)))
    clip = utterance([0.5, 0.0, *HALF[:3]])
    search = Search(Aim(target_fpir=0.0101))
    desk.edit("alice", groups=("vault",))
    assert desk.identify(clip, replace(search, group="vault")).accepted
    found = desk.identify(clip, search)
    assert found.reason == Reason.UNKNOWN
    assert found.threshold.value == pytest.approx(0.594, abs=0.001)
    assert found.gallery_size == 2


def test_a_score_that_is_no_number_is_an_error_and_no_decision(desk: Desk) -> None:
    nothing = utterance([math.nan])
    with pytest.raises(ModelRuntimeError):
        desk.verify("alice", nothing)
    with pytest.raises((ModelRuntimeError, IndexFault)):
        desk.identify(nothing)
    with pytest.raises(ModelRuntimeError):
        compare(lambda one: one, (nothing, utterance(ALICE)), lambda: desk.policy.read(None))


def test_of_two_clips_the_one_with_less_speech_is_reported_and_decides() -> None:
    steps = threshold_by_hand({0: 0.9, 5: 0.4}, "the call")
    short, long = utterance(ALICE, "a", 2.0), utterance([0.5, *HALF[:3]], "b", 9.0)
    for pair in itertools.permutations([short, long]):
        by_hand = Policy(SPACE, card()).read(None, Aim(threshold=steps))
        decision = compare(lambda one: one, pair, lambda back_end=by_hand: back_end)
        assert decision.quality.net_speech_s == 2.0
        assert (decision.threshold.value, decision.accepted) == (0.9, False)


def test_an_index_is_believed_for_the_very_cosines_and_ids_of_the_rows_alone() -> None:
    rows = np.stack([vector(ALICE), vector(HALF)])
    query = vector(ALICE)
    assert confirmed([(7, 1.0), (8, 0.5)], [7, 8], rows, query) == [(7, 1.0), (8, 0.5)]
    assert confirmed([(8, 0.5), (7, 1.0)], [7, 8], rows, query) == [(7, 1.0), (8, 0.5)]
    for hits, ids in (
        ([(7, 1.0), (8, 0.6)], [7, 8]),
        ([(7, 1.0), (9, 0.5)], [7, 8]),
        ([(7, 1.0)], [7, 8]),
        ([(7, 1.0), (8, 0.5), (9, 0.1)], [7, 8]),
    ):
        assert confirmed(hits, ids, rows, query) is None


def test_an_index_that_holds_other_vectors_is_built_again_before_anything_is_decided(
    desk: Desk,
) -> None:
    assert desk.identify(utterance(ALICE)).accepted
    gallery = desk.gallery(SPACE)
    with desk.store.read() as reader:
        owners = [reader.speakers.get(name).id for name in ("alice", "bob")]
        ids = [reader.centroids.id_of(owner, SPACE.id) for owner in owners]
    swapped = np.stack([vector(BOB), vector(ALICE)])
    gallery._flat.add(np.array(ids, dtype=np.int64), swapped)
    found = desk.identify(utterance(ALICE))
    assert found.speaker is not None
    assert (found.speaker.name, found.score) == ("alice", 1.0)


@dataclass
class Company:
    """What is said of who speaks when, in the place of the models; counts how often it is asked."""

    parts: tuple[VoicePart, ...]
    embeddings: dict[int, tuple[Embedding, float]]
    asked: int = 0

    def several(self, _: Speech, scores: object = None, __: object = None) -> Several | None:
        self.asked += 1
        return Several(self.parts, self.embeddings) if self.parts else None


TWO = Company(
    (VoicePart(0.0, 2.0, 1), VoicePart(2.0, 2.5, None), VoicePart(2.5, 4.0, 2)),
    {
        1: (Embedding(vector(ALICE), SPACE), 2.0),
        2: (Embedding(vector([0.0] * 3 + [1.0]), SPACE), 1.5),
    },
)


def spoken(parts: list[float]) -> Utterance:
    speech = Speech(np.zeros(512, np.float32), np.zeros(1, np.int64))
    return replace(utterance(parts), speech=speech)


def verifier_with(desk: Desk, company: Company) -> Verifier:
    return replace(desk.verifier, voices=lambda: company)  # type: ignore[arg-type, return-value]


def test_what_would_be_accepted_is_inconclusive_where_several_speak(desk: Desk) -> None:
    clip = spoken([0.625, 0.25, *HALF[:2]])
    verifier = verifier_with(desk, TWO)
    identified = verifier.identify(lambda _: clip, b"", FIVE)
    verified = verifier.verify(lambda _: clip, b"", Claim("alice"))
    for decision in (identified, verified):
        assert end(decision) == (Outcome.INCONCLUSIVE, Reason.SEVERAL_VOICES)
        assert [part.sounds_like for part in decision.parts] == ["alice", None, None]
        assert decision.parts[0].score == 1.0
        assert "0.0-2.0 s voice 1, like alice; 2.0-2.5 s several at once" in decision.detail
        assert decision.to_dict()["parts"][1]["voice"] is None
    assert identified.speaker is None
    assert verified.speaker is not None
    back_end = desk.policy.read(None)
    compared = compare(lambda one: one, (clip, spoken(ALICE)), lambda: back_end, lambda: TWO)  # type: ignore[arg-type, return-value]
    assert compared.reason is Reason.SEVERAL_VOICES


def test_a_warning_leaves_the_acceptance_and_off_does_not_look(desk: Desk) -> None:
    clip = spoken([0.625, 0.25, *HALF[:2]])
    company = replace(TWO, asked=0)
    verifier = verifier_with(desk, company)
    for solo, asked in ((Solo.OFF, 0), (Solo.WARN, 1)):
        decision = verifier.identify(lambda _: clip, b"", Search(Aim(solo=solo)))
        assert decision.accepted
        assert company.asked == asked
        assert bool(decision.parts) == (solo is Solo.WARN)
        assert ("several_voices" in decision.quality.warnings) == (solo is Solo.WARN)


def test_only_acceptances_that_are_not_clear_are_looked_at(desk: Desk) -> None:
    company = Company((), {})
    verifier = verifier_with(desk, company)
    for parts, asked in (([0.25, 0.25, *HALF[:3]], 0), (ALICE, 0), ([0.625, 0.25, *HALF[:2]], 1)):
        company.asked, clip = 0, spoken(parts)
        verifier.identify(lambda _, clip=clip: clip, b"", FIVE)
        assert company.asked == asked, parts
    vector_alone = utterance([0.625, 0.25, *HALF[:2]])
    assert verifier.identify(lambda _: vector_alone, b"", FIVE).accepted


def test_a_loose_aim_does_not_make_an_acceptance_clear(desk: Desk) -> None:
    desk.policy = Policy(SPACE, card((0.1, 0.125), (0.001, THRESHOLD)))
    verifier = verifier_with(desk, TWO)
    clip = spoken([0.5, 0.25, *HALF[:3]])
    for aim in (Aim(target_fmr=0.1), Aim(threshold=threshold_by_hand(0.2, "the call"))):
        decision = verifier.verify(lambda _: clip, b"", Claim("alice", aim))
        assert decision.reason is Reason.SEVERAL_VOICES


def test_what_becomes_of_several_voices_is_said_by_the_call_the_group_or_the_settings() -> None:
    vault = {"vault": Aim(solo=Solo.REQUIRE)}
    policy = Policy(SPACE, card(), Aim(solo=Solo.OFF), vault, SPACE.id)
    assert policy.read(None).solo is Solo.OFF
    assert policy.read(None, NOTHING, "vault").solo is Solo.REQUIRE
    assert policy.read(None, Aim(solo=Solo.WARN), "vault").solo is Solo.WARN
    assert Policy(SPACE, card()).read(None).solo is Solo.REQUIRE


def test_a_search_among_named_speakers_looks_at_no_other(desk: Desk) -> None:
    clip = utterance(BOB)
    alone = desk.identify(clip, Search(among=("alice",)))
    assert (alone.reason, alone.gallery_size) == (Reason.UNKNOWN, 1)
    assert [found.speaker.name for found in alone.candidates] == ["alice"]
    both = desk.identify(clip, Search(among=("ALICE", "nobody", "bob", "alice")))
    assert (both.accepted, both.gallery_size) == (True, 2)
    assert both.candidates == desk.identify(clip).candidates
    nobody = desk.identify(clip, Search(among=("nobody",)))
    assert (nobody.reason, nobody.candidates) == (Reason.GALLERY_EMPTY, ())
    desk.edit("alice", groups=("lobby",))
    member = desk.identify(clip, Search(group="lobby", among=("alice", "bob")))
    assert (member.reason, member.gallery_size) == (Reason.UNKNOWN, 1)
