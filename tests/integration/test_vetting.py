"""An import is judged as an enrolment is: on vectors of real voices, in files of both kinds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voiceid import ChangeRefused, EmbeddedClip, GalleryFileInvalid, VoiceID
from voiceid.decision.embeddings import to_base64

Clips = Callable[[str, str], list[Path]]

DIM = 192


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
    with pytest.raises(ChangeRefused, match=r"wolf matches several speakers: .*alice"):
        gallery.speakers.import_embeddings(**files, space=gallery.models.space, net_speech_s=3.0)
    files = write(tmp_path, ["al", "lee"], [means[0], means[0] + 0.01 * np.eye(len(means[0]))[0]])
    with pytest.raises(ChangeRefused, match=r"the voice of al matches several speakers: .*lee"):
        gallery.speakers.import_embeddings(**files, space=gallery.models.space, net_speech_s=3.0)
    assert [s.name for s in gallery.speakers.list()] == ["alice", "bob"]


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("fault", ["one component", "longer than float32"])
def test_what_no_voice_gives_is_not_taken_for_an_embedding(
    gallery: VoiceID, clips: Clips, tmp_path: Path, fault: str, raw: bool
) -> None:
    heard = gallery.embed(clips("MEE068", "trn00")[0], raw=raw)
    one_hot, voice = np.eye(len(heard.vector))[[17]], heard.vector[None]
    wrong = {
        "one component": [3 * one_hot, -one_hot, one_hot + 0.5 * voice],
        "longer than float32": [3e38 * np.sign(voice), 2e20 * voice],
    }
    for vectors in wrong[fault]:
        files = write(tmp_path, ["junk"], list(vectors))
        with pytest.raises(GalleryFileInvalid, match=f"row 1: .*{fault}"):
            gallery.speakers.import_embeddings(**files, space=heard.space, net_speech_s=3.0)
    assert [s.name for s in gallery.speakers.list()] == ["alice", "bob"]


def test_an_export_with_a_vector_that_no_voice_gives_is_refused(
    gallery: VoiceID, tmp_path: Path
) -> None:
    gallery.speakers.export(tmp_path / "alice.jsonl", ["alice"])
    gallery.speakers.remove("alice")

    one_hot = to_base64(np.eye(DIM, dtype=np.float32)[3])
    file = rewritten(tmp_path / "alice.jsonl", lambda sample: sample.update(vector=one_hot))
    with pytest.raises(GalleryFileInvalid, match=r"line 2: .*one component"):
        gallery.speakers.import_file(file, signed_by="anybody")


def rewritten(exported: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """Write the file again with this change of every sample, and a checksum that fits."""
    *lines, end = map(json.loads, exported.read_bytes().splitlines())
    for line in lines[1:]:
        for sample in line["samples"]:
            change(sample)
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    end["sha256"] = hashlib.sha256(body).hexdigest()
    exported.with_name("rewritten.jsonl").write_bytes(body + json.dumps(end).encode() + b"\n")
    return exported.with_name("rewritten.jsonl")


def declared(exported: Path, telephone: float | None) -> Path:
    return rewritten(exported, lambda sample: sample["quality"].update(telephone=telephone))


def test_a_declared_line_lowers_no_threshold_unless_the_file_is_trusted(
    gallery: VoiceID, clips: Clips, tmp_path: Path
) -> None:
    *enrolled, probe = clips("MEE068", "trn00")
    gallery.enroll("carol", enrolled)
    gallery.speakers.export(tmp_path / "carol.jsonl", ["carol"])
    gallery.speakers.remove("carol")
    heard = gallery.embed(probe)

    def threshold(telephone: float | None, *, trust: bool) -> float:
        file = declared(tmp_path / "carol.jsonl", telephone)
        gallery.speakers.import_file(file, trust=trust, signed_by="anybody")
        kept = {sample.quality.telephone for sample in gallery.samples.list("carol")}
        assert kept == {telephone if trust else None}
        assert gallery.database.check() == []
        # Of a telephone, so that it is the enrolment that tells the thresholds apart.
        clip = EmbeddedClip(heard.vector, heard.space, net_speech_s=3.0, telephone=1.0)
        found = gallery.identify(clip)
        assert found.candidates[0].speaker.name == "carol"
        gallery.speakers.remove("carol")
        return found.threshold.value

    believed = [threshold(telephone, trust=True) for telephone in (0.0, 0.5, 1.0)]
    assert believed == sorted(set(believed))
    assert threshold(None, trust=True) == believed[-1]
    for telephone in (0.0, 0.5, 1.0, None):
        assert threshold(telephone, trust=False) == believed[-1]


def test_vectors_as_the_encoder_makes_them_are_enrolled_as_their_recordings_are(
    gallery: VoiceID, clips: Clips, tmp_path: Path
) -> None:
    *paths, probe = clips("MEE068", "trn00")
    gallery.enroll("carol", paths)
    heard = centroid_of(gallery, "carol")
    gallery.speakers.remove("carol")
    for raw in (True, False):
        embedded = [gallery.embed(path, raw=raw) for path in paths]
        files = write(tmp_path, ["carol"] * len(paths), [one.vector for one in embedded])
        given = {**files, "space": embedded[0].space, "net_speech_s": 3.0, "append": True}
        assert gallery.speakers.import_embeddings(**given).samples == len(paths)
        np.testing.assert_allclose(centroid_of(gallery, "carol"), heard, atol=1e-6)
        assert gallery.database.check() == []
        decision = gallery.verify("carol", probe)
        assert decision.accepted
        assert gallery.identify(probe).speaker.name == "carol"
        gallery.speakers.remove("carol")


def centroid_of(vid: VoiceID, name: str) -> np.ndarray:
    with vid._session.store.read() as reader:
        return reader.centroids.of(reader.speakers.get(name).id, vid.models.space.id)


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
