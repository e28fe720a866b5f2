"""`--keep-audio`: what was enrolled can be heard again, until it is removed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_voices import files_holding
from worker_forks import program

from voiceid import EnrollmentRefused, Person, SpeakerDetails, VoiceID

KEEPING = {"enrollment.keep_audio": True}


@pytest.fixture
def vid(home: Path) -> Iterator[VoiceID]:
    """A VoiceID that keeps audio, over a gallery in which alice and bob are without."""
    with VoiceID.open(overrides=KEEPING) as opened:
        yield opened


def kept_in(vid: VoiceID) -> set[str]:
    folder = vid.database.location.parent / "audio"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def hashes(vid: VoiceID, name: str) -> set[str]:
    return {sample.pcm_sha256 for sample in vid.samples.list(name)}


def files_with_audio(folder: Path, flac: bytes) -> set[str]:
    """Return the names of files in which any of some pieces of a FLAC file stands."""
    pieces = [flac[i : i + 48] for i in range(len(flac) // 4, len(flac) - 48, len(flac) // 9)]
    return files_holding(folder, pieces)


def test_audio_is_kept_only_when_it_is_asked_for(vid: VoiceID, ami: Any, home: Path) -> None:
    clips = [ami.cut(turn, home / f"{turn}.wav") for turn in ("carol-1", "carol-2")]
    with VoiceID.open() as other:
        other.enroll("carol", clips)
    assert not (home / "data" / "audio").exists()
    vid.enroll("carol", clips, mode="replace")
    assert kept_in(vid) == {f"{digest}.flac" for digest in hashes(vid, "carol")}
    assert len(kept_in(vid)) == 2


def test_what_is_refused_or_only_tried_is_not_kept(vid: VoiceID, ami: Any, home: Path) -> None:
    clips = [ami.cut(turn, home / f"{turn}.wav") for turn in ("carol-1", "bob-3")]
    with pytest.raises(EnrollmentRefused):
        vid.enroll("carol", clips)
    clips = [ami.cut(turn, home / f"{turn}.wav") for turn in ("carol-1", "carol-2")]
    assert not vid.enroll("carol", clips, dry_run=True).blocking
    assert kept_in(vid) == set()


@pytest.mark.parametrize("suffix", ["wav", "mp3", "ogg"])
def test_kept_audio_gives_the_embedding_of_the_original(
    vid: VoiceID, ami: Any, home: Path, suffix: str
) -> None:
    clip = ami.cut("alice-3", home / f"clip.{suffix}")
    vid.enroll("alice", [clip])
    original = vid.models.hear(clip)
    again = vid.models.hear(vid._session.kept_audio.source(original.pcm_sha256))
    assert original.embedding is not None
    assert again.embedding is not None
    assert float(original.embedding.vector @ again.embedding.vector) > 0.999999
    if suffix == "wav":
        assert again.pcm_sha256 == original.pcm_sha256
        assert np.array_equal(again.embedding.vector, original.embedding.vector)
        assert again.quality == original.quality


def _remove(vid: VoiceID) -> None:
    vid.speakers.remove("carol")


def _remove_sample(vid: VoiceID) -> None:
    vid.samples.remove("carol", [vid.samples.list("carol")[0].id])


def _replace(vid: VoiceID) -> None:
    vid.enroll("carol", [vid._session.config.home / "alice-4.wav"], mode="replace", force=True)


def _expire(vid: VoiceID) -> None:
    vid.speakers.edit("carol", SpeakerDetails(expires_at=datetime(2020, 1, 1, tzinfo=UTC)))
    vid.speakers.purge_expired()


def _restore(vid: VoiceID) -> None:
    vid.database.restore(vid._session.config.home / "backup")


ERASURES = {_remove: 1, _remove_sample: 2, _replace: 2, _expire: 1, _restore: 0}
"""Ways to remove carol's first sample, and how many recordings are kept after each."""


