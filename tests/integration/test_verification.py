"""Decisions about real voices, and that every way to go wrong stays shut."""

from __future__ import annotations

import io
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from voiceid import (
    AudioError,
    ConfigError,
    Decision,
    Outcome,
    Reason,
    SpaceMismatch,
    SpeakerExists,
    SpeakerNotFound,
    StoreError,
    ThresholdUnavailable,
    VoiceID,
    VoiceIDError,
)

Clips = Callable[[str, str], list[Path]]
ROOT = Path(__file__).resolve().parents[2]
ENROLLED = {"FEE083": "trn06", "MEE009": "dev00", "MEE068": "trn00"}


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory, clips: Clips) -> Iterator[VoiceID]:
    with VoiceID.open(tmp_path_factory.mktemp("gallery"), home=ROOT) as vid:
        for name, recording in ENROLLED.items():
            vid.enroll(name, clips(name, recording))
        yield vid


def test_a_voice_is_identified_in_another_recording(gallery: VoiceID, clips: Clips) -> None:
    for clip in clips("FEE083", "trn09"):
        decision = gallery.identify(clip)
        assert decision.accepted, decision.detail
        assert decision.speaker.name == "FEE083"
        assert decision.gallery_size == 3
        assert decision.runner_up is not None
        assert decision.margin == pytest.approx(decision.score - decision.runner_up.score)


def test_somebody_who_is_not_enrolled_is_unknown(gallery: VoiceID, clips: Clips) -> None:
    strangers = clips("FEE078", "trn05") + clips("MÉO069", "trn03") + clips("FEO070", "tst01")
    for clip in strangers:
        decision = gallery.identify(clip)
        assert (decision.outcome, decision.reason) == (Outcome.REJECTED, Reason.UNKNOWN)
        assert decision.speaker is None
        assert decision.candidates


def test_a_claim_is_accepted_for_its_owner_only(gallery: VoiceID, clips: Clips) -> None:
    clip = clips("FEE083", "trn09")[0]
    assert gallery.verify("FEE083", clip).accepted
    for other in ("MEE009", "MEE068"):
        decision = gallery.verify(other, clip)
        assert (decision.outcome, decision.reason) == (Outcome.REJECTED, Reason.BELOW_THRESHOLD)
        assert decision.speaker.name == other


def test_the_score_is_the_plain_cosine(gallery: VoiceID, clips: Clips) -> None:
    clip = clips("FEE083", "trn09")[0]
    vectors = np.array([s.vector for s in gallery.samples.list("FEE083")])
    mean = vectors.mean(axis=0) / np.linalg.norm(vectors.mean(axis=0))
    expected = float(mean @ gallery.embed(clip).vector)
    assert gallery.verify("FEE083", clip).score == pytest.approx(expected, abs=1e-5)
    assert gallery.identify(clip).score == pytest.approx(expected, abs=1e-5)


def test_two_clips_are_compared_without_a_gallery(shared_vid: VoiceID, clips: Clips) -> None:
    one, other = clips("FEE083", "trn06")[2], clips("FEE083", "trn09")[0]
    assert shared_vid.compare(one, other).accepted
    stranger = shared_vid.compare(one, clips("MEE009", "dev01")[0])
    assert (stranger.outcome, stranger.speaker) == (Outcome.REJECTED, None)


@pytest.mark.parametrize("make", ["path", "str", "bytes", "file", "array", "int16"])
def test_every_kind_of_source_gives_the_same_answer(
    gallery: VoiceID, clips: Clips, make: str
) -> None:
    path = clips("FEE083", "trn09")[0]
    source = {
        "path": lambda: path,
        "str": lambda: str(path),
        "bytes": path.read_bytes,
        "file": lambda: io.BytesIO(path.read_bytes()),
        "array": lambda: soundfile.read(path, dtype="float32"),
        "int16": lambda: soundfile.read(path, dtype="int16"),
    }[make]()
    assert gallery.identify(source).score == pytest.approx(gallery.identify(path).score, abs=1e-5)


