"""What was removed is in no file of the data folder, or it is said where, and until when."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from random_voices import files_holding, unprivileged
from sqlalchemy import Connection, event
from torture.voices import REPO, new_clips, opened, utterance
from worker_forks import program

from voiceid import EmbeddedClip, Finding, Health, VoiceID
from voiceid.decision.adaptation import adapted_space
from voiceid.decision.transforms import fit
from voiceid.errors import ErasureIncomplete

ALICE = "Alice Removed"
CLIPS = {
    ALICE: new_clips(np.random.default_rng(1), 3, 1),
    "bob": new_clips(np.random.default_rng(2), 3, 2),
    "carol": new_clips(np.random.default_rng(3), 2, 3),
}


@pytest.fixture
def vid(tmp_path: Path) -> Iterator[VoiceID]:
    """Three speakers, whose index is a file, and who were identified."""
    with opened(tmp_path / "data") as opened_here:
        for name, clips in CLIPS.items():
            space = opened_here.models.space
            opened_here.enroll(name, [utterance(clip, space) for clip in clips])
        opened_here.index.rebuild()
        yield opened_here


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def adapt(vid: VoiceID) -> int:
    """Let an adaptation decide, identify with it, and keep its index in a file."""
    rng, space = np.random.default_rng(4), vid.models.space
    vectors = rng.standard_normal((60, space.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    transform = fit(vectors, np.repeat(np.arange(20), 3), method="wccn", shrinkage=0.5)
    with vid._session.change("adapt") as change:
        number = change.writer.adaptations.add(space, transform, {}, "site")
        change.writer.adaptations.use(space.id, number)
    vector = vectors[0]
    assert len(vid.search(EmbeddedClip(vector, space))) == 3
    vid.index.rebuild()
    assert (data_of(vid) / "index" / f"{adapted_space(space, transform).id}.index").is_file()
    return number


def data_of(vid: VoiceID) -> Path:
    return Path(str(vid.database.location)).parent


def vectors_of(vid: VoiceID, name: str) -> list[bytes]:
    """Return the vectors of a speaker's samples, and the centroids of all spaces, as stored."""
    with vid._session.store.read() as reader:
        speaker = reader.speakers.get(name)
        samples = [sample.vector for sample in reader.samples.of(speaker.id)]
        centroids = [reader.centroids.of(speaker.id, space) for space in reader.spaces.dims()]
    return [one.astype("<f4").tobytes() for one in [*samples, *centroids] if one is not None]


def names_of(vid: VoiceID, name: str) -> list[bytes]:
    """Return what else tells of a speaker: the name, its key, and the names of the clips."""
    clips = [sample.source_name for sample in vid.samples.list(name)]
    return [one.encode() for one in (name, name.casefold(), *clips)]


def files_with(folder: Path, secrets: list[bytes]) -> set[str]:
    """Return the files in which a secret stands; of a vector, any eight of its components."""
    pieces = [
        secret[i : i + 32] if len(secret) > 500 else secret
        for secret in secrets
        for i in (range(0, len(secret) - 31, 32) if len(secret) > 500 else [0])
    ]
    return files_holding(folder, pieces)


def erasure(vid: VoiceID) -> list[Finding]:
    return [found for found in vid.events.examine() if found.subject == "erasure"]


def test_a_removed_speaker_is_in_no_file_not_even_of_an_adaptation(
    vid: VoiceID, data: Path
) -> None:
    adapt(vid)
    secrets = [*vectors_of(vid, ALICE), *names_of(vid, ALICE)]
    assert len(vectors_of(vid, ALICE)) == 3 + 2
    assert len([one for one in files_with(data, secrets) if one.endswith(".index")]) == 2
    vid.speakers.remove(ALICE)
    assert erasure(vid) == []
    vid.close()
    assert files_with(data, secrets) == set()


def test_a_removed_adaptation_takes_its_file_along(vid: VoiceID, data: Path) -> None:
    number = adapt(vid)
    before = {path.name for path in (data / "index").iterdir()}
    with vid._session.store.read() as reader:
        adaptation = reader.adaptations.get(number)
        table = reader.centroids.table(adaptation.adapted_id)
    assert f"{adaptation.adapted_id}.index" in before
    vid.adaptations.use(None)
    vid.adaptations.remove(number)
    assert {path.name for path in (data / "index").iterdir()} == {f"{vid.models.space.id}.index"}
    vid.close()
    assert files_with(data, [one.astype("<f4").tobytes() for one in table.vectors]) == set()