def test_audio_goes_with_the_last_sample_of_it(vid: VoiceID, ami: Any, home: Path) -> None:
    vid.database.backup(home / "backup")
    turns = ("carol-1", "carol-2", "bob-3", "alice-4")
    clips = [ami.cut(turn, home / f"{turn}.wav") for turn in turns]
    for erase, n_left in ERASURES.items():
        vid.enroll("carol", clips[:2])
        vid.enroll("bob", clips[2:3])
        first = vid._session.kept_audio.path(vid.samples.list("carol")[0].pcm_sha256)
        flac = first.read_bytes()
        assert files_with_audio(home / "data", flac) == {first.name}
        erase(vid)
        assert files_with_audio(home / "data", flac) == set()
        left = {digest for s in vid.speakers.list() for digest in hashes(vid, s.name)}
        assert kept_in(vid) <= {f"{digest}.flac" for digest in left}
        assert len(kept_in(vid)) == n_left
        _restore(vid)
        for copy in (home / "data").glob("*.before-*"):  # which would keep what is erased next
            copy.unlink()


def test_audio_goes_with_its_sample_from_one_speaker_to_another(
    vid: VoiceID, ami: Any, home: Path
) -> None:
    clips = [ami.cut(turn, home / f"{turn}.wav") for turn in ("carol-1", "carol-2")]
    vid.enroll("carol", clips)
    before = kept_in(vid)
    vid.speakers.split("carol", "caroline", [vid.samples.list("carol")[0].id])
    vid.speakers.merge("caroline", "carol", force=True)
    assert kept_in(vid) == before == {f"{digest}.flac" for digest in hashes(vid, "caroline")}


def test_a_list_enrolled_again_keeps_the_audio_of_what_is_enrolled(
    vid: VoiceID, ami: Any, home: Path
) -> None:
    clips = [ami.cut(turn, home / f"{turn}.wav") for turn in ("alice-1", "alice-2")]
    before = vid.samples.list("alice")
    [report] = vid.enroll_all([Person("alice", tuple(clips))], dry_run=True)
    assert kept_in(vid) == set()
    [report] = vid.enroll_all([Person("alice", tuple(clips))])
    assert report.status == "unchanged"
    assert [one.id for one in vid.samples.list("alice")] == [one.id for one in before]
    assert kept_in(vid) == {f"{digest}.flac" for digest in hashes(vid, "alice")}


def test_what_a_killed_enrolment_left_is_said_and_removed(vid: VoiceID, home: Path) -> None:
    folder = home / "data" / "audio"
    folder.mkdir()
    (folder / f"{'a' * 64}.flac").write_bytes(b"a voice")
    (folder / f".{'b' * 64}.flac.4711.tmp").write_bytes(b"half a voice")
    [problem] = vid.database.check()
    assert problem == "kept recordings without a sample: 1"
    told = [f for f in vid.events.examine() if "kept recordings" in f.message]
    assert [finding.health.value for finding in told] == ["warning"]
    assert len(kept_in(vid)) == 2
    assert vid.speakers.purge_expired() == []
    assert kept_in(vid) == set()
    assert vid.database.check() == []


KILLED = """
import os, signal, sys
from voiceid import VoiceID
from voiceid.audio import KeptAudio
from voiceid.store.sample_table import SampleWriter

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

with VoiceID.open(overrides={"enrollment.keep_audio": True}) as vid:
    if sys.argv[1] == "remove":
        KeptAudio.remove = kill  # behind the commit, before the file goes
        vid.speakers.remove("carol")
    else:
        SampleWriter.add = kill  # behind the file, before the commit
        vid.enroll("carol", ["carol-1.wav", "carol-2.wav"])
"""


def test_a_kill_between_the_file_and_the_commit_leaves_nothing_for_good(
    vid: VoiceID, ami: Any, home: Path
) -> None:
    clips = [ami.cut(turn, home / f"{turn}.wav") for turn in ("carol-1", "carol-2")]

    def killed(what: str) -> None:
        with program(KILLED, what, cwd=home) as worker:
            assert worker.wait() == -signal.SIGKILL
        assert [speaker.name for speaker in vid.speakers.list()] == ["alice", "bob"]
        assert vid.database.check() == ["kept recordings without a sample: 2"]

    killed("enroll")
    assert vid.enroll("carol", clips).enrolled
    assert vid.database.check() == []
    killed("remove")
    vid.speakers.remove("bob")  # any removal takes them with it
    assert kept_in(vid) == set()