@pytest.mark.parametrize("ask", ["identify", "verify", "compare"])
def test_silence_is_inconclusive_and_has_no_score(
    gallery: VoiceID, silence: tuple[np.ndarray, int], ask: str
) -> None:
    decision: Decision = {
        "identify": lambda: gallery.identify(silence),
        "verify": lambda: gallery.verify("FEE083", silence),
        "compare": lambda: gallery.compare(silence, silence),
    }[ask]()
    assert decision.outcome is Outcome.INCONCLUSIVE
    assert decision.reason is Reason.NOT_ENOUGH_SPEECH
    assert decision.score is None


def test_less_than_a_second_of_speech_is_inconclusive(gallery: VoiceID, clips: Clips) -> None:
    samples, rate = soundfile.read(clips("FEE083", "trn09")[0], dtype="float32")
    decision = gallery.identify((samples[: int(0.9 * rate)], rate))
    assert decision.reason is Reason.NOT_ENOUGH_SPEECH
    assert "too little for a score, which takes 1 s; with" in decision.detail


def test_an_empty_gallery_accepts_no_speaker(vid: VoiceID, clips: Clips) -> None:
    decision = vid.identify(clips("FEE083", "trn09")[0])
    assert (decision.outcome, decision.reason) == (Outcome.REJECTED, Reason.GALLERY_EMPTY)
    assert decision.gallery_size == 0


def telephone(clip: Path) -> tuple[np.ndarray, int]:
    """Return a clip as a telephone's rate leaves it."""
    samples, rate = soundfile.read(clip, dtype="float32")
    return soxr.resample(samples, rate, 8000), 8000


def test_a_telephone_on_both_sides_asks_for_a_higher_score(vid: VoiceID, clips: Clips) -> None:
    vid.enroll("wide", clips("FEE083", "trn06"))
    vid.enroll("phone", [telephone(clip) for clip in clips("MEE009", "dev00")])
    wide, phone = clips("MEE009", "dev01")[0], telephone(clips("MEE009", "dev01")[0])
    both = vid.verify("phone", phone)
    # Strangers on a telephone sound more alike; not so much that the voice itself is refused.
    assert both.accepted
    assert both.score > both.threshold.value + 0.1
    for decision in (vid.identify(phone), vid.compare(phone, phone)):
        assert decision.threshold.value == pytest.approx(both.threshold.value, abs=0.01)
        assert decision.accepted
    at_most_one = (
        vid.verify("phone", wide),
        vid.verify("wide", phone),
        vid.compare(wide, phone),
        vid.compare(phone, wide),
        vid.verify("wide", wide),
        vid.identify(clips("FEE083", "trn09")[0]),
    )
    assert [one.accepted for one in at_most_one] == [True, False, True, True, False, True]
    for one in at_most_one:
        assert 0.05 < both.threshold.value - one.threshold.value < 0.105
    for decision in (both, *at_most_one):
        assert decision.threshold.source == "card campplus, FMR 0.1 %"


def test_the_line_of_an_enrolment_follows_its_samples(vid: VoiceID, clips: Clips) -> None:
    first, second, last = clips("FEE083", "trn06")

    def asked(*samples: object) -> tuple[float, float]:
        """Return the share that both sides came over a telephone, and the threshold."""
        vid.enroll("alice", samples, mode="replace")
        shares = [sample.quality.telephone for sample in vid.samples.list("alice")]
        decision = vid.verify("alice", telephone(last))
        return float(np.mean(shares)) * decision.quality.telephone, decision.threshold.value

    vid.enroll("alice", [first, second])
    wide = asked(first, second)
    mixed = asked(first, telephone(second))
    narrow = asked(telephone(first), telephone(second))
    assert wide[0] < 0.4 < mixed[0] < 0.8 < narrow[0]
    assert wide[1] < mixed[1] < narrow[1]
    on_the_line = np.interp(mixed[0], *zip(wide, narrow, strict=True))
    assert mixed[1] == pytest.approx(on_the_line, abs=1e-5)
    low = vid.verify("alice", last)
    assert low.quality.telephone < 0.1
    assert low.threshold.value < mixed[1]


