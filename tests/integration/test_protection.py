"""A protected gallery: nothing of a person can be read, moved or changed, and answers stay."""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import private_galleries
import psycopg
import pytest
from postgres_server import Databases, own_server
from random_voices import files_holding, fitted
from sqlalchemy import select, update
from torture.voices import new_clips, opened, pcm_sha256, utterance, vector
from worker_forks import program

from voiceid import EmbeddedClip, VoiceID
from voiceid.audio import kept
from voiceid.audio.kept import Tape
from voiceid.decision.transforms import fit
from voiceid.domain import JobKind, JobPicture, JobState, SpeakerDetails
from voiceid.domain.code_words import Challenge
from voiceid.errors import (
    ChangeRefused,
    ConfigError,
    GalleryKeyMissing,
    SpeakerExists,
    StoreError,
    VoiceIDError,
)
from voiceid.exchange import sealed_speakers
from voiceid.protection import KeySource, Kind
from voiceid.server.running import Listening, require_safe
from voiceid.store import connections
from voiceid.store.protecting import ProtectionWriter
from voiceid.store.tables import challenges, jobs, name_looks, samples, speakers

NAMES = ("Alice Sealed", "Bob Sealed", "Carol Sealed")
CLIPS = {name: new_clips(np.random.default_rng(i), 3, i + 1) for i, name in enumerate(NAMES)}
DETAILS = SpeakerDetails(metadata={"badge": "badge-4711"}, groups=("lobby",))
LABEL = "label-of-a-phone"
WORDS = "some long words"


@pytest.fixture
def key(tmp_path: Path) -> str:
    return f"file:{tmp_path / 'elsewhere' / 'gallery.key'}"


@pytest.fixture
def open_here(tmp_path: Path, key: str) -> Callable[[], VoiceID]:
    def open_gallery() -> VoiceID:
        vid = opened(tmp_path / "data", {"privacy.key": key})
        vid._session.keys.is_required = False  # plain at first
        return vid

    return open_gallery


@pytest.fixture
def vid(open_here: Callable[[], VoiceID]) -> Iterator[VoiceID]:
    """Three speakers, plain."""
    with open_here() as gallery:
        enrol(gallery)
        yield gallery


def enrol(vid: VoiceID) -> None:
    for name, clips in CLIPS.items():
        new = [utterance(clip, vid.models.space) for clip in clips]
        vid.enroll(name, new, label=LABEL, details=DETAILS)


def answers(vid: VoiceID) -> list[tuple[str, float]]:
    asked = EmbeddedClip(vector(CLIPS[NAMES[0]][0] + 500), vid.models.space)
    return [(c.speaker.name, c.score) for c in vid.search(asked, k=3)]


def require_same(now: list[tuple[str, float]], before: list[tuple[str, float]]) -> None:
    assert [name for name, _ in now] == [name for name, _ in before]
    np.testing.assert_allclose([s for _, s in now], [s for _, s in before], atol=5e-7)


def secrets(vid: VoiceID) -> list[bytes]:
    """Return what must be in no file: names, texts, and pieces of vectors, plain and rotated."""
    texts = [*NAMES, *map(str.casefold, NAMES), "badge-4711", LABEL]
    texts += [f"{clip}.wav" for clips in CLIPS.values() for clip in clips]
    texts += [pcm_sha256(clip) for clips in CLIPS.values() for clip in clips]
    vectors = [vector(clip) for clips in CLIPS.values() for clip in clips]
    with vid._session.store.read() as reader:
        table, space_id = reader.centroids.as_stored(vid.models.space.id), vid.models.space.id
        turned = reader.protection.turned(np.array(vectors), space_id)
    pieces = [
        data[i : i + 16]
        for v in (*vectors, *turned, *table.vectors)
        for data in [v.astype("<f4").tobytes()]
        for i in (0, 256)
    ]
    return [text.encode() for text in texts] + pieces


def data_of(vid: VoiceID) -> Path:
    return vid._session.config.data


