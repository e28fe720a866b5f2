"""Spoken codes: asked for once, and answered by the words and the voice of one speaker."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from random_voices import files_holding
from spoken_words import RATE_HZ, ROUNDS, SPEEDS, WORDS, pieces, said
from sqlalchemy import select, update

from voiceid import Decision, Reason, SpeakerDetails, VoiceID
from voiceid.decision.word_matching import match
from voiceid.domain import Float32Array
from voiceid.domain.code_words import Challenge
from voiceid.enrollment.rounds import vocabulary_of
from voiceid.errors import AudioError, ChangeRefused, ConfigError, SpeakerNotFound
from voiceid.resources import challenges as challenges_module
from voiceid.speech.word_features import word_features
from voiceid.store.tables import challenges, spoken_words
from voiceid.verification.spoken_code import MAX_EXCESS

NEW, COPIED = 3, 0
"""Takes of answers: one that is not enrolled, and one that is."""


@pytest.fixture(autouse=True)
def the_same_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw the same codes on every run: one in ten answers of such cut words is refused."""
    monkeypatch.setattr(secrets, "choice", random.Random(4).choice)


@pytest.fixture
def words(ami) -> list[Float32Array]:
    return pieces(ami.samples("alice-2"))


@pytest.fixture
def vid(home: Path, words: list[Float32Array]) -> Iterator[VoiceID]:
    """Alice has taught her words, and is enrolled in her voice at all speeds."""
    with VoiceID.open() as opened:
        takes = [said(words, take) for take in range(len(SPEEDS))]
        opened.enroll("alice", takes, mode="replace", force=True)
        made = opened.challenges.enroll(
            "Alice", [said(words, i) for i in range(ROUNDS)], words=WORDS
        )
        assert (made.speaker, made.words, made.rounds) == ("alice", WORDS, ROUNDS)
        yield opened


def answer(words: list[Float32Array], code: tuple[str, ...], take: int = NEW):
    return said([words[WORDS.index(word)] for word in code], take)


def reason(decision: Decision) -> str:
    return decision.reason.value


def test_the_code_that_was_asked_for_opens_once_in_the_right_voice(
    vid: VoiceID, words: list[Float32Array], ami
) -> None:
    made = vid.challenges.new("ALICE")
    assert len(made.words) == 6
    assert made.id.isalnum()  # a dash in front would be an option of the command
    clip = answer(words, made.words)
    decision = vid.verify("alice", clip, challenge=made.id)
    assert decision.accepted, decision.detail
    assert reason(vid.verify("alice", clip, challenge=made.id)) == "challenge_expired"
    other = vid.challenges.new("alice", length=8)
    assert other.words != made.words
    assert reason(vid.verify("alice", clip, challenge=other.id)) == "challenge_failed"
    other = vid.challenges.new("alice")
    wrong = answer(words, tuple(WORDS[(WORDS.index(w) + 1) % len(WORDS)] for w in other.words))
    assert reason(vid.verify("alice", wrong, challenge=other.id)) == "challenge_failed"
    while len(set(other.words)) < len(other.words):  # few words have another mean than a round
        other = vid.challenges.new("alice")
    copied = answer(words, other.words, COPIED)
    assert reason(vid.verify("alice", copied, challenge=other.id)) == "replayed"
    other = vid.challenges.new("alice")
    bobs = pieces(ami.samples("bob-2"))
    assert not vid.verify("alice", answer(bobs, other.words), challenge=other.id).accepted
    assert vid.verify("alice", clip).accepted, "without a code all is as before"


def test_a_code_is_the_name_s_the_caller_s_and_the_moment_s(
    vid: VoiceID, words: list[Float32Array]
) -> None:
    made = vid.challenges.new("alice", caller="door")
    clip = answer(words, made.words)

    def asked(made: Challenge, name: str = "alice", caller: str | None = "door") -> str:
        return reason(vid.verify(name, clip, challenge=made.id, caller=caller))

    assert asked(made, caller=" door ") == "match"
    for caller in ("desk", None):
        made = vid.challenges.new("alice", caller="door")
        assert asked(made, caller=caller) == "challenge_expired"
        assert asked(made) == "challenge_expired", "it was used up by another"
    assert asked(vid.challenges.new("bob", blind=True, caller="door")) == "challenge_expired"
    made = vid.challenges.new("alice", caller="door")
    assert timedelta(0) < made.expires_at - datetime.now(UTC) <= timedelta(seconds=30)
    for ahead_s in (0, 3600):  # it is over; the clock was set back since
        made = vid.challenges.new("alice")
        until = datetime.now(UTC) + timedelta(seconds=ahead_s)
        with vid._session.store.write() as writer:
            over = update(challenges).values(expires_at=until.isoformat())
            writer.connection.execute(over)
        assert asked(made, caller=None) == "challenge_expired"