def test_a_close_runner_up_makes_it_ambiguous(gallery: VoiceID, clips: Clips) -> None:
    clip = clips("FEE083", "trn09")[0]
    lead = gallery.identify(clip).margin
    decision = gallery.identify(clip, margin=lead + 0.01)
    assert (decision.outcome, decision.reason) == (Outcome.INCONCLUSIVE, Reason.AMBIGUOUS)
    assert decision.speaker is None
    assert gallery.identify(clip, margin=lead - 0.01).accepted
    assert gallery.identify(clip, margin=lead + 0.01, top=1).reason is Reason.AMBIGUOUS


def test_a_stricter_target_never_lowers_the_threshold(gallery: VoiceID, clips: Clips) -> None:
    clip = clips("FEE083", "trn09")[0]
    found = [gallery.verify("FEE083", clip, target_fmr=rate) for rate in (0.1, 0.01, 0.001)]
    needed = [decision.threshold.value for decision in found]
    assert needed == sorted(needed)
    for decision in found:
        assert decision.accepted == (decision.score >= decision.threshold.value)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0, -0.1, 0.51, 50.0])
def test_a_target_that_is_no_rate_accepts_no_speaker(
    gallery: VoiceID, clips: Clips, bad: float
) -> None:
    with pytest.raises(ConfigError):
        gallery.identify(clips("FEE083", "trn09")[0], target_fpir=bad)
    with pytest.raises(ConfigError):
        gallery.verify("FEE083", clips("FEE083", "trn09")[0], target_fmr=bad)


def test_a_name_that_is_not_enrolled_is_an_error(gallery: VoiceID, clips: Clips) -> None:
    with pytest.raises(SpeakerNotFound, match="nobody"):
        gallery.verify("nobody", clips("FEE083", "trn09")[0])


def test_another_models_enrolment_is_never_compared(gallery: VoiceID, clips: Clips) -> None:
    data, clip = gallery.database.location.parent, clips("FEE083", "trn09")[0]
    with VoiceID.open(data, home=ROOT, overrides={"model": "ge2e"}) as other:
        with pytest.raises(SpaceMismatch, match="ge2e"):
            other.verify("FEE083", clip)
        assert other.identify(clip).reason is Reason.GALLERY_EMPTY
    with VoiceID.open(data, home=ROOT, overrides={"speech.pad_ms": 320}) as other:
        assert other.identify(clip).reason is Reason.GALLERY_EMPTY


@pytest.mark.parametrize("bad", [b"", b"\x00" * 4000, b"hello", Path("/"), Path("/missing.wav")])
def test_what_cannot_be_read_is_an_error_of_its_own(gallery: VoiceID, bad: object) -> None:
    with pytest.raises(AudioError):
        gallery.identify(bad)


def test_removal_is_seen_by_a_process_that_was_already_running(vid: VoiceID, clips: Clips) -> None:
    vid.enroll("alice", clips("FEE083", "trn06"))
    clip = clips("FEE083", "trn09")[0]
    assert vid.identify(clip).accepted
    with VoiceID.open(vid.database.location.parent, home=ROOT) as other:
        other.speakers.remove("alice")
    decision = vid.identify(clip)
    assert decision.reason is Reason.GALLERY_EMPTY
    with pytest.raises(SpeakerNotFound):
        vid.verify("alice", clip)


def test_a_damaged_database_lets_no_speaker_in(vid: VoiceID, clips: Clips) -> None:
    vid.enroll("alice", clips("FEE083", "trn06"))
    vid.close()
    vid.database.location.write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    with (
        VoiceID.open(vid.database.location.parent, home=ROOT) as damaged,
        pytest.raises(StoreError),
    ):
        damaged.identify(clips("FEE083", "trn09")[0])


