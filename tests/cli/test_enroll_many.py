"""Many people in one go: past bad files, again after a kill, on all cores."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_running import Runner, environment

PEOPLE = {
    "alice": ["alice-1", "alice-2"],
    "bob": ["bob-1", "bob-2"],
    "carol": ["carol-1", "carol-2"],
}


@pytest.fixture
def people(empty_home: Path, ami) -> Path:
    """A folder with a folder for each of alice, bob and carol."""
    folder = empty_home / "people"
    for name, turns in PEOPLE.items():
        (folder / name).mkdir(parents=True)
        for turn in turns:
            ami.cut(turn, folder / name / f"{turn}.wav")
    return folder


def enrolled(run: Runner) -> dict[str, int]:
    return {s["name"]: s["n_samples"] for s in run("speakers", "list", "--json", "-q").json_lines}


ALL = dict.fromkeys(PEOPLE, 2)


def test_each_folder_is_a_person(people: Path, run: Runner) -> None:
    ran = run("enroll", "--from-dir", "people")
    assert ran.code == 0, ran.err
    assert [line.split()[:2] for line in ran.out.splitlines()] == [
        ["enrolled", name] for name in PEOPLE
    ]
    assert enrolled(run) == ALL
    assert (
        run("identify", people / "bob" / "bob-1.wav", "--json", "--allow-replayed").json["speaker"][
            "name"
        ]
        == "bob"
    )


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_list_names_people_and_recordings(suffix: str, people: Path, run: Runner) -> None:
    rows = [(name, f"{name}/{turn}.wav") for name, turns in PEOPLE.items() for turn in turns]
    rows = rows[::2] + rows[1::2]  # the lines of one person need not follow each other
    listed = people / f"list.{suffix}"
    if suffix == "csv":
        lines = ["name,path", *(f"{name},{path}" for name, path in rows)]
    else:
        lines = [json.dumps({"path": path, "name": name}) for name, path in rows]
    listed.write_text("\n".join(lines), encoding="utf-8")
    assert run("enroll", "--manifest", listed).code == 0
    assert enrolled(run) == ALL


def test_what_is_enrolled_is_not_enrolled_again(people: Path, run: Runner, ami) -> None:
    assert run("enroll", "--from-dir", "people").code == 0
    before = run("speakers", "show", "alice", "--json").json
    again = run("enroll", "--from-dir", "people", "--json")
    assert again.code == 0
    assert [r["status"] for r in again.json_lines] == ["unchanged"] * 3
    assert run("speakers", "show", "alice", "--json").json == before
    ami.cut("alice-3", people / "alice" / "new.wav")
    more = {
        r["name"]: r["status"] for r in run("enroll", "--from-dir", "people", "--json").json_lines
    }
    assert more == {"alice": "enrolled", "bob": "unchanged", "carol": "unchanged"}
    assert enrolled(run) == {**ALL, "alice": 3}


def test_bad_files_are_left_out_and_stop_no_others(people: Path, run: Runner) -> None:
    (people / "alice" / "broken.wav").write_bytes(b"RIFF....")
    (people / "bob" / "again.wav").write_bytes((people / "bob" / "bob-1.wav").read_bytes())
    ran = run("enroll", "--from-dir", "people", "--json")
    assert ran.code == 44
    *reports, error = ran.json_lines
    assert [r["status"] for r in reports] == ["enrolled"] * 3
    left_out = {(r["name"], p["code"]) for r in reports for p in r["problems"] if p["left_out"]}
    assert left_out == {("alice", "unreadable"), ("bob", "duplicate_clip")}
    assert error["error"] == "EnrollmentIncomplete"
    assert "2 clips left out" in error["message"]
    assert enrolled(run) == ALL
    assert "alice: left out: broken.wav" in run("enroll", "--from-dir", "people").err


def test_a_person_who_is_refused_stops_no_others(people: Path, run: Runner, ami) -> None:
    (people / "brigitte").mkdir()
    ami.cut("bob-3", people / "brigitte" / "b.wav")  # bob under another name
    (people / "dora").mkdir()
    ami.cut("carol-2", people / "dora" / "short.wav")
    ran = run("enroll", "--from-dir", "people", "--json")
    assert ran.code == 44
    found = {r["name"]: r["status"] for r in ran.json_lines[:-1]}
    assert found == {**dict.fromkeys(PEOPLE, "enrolled"), "brigitte": "refused", "dora": "refused"}
    assert enrolled(run) == ALL


def test_a_dry_run_writes_nothing(people: Path, run: Runner) -> None:
    ran = run("enroll", "--from-dir", "people", "--dry-run", "--json")
    assert ran.code == 0
    assert [r["status"] for r in ran.json_lines] == ["possible"] * 3
    assert enrolled(run) == {}


def test_a_run_that_was_killed_is_finished_by_the_next(people: Path, run: Runner) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "voiceid", "enroll", "--from-dir", "people", "-q"],
        stdout=subprocess.PIPE,
        env=environment(VOICEID_RUNTIME__WORKERS="1"),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"enrolled   alice")
        process.send_signal(signal.SIGKILL)
    assert enrolled(run).get("alice") == 2
    assert run("enroll", "--from-dir", "people").code == 0
    assert enrolled(run) == ALL


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "name,path\n", "is empty"),
        ("a.csv", "name,file\nalice,a.wav\n", "line 2: no column path"),
        ("a.csv", "name,path,age\nalice,a.wav,7\n", "line 2: unknown column 'age'"),
        ("a.csv", "name,path\nalice\n", "line 2: 1 cells under 2 columns"),
        ("a.csv", "name,path\n\x01,a.wav\n", "line 2: the speaker's name"),
        ("a.csv", 'name,path\n"alice,a.wav\n', "it is not a CSV file"),
        ("a.jsonl", '{"name": "alice"}\n[1]\n{"name"', "line 1: no column path"),
        ("a.jsonl", '{"name": "alice", "path": 3}\n', "line 1: path is not a text"),
    ],
)
def test_a_list_that_is_wrong_enrols_no_speaker_and_names_its_lines(
    name: str, text: str, told: str, empty_home: Path, run: Runner
) -> None:
    (empty_home / name).write_text(text, encoding="utf-8")
    ran = run("enroll", "--manifest", name)
    assert ran.code == 45
    assert told in ran.err
    assert "Traceback" not in ran.err


def test_a_list_that_is_no_text_is_a_typed_error(empty_home: Path, run: Runner) -> None:
    (empty_home / "a.csv").write_bytes(b"\xff\xfe\x00")
    assert run("enroll", "--manifest", "a.csv").code == 45


@pytest.mark.parametrize(
    "words",
    [
        ["enroll"],
        ["enroll", "alice"],
        ["enroll", "alice", "a.wav", "--from-dir", "."],
        ["enroll", "--from-dir", ".", "--replace"],
        ["enroll", "--from-dir", ".", "--manifest", "list.csv"],
        ["enroll", "--from-dir", "nowhere"],
    ],
    ids=" ".join,
)
def test_one_way_of_enrolling_at_a_time(words: list[str], empty_home: Path, run: Runner) -> None:
    (empty_home / "list.csv").write_text("name,path\n", encoding="utf-8")
    assert run(*words).code == 2


def test_a_folder_without_folders_is_a_typed_error(empty_home: Path, run: Runner) -> None:
    (empty_home / "people").mkdir()
    assert run("enroll", "--from-dir", "people").code == 45


def test_two_folders_that_make_one_name_are_refused(people: Path, run: Runner, ami) -> None:
    (people / "ALICE").mkdir()
    ami.cut("bob-3", people / "ALICE" / "b.wav")
    ran = run("enroll", "--from-dir", "people")
    assert ran.code == 45
    assert "people/ALICE and people/alice give the same name" in ran.err
    assert enrolled(run) == {}


def test_a_recording_beside_the_folders_and_a_folder_without_any_are_named(
    people: Path, run: Runner, ami
) -> None:
    (people / "dora").mkdir()
    ran = run("enroll", "--from-dir", "people")
    assert ran.code == 23
    assert "the folder people/dora has no audio files" in ran.err
    ami.cut("bob-3", people / "loose.wav")
    ran = run("enroll", "--from-dir", "people")
    assert (ran.code, "people/loose.wav lies beside the folders" in ran.err) == (45, True)