def test_of_two_answers_at_once_one_opens_also_after_a_restart(
    vid: VoiceID, words: list[Float32Array]
) -> None:
    made = vid.challenges.new("alice")
    clip = answer(words, made.words)
    vid.close()
    with VoiceID.open() as one, VoiceID.open() as other, ThreadPoolExecutor(4) as pool:
        asked = [
            pool.submit(opened.verify, "alice", clip, challenge=made.id)
            for opened in (one, other, one, other)
        ]
        reasons = sorted(reason(decision.result()) for decision in asked)
    assert reasons == ["challenge_expired"] * 3 + ["match"]


@pytest.mark.parametrize("id_", ["no such", "", "\0", "\udcff", "9" * 1_000_000])
def test_what_is_no_id_of_a_code_is_none_that_is_asked_for(
    vid: VoiceID, words: list[Float32Array], id_: str
) -> None:
    decision = vid.verify("alice", answer(words, WORDS[:6]), challenge=id_)
    assert reason(decision) == "challenge_expired"


def test_noise_around_another_code_does_not_make_it_the_code(words: list[Float32Array]) -> None:
    rounds = [word_features(said(words, take)[0]) for take in range(ROUNDS)]
    known = vocabulary_of(WORDS, rounds, [str(i) for i in range(ROUNDS)])
    clip, rate_hz = said([words[at] for at in (0, 1, 2, 3, 4, 5)], NEW)
    rng, level = np.random.default_rng(0), 0.1 * float(np.abs(clip).max())
    noise = level * rng.standard_normal(40 * rate_hz)
    quiet = 1e-4 * rng.standard_normal(5 * rate_hz)
    for more in ([], [quiet, noise]):
        features = word_features(np.concatenate([clip, *more]).astype(np.float32))
        found = match(features.frames, features.is_speech, known.tokens, (0, 1, 2, 3, 4, 6))
        assert found.excess > MAX_EXCESS


def test_one_word_too_many_or_a_wrong_one_is_not_the_code_however_long_it_is(
    words: list[Float32Array],
) -> None:
    rounds = [word_features(said(words, take)[0]) for take in range(ROUNDS)]
    known = vocabulary_of(WORDS, rounds, [str(i) for i in range(ROUNDS)])
    code = list(range(len(WORDS)))

    def excess(places: list[int]) -> float:
        heard = word_features(said([words[at] for at in places], NEW)[0])
        return match(heard.frames, heard.is_speech, known.tokens, code).excess

    assert excess(code) <= MAX_EXCESS
    for other in (0, 1, 2, 5, 6, 7):
        assert excess([*code[:4], other, *code[4:]]) > MAX_EXCESS
        assert excess([*code[:4], other, *code[5:]]) > MAX_EXCESS


def test_a_code_is_used_up_by_an_answer_that_cannot_be_heard(
    vid: VoiceID, words: list[Float32Array], tmp_path: Path
) -> None:
    made = vid.challenges.new("alice")
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"RIFF")
    with pytest.raises(AudioError, match=r"bad\.wav"):
        vid.verify("alice", bad, challenge=made.id)
    clip = answer(words, made.words)
    assert vid.verify("alice", clip, challenge=made.id).reason is Reason.CHALLENGE_EXPIRED


