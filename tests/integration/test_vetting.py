"""An import is judged as an enrolment is: on vectors of real voices, in files of both kinds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voiceid import ChangeRefused, VoiceID

Clips = Callable[[str, str], list[Path]]


@pytest.fixture
def gallery(vid: VoiceID, clips: Clips) -> VoiceID:
    vid.enroll("alice", clips("FEE083", "trn06"))
    vid.enroll("bob", clips("MEE009", "dev00"))
    return vid


def write(folder: Path, names: list[str], vectors: list[np.ndarray]) -> dict[str, Path]:
    np.save(folder / "vectors.npy", np.array(vectors, dtype=np.float32))
    (folder / "names.txt").write_text("\n".join(names) + "\n")
    return {"file": folder / "vectors.npy", "ids": folder / "names.txt"}


def vectors_of(vid: VoiceID, paths: list[Path]) -> list[np.ndarray]:
    return [vid.embed(path).vector for path in paths]


def test_vectors_of_another_voice_do_not_take_a_speaker_over(
    gallery: VoiceID, clips: Clips, tmp_path: Path
) -> None:
    strangers = vectors_of(gallery, clips("MEE068", "trn00"))
    rng = np.random.default_rng(0)
    many = [v + 0.02 * rng.standard_normal(len(v)) for v in strangers for _ in range(8)]
    files = write(tmp_path, ["alice"] * len(many), many)
    given = {**files, "space": gallery.models.space, "net_speech_s": 3.0, "append": True}
    before = gallery.speakers.get("alice").n_samples
    with pytest.raises(ChangeRefused, match=r"of alice do not agree .* another voice"):
        gallery.speakers.import_embeddings(**given)
    assert gallery.speakers.get("alice").n_samples == before
    gallery.speakers.import_embeddings(**given, trust=True)
    newest = gallery.samples.list("alice")[-1]
    assert newest.overrides == ("trusted_import",)


def test_a_mean_of_several_people_is_not_taken_for_a_new_one(
    gallery: VoiceID, tmp_path: Path
) -> None:
    means = [
        np.mean([sample.vector for sample in gallery.samples.list(name)], axis=0)
        for name in ("alice", "bob")
    ]
    files = write(tmp_path, ["wolf"], [means[0] / 2 + means[1] / 2])
    with pytest.raises(ChangeRefused, match=r"wolf passes for several speakers: .*alice"):
        gallery.speakers.import_embeddings(
            **files, space=gallery.models.space, net_speech_s=3.0, narrowband=True
        )
    files = write(tmp_path, ["al", "lee"], [means[0], means[0] + 0.01 * np.eye(len(means[0]))[0]])
    with pytest.raises(ChangeRefused, match=r"the voice of al passes for several speakers: .*lee"):
        gallery.speakers.import_embeddings(**files, space=gallery.models.space, net_speech_s=3.0)
    assert [s.name for s in gallery.speakers.list()] == ["alice", "bob"]


def test_a_declared_bandwidth_lowers_no_threshold_unless_the_file_is_trusted(
    gallery: VoiceID, clips: Clips, tmp_path: Path
) -> None:
    probe = clips("MEE068", "trn00")[1]
    files = write(tmp_path, ["carol"], vectors_of(gallery, clips("MEE068", "trn00")[:1]))

    def threshold(*, narrowband: bool, trust: bool) -> float:
        gallery.speakers.import_embeddings(
            **files,
            space=gallery.models.space,
            net_speech_s=3.0,
            narrowband=narrowband,
            trust=trust,
        )
        decision = gallery.verify("carol", probe)
        gallery.speakers.remove("carol")
        return decision.threshold.value

    believed = [threshold(narrowband=narrowband, trust=True) for narrowband in (False, True)]
    assert believed[0] != believed[1]
    for narrowband in (False, True):
        assert threshold(narrowband=narrowband, trust=False) >= max(believed)


def test_an_export_with_samples_of_two_voices_is_refused(
    gallery: VoiceID, clips: Clips, tmp_path: Path
) -> None:
    gallery.speakers.remove("bob")
    gallery.enroll("mixed", [*clips("MEE068", "trn00"), clips("MEE009", "dev01")[0]], force=True)
    gallery.speakers.export(tmp_path / "mixed.jsonl", ["mixed"])
    gallery.speakers.export(tmp_path / "alice.jsonl", ["alice"])
    gallery.speakers.remove("mixed")
    gallery.speakers.remove("alice")
    with pytest.raises(ChangeRefused, match="of mixed do not agree"):
        gallery.speakers.import_file(tmp_path / "mixed.jsonl")
    assert gallery.speakers.import_file(tmp_path / "alice.jsonl").speakers == 1
