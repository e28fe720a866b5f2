"""``voiceid calibrate`` and ``voiceid calibrations``, on real speech."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import soundfile
from cli_running import Runner

from examples.ami import clean_turns
from voiceid import VoiceID


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of turns of people alone in meetings, and what is kept of them."""
    folder = tmp_path_factory.mktemp("site")
    lines = ["speaker,path"]
    for number, turn in enumerate(clean_turns(min_duration_s=1.5)):
        soundfile.write(folder / f"{number}.flac", *turn.samples())
        lines.append(f"{turn.speaker},{number}.flac")
    (folder / "site.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def calibrated(site: Path, home: Path, run: Runner) -> dict[str, Any]:
    ran = run(
        *("calibrate", site / "site.csv", "--target-fmr", "0.01"),
        *("--cache", site / "cache", "--json"),
    )
    assert ran.code == 0, ran.err
    return ran.json


def test_a_calibration_decides_at_once_and_is_named(
    calibrated: dict[str, Any], home: Path, run: Runner, ami: Any
) -> None:
    assert calibrated["in_use"]
    assert calibrated["source"] == "site.csv"
    door = ami.cut("alice-4", home / "door.wav")
    for ask in (["verify", "alice", door], ["identify", door], ["compare", door, door]):
        found = run(*ask, "--json").json
        assert found["calibration"] == calibrated["id"]
        assert found["threshold_source"] == f"calibration {calibrated['id']}, FMR 1 %"
        assert found["llr"] > 0.0
        assert (found["outcome"] == "accepted") == (found["score"] >= found["threshold"])
    other = run("verify", "bob", door, "--json")
    assert other.code == 10
    assert other.json["llr"] < 0.0


def test_it_is_worth_something_on_speakers_that_it_had_not_heard(
    calibrated: dict[str, Any],
) -> None:
    held_out = calibrated["held_out"]
    assert held_out["speakers"] >= 10
    assert held_out["min_cllr"] <= held_out["cllr"] < 0.5
    [asked] = [p for p in calibrated["calibration"]["points"] if p["fmr"] == 0.01]
    low, high = asked["fmr_bounds"]
    assert low <= 0.01 <= high


def test_it_can_be_chosen_left_and_removed(
    calibrated: dict[str, Any],
    site: Path,
    home: Path,
    run: Runner,
    ami: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VOICEID_LOG__FILE", "log.jsonl")
    door = ami.cut("alice-4", home / "door.wav")
    number = calibrated["id"]
    words = ["calibrate", site / "site.csv", "--cache", site / "cache", "--no-use", "--json"]
    assert run(*words).code == 60, "the usual target takes more trials"
    again = run(*words, "--target-fmr", "0.02")
    assert not again.json["in_use"]
    listed = [json.loads(line) for line in run("calibrations", "list", "--json").out.splitlines()]
    assert [(one["id"], one["in_use"]) for one in listed] == [
        (number, True),
        (again.json["id"], False),
    ]
    assert run("calibrations", "remove", str(number)).code == 49
    assert run("calibrations", "use", str(again.json["id"])).code == 0
    found = run("verify", "alice", door, "--json").json
    assert found["threshold_source"] == f"calibration {again.json['id']}, FMR 2 %"
    assert run("calibrations", "use", "none").code == 0
    found = run("verify", "alice", door, "--json").json
    assert (found["calibration"], found["llr"]) == (None, None)
    assert found["threshold_source"].startswith("card campplus")
    assert run("calibrations", "remove", str(number)).code == 0
    events = [json.loads(line) for line in (home / "log.jsonl").read_text().splitlines()]
    assert [(e["kind"], e["number"]) for e in events if e["event"] == "change"] == [
        ("calibrate", again.json["id"]),
        ("use_calibration", again.json["id"]),
        ("use_calibration", None),
        ("remove_calibration", number),
    ]
    assert [(e["doing"], e["error"]) for e in events if e["event"] == "error"] == [
        ("calibrate", "FitRefused"),
        ("remove_calibration", "ChangeRefused"),
    ]
    assert [e["calibration"] for e in events if e["event"] == "decision"] == [
        again.json["id"],
        None,
    ]
    for words in (["show", str(number)], ["use", str(number)], ["remove", str(number)]):
        assert run("calibrations", *words).code == 61
    assert run("calibrations", "use", "-3").code == 2
    assert "Cllr" in run("calibrations", "show", str(again.json["id"])).out


def test_it_is_for_one_embedding_space(
    calibrated: dict[str, Any], home: Path, run: Runner, ami: Any
) -> None:
    door = ami.cut("alice-4", home / "door.wav")
    found = run("compare", door, door, "--model", "ge2e", "--json").json
    assert found["calibration"] is None
    assert found["threshold_source"].startswith("card ge2e")


def test_a_target_fpir_moves_with_the_gallery(
    calibrated: dict[str, Any], home: Path, run: Runner, ami: Any
) -> None:
    door = ami.cut("alice-4", home / "door.wav")
    carol = [ami.cut(f"carol-{i}", home / f"c{i}.wav") for i in (1, 2)]
    before = run("identify", door, "--target-fpir", "0.02", "--json").json
    assert run("enroll", "carol", *carol).code == 0
    after = run("identify", door, "--target-fpir", "0.02", "--json").json
    assert after["gallery_size"] == before["gallery_size"] + 1
    assert after["threshold"] > before["threshold"]


def test_a_damaged_calibration_accepts_nobody(
    calibrated: dict[str, Any], home: Path, run: Runner, ami: Any
) -> None:
    door = ami.cut("alice-4", home / "door.wav")
    with VoiceID.open() as vid:
        database = vid.database.location
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE calibrations SET facts = replace(facts, 'slope', 'hope')")
    for ask in (["verify", "alice", door], ["identify", door], ["compare", door, door]):
        ran = run(*ask)
        assert ran.code == 50
        assert "calibration 1 in the database is damaged" in ran.err


def test_too_few_people_are_refused_and_change_nothing(site: Path, home: Path, run: Runner) -> None:
    lines = (site / "site.csv").read_text(encoding="utf-8").splitlines()
    few = site / "few.csv"
    few.write_text("\n".join([lines[0], *lines[1:8]]) + "\n", encoding="utf-8")
    ran = run("calibrate", few, "--cache", site / "cache")
    assert ran.code == 60
    assert "too few" in ran.err
    ran = run("calibrate", site / "site.csv", "--cache", site / "cache", "--target-fmr", "1e-6")
    assert ran.code == 60
    assert "3000000 impostor trials" in ran.err
    assert run("calibrations", "list", "--json").out == ""


def test_sound_that_cannot_be_read_is_left_out_and_told(
    site: Path, home: Path, run: Runner
) -> None:
    text = (site / "site.csv").read_text(encoding="utf-8") + "nobody,missing.flac\n"
    (site / "more.csv").write_text(text, encoding="utf-8")
    ran = run("calibrate", site / "more.csv", "--cache", site / "cache", "--target-fmr", "0.01")
    assert ran.code == 0
    assert "missing.flac" in ran.err
    shutil.rmtree(site / "cache")