def test_a_removed_sample_cannot_be_computed_from_the_centroid_that_it_was_in(
    vid: VoiceID, data: Path
) -> None:
    adapt(vid)
    before = vectors_of(vid, ALICE)
    gone = vid.samples.list(ALICE)[0]
    vid.samples.remove(ALICE, [gone.id])
    kept = vectors_of(vid, ALICE)
    erased = [one for one in before if one not in kept]
    assert len(erased) == 1 + 2, "the sample, and the old centroids of both spaces"
    vid.close()
    assert files_with(data, [*erased, gone.source_name.encode()]) == set()


READ = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM samples").fetchone()
print("reading", flush=True)
sys.stdin.readline()
"""


def _wait_little(connection: Connection) -> None:
    """Wait for a reader not for ten seconds."""
    connection.connection.driver_connection.execute("PRAGMA busy_timeout=300")


def test_a_reader_of_an_older_state_keeps_it_and_that_is_said_until_the_next_change(
    vid: VoiceID, data: Path
) -> None:
    secrets = vectors_of(vid, ALICE)
    vid.close()
    with VoiceID.open(data, home=REPO) as desk:
        event.listen(desk._session.store._engine, "engine_connect", _wait_little)
        with program(READ, desk.database.location) as reader:
            assert reader.stdout.readline() == "reading\n"
            with pytest.raises(ErasureIncomplete, match="until it ends") as incomplete:
                desk.speakers.remove(ALICE)
            assert incomplete.value.exit_code == 62
            assert str(desk.database.location) in incomplete.value.message
            assert ALICE not in [speaker.name for speaker in desk.speakers.list()]
            [finding] = erasure(desk)
            assert finding.health is Health.ERROR
            assert desk.events.stats().changes == {"remove": 1}, "the change was made"
            # A change that erases nothing tries again, and says that it did not succeed.
            with pytest.raises(ErasureIncomplete):
                desk.speakers.rename("bob", "robert")
            with pytest.raises(ErasureIncomplete):
                desk.speakers.withdraw("carol")
            assert desk.speakers.get("robert")
            reader.communicate()
        desk.speakers.rename("robert", "bob")
        assert erasure(desk) == []
    assert files_with(data, secrets) == set()


REMOVE = """
import os, signal, sys
from voiceid import VoiceID
from voiceid.erasure import Erasure

def killed(self, vectors=()):
    os.kill(os.getpid(), signal.SIGKILL)

Erasure.complete = killed
with VoiceID.open(sys.argv[1], home=sys.argv[2]) as vid:
    vid.speakers.remove(sys.argv[3])
"""


def test_what_a_killed_process_did_not_finish_is_reported_and_finished_by_the_next_change(
    vid: VoiceID, data: Path
) -> None:
    adapt(vid)
    secrets = [*vectors_of(vid, ALICE), *names_of(vid, ALICE)]
    vid.close()
    with program(REMOVE, data, REPO, ALICE) as worker:
        assert worker.wait() == -signal.SIGKILL, worker.stderr.read()
    with VoiceID.open(data, home=REPO) as desk:
        assert ALICE not in [speaker.name for speaker in desk.speakers.list()]
        [finding] = erasure(desk)
        assert finding.health is Health.ERROR
        assert "next" in finding.hint
        desk.speakers.rename("bob", "robert")
        assert erasure(desk) == []
    assert files_with(data, secrets) == set()


def test_copies_of_the_database_that_hold_a_removed_voice_are_named(
    vid: VoiceID, data: Path
) -> None:
    database = Path(str(vid.database.location))
    old, other = (database.with_name(f"{database.name}.before-{n}") for n in ("0004", "restore"))
    vid.database.backup(old)
    other.write_bytes(b"without any voice")
    with pytest.raises(ErasureIncomplete, match="until you remove it") as incomplete:
        vid.speakers.remove(ALICE)
    assert str(old) in incomplete.value.message
    assert str(other) not in incomplete.value.message
    # It is not ours to remove, so nothing waits for it.
    old.unlink()
    assert erasure(vid) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_an_index_file_that_cannot_be_replaced_is_named(vid: VoiceID, data: Path) -> None:
    from random_voices import NOBODY

    vid.close()
    for path in [data, *data.glob("voiceid*")]:  # the index stays root's
        os.chown(path, NOBODY, -1)
    for parent in data.parents[:4]:
        parent.chmod(parent.stat().st_mode | 0o011)
    (data / "index").chmod(0o755)
    for path in (data / "index").iterdir():
        path.chmod(0o644)
    with unprivileged(), VoiceID.open(data, home=REPO) as desk:
        with pytest.raises(ErasureIncomplete) as incomplete:
            desk.speakers.remove(ALICE)
        assert str(data / "index") in incomplete.value.message
        assert [found.health for found in erasure(desk)] == [Health.ERROR]
