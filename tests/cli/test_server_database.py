"""The command line on a gallery that a PostgreSQL server keeps."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cli_running import Runner
from postgres_server import Databases

from voiceid import EmbeddedClip, VoiceID
from voiceid.domain import DatabaseUrl


@pytest.fixture
def url(postgres: Databases, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseUrl]:
    """An empty database, in use from here on, with a password that must not be seen."""
    made = postgres.empty()
    text = made.text.replace("postgres@", "postgres:well-kept@")
    monkeypatch.setenv("VOICEID_DATABASE_URL", text)
    yield DatabaseUrl(text)
    postgres.drop(made)


def test_a_gallery_moves_to_a_server_and_back_and_answers_the_same(
    url: DatabaseUrl, home: Path, ami, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = ami.cut("alice-3", home / "door.wav")
    shutil.rmtree(home / "data" / "index")
    missing = run("database", "status", "--json").json
    assert (missing["current"], missing["state"]) == (None, "missing")
    moved = run("database", "copy", home / "data" / "voiceid.sqlite3", url.text, "--json")
    assert moved.json["rows"]["speakers"] == 2
    assert moved.json["to"] == str(url)
    here = run("identify", door, "--json").json
    assert run("database", "status", "--json").json["state"] == "current"
    assert "2 speakers" in run("database", "check").out
    [status] = run("index", "status", "--json").json_lines
    assert (status["kind"], status["vectors"], status["enrolled"]) == ("pgvector", 2, 2)
    assert run("index", "rebuild", "--json").json_lines == [status]
    assert list(home.glob("data/index/*")) == [], "an index file was made"
    back = run("database", "copy", url.text, "back.sqlite3", "--json")
    recorded = {"audit_events": back.json["rows"]["audit_events"], "audit_head": 1}
    assert back.json["rows"] == moved.json["rows"] | recorded
    assert "well-kept" not in moved.out + back.out
    monkeypatch.delenv("VOICEID_DATABASE_URL")
    there = run("identify", door, "--json").json
    for answer in (here, there):
        assert (answer["outcome"], answer["speaker"]["name"]) == ("accepted", "alice")
    assert here["score"] == there["score"]


def test_people_are_enrolled_found_and_removed_on_a_server(
    url: DatabaseUrl, home: Path, ami, run: Runner
) -> None:
    clips = {turn: ami.cut(turn, home / f"{turn}.wav") for turn in ("bob-1", "bob-2", "bob-3")}
    enrolled = run("enroll", "bob", clips["bob-1"], clips["bob-2"], "--group", "night")
    assert enrolled.code == 0, enrolled.err
    assert run("identify", clips["bob-3"], "--group", "night").code == 0
    assert run("identify", clips["bob-3"], "--group", "day").code == 10
    assert run("speakers", "show", "bob", "--json").json["groups"] == ["night"]
    counted = run("stats", "--json").json
    assert counted["speakers"] == 1
    assert counted["database_bytes"] > 1_000_000
    examined = {line["subject"]: line for line in run("doctor", "--json").json_lines}
    assert examined["database"]["health"] == "ok"
    assert run("speakers", "remove", "bob", "--yes").code == 0
    assert run("identify", clips["bob-3"]).code == 10


def test_embeddings_are_imported_into_a_server_and_its_figures_are_shown(
    url: DatabaseUrl, home: Path, run: Runner
) -> None:
    with VoiceID.open() as vid:
        space = vid.models.space
    vectors = np.random.default_rng(3).standard_normal((700, space.dim)).astype(np.float32)
    np.save(home / "vectors.npy", vectors)
    names = [f"guest {number}" for number in range(len(vectors))]
    (home / "names.txt").write_text("\n".join(names), encoding="utf-8")
    given = ("--ids", home / "names.txt", "--space", space.id, "--net-speech-s", "5")
    done = run("speakers", "import", home / "vectors.npy", *given, "--group", "guests", "--json")
    assert (done.code, done.json["new_speakers"]) == (0, 700), done.err
    assert run("database", "check").code == 0
    with VoiceID.open() as vid:
        for row in range(0, 700, 50):
            [found] = vid.search(EmbeddedClip(vectors[row], space), k=1, group="guests")
            assert found.speaker.name == names[row]
            assert found.score == pytest.approx(1.0, abs=1e-5)
        counted = vid.events.stats().speakers
    stats = run("stats", "--json").json
    assert (stats["speakers"], stats["groups"], stats["revision"]) == (700, {"guests": 700}, 700)
    assert stats["database_bytes"] > 1_000_000
    assert counted == {space.id: 700}
    assert "voiceid_database_bytes" in run("stats", "--prometheus").out
    assert run("speakers", "import", home / "vectors.npy", *given).code == 42


def test_the_model_of_a_server_is_changed_and_its_kept_audio_goes_with_the_speaker(
    url: DatabaseUrl, home: Path, ami, run: Runner
) -> None:
    clips = [ami.cut(turn, home / f"{turn}.wav") for turn in ("alice-1", "alice-2", "alice-4")]
    assert run("enroll", "alice", *clips[:2], "--keep-audio").code == 0
    assert run("models", "switch", "prepare", "campplus-int8").code == 0
    assert run("identify", clips[2], "--json").json["embedding_space"].startswith("campplus-c")
    assert run("models", "switch", "commit").code == 0
    found = run("identify", clips[2], "--json").json
    assert (found["outcome"], found["speaker"]["name"]) == ("accepted", "alice")
    assert found["embedding_space"].startswith("campplus-int8-")
    assert run("stats", "--json").json["model"] == "campplus-int8"
    assert run("models", "switch", "finish", "--yes").out == "finished  2 old samples removed\n"
    assert run("database", "check").code == 0
    kept = home / "data" / "audio"
    assert len([one for one in kept.rglob("*") if one.is_file()]) == 2
    assert run("speakers", "remove", "alice", "--yes").code == 0
    assert not [one for one in kept.rglob("*") if one.is_file()]


def test_what_is_of_files_only_says_what_to_use_and_no_password_is_shown(
    url: DatabaseUrl, home: Path, run: Runner
) -> None:
    assert run("database", "copy", "data/voiceid.sqlite3", "env:VOICEID_DATABASE_URL").code == 0
    assert run("database", "copy", "data/voiceid.sqlite3", "env:NO_SUCH_NAME").code == 2
    assert run("database", "copy", "settings", "env:VOICEID_DATABASE_URL").code == 50
    assert run("database", "copy", "settings", "from-server.sqlite3").code == 0
    backup = run("database", "backup", "copy.sqlite3")
    assert backup.code == 50
    assert "pg_dump" in backup.err
    assert "database copy" in backup.err
    restored = run("database", "restore", "data/voiceid.sqlite3", "--yes")
    assert restored.code == 50
    assert "pg_restore" in restored.err
    again = run("database", "copy", "data/voiceid.sqlite3", url.text)
    assert again.code == 50
    assert "not empty" in again.err
    unread = run("database", "copy", "data/voiceid.sqlite3", "mysql://u:well-kept@h/v")
    assert unread.code == 21
    extra = run("database", "copy", "a", "b", "postgresql+psycopg://u:well-kept@h/v")
    assert extra.code == 2
    shown = run("config", "show")
    assert str(url) in shown.out
    said = [backup, restored, again, unread, extra, shown]
    assert not [one for one in said if "well-kept" in one.out + one.err]
