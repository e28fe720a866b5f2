"""A change of the model on real speech: prepared beside the old one, then switched for all."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from worker_forks import program

from voiceid import (
    ChangeRefused,
    Decision,
    EmbeddedClip,
    ModelUnknown,
    NotEnoughSpeech,
    Outcome,
    Reason,
    Sample,
    SpaceMismatch,
    SpeakerNotFound,
    SwitchStatus,
    Utterance,
    VoiceID,
)
from voiceid.domain import NewSample

ROOT = Path(__file__).resolve().parents[2]
KEEPING = {"enrollment.keep_audio": True}
NEW = "campplus-int8"

Cut = Callable[[str], Path]


@pytest.fixture(scope="module")
def site(ami: Any, models_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with alice and bob, whose audio is kept, and carol without; copy it."""
    home = tmp_path_factory.mktemp("site")
    for turn in ("alice-1", "alice-2", "alice-4", "bob-1", "bob-2", "bob-3", "carol-1", "carol-2"):
        ami.cut(turn, home / f"{turn}.wav")
    settings = {"models": str(models_folder), "offline": True}
    with VoiceID.open(home=home, overrides=settings | KEEPING) as vid:
        vid.enroll("alice", [home / "alice-1.wav", home / "alice-2.wav"], label="desk")
        vid.enroll("bob", [home / "bob-1.wav", home / "bob-2.wav"])
    with VoiceID.open(home=home, overrides=settings) as vid:
        vid.enroll("carol", [home / "carol-1.wav", home / "carol-2.wav"])
    return home


