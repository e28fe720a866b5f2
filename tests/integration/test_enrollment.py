"""Enrolment of real voices: what is refused, what is kept, and that nothing is half done."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voiceid import (
    ChangeRefused,
    EnrollmentRefused,
    Reason,
    SpeakerExists,
    SpeakerNotFound,
    ThresholdUnavailable,
    VoiceID,
)
from voiceid.decision.calibration import CalibratedPoint, Calibration, HeldOut
from voiceid.domain import EnrollmentReport, SpeakerDetails
from voiceid.enrollment.clips import Person
from voiceid.model_in_use import ModelInUse

Clips = Callable[[str, str], list[Path]]
ROOT = Path(__file__).resolve().parents[2]
LATER = datetime(2096, 1, 1, tzinfo=UTC)


def codes(refused: pytest.ExceptionInfo[EnrollmentRefused]) -> list[str]:
    return [problem.code for problem in refused.value.report.blocking]


def codes_of(report: EnrollmentReport) -> list[str]:
    return [problem.code for problem in report.problems]


def contents(vid: VoiceID) -> list[object]:
    return [
        (s.to_dict(), [x.to_dict() for x in vid.samples.list(s.name)]) for s in vid.speakers.list()
    ]


def test_clips_become_samples_and_their_mean_the_centroid(vid: VoiceID, clips: Clips) -> None:
    paths = clips("FEE083", "trn06")
    report = vid.enroll("alice", paths)
    assert report.enrolled
    assert not report.problems
    samples = vid.samples.list("alice")
    assert [s.source_name for s in samples] == [p.name for p in paths]
    mean = np.mean([s.vector for s in samples], axis=0)
    with vid._session.store.read() as reader:
        stored = reader.centroids.of(vid.speakers.get("alice").id, vid.models.space.id)
    np.testing.assert_allclose(stored, mean / np.linalg.norm(mean), atol=1e-6)


def test_one_recording_needs_no_list(vid: VoiceID, clips: Clips) -> None:
    paths = clips("FEE083", "trn06")
    vid.enroll("alice", paths)
    assert vid.enroll("alice", str(clips("FEE083", "trn09")[0])).enrolled
    assert vid.speakers.get("alice").n_samples == len(paths) + 1


def test_appended_clips_join_and_replaced_ones_leave(vid: VoiceID, clips: Clips) -> None:
    first, second = clips("FEE083", "trn06"), clips("FEE083", "trn09")
    vid.enroll("alice", first)
    assert vid.enroll("alice", second).speaker.n_samples == len(first) + len(second)
    assert vid.enroll("alice", second, mode="replace").speaker.n_samples == len(second)
    assert len(vid.samples.list("alice")) == len(second)


def test_too_little_speech_says_how_much_is_missing(vid: VoiceID, clips: Clips) -> None:
    with pytest.raises(EnrollmentRefused) as refused:
        vid.enroll("alice", clips("FEE083", "trn06")[:1])
    report = refused.value.report
    assert codes(refused) == ["too_little_speech"]
    needed = vid._session.config.enrollment.min_speech_s
    assert report.missing_speech_s == pytest.approx(needed - report.net_speech_s)
    assert f"{report.missing_speech_s:.1f} s less" in refused.value.message
    assert vid.speakers.list() == []


def test_the_clip_of_another_voice_is_named(vid: VoiceID, clips: Clips) -> None:
    stranger = clips("MEE009", "dev00")[0]
    with pytest.raises(EnrollmentRefused) as refused:
        vid.enroll("alice", [*clips("FEE083", "trn06"), stranger])
    assert codes(refused) == ["inconsistent"]
    assert refused.value.report.blocking[0].clip == stranger.name


def test_of_two_clips_that_disagree_both_are_named(vid: VoiceID, clips: Clips) -> None:
    pair = [clips("FEE083", "trn06")[2], clips("MEE009", "dev00")[0]]
    with pytest.raises(EnrollmentRefused) as refused:
        vid.enroll("alice", pair)
    assert {p.clip for p in refused.value.report.blocking} == {p.name for p in pair}


def test_clips_of_another_voice_do_not_vouch_for_each_other(vid: VoiceID, clips: Clips) -> None:
    alice, bob = clips("FEE083", "trn06"), clips("MEE009", "dev00")
    with pytest.raises(EnrollmentRefused) as refused:
        vid.enroll("alice", [*alice[:2], *bob[:2]])
    (problem,) = refused.value.report.blocking
    assert (problem.code, problem.clip) == ("inconsistent", None)
    assert all(path.name in problem.message for path in (*alice[:2], *bob[:2]))

    vid.enroll("alice", alice)
    before = contents(vid)
    with pytest.raises(EnrollmentRefused, match=f"the {len(alice)} samples so far") as refused:
        vid.enroll("alice", bob)
    assert codes(refused) == ["inconsistent"]
    assert contents(vid) == before
    (report,) = vid.enroll_all([Person("alice", tuple(bob))])
    assert report.status == "refused"


def test_a_replacement_by_another_voice_is_refused_unless_forced(
    vid: VoiceID, clips: Clips
) -> None:
    vid.enroll("alice", clips("FEE083", "trn06"))
    before = contents(vid)
    with pytest.raises(EnrollmentRefused, match="they would replace") as refused:
        vid.enroll("alice", clips("MEE009", "dev00"), mode="replace")
    assert codes(refused) == ["inconsistent"]
    assert contents(vid) == before
    assert vid.enroll("alice", clips("MEE009", "dev00"), mode="replace", force=True).enrolled


def test_a_merge_takes_no_samples_of_another_voice_with_it(vid: VoiceID, clips: Clips) -> None:
    later, bob = clips("FEE083", "trn09"), clips("MEE009", "dev00")
    vid.enroll("alice", clips("FEE083", "trn06"))
    vid.enroll("alice2", [*later, bob[0]], force=True)
    before = contents(vid)
    (odd,) = [s.id for s in vid.samples.list("alice2") if s.source_name == bob[0].name]
    assert vid.speakers.merge("alice", "alice2", dry_run=True).odd == (odd,)
    with pytest.raises(ChangeRefused, match=f"do not agree with alice: {odd}"):
        vid.speakers.merge("alice", "alice2")
    assert contents(vid) == before
    vid.samples.remove("alice2", [odd])
    assert vid.speakers.merge("alice", "alice2").merged is not None


class Meanwhile(io.BytesIO):
    """A clip during whose reading something else happens."""

    def __init__(self, path: Path, happens: Callable[[], object]) -> None:
        super().__init__(path.read_bytes())
        self.happens: Callable[[], object] | None = happens

    def read(self, size: int | None = -1) -> bytes:
        if self.happens is not None:
            happens, self.happens = self.happens, None
            happens()
        return super().read(size)


@pytest.mark.parametrize("change", ["removed", "disabled", "regrouped", "another expiry"])
def test_who_changed_while_the_clips_were_read_is_not_enrolled(
    vid: VoiceID, clips: Clips, change: str
) -> None:
    vid.enroll("alice", clips("FEE083", "trn06"))
    happens = {
        "removed": lambda: vid.speakers.remove("alice"),
        "disabled": lambda: vid.speakers.edit("alice", SpeakerDetails(enabled=False)),
        "regrouped": lambda: vid.speakers.edit("alice", SpeakerDetails(groups=("vault",))),
        "another expiry": lambda: vid.speakers.edit("alice", SpeakerDetails(expires_at=LATER)),
    }[change]
    new = Meanwhile(clips("FEE083", "trn09")[0], happens)
    with pytest.raises(EnrollmentRefused) as refused:
        vid.enroll("alice", [new], force=True)
    assert codes(refused) == ["changed_meanwhile"]
    assert all(s.n_samples == len(clips("FEE083", "trn06")) for s in vid.speakers.list())


def test_samples_that_were_added_while_the_clips_were_read_are_not_replaced(
    vid: VoiceID, clips: Clips
) -> None:
    [first, second, *others], last = clips("FEE083", "trn06"), clips("FEE083", "trn09")[0]
    vid.enroll("alice", [first, *others])
    new = Meanwhile(last, lambda: vid.enroll("alice", second))
    with pytest.raises(EnrollmentRefused) as refused:
        vid.enroll("alice", [new], mode="replace", force=True)
    assert codes(refused) == ["changed_meanwhile"]
    assert vid.speakers.get("alice").n_samples == len(others) + 2
    assert vid.enroll("alice", [last], mode="replace", force=True).enrolled


def test_who_expired_while_the_clips_were_read_is_not_enrolled(vid: VoiceID, clips: Clips) -> None:
    vid.enroll("alice", clips("FEE083", "trn06"))
    soon = datetime.now(UTC) + timedelta(seconds=2)
    vid.speakers.edit("alice", SpeakerDetails(expires_at=soon))

    def wait() -> None:
        while datetime.now(UTC) < soon:
            time.sleep(0.05)

    with pytest.raises(EnrollmentRefused, match="expired while"):
        vid.enroll("alice", [Meanwhile(clips("FEE083", "trn09")[0], wait)], force=True)


def test_two_voices_that_get_one_new_name_at_once_do_not_share_it(
    vid: VoiceID, clips: Clips
) -> None:
    alice, bob = clips("FEE083", "trn06"), clips("MEE009", "dev00")
    first = Meanwhile(alice[0], lambda: vid.enroll("sam", bob))
    with pytest.raises(EnrollmentRefused) as refused:
        vid.enroll("sam", [first, *alice[1:]])
    assert codes(refused) == ["inconsistent"]
    assert {s.source_name for s in vid.samples.list("sam")} == {path.name for path in bob}


def test_a_dry_run_of_a_list_says_what_the_run_will_do(vid: VoiceID, clips: Clips) -> None:
    alice, bob = clips("FEE083", "trn06"), clips("MEE009", "dev00")
    people = [
        Person("alice", tuple(alice)),
        Person("carol", tuple(clips("FEE083", "trn09"))),  # alice's voice
        Person("bob", tuple(bob)),
        Person("dave", tuple(bob)),  # bob's recordings
        Person("alice", tuple(clips("MEE009", "dev01"))),  # bob's voice
        Person("alice", tuple(clips("FEE083", "trn09"))),
    ]
    dry = [(r.name, r.status, codes_of(r)) for r in vid.enroll_all(people, dry_run=True)]
    assert vid.speakers.list() == []
    real = [(r.name, r.status, codes_of(r)) for r in vid.enroll_all(people)]
    assert dry == [(name, status.replace("enrolled", "possible"), c) for name, status, c in real]
    assert [status for _, status, _ in real] == [
        *("enrolled", "refused", "enrolled"),
        *("refused", "refused", "enrolled"),
    ]


def test_of_the_odd_clip_it_is_said_whose_voice_it_is(vid: VoiceID, clips: Clips) -> None:
    vid.enroll("bob", clips("MEE009", "dev00"))
    stranger = clips("MEE009", "dev01")[0]
    with pytest.raises(EnrollmentRefused, match="sounds like bob"):
        vid.enroll("alice", [*clips("FEE083", "trn06"), stranger])


def test_a_voice_that_is_enrolled_under_another_name_is_found(vid: VoiceID, clips: Clips) -> None:
    vid.enroll("alice", clips("FEE083", "trn06"))
    with pytest.raises(EnrollmentRefused, match="already enrolled as alice") as refused:
        vid.enroll("carol", clips("FEE083", "trn09"))
    assert codes(refused) == ["already_enrolled"]
    assert [s.name for s in vid.speakers.list()] == ["alice"]


def test_an_override_is_recorded_on_the_samples(vid: VoiceID, clips: Clips) -> None:
    vid.enroll("alice", clips("FEE083", "trn06"))
    report = vid.enroll("carol", clips("FEE083", "trn09"), force=True)
    assert [p.overridden for p in report.problems] == [True]
    assert {s.overrides for s in vid.samples.list("carol")} == {("already_enrolled",)}


def test_a_name_that_looks_like_an_enrolled_one_is_refused_unless_forced(
    vid: VoiceID, clips: Clips, tmp_path: Path
) -> None:
    vid.enroll("Ana", clips("FEE083", "trn06"))
    with pytest.raises(EnrollmentRefused, match="looks like the enrolled 'Ana'") as refused:
        vid.enroll("\u0410na", clips("MEE009", "dev00"))
    assert codes(refused) == ["look_alike"]
    report = vid.enroll("\u0410na", clips("MEE009", "dev00"), force=True)
    assert [p.code for p in report.problems if p.overridden] == ["look_alike"]
    vid.speakers.rename("\u0410na", "bob")
    with pytest.raises(SpeakerExists, match="looks like 'Ana'"):
        vid.speakers.rename("bob", "\u0410na")
    with pytest.raises(SpeakerExists, match="looks like 'Ana'"):
        vid.speakers.split("bob", "\u0410na", [vid.samples.list("bob")[0].id])
    vid.speakers.rename("bob", "\u0410na", force=True)
    assert vid.speakers.get("\u0410na").name == "\u0410na"
    file = tmp_path / "speakers.jsonl"
    vid.speakers.export(file, ["\u0410na"])
    vid.speakers.remove("\u0410na")
    with pytest.raises(SpeakerExists, match="looks like 'Ana'"):
        vid.speakers.import_file(file)


def test_the_same_recording_is_not_enrolled_twice_under_any_file_name(
    vid: VoiceID, clips: Clips, tmp_path: Path
) -> None:
    paths = clips("FEE083", "trn06")
    copy, flac = tmp_path / "other.wav", tmp_path / "other.flac"
    shutil.copy(paths[0], copy)
    soundfile.write(flac, *soundfile.read(paths[1], dtype="int16"))
    with pytest.raises(EnrollmentRefused) as refused:
        vid.enroll("alice", [*paths, copy, flac], force=True)
    assert codes(refused) == ["duplicate_clip", "duplicate_clip"]
    vid.enroll("alice", paths)
    before = contents(vid)
    with pytest.raises(EnrollmentRefused) as refused:
        vid.enroll("alice", [flac])
    assert codes(refused) == ["duplicate_clip"]
    with pytest.raises(EnrollmentRefused, match="sample of alice"):
        vid.enroll("bob", paths, force=True)
    assert contents(vid) == before


def test_a_file_of_the_same_name_with_another_voice_is_another_clip(
    vid: VoiceID, clips: Clips, tmp_path: Path
) -> None:
    vid.enroll("alice", clips("FEE083", "trn06"))
    impostor = tmp_path / clips("FEE083", "trn06")[2].name
    shutil.copy(clips("MEE009", "dev00")[0], impostor)
    assert vid.verify("alice", clips("FEE083", "trn06")[2], allow_replayed=True).accepted
    assert not vid.verify("alice", impostor).accepted


def test_silent_clipped_and_unreadable_clips_are_all_named_at_once(
    vid: VoiceID, clips: Clips, tmp_path: Path
) -> None:
    silent, loud, broken = (tmp_path / name for name in ("silent.wav", "loud.wav", "broken.wav"))
    soundfile.write(silent, np.zeros(80000), 16000)
    samples, rate = soundfile.read(clips("MEE009", "dev00")[0])
    soundfile.write(loud, np.clip(samples * 40, -1, 1), rate)
    broken.write_bytes(b"not audio at all")
    good = clips("MEE009", "dev00")[1:]
    with pytest.raises(EnrollmentRefused) as refused:
        vid.enroll("bob", [*good, silent, loud, broken, tmp_path / "missing.wav"])
    named = {(p.code, Path(p.clip).name) for p in refused.value.report.blocking if p.clip}
    assert {
        ("no_speech", "silent.wav"),
        ("clipped", "loud.wav"),
        ("unreadable", "broken.wav"),
        ("unreadable", "missing.wav"),
    } <= named
    assert vid.speakers.list() == []


def test_force_does_not_enrol_what_is_no_judgement(
    vid: VoiceID, clips: Clips, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF....WAVE")
    with pytest.raises(EnrollmentRefused) as refused:
        vid.enroll("alice", [*clips("FEE083", "trn06"), broken], force=True)
    assert codes(refused) == ["unreadable"]
    assert vid.speakers.list() == []


def test_no_clips_at_all_enrol_no_speaker(vid: VoiceID) -> None:
    with pytest.raises(EnrollmentRefused):
        vid.enroll("alice", [])
    with pytest.raises(SpeakerNotFound):
        vid.speakers.get("alice")


def test_a_dry_run_says_what_would_happen_and_writes_nothing(vid: VoiceID, clips: Clips) -> None:
    report = vid.enroll("alice", clips("FEE083", "trn06"), dry_run=True)
    assert (report.enrolled, report.dry_run, report.speaker) == (False, True, None)
    assert vid.speakers.list() == []
    with pytest.raises(EnrollmentRefused):
        vid.enroll("alice", clips("FEE083", "trn06")[:1], dry_run=True)


def test_a_refused_replacement_leaves_the_old_samples(vid: VoiceID, clips: Clips) -> None:
    vid.enroll("alice", clips("FEE083", "trn06"))
    before = contents(vid)
    with pytest.raises(EnrollmentRefused):
        vid.enroll("alice", clips("FEE083", "trn09")[-1:], mode="replace")
    assert contents(vid) == before


def test_the_name_in_another_case_is_the_same_speaker(vid: VoiceID, clips: Clips) -> None:
    vid.enroll("Alice", clips("FEE083", "trn06"))
    assert vid.enroll("ALICE", clips("FEE083", "trn09")).name == "Alice"
    assert len(vid.speakers.list()) == 1


def test_a_calibration_lets_the_next_enrolment_pass_that_was_refused_for_want_of_a_threshold(
    vid: VoiceID, clips: Clips
) -> None:
    session, paths = vid._session, clips("FEE083", "trn06")
    policy = session.named_model.policy
    unmeasured = replace(policy, card=replace(policy.card, points=()))
    speaker_model = session.named_model.speaker_model
    model = ModelInUse(speaker_model, unmeasured, session._parts)
    session._models_in_use[speaker_model.card.name] = model
    session._latest = None
    for _ in range(2):
        with pytest.raises(ThresholdUnavailable, match="no thresholds were measured for campplus"):
            vid.enroll("alice", paths)

    points = tuple(
        CalibratedPoint(fmr, llr, (0.0, 0.1), 0.1, (0.0, 0.1))
        for fmr, llr in ((0.1, 0.0), (0.001, 1.0))
    )
    calibration = Calibration(10.0, -4.0, (), (0.0, 1.0), 1.0, points, 3000)
    held_out = HeldOut(10, 100, 1000, 0.01, 0.1, 0.1, {"0.01": 0.1}, {"0.01": 0.1})
    with session.change("calibrate") as change:
        number = change.writer.calibrations.add(vid.models.space, calibration, held_out, "x", None)
    vid.calibrations.use(number)
    assert vid.enroll("alice", paths).enrolled
    assert vid.identify(clips("FEE083", "trn09")[0]).calibration == number


def test_speech_is_collected_of_a_speaker_who_is_disabled_until_there_is_enough(
    tmp_path: Path, clips: Clips
) -> None:
    first, *others = sorted(clips("FEE083", "trn06"), key=lambda path: soundfile.info(path).frames)
    later, needed_s = clips("FEE083", "trn09")[0], 9.0
    settings = {"enrollment.min_speech_s": needed_s}
    with VoiceID.open(tmp_path / "data", home=ROOT, overrides=settings) as vid:
        vid.speakers.add("alice")
        report = vid.enroll("alice", first, mode="collect")
        speaker = vid.speakers.get("alice")
        assert (report.status, speaker.n_samples, speaker.standing()) == ("enrolled", 1, "disabled")
        assert report.missing_speech_s == pytest.approx(needed_s - speaker.net_speech_s)
        assert vid.verify("alice", later).reason is Reason.SPEAKER_DISABLED
        with pytest.raises(EnrollmentRefused) as refused:
            vid.enroll("alice", clips("MEE009", "dev00")[0], mode="collect")
        assert "inconsistent" in codes(refused)
        for clip in others:
            report = vid.enroll("alice", clip, mode="collect")
            enough = report.missing_speech_s == 0
            assert vid.speakers.get("alice").standing() == ("active" if enough else "disabled")
        assert enough
        assert vid.verify("alice", later).accepted


@pytest.mark.parametrize("is_disabled", [False, True])
def test_collecting_changes_no_standing_that_an_operator_gave(
    tmp_path: Path, clips: Clips, is_disabled: bool
) -> None:
    paths = clips("FEE083", "trn06")
    with VoiceID.open(tmp_path / "data", home=ROOT) as vid:
        vid.enroll("alice", paths)
        vid.speakers.edit("alice", SpeakerDetails(enabled=not is_disabled))
        before = vid.speakers.get("alice")
    # The speech that an enrolment needs is raised, and more comes: too little still, then enough.
    first, second = clips("FEE083", "trn09")[:2]
    for more_s, clip in ((100.0, first), (0.1, second)):
        settings = {"enrollment.min_speech_s": before.net_speech_s + more_s}
        with VoiceID.open(tmp_path / "data", home=ROOT, overrides=settings) as vid:
            vid.enroll("alice", clip, mode="collect")
            assert vid.speakers.get("alice").disabled_at == before.disabled_at