def test_a_vector_that_was_tampered_with_lets_no_speaker_in(vid: VoiceID, clips: Clips) -> None:
    vid.enroll("alice", clips("FEE083", "trn06"))
    vid.close()
    with sqlite3.connect(vid.database.location) as connection:
        nan = np.full(192, np.nan, dtype="<f4").tobytes()
        connection.execute("UPDATE centroids SET vector = ?", (nan,))
    connection.close()
    for path in (vid.database.location.parent / "index").glob("*"):
        path.unlink()
    clip = clips("FEE083", "trn09")[0]
    with VoiceID.open(vid.database.location.parent, home=ROOT) as tampered:
        for ask in (lambda: tampered.identify(clip), lambda: tampered.verify("alice", clip)):
            with pytest.raises(VoiceIDError):
                ask()


def test_one_object_serves_many_threads(gallery: VoiceID, clips: Clips) -> None:
    questions = [(n, c) for n, r in ENROLLED.items() for c in clips(n, r)] * 3
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda q: gallery.identify(q[1]), questions))
    for (name, clip), answer in zip(questions, answers, strict=True):
        alone = gallery.identify(clip)
        assert answer.score == pytest.approx(alone.score, abs=1e-5)
        assert answer.candidates[0].speaker.name == name


def test_enrolment_and_questions_at_once_lose_nothing(vid: VoiceID, clips: Clips) -> None:
    vid.enroll("bob", clips("MEE009", "dev00"))
    clip, stop, answers = clips("MEE009", "dev01")[0], threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            answers.append(vid.identify(clip))

    asking = threading.Thread(target=ask)
    asking.start()
    vid.enroll("alice", clips("FEE083", "trn06"))
    vid.speakers.remove("alice")
    vid.enroll("carol", clips("FEE083", "trn09"))
    stop.set()
    asking.join()
    assert answers
    assert {a.speaker.name for a in answers if a.speaker} == {"bob"}
    assert [s.name for s in vid.speakers.list()] == ["bob", "carol"]


def test_ge2e_which_hears_loudness_accepts_no_speaker_who_is_too_soft(
    tmp_path: Path, clips: Clips
) -> None:
    """Thirty decibels down all voices are alike to it, and strangers would be let in."""
    clip = clips("FEE083", "trn09")[0]
    samples, rate_hz = soundfile.read(clip, dtype="float32")
    loud = samples / np.abs(samples).max()
    with VoiceID.open(tmp_path, home=ROOT, overrides={"model": "ge2e"}) as vid:
        assert vid.compare((loud, rate_hz), (loud, rate_hz)).accepted
        with pytest.raises(ThresholdUnavailable, match="softer than -40 dBFS"):
            vid.compare((0.01 * loud, rate_hz), (0.01 * loud, rate_hz))


def test_every_named_candidate_has_the_llr_of_its_own_score(gallery: VoiceID, clips: Clips) -> None:
    clip = clips("FEE083", "trn09")[0]
    everybody = [speaker.name for speaker in gallery.speakers.list()]
    first, *others = (decision := gallery.identify(clip, among=everybody)).candidates
    assert first.llr == decision.llr
    assert first.llr > max(one.llr for one in others)
    [claimed] = (verified := gallery.verify("MEE009", clip)).candidates
    assert (
        claimed.llr
        == verified.llr
        == pytest.approx(next(one.llr for one in others if one.speaker.name == "MEE009"))
    )
    assert gallery.identify(clip, among=["MEE009"]).candidates[0].llr == pytest.approx(claimed.llr)


def test_a_speaker_without_a_voice_is_never_accepted_and_can_be_enrolled(
    tmp_path: Path, clips: Clips
) -> None:
    with VoiceID.open(tmp_path, home=ROOT) as vid:
        assert vid.speakers.add("FEE083").n_samples == 0
        clip = clips("FEE083", "trn09")[0]
        assert vid.identify(clip).reason is Reason.GALLERY_EMPTY
        with pytest.raises(SpaceMismatch):
            vid.verify("FEE083", clip)
        with pytest.raises(SpeakerExists):
            vid.speakers.add("fee083")
        assert list(vid.database.check()) == []
        vid.enroll("FEE083", clips("FEE083", "trn06"))
        assert vid.identify(clip).accepted