@pytest.fixture
def place(site: Path, models_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    shutil.copytree(site, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("VOICEID_HOME", str(folder))
    monkeypatch.setenv("VOICEID_MODELS", str(models_folder))
    monkeypatch.setenv("VOICEID_OFFLINE", "true")
    return folder


@pytest.fixture
def vid(place: Path) -> Iterator[VoiceID]:
    with VoiceID.open(overrides=KEEPING) as opened:
        yield opened


def asked_elsewhere(*words: str) -> dict[str, Any]:
    """Ask the command line, in a process of its own."""
    ask = "import sys; from voiceid.cli import main; main(sys.argv[1:])"
    with program(ask, *words, "--json") as worker:
        said, errors = worker.communicate()
    return json.loads(said or errors.splitlines()[-1])


def model_of(decision: Decision) -> str:
    return decision.embedding_space.model


def test_the_switch_reaches_every_process_at_its_next_question(vid: VoiceID, place: Path) -> None:
    with VoiceID.open() as door:
        assert model_of(door.identify("alice-4.wav")) == "campplus"
        old = door.embed("alice-4.wav")
        found = vid.models.switch.prepare(NEW)
        assert (found.state, found.behind, found.partly) == ("ready", ("carol",), ())
        assert (found.recordings, found.prepared, found.waiting) == (6, 4, 0)
        assert model_of(door.identify("alice-4.wav")) == "campplus"
        assert door.models.card.name == "campplus"
        assert door.identify("carol-1.wav", allow_replayed=True).speaker.name == "carol"

        assert vid.models.switch.commit(leave=["Carol"]).state == "switched"
        heard = [door.identify("alice-4.wav"), door.verify("alice", "alice-4.wav")]
        elsewhere = asked_elsewhere("identify", "alice-4.wav", "--model", "campplus")
        for decision in heard:
            assert (decision.outcome, model_of(decision)) == (Outcome.ACCEPTED, NEW)
            assert decision.threshold.source.startswith(f"card {NEW}")
        assert elsewhere["speaker"]["name"] == "alice"
        assert elsewhere["embedding_space"] == heard[0].embedding_space.id == door.models.space.id
        assert door.models.card.name == NEW

        assert door.identify("carol-1.wav").outcome is Outcome.REJECTED
        with pytest.raises(SpaceMismatch, match="carol is enrolled in campplus-"):
            door.verify("carol", "carol-1.wav")
        with pytest.raises(SpaceMismatch):
            door.identify(EmbeddedClip(old.vector, old.space, net_speech_s=6.0))
        new = door.embed("alice-4.wav")
        assert door.search(EmbeddedClip(new.vector, new.space))[0].speaker.name == "alice"
        assert door.enroll("carol", ["carol-1.wav", "carol-2.wav"]).enrolled
        assert door.identify("carol-1.wav", allow_replayed=True).speaker.name == "carol"
        assert vid.models.switch.status().behind == ()


def test_samples_keep_all_that_is_known_of_them(vid: VoiceID) -> None:
    before = vid.samples.list("alice")
    vid.models.switch.prepare("ge2e")
    after = vid.samples.list("alice")
    made = after[len(before) :]
    assert after[: len(before)] != made
    assert {one.vector.shape for one in made} == {(256,)}
    for old, new in zip(before, made, strict=True):
        same = ("pcm_sha256", "source_name", "label", "overrides", "created_at")
        assert [getattr(old, one) for one in same] == [getattr(new, one) for one in same]
        # All but the posterior of a telephone, which is the model's.
        assert replace(new.quality, telephone=old.quality.telephone) == old.quality
    with VoiceID.open(overrides={"model": "ge2e"}) as other:
        original = other.embed("alice-1.wav")
    assert float(original.vector @ made[0].vector) > 0.999999
    assert made[0].quality.telephone == pytest.approx(original.telephone, abs=1e-5)
    assert vid.database.check() == []


PREPARE = """
import sys
from voiceid import VoiceID
with VoiceID.open() as vid:
    print("ready", flush=True)
    vid.models.switch.prepare("ge2e", tell=lambda done, total: print(done, total, flush=True))
"""


def test_a_run_that_was_killed_goes_on_where_it_was(vid: VoiceID, ami: Any, place: Path) -> None:
    samples = np.concatenate([ami.samples(turn) for turn in ("alice-2", "alice-3", "alice-4")])
    (place / "pieces").mkdir()
    starts = range(0, len(samples) - 40_000, 9_600)
    for start in starts:
        soundfile.write(place / f"pieces/{start}.wav", samples[start : start + 40_000], 16_000)
    vid.enroll("alice", sorted((place / "pieces").iterdir()), force=True)
    total = len(vid.samples.list("alice")) + 2

    with program(PREPARE, cwd=place) as worker:
        for line in worker.stdout:
            if line[0].isdigit():
                worker.kill()
                break
    found = vid.models.switch.status()
    assert found.state == "preparing"
    assert 0 < found.prepared < total
    assert found.prepared + found.waiting == total
    first = {one.id for one in vid.samples.list("alice") if len(one.vector) == 256}
    assert first
    assert vid.database.check() == []
    with pytest.raises(ChangeRefused, match="a switch to ge2e is being prepared"):
        vid.models.switch.prepare(NEW)

    found = vid.models.switch.prepare("ge2e")
    assert (found.state, found.prepared) == ("ready", total)
    made = [one for one in vid.samples.list("alice") if len(one.vector) == 256]
    assert first < {one.id for one in made}
    assert len({one.pcm_sha256 for one in made}) == len(made) == total - 2
    assert vid.database.check() == []


def test_a_speaker_who_was_not_named_is_not_left_behind(vid: VoiceID) -> None:
    with pytest.raises(ChangeRefused, match="no switch of the model is being prepared"):
        vid.models.switch.commit()
    vid.enroll("bob", ["bob-3.wav"])
    with VoiceID.open() as other:
        other.enroll("alice", ["alice-4.wav"])  # without its audio
    found = vid.models.switch.prepare(NEW)
    assert (found.behind, found.partly) == (("carol",), ("alice",))
    for names in ([], ["alice"]):
        with pytest.raises(ChangeRefused, match="1 of 3 speakers would be left behind: carol"):
            vid.models.switch.commit(leave=names)
    with pytest.raises(SpeakerNotFound):
        vid.models.switch.commit(leave=["karol"])
    assert vid.models.card.name == "campplus"
    assert vid.models.switch.commit(leave_all=True).behind == ("carol",)
    assert vid.models.card.name == NEW


def test_who_enrols_during_the_switch_comes_over_with_it(vid: VoiceID) -> None:
    """Others verify and enrol meanwhile; a speaker who comes before the switch is seen by it."""
    vid.speakers.remove("carol")
    vid.models.switch.prepare(NEW)
    vid.enroll("alice", ["alice-4.wav"])
    with VoiceID.open(overrides=KEEPING) as desk:
        came = []

        def meanwhile(done: int, total: int) -> None:
            if not came:
                assert model_of(desk.verify("alice", "alice-4.wav")) == "campplus"
                came.append(desk.enroll("carol", ["carol-1.wav", "carol-2.wav"]))

        found = vid.models.switch.commit(tell=meanwhile)
    assert came[0].embedding_space.model == "campplus"
    assert (found.state, found.prepared, found.behind) == ("switched", 7, ())
    assert vid.identify("carol-1.wav", allow_replayed=True).speaker.name == "carol"
    assert len(vid.samples.list("carol")) == 4


def test_who_comes_without_audio_during_the_switch_stops_it(vid: VoiceID) -> None:
    vid.speakers.remove("carol")
    vid.models.switch.prepare(NEW)
    vid.enroll("bob", ["bob-3.wav"])
    with VoiceID.open() as desk:
        came = []

        def meanwhile(done: int, total: int) -> None:
            if not came:
                came.append(desk.enroll("carol", ["carol-1.wav", "carol-2.wav"]))

        with pytest.raises(ChangeRefused, match="left behind: carol"):
            vid.models.switch.commit(tell=meanwhile)
    assert came[0].enrolled
    assert vid.models.card.name == "campplus"


def test_who_is_removed_meanwhile_does_not_come_back(vid: VoiceID, place: Path) -> None:
    audio = {one.pcm_sha256 for one in vid.samples.list("alice")}
    with VoiceID.open() as desk:
        vid.models.switch.prepare(NEW)
        desk.samples.remove("alice", [desk.samples.list("alice")[0].id])
        assert len(desk.samples.list("alice")) == 2  # of one recording, in both spaces
        gone = []

        def remove(done: int, total: int) -> None:
            if not gone:
                gone.append(desk.speakers.remove("alice"))

        vid.models.switch.cancel()
        vid.models.switch.prepare(NEW, tell=remove)
    assert gone[0].name == "alice"
    found = vid.models.switch.commit(leave_all=True)
    assert found.speakers == 2
    assert [one.name for one in vid.speakers.list()] == ["bob", "carol"]
    assert not audio & {path.stem for path in (place / "data" / "audio").iterdir()}
    assert vid.database.check() == []


class SwitchesWhenRead(io.BytesIO):
    """A recording during whose hearing another process switches the model."""

    def __init__(self, data: bytes, switch: Callable[[], SwitchStatus]) -> None:
        super().__init__(data)
        self._switch, self.switched = switch, False

    def read(self, n: int | None = -1) -> bytes:
        if n and not self.switched:
            self.switched = True
            self._switch()
        return super().read(n)


def test_a_question_that_the_switch_overtakes_is_not_answered_by_the_old_model(
    vid: VoiceID, place: Path
) -> None:
    vid.models.switch.prepare(NEW)
    with VoiceID.open() as door:
        assert door.verify("alice", "alice-4.wav").accepted
        data = (place / "alice-4.wav").read_bytes()
        clip = SwitchesWhenRead(data, lambda: vid.models.switch.commit(leave_all=True))
        assert model_of(door.verify("alice", clip)) == NEW  # it was heard again
        assert clip.switched
        assert model_of(door.verify("alice", "alice-4.wav")) == NEW


def test_there_is_a_way_back_until_it_is_finished(vid: VoiceID, place: Path) -> None:
    before = {one.id for one in vid.samples.list("alice")}
    vid.models.switch.prepare(NEW)
    given_up = vid.models.switch.cancel()
    assert given_up.prepared == 4
    assert {one.id for one in vid.samples.list("alice")} == before
    assert vid.models.switch.status() is None
    with pytest.raises(ChangeRefused, match="nothing to finish"):
        vid.models.switch.finish()

    vid.models.switch.prepare(NEW)
    vid.models.switch.commit(leave_all=True)
    vid.enroll("alice", ["alice-4.wav"])
    vid.models.switch.prepare("campplus")
    assert vid.models.switch.commit().from_model == NEW
    assert vid.models.card.name == "campplus"
    assert vid.identify("carol-1.wav", allow_replayed=True).speaker.name == "carol"
    assert vid.verify("alice", "alice-4.wav").score > 0.7  # it came with her
    assert len(vid.samples.list("alice")) == 6

    assert vid.models.switch.finish() == 5
    assert {one.space_id for s in vid.speakers.list() for one in vid.samples.list(s.name)} == {
        vid.models.space.id
    }
    assert len(list((place / "data" / "audio").iterdir())) == 5
    assert vid.database.check() == []


def test_a_change_of_the_model_is_logged_counted_and_seen_in_stats(
    vid: VoiceID, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "voiceid")
    vid.models.switch.prepare(NEW)
    vid.models.switch.cancel()
    vid.models.switch.prepare(NEW)
    assert vid.events.gallery().model == "campplus"
    vid.models.switch.commit(leave_all=True)
    vid.identify("alice-4.wav")
    removed = vid.models.switch.finish()
    with pytest.raises(ChangeRefused):
        vid.models.switch.commit()
    told = [r for r in caplog.records if r.event == "change"]
    kinds = ["prepare_switch", "cancel_switch", "prepare_switch", "switch_model", "finish_switch"]
    assert [r.kind for r in told] == kinds
    assert (told[3].model, told[3].space) == (NEW, vid.models.space.id)
    assert (told[3].speakers, told[3].samples, told[4].samples) == (2, 4, removed)
    [error] = [r for r in caplog.records if r.event == "error"]
    assert (error.doing, error.error) == ("switch_model", "ChangeRefused")
    stats, gallery = vid.events.stats(), vid.events.gallery()
    assert [(c.task, c.count) for c in stats.decisions] == [("identify", 1)]
    assert stats.changes["switch_model"] == 1
    assert gallery.model == NEW
    assert [s.space for s in gallery.spaces if s.in_use] == [vid.models.space.id]


def test_damaged_audio_is_reported_and_blocks_nothing_else(vid: VoiceID, place: Path) -> None:
    first = vid.samples.list("bob")[0].pcm_sha256
    path = place / "data" / "audio" / f"{first}.flac"
    path.write_bytes(path.read_bytes()[:5000])
    assert vid.models.switch.compare(NEW).clips == 3
    found = vid.models.switch.prepare(NEW)
    assert (found.partly, found.waiting, found.prepared) == (("bob",), 0, 3)
    assert [first in told for told in found.unusable] == [True]
    assert vid.models.switch.commit(leave_all=True).state == "switched"
    assert vid.identify("bob-3.wav").speaker.name == "bob"


def test_what_cannot_be_begun_is_refused(vid: VoiceID, tmp_path: Path) -> None:
    with pytest.raises(ChangeRefused, match="uses campplus already"):
        vid.models.switch.prepare("campplus")
    for name in ("resnet", "silero-vad"):
        with pytest.raises(ModelUnknown):
            vid.models.switch.prepare(name)
    with VoiceID.open(tmp_path / "nobody") as empty:
        assert empty.models.switch.status() is None
        with pytest.raises(ChangeRefused, match="no speaker is enrolled"):
            empty.models.switch.prepare("ge2e")
        with pytest.raises(NotEnoughSpeech):
            empty.models.switch.compare("ge2e")


def test_a_box_with_other_speech_settings_accepts_no_speaker(vid: VoiceID) -> None:
    vid.models.switch.prepare(NEW)
    vid.models.switch.commit(leave_all=True)
    other = {"speech.threshold": 0.6}
    with VoiceID.open(overrides=other) as door:
        assert door.identify("alice-4.wav").outcome is Outcome.REJECTED  # no speaker in its space


def enroll_as_the_encoder_makes_it(vid: VoiceID, name: str, fresh: Sequence[Sample]) -> None:
    """Enrol a speaker as it was before embeddings were compensated, by recordings enrolled now."""
    new = []
    for sample in fresh:
        embedding = vid.embed(sample.source_name, raw=True)
        quality = replace(sample.quality, telephone=None)
        heard = Utterance(sample.source_name, sample.pcm_sha256, quality, embedding)
        new.append(NewSample(heard, sample.overrides, sample.label))
    with vid._session.change("enroll") as change:
        speakers = change.writer.speakers
        speaker = speakers.find(name) or speakers.add(name)
        change.writer.samples.add(speaker.id, vid.models.space.raw, new)


def centroid_of(vid: VoiceID, name: str) -> np.ndarray:
    with vid._session.store.read() as reader:
        return reader.centroids.of(reader.speakers.get(name).id, vid.models.space.id)


def test_a_gallery_from_before_the_compensation_comes_over_without_audio(
    vid: VoiceID, place: Path
) -> None:
    fresh = {name: vid.samples.list(name) for name in ("alice", "bob")}
    with VoiceID.open(place / "old") as old:
        enroll_as_the_encoder_makes_it(old, "alice", fresh["alice"])
        enroll_as_the_encoder_makes_it(old, "bob", fresh["bob"][:1])
        assert old.identify("alice-4.wav").reason is Reason.GALLERY_EMPTY
        assert old.enroll("carol", ["carol-1.wav", "carol-2.wav"]).enrolled
        of_carol, centroid = old.samples.list("carol"), centroid_of(old, "carol")

        found = old.models.switch.prepare("campplus")
        assert (found.state, found.behind, found.partly) == ("ready", (), ())
        assert (found.speakers, found.recordings, found.prepared, found.waiting) == (2, 3, 3, 0)
        # A process of before is still running.
        enroll_as_the_encoder_makes_it(old, "bob", fresh["bob"][1:])
        found = old.models.switch.commit()
        assert (found.state, found.prepared, found.behind) == ("switched", 4, ())
        assert not list((place / "old").glob("audio/*"))

        for name, clip in (("alice", "alice-4.wav"), ("bob", "bob-3.wav")):
            decision = old.identify(clip)
            assert (decision.outcome, decision.speaker.name) == (Outcome.ACCEPTED, name)
            same = vid.verify(name, clip)
            assert decision.score == pytest.approx(same.score, abs=1e-5)
            assert decision.threshold.value == pytest.approx(same.threshold.value, abs=1e-5)
            np.testing.assert_allclose(centroid_of(old, name), centroid_of(vid, name), atol=1e-6)
            made = [one for one in old.samples.list(name) if one.space_id == old.models.space.id]
            assert len(made) == len(fresh[name])
            for one, other in zip(made, fresh[name], strict=True):
                telephone = one.quality.telephone
                assert telephone == pytest.approx(other.quality.telephone, abs=1e-5)
                assert replace(one.quality, telephone=None) == replace(
                    other.quality, telephone=None
                )
                assert (one.pcm_sha256, one.label) == (other.pcm_sha256, other.label)
        assert [one.id for one in old.samples.list("carol")] == [one.id for one in of_carol]
        assert np.array_equal(centroid_of(old, "carol"), centroid)
        assert old.identify("carol-1.wav", allow_replayed=True).speaker.name == "carol"

        with pytest.raises(ChangeRefused, match="uses campplus already"):
            old.models.switch.prepare("campplus")
        assert old.models.switch.finish() == 4
        assert {one.space_id for name in fresh for one in old.samples.list(name)} == {
            old.models.space.id
        }
        assert old.identify("alice-4.wav").speaker.name == "alice"
        assert old.database.check() == []


def test_who_was_switched_to_a_model_before_it_was_fitted_learns_the_way_over(
    vid: VoiceID, place: Path
) -> None:
    """The space of the gallery is one that the model's card makes no more."""
    fresh = vid.samples.list("alice")
    with VoiceID.open(place / "old", overrides={"model": "ge2e"}) as old:
        named, raw = old._session.named_model.space, vid.models.space.raw
        with old._session.change("switch_model") as change:
            change.writer.spaces.know(named)
            change.writer.switches.switch(change.writer.switches.begin(named.id, raw))
    with VoiceID.open(place / "old") as old:
        enroll_as_the_encoder_makes_it(old, "alice", fresh)
    with VoiceID.open(place / "old", overrides={"model": "ge2e"}) as old:
        with pytest.raises(SpaceMismatch) as caught:
            old.verify("alice", fresh[0].source_name)
        assert "prepare campplus --model campplus" in caught.value.hint
    with VoiceID.open(place / "old") as old:
        assert old.models.switch.prepare("campplus").state == "ready"
        assert old.models.switch.commit().behind == ()
    with VoiceID.open(place / "old", overrides={"model": "ge2e"}) as old:
        assert old.models.card.name == "campplus"
        assert old.samples.list("alice")


def test_a_gallery_from_before_that_is_given_up_is_as_it_was(vid: VoiceID, place: Path) -> None:
    fresh = vid.samples.list("alice")
    with VoiceID.open(place / "old") as old:
        enroll_as_the_encoder_makes_it(old, "alice", fresh)
        before = {one.id for one in old.samples.list("alice")}
        old.models.switch.prepare("campplus")
        assert len(old.samples.list("alice")) == 2 * len(fresh)
        assert old.models.switch.cancel().prepared == len(fresh)
        assert {one.id for one in old.samples.list("alice")} == before
        assert old.models.switch.status() is None
        assert old.identify("alice-4.wav").reason is Reason.GALLERY_EMPTY
        assert old.database.check() == []
