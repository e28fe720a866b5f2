"""``voiceid calibrate`` and ``voiceid calibrations``, on real speech."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import soundfile
from cli_running import Runner

from voiceid import VoiceID

FEW = [("alice", 3), ("alice", 4), ("bob", 2), ("bob", 3)]


def test_a_calibration_that_is_used_decides_and_is_named(
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
    sound, rate_hz = soundfile.read(door)
    soundfile.write(home / "short.wav", sound[: rate_hz // 2], rate_hz)  # too little for a score
    detail = run("verify", "bob", "short.wav", "--json").json["detail"]
    assert "are refused over all lines at the card's thresholds" in detail


def test_it_is_worth_something_on_speakers_that_it_had_not_heard(
    calibrated: dict[str, Any],
) -> None:
    held_out = calibrated["held_out"]
    assert held_out["speakers"] >= 10
    assert held_out["min_cllr"] <= held_out["cllr"] < 0.5
    [asked] = [p for p in calibrated["calibration"]["points"] if p["fmr"] == 0.01]
    low, high = asked["fmr_bounds"]
    assert low <= 0.01 <= high


@pytest.mark.parametrize("command", ["calibrate", "adapt"])
def test_no_vector_is_written_without_a_cache(
    command: str, home: Path, run: Runner, ami: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = [(name, ami.cut(f"{name}-{n}", home / f"{name}{n}.wav").name) for name, n in FEW]
    lines = [f"{name},{file},{file}" for name, file in turns]
    (home / "few.csv").write_text("\n".join(["name,path,session", *lines]), encoding="utf-8")
    monkeypatch.delattr(tempfile, "TemporaryDirectory")
    before = {path for path in home.rglob("*") if path.is_file()}
    assert run(command, home / "few.csv").code == 60, "too few"
    assert {path for path in home.rglob("*") if path.is_file()} == before


def test_it_can_be_chosen_left_and_removed(
    calibrated: dict[str, Any],
    site: Path,
    home: Path,
    run: Runner,
    ami: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VOICEID_LOG__FILE", "data/log.jsonl")
    door = ami.cut("alice-4", home / "door.wav")
    number = calibrated["id"]
    words = ["calibrate", site / "site.csv", "--cache", site / "cache", "--no-use", "--json"]
    assert run(*words, "--target-fmr", "1e-6").code == 60, "that takes more trials"
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
    assert found["calibration"] is None
    assert found["llr"] > 0.0, "the card's"
    assert found["threshold_source"].startswith("card campplus")
    assert run("calibrations", "remove", str(number)).code == 0
    events = [json.loads(line) for line in (home / "data" / "log.jsonl").read_text().splitlines()]
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


def test_without_use_it_is_kept_and_changes_no_decision(
    site: Path, home: Path, run: Runner, ami: Any
) -> None:
    door = ami.cut("alice-4", home / "door.wav")
    words = ["calibrate", site / "site.csv", "--cache", site / "cache"]
    ran = run(*words, "--target-fmr", "1%", stdin=b"")
    assert ran.code == 0, ran.err
    assert "calibration 1 is stored but not used: `voiceid calibrations use 1`" in ran.err
    assert run("verify", "alice", door, "--json").json["threshold_source"].startswith("card")
    rows = [line for line in ran.out.splitlines() if " of " in line and "%" in line]
    card, *new = [line for line in rows if line.startswith(("card", "calibration 1 "))]
    assert card.split()[:2] == ["card", "campplus"]
    [would] = [line for line in new if line.endswith("would decide")]
    assert would.split()[2:4] == ["1", "%"]
    assert "lowest FMR that it supports: " in ran.out
    used = run("calibrations", "use", "1")
    assert used.code == 0
    found = run("verify", "alice", door, "--json").json
    assert found["threshold_source"] == "calibration 1, FMR 1 %"


def test_a_rate_that_the_trials_do_not_support_stays_with_the_card(
    site: Path, home: Path, run: Runner, ami: Any
) -> None:
    words = ["calibrate", site / "site.csv", "--cache", site / "cache", "--use"]
    ran = run(*words)
    assert ran.code == 0, ran.err
    [decides] = [line for line in ran.out.splitlines() if line.endswith("decides now")]
    assert decides.startswith("card campplus")
    assert "do not support the target FMR of 0.1 %" in ran.err
    door = ami.cut("alice-4", home / "door.wav")
    source = run("verify", "alice", door, "--json").json["threshold_source"]
    assert source.startswith("card campplus")
    assert source.endswith("calibration 1 does not reach FMR 0.1 %")


def test_the_counts_are_of_the_held_out_trials(calibrated: dict[str, Any]) -> None:
    held_out = calibrated["held_out"]
    card, *new = calibrated["rates"]
    assert card["source"] == "card campplus"
    assert card["impostor"] + card["genuine"] + card["without_threshold"] == (
        held_out["impostor"] + held_out["genuine"]
    )
    for row in new:
        assert (row["impostor"], row["genuine"]) == (held_out["impostor"], held_out["genuine"])
        assert row["false_matches"] <= row["target_fmr"] * row["impostor"]
    assert [row["target_fmr"] for row in new if row["decides"]] == [0.01]
    assert min(row["target_fmr"] for row in new) == calibrated["least_fmr"]


def test_a_threshold_in_the_settings_decides_on_and_that_is_said(
    site: Path, home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_DECISION__THRESHOLD", "0.5")
    ran = run("calibrate", site / "site.csv", "--cache", site / "cache", "--use")
    assert ran.code == 0, ran.err
    [decides] = [line for line in ran.out.splitlines() if line.endswith("decides now")]
    assert decides.startswith("the settings")
    assert "the threshold set by hand in the settings decides" in ran.err


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


def test_a_damaged_calibration_accepts_no_speaker(
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


def test_sound_that_cannot_be_read_is_left_out_and_reported(
    site: Path, home: Path, run: Runner
) -> None:
    text = (site / "site.csv").read_text(encoding="utf-8") + "nobody,missing.flac\n"
    (site / "more.csv").write_text(text, encoding="utf-8")
    ran = run("calibrate", site / "more.csv", "--cache", site / "cache", "--target-fmr", "0.01")
    assert ran.code == 0
    assert "missing.flac" in ran.err
