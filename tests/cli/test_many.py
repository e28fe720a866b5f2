"""Many clips in one call: files, folders and patterns, in one process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cli_running import Runner


@pytest.fixture
def folder(home: Path, ami) -> Path:
    """Clips in folders of the working folder, one of them no audio, one hidden."""
    (home / "in" / "deep").mkdir(parents=True)
    ami.cut("alice-3", home / "in" / "a.wav")
    ami.cut("bob-3", home / "in" / "b.FLAC")
    ami.cut("stranger", home / "in" / "deep" / "c.mp3")
    (home / "in" / "notes.txt").write_text("no audio", encoding="utf-8")
    shutil.copy(home / "in" / "a.wav", home / "in" / ".hidden.wav")
    return home / "in"


def test_a_folder_stands_for_the_audio_files_in_it_and_below(folder: Path, run: Runner) -> None:
    ran = run("identify", "in", "--json")
    answers = [(Path(a["clip"]).name, a["outcome"]) for a in ran.json_lines]
    assert answers == [("a.wav", "accepted"), ("b.FLAC", "accepted"), ("c.mp3", "rejected")]
    assert ran.code == 10


def test_many_clips_are_a_table_for_people(folder: Path, run: Runner) -> None:
    ran = run("identify", "in/a.wav", "in/b.FLAC")
    header, *rows = ran.out.splitlines()
    assert header.split() == ["clip", "answer", "speaker", "score", "needed", "speech"]
    assert [row.split()[:3] for row in rows] == [
        ["in/a.wav", "accepted", "alice"],
        ["in/b.FLAC", "accepted", "bob"],
    ]
    assert ran.code == 0


def test_each_answer_is_the_one_that_its_clip_gets_alone(folder: Path, run: Runner) -> None:
    for many in run("identify", "in", "--json").json_lines:
        alone = run("identify", many["clip"], "--json").json
        for key in alone.keys() - {"elapsed_ms"}:
            assert many[key] == alone[key]


def test_a_clip_that_cannot_be_read_stops_no_other_and_decides_the_exit_code(
    folder: Path, run: Runner
) -> None:
    ran = run("identify", "in/notes.txt", "in/b.FLAC", "in/none.wav", "in/a.wav", "--json")
    found = [a.get("error") or a["outcome"] for a in ran.json_lines]
    assert found == ["AudioUnreadable", "accepted", "AudioNotFound", "accepted"]
    assert ran.code == 24
    assert "error" in run("identify", "in/notes.txt", "in/a.wav").out


def test_a_pattern_that_the_shell_did_not_expand_is_expanded(folder: Path, run: Runner) -> None:
    ran = run("verify", "alice", "in/*.wav", "in/**/*.mp3", "--json")
    assert [Path(a["clip"]).name for a in ran.json_lines] == ["a.wav", "c.mp3"]
    assert [a["outcome"] for a in ran.json_lines] == ["accepted", "rejected"]
    assert ran.code == 10
    assert run("identify", "in/*.ogg").code == 23


def test_a_folder_without_audio_is_an_error(folder: Path, run: Runner) -> None:
    (folder / "empty").mkdir()
    ran = run("identify", "in/empty")
    assert ran.code == 23
    assert "has no audio files" in ran.err


def test_all_clips_of_a_folder_can_be_enrolled(folder: Path, ami, run: Runner) -> None:
    (folder / "carol").mkdir()
    for turn in ("carol-1", "carol-2"):
        ami.cut(turn, folder / "carol" / f"{turn}.wav")
    assert run("enroll", "carol", "in/carol").code == 0
    assert run("speakers", "show", "carol", "--json").json["n_samples"] == 2


def test_one_of_many_may_come_from_standard_input(folder: Path, run: Runner) -> None:
    ran = run("identify", "-", "in/b.FLAC", "--json", stdin=(folder / "a.wav").read_bytes())
    assert [a["speaker"]["name"] for a in ran.json_lines] == ["alice", "bob"]