def test_words_are_of_the_speaker_s_voice_and_codes_of_taught_words(
    vid: VoiceID, words: list[Float32Array], ami
) -> None:
    bobs = [said(pieces(ami.samples("bob-2")), take) for take in range(ROUNDS)]
    with pytest.raises(ChangeRefused, match=r"^round 1 is not accepted as the speaker's voice"):
        vid.challenges.enroll("alice", bobs, words=WORDS)
    twice = [said(words, take) for take in (0, 1, 1)]
    with pytest.raises(ChangeRefused, match=r"^round 3 is the same recording as an earlier round"):
        vid.challenges.enroll("alice", twice, words=WORDS)
    long = (np.resize(ami.samples("alice-3"), 61 * RATE_HZ), RATE_HZ)
    with pytest.raises(AudioError, match=r"^round 3 lasts \d+\.\d s; the limit is 60 s"):
        vid.challenges.enroll("alice", [*twice[:2], long], words=WORDS)
    with pytest.raises(ConfigError, match="2 rounds were given"):
        vid.challenges.enroll("alice", twice[:2], words=WORDS)
    with pytest.raises(ConfigError, match="codes cannot be made of these words: "):
        vid.challenges.enroll("alice", twice, words=("a", "b", "A"))
    with pytest.raises(ChangeRefused, match="no words of bob"):
        vid.challenges.new("bob")
    with pytest.raises(SpeakerNotFound):
        vid.challenges.new("stranger")
    with pytest.raises(ConfigError, match="a code cannot have 3 words"):
        vid.challenges.new("alice", length=3)
    blind = vid.challenges.new("stranger", blind=True)
    assert set(blind.words) <= set(WORDS), "as of those who are enrolled"
    with vid._session.store.write() as writer:
        known = writer.spoken.first()
        assert known is not None
        bobs = replace(known, words=tuple("mnopqrst"))
        writer.spoken.put(writer.speakers.get("bob").id, bobs)
    vid.speakers.edit("bob", SpeakerDetails(groups=("hall",)))
    for groups, shown in ((), bobs.words), (("hall",), bobs.words), (("lobby",), WORDS):
        code = vid.challenges.new("bob", blind=True, groups=groups)
        assert set(code.words) <= set(shown), "who is in no group of the caller is not there"


@pytest.mark.parametrize("is_sealed", [False, True])
def test_words_are_reported_sealed_and_erased_with_their_speaker(
    vid: VoiceID, words: list[Float32Array], *, is_sealed: bool, home: Path
) -> None:
    def stored() -> bytes:
        with vid._session.store.read() as reader:
            content = reader.connection.execute(select(spoken_words.c.content)).scalar_one()
            return bytes(content)

    plain = stored()
    assert np.isfinite(np.frombuffer(plain.partition(b"\n")[2], "<f2").astype(float)).all()
    if is_sealed:
        vid.keys.gallery.init()
        assert plain[-64:] not in stored()
        assert not files_holding(home / "data", [plain[-64:]])
        vid.keys.gallery.renew()
        made = vid.challenges.new("alice")
        assert vid.verify("alice", answer(words, made.words), challenge=made.id).accepted
    known = vid.challenges.get("alice")
    assert known is not None
    assert vid.privacy.report("alice").to_dict()["words"] == known.to_dict()
    needle = stored()[-64:]
    assert files_holding(home / "data", [needle])
    receipt = vid.privacy.erase("alice")
    assert receipt.facts["erased"]["words"] == len(WORDS)
    assert not any(one["found"] for one in receipt.facts["searched"])
    assert not files_holding(home / "data", [needle])


def test_words_can_be_forgotten_alone(vid: VoiceID, words: list[Float32Array]) -> None:
    made = vid.challenges.new("alice")
    vid.challenges.forget("alice")
    decision = vid.verify("alice", answer(words, made.words), challenge=made.id)
    assert decision.reason is Reason.CHALLENGE_EXPIRED
    assert vid.challenges.get("alice") is None
    assert vid.speakers.get("alice").n_samples == len(SPEEDS)
    with pytest.raises(ChangeRefused, match="no words of"):
        vid.challenges.forget("alice")


def test_words_are_not_enrolled_for_another_speaker_who_got_the_name_meanwhile(
    vid: VoiceID, words: list[Float32Array], ami, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught = challenges_module._taught

    def replaced(*asked: object):
        vocabulary = taught(*asked)
        vid.speakers.remove("alice")
        vid.enroll("alice", [(ami.samples(f"carol-{n}"), 16_000) for n in (1, 2)])
        return vocabulary

    monkeypatch.setattr(challenges_module, "_taught", replaced)
    with pytest.raises(ChangeRefused, match="removed or renamed"):
        vid.challenges.enroll("alice", [said(words, i) for i in range(ROUNDS)], words=WORDS)
    assert vid.challenges.get("alice") is None