def test_decisions_are_the_same_before_and_after_each_change_of_protection(vid: VoiceID) -> None:
    before = answers(vid)
    for act in (
        lambda: vid.keys.gallery.init("rotated"),
        vid.keys.gallery.renew,
        vid.keys.gallery.init,
        vid.keys.gallery.rotate,
        vid.keys.gallery.renew,
        vid.keys.gallery.off,
    ):
        act()
        require_same(answers(vid), before)
        assert vid.database.check() == []
        found = vid.speakers.get(NAMES[0].upper())
        assert (found.name, found.metadata, found.groups) == (
            *(NAMES[0], dict(DETAILS.metadata), ("lobby",)),
        )
    assert vid.keys.gallery.status().kind == "none"


def test_nothing_of_a_person_is_in_a_file_of_a_sealed_gallery(vid: VoiceID, tmp_path: Path) -> None:
    vid.index.rebuild()
    assert files_holding(data_of(vid), secrets(vid))
    vid.keys.gallery.init()
    everything = secrets(vid)
    space = vid.models.space

    def require_none(what: str) -> None:
        assert files_holding(data_of(vid), everything) == set(), what

    require_none("init")
    vid.enroll(NAMES[0], [utterance(new_clips(np.random.default_rng(9), 1, 1)[0], space)])
    require_none("append")
    vid.enroll(NAMES[1], [utterance(c, space) for c in CLIPS[NAMES[1]][:2]], mode="replace")
    require_none("replace")
    vid.speakers.rename(NAMES[2], "Carla Sealed")
    everything.append(b"Carla Sealed")
    require_none("rename")
    vid.speakers.edit("Carla Sealed", SpeakerDetails(metadata={"badge": "badge-0815"}))
    everything.append(b"badge-0815")
    require_none("edit")
    vid.speakers.merge("Carla Sealed", NAMES[1], force=True)
    require_none("merge")
    vid.samples.remove("Carla Sealed", [vid.samples.list("Carla Sealed")[0].id])
    require_none("samples remove")
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((60, space.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    transform = fit(vectors, np.repeat(np.arange(20), 3), method="wccn", shrinkage=0.5)
    with vid._session.change("adapt") as change:
        number = change.writer.adaptations.add(space, transform, {}, "site")
        change.writer.adaptations.use(space.id, number)
    vid.index.rebuild()
    require_none("adapt")
    vid.database.backup(tmp_path / "data" / "backup.sqlite3")
    require_none("backup")
    vid.keys.gallery.renew()
    require_none("renew")
    vid.keys.gallery.rotate()
    require_none("rotate")
    vid.speakers.remove(NAMES[0])
    require_none("remove")
    vid.keys.gallery.off()
    assert files_holding(data_of(vid), everything)
    vid.keys.gallery.init()
    require_none("off and on")
    assert vid.database.check() == []


def test_a_crash_in_any_change_leaves_nothing_to_read(tmp_path: Path) -> None:
    program = Path(__file__).with_name("crashed_changes.py")
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        [sys.executable, program, tmp_path / "home"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 27
    assert {crash: what for crash, what in found.items() if what} == {}


def test_a_switch_of_the_model_leaves_nothing_to_read(
    ami: Any, models_folder: Path, tmp_path: Path
) -> None:
    settings = {"models": str(models_folder), "offline": True, "enrollment.keep_audio": True}
    with VoiceID.open(tmp_path / "data", home=tmp_path, overrides=settings) as vid:
        vid.keys.gallery.init()
        texts = list(NAMES[:2])
        for name, of in zip(texts, ("alice", "bob"), strict=True):
            turns = [ami.cut(f"{of}-{n}", tmp_path / f"secret-{of}-{n}.wav") for n in (1, 2)]
            vid.enroll(name, turns, label=LABEL)
        texts += [*map(str.casefold, texts), LABEL, "secret-", "fLaC\0\0\0\x22", "WAVEfmt "]

        def require_none(what: str) -> None:
            vid.index.rebuild()
            spaces = [s for own in texts[:2] for s in vid.samples.list(own)]
            pieces = [sample.vector.astype("<f4").tobytes() for sample in spaces]
            with vid._session.store.read() as reader:
                for space_id in {sample.space_id for sample in spaces}:
                    stored = reader.centroids.as_stored(space_id).vectors
                    pieces += [vector.astype("<f4").tobytes() for vector in stored]
            needles = [text.encode() for text in texts] + [p[:16] for p in pieces]
            assert files_holding(data_of(vid), needles) == set(), what

        require_none("enroll")
        vid.models.switch.prepare("ge2e")
        require_none("prepare")
        vid.models.switch.commit()
        require_none("commit")
        assert vid.models.card.name == "ge2e"
        assert vid.models.switch.finish() > 0
        require_none("finish")
        assert vid.database.check() == []


SWAPS = {
    "names of two speakers": "UPDATE speakers SET name = (SELECT name FROM speakers AS o WHERE o.id"
    " = 3 - speakers.id) WHERE id < 3",
    "ids of two speakers": "PRAGMA foreign_keys=OFF; UPDATE speakers SET id = -id WHERE id < 3;"
    " UPDATE speakers SET id = 3 + id WHERE id < 0",
    "keys of two speakers": "UPDATE speaker_keys SET wrapped = (SELECT wrapped FROM speaker_keys AS"
    " o WHERE o.speaker_id = 3 - speaker_keys.speaker_id) WHERE speaker_id < 3",
    "centroids of two speakers": "UPDATE centroids SET vector = (SELECT vector FROM centroids AS o"
    " WHERE o.speaker_id = 3 - centroids.speaker_id) WHERE speaker_id < 3",
    "owners of two centroids": "UPDATE centroids SET speaker_id = -speaker_id WHERE speaker_id < 3;"
    " UPDATE centroids SET speaker_id = 3 + speaker_id WHERE speaker_id < 0",
    "owner of a sample": "DROP TRIGGER samples_are_immutable; UPDATE samples SET speaker_id = 2"
    " WHERE id = 1; CREATE TRIGGER samples_are_immutable BEFORE UPDATE ON samples BEGIN SELECT"
    " RAISE(ABORT, 'samples are immutable'); END",
    "recordings of two samples": "DROP TRIGGER samples_are_immutable; UPDATE samples SET pcm_sha256"
    " = (SELECT pcm_sha256 FROM samples WHERE id = 6) || '' WHERE id = 1; CREATE TRIGGER"
    " samples_are_immutable BEFORE UPDATE ON samples BEGIN SELECT RAISE(ABORT, 'samples are"
    " immutable'); END",
    **{
        f"{column} of a sample": f"DROP TRIGGER samples_are_immutable; UPDATE samples SET {column}"  # noqa: S608
        f" = {value} WHERE id = 1; CREATE TRIGGER samples_are_immutable BEFORE UPDATE ON samples"
        " BEGIN SELECT RAISE(ABORT, 'samples are immutable'); END"
        for column, value in {
            "quality": "(SELECT quality || ' ' FROM samples WHERE id = 4)",
            "net_speech_s": "90.0",
            "overrides": "'[\"noisy\"]'",
            "created_at": "'2020-01-01T00:00:00+00:00'",
        }.items()
    },
    "share of a telephone": "UPDATE centroids SET telephone = 0.0",
    "number of samples": "UPDATE centroids SET n_samples = 30",
    "an end of a ban": "UPDATE speakers SET disabled_at = NULL",
    "an expiry": "UPDATE speakers SET expires_at = '2099-01-01T00:00:00+00:00'",
    "a group": "INSERT INTO memberships VALUES ('vault', 2)",
    "a group that was left": "DELETE FROM memberships WHERE speaker_id = 2",
    "a calibration": "UPDATE calibrations SET used_since = NULL WHERE id = 1",
    "another calibration": "UPDATE calibrations SET used_since = NULL WHERE id = 1;"
    " UPDATE calibrations SET used_since = '2026-11-01T00:00:00+00:00' WHERE id = 2",
    "facts of two calibrations": "UPDATE calibrations SET facts = (SELECT facts FROM calibrations"
    " AS o WHERE o.id = 3 - calibrations.id)",
    "numbers of two calibrations": "UPDATE calibrations SET id = -id;"
    " UPDATE calibrations SET id = 3 + id",
    "an adaptation": "UPDATE adaptations SET transform = substr(transform, 1, 200) || x'00000000'"
    " || substr(transform, 205)",
    "scopes of a key": "UPDATE api_keys SET scopes = '[\"admin\"]'",
    "a caller's groups": "UPDATE api_keys SET groups = '[]'",
    "a key that somebody made": "INSERT INTO api_keys SELECT 'aaaaaaaa', 'x'||name, secret_sha256,"
    " scopes, groups, networks, requests_per_minute, created_at, expires_at FROM api_keys",
    "kind of protection": "UPDATE protection SET kind = 'rotated'",
}


@pytest.mark.parametrize("what", SWAPS)
def test_a_row_that_was_changed_or_moved_is_never_used(vid: VoiceID, what: str) -> None:
    vid.keys.gallery.init()
    vid.speakers.edit(NAMES[0], SpeakerDetails(enabled=False))
    vid.keys.create("door", ["identify"], groups=["lobby"])
    numbers = [fitted(vid), fitted(vid, adapted=False)]
    with vid._session.store.write() as writer:
        writer.calibrations.use(vid.models.space.id, numbers[0])
    assert vid.database.check() == []
    vid._session.disconnect()
    with contextlib.closing(sqlite3.connect(data_of(vid) / "voiceid.sqlite3")) as connection:
        connection.executescript(SWAPS[what])
    try:
        problems = vid.database.check()
    except VoiceIDError as error:
        problems = [error.message]
    assert problems
    assert "changed" in problems[0]


def test_numbers_of_any_type_are_bound_as_they_are_read_back(vid: VoiceID) -> None:
    vid.keys.gallery.init()
    fit = vid.calibrations.get(fitted(vid, adapted=False))
    with vid._session.store.write() as writer:
        rate = np.float64(0.01)
        writer.calibrations.add(vid.models.space, fit.calibration, fit.held_out, "site", rate)
    vid.keys.create("door", ["identify"], requests_per_minute=60.0)  # type: ignore[arg-type]
    assert vid.database.check() == []


def test_a_code_that_was_given_to_another_caller_is_refused_in_the_database_too(
    vid: VoiceID,
) -> None:
    vid.keys.gallery.init()
    until = datetime.now(UTC) + timedelta(seconds=20)
    with vid._session.store.write() as writer:
        writer.spoken.ask(Challenge("code", NAMES[0], ("one", "two", "three", "four"), until), "a")
        writer.connection.execute(update(challenges).values(caller="mallory"))
    with pytest.raises(StoreError, match="was changed"), vid._session.store.write() as writer:
        writer.spoken.claimed("code", NAMES[0], "mallory")


@pytest.mark.parametrize("changed", [{"key_id": "mallory"}, {"kind": "enroll"}])
def test_a_job_that_was_given_to_another_key_or_does_something_else_is_refused(
    vid: VoiceID, changed: dict[str, str]
) -> None:
    vid.keys.gallery.init()
    with vid._session.store.write() as writer:
        writer.jobs.add("job", JobKind.DIARIZE, "a", {"clips": []})
        job = writer.jobs.claim(["job"], "owner", 30.0)
        assert job is not None
        writer.connection.execute(update(jobs).values(changed))
    with pytest.raises(StoreError, match="was changed"), vid._session.store.read() as reader:
        reader.jobs.find("job")
    with vid._session.store.write() as writer:
        drawn = {"det.png": JobPicture("of alice", b"png")}
        writer.jobs.finish(job, "owner", JobState.DONE, ["alice"], drawn)
    with vid._session.store.read() as reader:
        assert reader.jobs.list() == []
        for read in (reader.jobs.find, reader.jobs.pictures):
            with pytest.raises(StoreError, match="was changed"):
                read("job")


def test_the_log_is_emptied_once_after_a_large_change(
    vid: VoiceID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied: list[object] = []

    def empty(connection: object) -> bool:
        emptied.append(connection)
        return connections.empty_log(connection)

    monkeypatch.setattr("voiceid.store.empty_log", empty)
    vid.keys.gallery.init()
    assert len(emptied) == 1, "it erases"
    vid.speakers.export(tmp_path / "all", plain=True)
    vid.speakers.import_file(tmp_path / "all", append=True)
    assert len(emptied) == 2, "it erases nothing"


def test_a_lost_or_wrong_key_is_said_and_another_is_never_made(
    vid: VoiceID, open_here: Callable[[], VoiceID], tmp_path: Path
) -> None:
    path = tmp_path / "elsewhere" / "gallery.key"
    vid.keys.gallery.init()
    kept = path.read_bytes()
    path.unlink()
    with open_here() as other, pytest.raises(GalleryKeyMissing, match="No such file"):
        other.speakers.list()
    with open_here() as other:
        assert not other.keys.gallery.status().has_key
        with pytest.raises(GalleryKeyMissing):
            require_safe(other, Listening())
        with pytest.raises(GalleryKeyMissing):
            other.index.status()
        other.warm_up()
        for thread in threading.enumerate():
            if thread.name == "voiceid-index":
                thread.join()
        with pytest.raises(ChangeRefused, match="sealed already"):
            other.keys.gallery.init()
        with pytest.raises(ChangeRefused, match="sealed already"):
            other.keys.gallery.init("rotated")
    assert not path.exists()
    path.write_bytes(base64.b64encode(b"x" * 32))
    path.chmod(0o600)
    with open_here() as other, pytest.raises(GalleryKeyMissing, match="the key of the gallery"):
        other.speakers.list()
    path.write_bytes(kept)
    with open_here() as other:
        assert len(other.speakers.list()) == 3


def test_a_plain_gallery_in_the_place_of_a_sealed_one_is_refused(
    vid: VoiceID, tmp_path: Path, key: str
) -> None:
    vid.close()
    with opened(tmp_path / "data", {"privacy.key": key}) as other:
        with pytest.raises(StoreError, match="the gallery is not protected"):
            other.speakers.list()
        other.keys.gallery.init()
        assert len(other.speakers.list()) == 3


def test_another_process_goes_on_while_the_key_is_changed_and_templates_are_renewed(
    vid: VoiceID, open_here: Callable[[], VoiceID]
) -> None:
    before = answers(vid)
    with open_here() as other:
        for act in (
            other.keys.gallery.init,
            other.keys.gallery.rotate,
            other.keys.gallery.renew,
            other.keys.gallery.off,
        ):
            act()
            require_same(answers(vid), before)
            vid.enroll("dora", [utterance(c, vid.models.space) for c in (40_001, 40_002)])
            assert other.speakers.get("dora").n_samples == 2
            vid.speakers.remove("dora")


def test_a_key_is_read_once_however_much_changes(
    vid: VoiceID, open_here: Callable[[], VoiceID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a command that asks a key service."""
    vid.keys.gallery.init()
    read, reads = KeySource.read, []
    monkeypatch.setattr(KeySource, "read", lambda self: reads.append(self) or read(self))
    with open_here() as other:
        for name in NAMES[1:]:
            other.speakers.remove(name)
            answers(other)
        assert len(reads) == 1


def test_an_old_backup_opens_with_the_old_key_alone(vid: VoiceID, tmp_path: Path, key: str) -> None:
    vid.keys.gallery.init()
    path = Path(KeySource.parse(key).place)
    old = path.read_bytes()
    vid.database.backup(tmp_path / "backup.sqlite3")
    vid.keys.gallery.rotate()
    with pytest.raises(GalleryKeyMissing):
        vid.database.restore(tmp_path / "backup.sqlite3")
    assert len(vid.speakers.list()) == 3
    path.write_bytes(path.read_bytes() + old)
    vid.database.restore(tmp_path / "backup.sqlite3")
    assert len(vid.speakers.list()) == 3


def test_a_change_of_the_key_keeps_the_other_lines_of_its_file(vid: VoiceID, key: str) -> None:
    vid.keys.gallery.init()
    path = Path(KeySource.parse(key).place)
    replaced, of_a_backup = path.read_text(), base64.b64encode(os.urandom(32)).decode() + "\n"
    path.write_text(replaced + of_a_backup)
    vid.keys.gallery.rotate()
    new, kept = path.read_text().splitlines(keepends=True)
    assert kept == of_a_backup
    assert new != replaced


def test_a_key_is_not_changed_to_itself(vid: VoiceID, key: str, tmp_path: Path) -> None:
    vid.keys.gallery.init()
    before = vid.keys.gallery.status()
    same = tmp_path / "elsewhere" / ".." / "elsewhere" / "gallery.key"
    with pytest.raises(ChangeRefused, match="already"):
        vid.keys.gallery.rotate(f"file:{same}")
    with pytest.raises(ConfigError, match="is not a place for the key: it is not file:PATH"):
        vid.keys.gallery.rotate("/etc/key")
    assert vid.keys.gallery.status() == before


def test_the_key_is_made_and_changed_by_one_process_at_a_time(
    vid: VoiceID, open_here: Callable[[], VoiceID]
) -> None:
    def act(name: str) -> int:
        with open_here() as other, contextlib.suppress(ChangeRefused):
            getattr(other.keys.gallery, name)()
            return 1
        return 0

    with ThreadPoolExecutor(3) as pool:
        assert sum(pool.map(act, ["init"] * 3)) == 1
        assert sum(pool.map(act, ["rotate"] * 3)) == 3
    with open_here() as other:
        assert len(other.speakers.list()) == 3


KILLED = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import select, update
from torture.voices import opened
from voiceid.erasure import Erasure
from voiceid.store import protecting

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

vid = opened(Path(sys.argv[1]), {"privacy.key": sys.argv[2]})
vid._session.keys.is_required = False
if sys.argv[4] == "before":
    protecting.ProtectionWriter._texts = kill  # every row was brought over, nothing is committed
else:
    Erasure.complete = kill  # committed; files are as they were
getattr(vid.keys.gallery, sys.argv[3])()
"""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("act", ["init", "renew", "off"])
def test_a_kill_in_the_middle_leaves_one_or_the_other(
    vid: VoiceID, open_here: Callable[[], VoiceID], key: str, act: str, when: str
) -> None:
    vid.index.rebuild()
    before = answers(vid)
    if act != "init":
        vid.keys.gallery.init()
    was = vid.keys.gallery.status()
    vid.close()
    with program(KILLED, data_of(vid), key, act, when) as worker:
        assert worker.wait() == -signal.SIGKILL
    with open_here() as other:
        now = other.keys.gallery.status()
        assert (now.kind == was.kind and now.renewed_at == was.renewed_at) == (when == "before")
        require_same(answers(other), before)
        assert other.database.check() == []
        other.speakers.remove(NAMES[2])  # any change finishes what was begun
        if now.kind == Kind.SEALED:
            assert files_holding(data_of(other), secrets(other)) == set()


@pytest.mark.parametrize("end", ["error", "kill"])
@pytest.mark.parametrize("act", ["init", "off"])
def test_a_change_that_ends_early_leaves_recordings_in_one_form(
    vid: VoiceID, key: str, act: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording, tape = pcm_sha256(CLIPS[NAMES[0]][0]), Tape()
    tape.add(np.zeros(16_000, np.float32))
    tape.seal(recording, 16_000)
    if act == "off":
        vid.keys.gallery.init()
    audio = vid._session.kept_audio
    audio.put(recording, tape)
    before = audio._names()
    if end == "error":
        monkeypatch.setattr(ProtectionWriter, "_texts", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            getattr(vid.keys.gallery, act)()
    else:
        with program(KILLED, data_of(vid), key, act, "before") as worker:
            worker.wait()
        assert len(audio._names()) == (2 if act == "off" else 1)  # init writes them last
        vid.speakers.add("dora")
    assert audio._names() == before


def test_nothing_of_a_person_is_in_a_temporary_file(
    vid: VoiceID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, numbers = tmp_path / "temporary", itertools.count()
    folder.mkdir()

    def named(*_: object, **__: object) -> BinaryIO:
        return (folder / str(next(numbers))).open("w+b")

    vid.keys.gallery.init()
    everything = secrets(vid)
    vid.speakers.export(tmp_path / "out", passphrase=WORDS)
    vid.speakers.remove(NAMES[1])
    monkeypatch.setattr(tempfile, "TemporaryFile", named)
    monkeypatch.setattr(sealed_speakers, "_IN_MEMORY", 1)
    vid.speakers.import_file(tmp_path / "out", append=True, trust=True, passphrase=WORDS)
    assert vid.speakers.get(NAMES[1]).n_samples == 3

    monkeypatch.setattr(kept, "_SPOOL_IN_MEMORY", 1)
    samples = np.random.default_rng(1).uniform(-0.5, 0.5, 800_000).astype(np.float32)
    tape = Tape()
    tape.add(samples)
    tape.seal(pcm_sha256(CLIPS[NAMES[0]][0]), 16_000)
    vid._session.kept_audio.put(pcm_sha256(CLIPS[NAMES[0]][0]), tape)
    heard, _ = vid._session.kept_audio.source(pcm_sha256(CLIPS[NAMES[0]][0]))
    np.testing.assert_allclose(heard, samples, atol=1e-6)
    assert next(numbers) == 3
    pieces = [samples[400_000:400_004].tobytes(), tape.content()[500_000:500_016]]
    assert files_holding(folder, [*everything, *pieces]) == set()


def test_a_sealed_gallery_is_copied_to_a_server_and_back(
    vid: VoiceID, postgres: Databases, tmp_path: Path, key: str
) -> None:
    vid.keys.gallery.init()
    before, file = answers(vid), data_of(vid) / "voiceid.sqlite3"
    url = postgres.migrated()
    try:
        vid.database.copy(file, url)
        vid.database.copy(url, tmp_path / "back" / "voiceid.sqlite3")
        with opened(tmp_path / "back", {"privacy.key": key}) as back:
            require_same(answers(back), before)
            assert back.database.check() == []
    finally:
        postgres.drop(url)


def test_a_server_compares_rotated_vectors_and_holds_nothing_else_to_read(
    postgres: Databases, tmp_path: Path, key: str
) -> None:
    url = postgres.migrated()
    try:
        overrides = {"privacy.key": key, "database_url": str(url.text)}
        with opened(tmp_path / "data", overrides) as vid:
            vid._session.keys.is_required = False
            enrol(vid)
            before = answers(vid)
            vid.keys.gallery.init()
            require_same(answers(vid), before)
            assert vid.database.check() == []
            with vid._session.store.read() as reader:
                rows = [
                    repr(tuple(row))
                    for table in (speakers, samples)
                    for row in reader.connection.execute(select(table))
                ]
                stored = reader.centroids.as_stored(vid.models.space.id).vectors
                plain = reader.centroids.table(vid.models.space.id).vectors
            assert not any(name in row for name in (*NAMES, "badge", LABEL) for row in rows)
            assert abs(np.einsum("nd,nd->n", stored, plain)).max() < 0.5
            with pytest.raises(ChangeRefused, match="sealed, and the export would be plain"):
                vid.speakers.export(tmp_path / "out")
            vid.speakers.export(tmp_path / "out", passphrase=WORDS)
            vid.speakers.remove(NAMES[1])
            assert files_holding(tmp_path / "data", secrets(vid)) == set()
            vid.speakers.import_file(tmp_path / "out", append=True, trust=True, passphrase=WORDS)
            require_same(answers(vid), before)
            vid.keys.gallery.off()
            require_same(answers(vid), before)
    finally:
        postgres.drop(url)


def test_no_table_of_a_server_has_what_was_plain_before(tmp_path: Path, key: str) -> None:
    """Nor have its statistics, which quote rows.  Its log does, until it is recycled."""
    with own_server() as server:
        url = Databases(server.admin).empty()
        overrides = {"privacy.key": key, "database_url": str(url.text)}
        with opened(tmp_path / "data", overrides) as vid:
            vid._session.keys.is_required = False
            enrol(vid)
            needles = secrets(vid)
            vid.keys.gallery.init()
            vid.keys.gallery.off()
            vid.keys.gallery.init()
            vid.database.copy(url, tmp_path / "copy.sqlite3")
            with psycopg.connect(server.admin, autocommit=True) as connection:
                connection.execute("CHECKPOINT")
            assert files_holding(server.folder / "data" / "base", needles) == set()
            assert files_holding(tmp_path, needles) == set()


@pytest.mark.parametrize("on_a_server", [False, True])
def test_a_sealed_gallery_opens_those_names_alone_that_look_alike(
    postgres: Databases, tmp_path: Path, *, on_a_server: bool
) -> None:
    url = postgres.migrated() if on_a_server else None
    with private_galleries.opened(tmp_path, "plain", url) as vid:
        vid.speakers.add("Noa")
        vid.keys.gallery.init()
        for name in ("Bob", "Zoe"):
            vid.speakers.add(name)
        vid.speakers.rename("Zoe", "Theo")
        with vid._session.store.read() as reader:
            assert reader.speakers.look_alikes(["Z0e", "Dora", "noa"]) == {}
            assert reader.protection.wrapped.keys() == {1}
            found = reader.speakers.look_alikes(["N0a", "B0b", "The0"])
            assert found == {"N0a": "Noa", "B0b": "Bob", "The0": "Theo"}
        assert [speaker.name for speaker in vid.speakers.list()] == ["Bob", "Noa", "Theo"]
        with pytest.raises(SpeakerExists, match="looks like 'Bob'"):
            vid.speakers.add("B0b")
        with pytest.raises(SpeakerExists, match="looks like 'Noa'"):
            vid.speakers.rename("Bob", "N0a")
        vid.speakers.rename("Bob", "B0b")  # it takes its own place
        vid.speakers.remove("Noa")
        vid.speakers.add("N0a")
        vid.keys.gallery.off()
        with vid._session.store.read() as reader:
            assert reader.connection.execute(select(name_looks)).all() == []
    if url is not None:
        postgres.drop(url)


DAMAGE = {
    "centroid": "UPDATE centroids SET vector = (SELECT vector FROM centroids AS o WHERE"
    " o.speaker_id = 1) WHERE speaker_id = 2",
    "name": "UPDATE speakers SET name = 'AAAA' WHERE id = 2",
    "key": "UPDATE speaker_keys SET wrapped = (SELECT wrapped FROM speaker_keys AS o WHERE"
    " o.speaker_id = 1) WHERE speaker_id = 2",
    "group": "DELETE FROM memberships WHERE speaker_id = 2",
}


def test_the_index_of_a_large_gallery_is_there_when_its_protection_was_changed(
    tmp_path: Path, key: str
) -> None:
    settings = {"index.kind": "two-stage"}
    with opened(tmp_path / "data", settings) as vid:
        enrol(vid)
    for act in ("init", "renew", "off"):
        with opened(tmp_path / "data", {**settings, "privacy.key": key}) as vid:
            vid._session.keys.is_required = False  # plain at first
            getattr(vid.keys.gallery, act)()
        with opened(tmp_path / "data", {**settings, "privacy.key": key}) as vid:
            vid._session.keys.is_required = False
            [status] = vid.index.status()
            found = (status.kind, status.state, status.vectors, status.is_due)
            assert found == ("two-stage", "current", 3, False), act


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_speaker_alone_is_erased_and_the_others_are_asked_again(
    vid: VoiceID, what: str
) -> None:
    vid.keys.gallery.init()
    assert vid.speakers.purge_damaged() == {}
    vid._session.disconnect()
    with contextlib.closing(sqlite3.connect(data_of(vid) / "voiceid.sqlite3")) as connection:
        connection.executescript(DAMAGE[what])
    assert list(vid.speakers.purge_damaged(dry_run=True)) == [2]
    damaged = vid.speakers.purge_damaged()
    assert "changed" in damaged[2]
    assert vid.database.check() == []
    assert {name for name, _ in answers(vid)} == {NAMES[0], NAMES[2]}
    vid.keys.gallery.renew()
    assert [event.facts for event in vid.audit.list() if event.kind == "remove"]


@pytest.mark.parametrize("is_sealed", [False, True])
def test_what_another_program_left_of_a_speaker_is_erased(vid: VoiceID, is_sealed: bool) -> None:
    if is_sealed:
        vid.keys.gallery.init()
    vid._session.disconnect()
    with contextlib.closing(sqlite3.connect(data_of(vid) / "voiceid.sqlite3")) as connection:
        connection.executescript("DELETE FROM speakers WHERE id = 2")  # its keys are not enforced
    with pytest.raises(StoreError):
        answers(vid)
    assert vid.speakers.purge_damaged() == {2: "there are rows of speaker 2, who does not exist"}
    assert vid.database.check() == []
    assert {name for name, _ in answers(vid)} == {NAMES[0], NAMES[2]}


def test_a_database_of_which_nothing_can_be_read_is_left_as_it_is(vid: VoiceID) -> None:
    vid.keys.gallery.init()
    with vid._session.store.write() as writer:
        writer.connection.execute(update(speakers).values(name="AAAA"))
    with pytest.raises(ChangeRefused, match="no speaker of the database can be read"):
        vid.speakers.purge_damaged()
    assert vid.speakers.count() == 3
