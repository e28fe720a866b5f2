"""An examination tells what is well and what is not, and changes nothing."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import closing
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cli_running import Runner

from voiceid.models import runtime
from voiceid.resources import examination


def findings(run: Runner, code: int = 0) -> dict[str, set[str]]:
    """Return the states of each subject."""
    ran = run("doctor", "--json")
    assert ran.code == code, ran.err
    found: dict[str, set[str]] = {}
    for line in ran.json_lines:
        if "subject" in line:
            found.setdefault(line["subject"], set()).add(line["health"])
            assert line["health"] == "ok" or line["hint"]
    return found


ALL_WELL = {
    subject: {"ok"}
    for subject in (
        "settings",
        "engine",
        "models",
        "database",
        "index",
        "thresholds",
        "codecs",
        "processors",
        "disk",
        "clock",
        "access",
    )
}


def test_a_healthy_installation_is_well_in_every_line(home: Path, run: Runner) -> None:
    assert findings(run) == ALL_WELL
    ran = run("doctor")
    assert ran.code == 0
    assert all(line.startswith("ok ") for line in ran.out.splitlines())
    assert "libsndfile" in ran.out


def test_a_new_installation_reads_what_is_still_missing(empty_home: Path, run: Runner) -> None:
    found = findings(run)
    assert found["database"] == {"warning"}
    assert "index" not in found
    assert not (empty_home / "data").exists()


def test_a_missing_model_is_an_error_offline_and_a_warning_else(
    home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_MODELS", str(home / "none"))
    assert findings(run, code=46)["models"] == {"error", "warning"}
    monkeypatch.setenv("VOICEID_OFFLINE", "false")
    assert findings(run)["models"] == {"warning"}
    assert not (home / "none").exists()


def test_damage_is_found_and_stops_no_other_check(
    home: Path, models_folder: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(models_folder, home / "models")
    monkeypatch.setenv("VOICEID_MODELS", str(home / "models"))
    with (home / "models" / "campplus.onnx").open("r+b") as file:
        file.seek(100_000)
        file.write(b"damage")
    with closing(sqlite3.connect(home / "data" / "voiceid.sqlite3")) as connection, connection:
        connection.execute("UPDATE centroids SET vector = (SELECT vector FROM samples LIMIT 1)")
    found = findings(run, code=46)
    assert found["models"] == found["database"] == {"error"}
    assert found["clock"] == {"ok"}


def test_a_damaged_index_is_a_warning(home: Path, run: Runner) -> None:
    [path] = (home / "data" / "index").glob("*.index")
    path.write_bytes(b"damaged")
    assert findings(run) == {**ALL_WELL, "index": {"warning"}}


def test_a_policy_for_a_group_without_members_is_a_warning(home: Path, run: Runner) -> None:
    (home / "config.yaml").write_text("groups: {nigth: {threshold: 0.6}, night: {margin: 0.1}}")
    assert run("speakers", "edit", "alice", "--group", "Night").code == 0
    assert findings(run) == {**ALL_WELL, "groups": {"warning"}}
    assert "a policy for the group nigth, but no speaker is in it" in run("doctor").out


def test_a_clock_that_runs_behind_is_a_warning(home: Path, run: Runner) -> None:
    with closing(sqlite3.connect(home / "data" / "voiceid.sqlite3")) as connection, connection:
        connection.execute("UPDATE speakers SET updated_at = '2999-01-01T00:00:00+00:00'")
    assert findings(run) == {**ALL_WELL, "clock": {"warning"}}


def test_too_many_threads_are_a_warning(
    home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_RUNTIME__THREADS", "64")
    assert findings(run) == {**ALL_WELL, "processors": {"warning"}}


@pytest.mark.parametrize(("free", "health", "code"), [(5e8, "warning", 0), (1e6, "error", 46)])
def test_a_disk_that_fills_up_is_reported_in_time(
    free: float, health: str, code: int, home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert findings(run, code) == {**ALL_WELL, "disk": {health}}


def test_a_provider_that_is_missing_is_found(
    home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_RUNTIME__PROVIDERS", "[cuda, cpu]")
    assert findings(run, code=46)["engine"] == {"error"}
    ran = run("identify", home / "none.wav")
    assert ran.code == 21
    assert "onnxruntime-gpu" in ran.err


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("library", ["onnxruntime", "faiss"])
def test_an_engine_that_cannot_be_loaded_is_found_and_stops_no_other_check(
    library: str, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, "voiceid.index.faiss_index", raising=False)
    monkeypatch.setattr(runtime, "_engine", cache(runtime._engine.__wrapped__))
    found = findings(run, code=46)
    assert (found["engine"], found["clock"]) == ({"error"}, {"ok"})


def test_speakers_who_are_all_in_another_space_are_counted_by_every_question(
    home: Path, ami: Any, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = ami.cut("alice-4", home / "door.wav")
    monkeypatch.setenv("VOICEID_SPEECH__THRESHOLD", "0.6")
    asked = run("identify", door)
    assert asked.code == 10
    assert "no speaker is enrolled in campplus-" in asked.out
    assert "; of all speakers 2 are in campplus-" in asked.out
    claimed = run("verify", "alice", door)
    assert claimed.code == 38
    assert "; of all speakers 2 are in campplus-" in claimed.err
    assert findings(run, code=46)["gallery"] == {"error"}
    assert "2 in campplus-" in run("doctor").out


def test_the_config_that_is_read_is_named(
    empty_home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for words in (["config", "show"], ["doctor"], ["models", "list", "-v"]):
        ran = run(*words)
        assert f"there is no {empty_home / 'config.yaml'}" in ran.out + ran.err
    assert run("config", "show", "--json").json["file"] is None
    (empty_home / "config.yaml").write_text("offline: true\n", encoding="utf-8")
    for words in (["config", "show"], ["doctor"], ["models", "list", "-v"]):
        ran = run(*words)
        assert str(empty_home / "config.yaml") in ran.out + ran.err
        assert "there is no" not in (ran.out + ran.err).partition("database")[0]
    assert run("config", "show", "--json").json["file"] == str(empty_home / "config.yaml")


def test_a_config_beside_the_data_folder_that_is_not_read_is_named(
    home: Path, tmp_path: Path, run: Runner
) -> None:
    door = tmp_path / "srv" / "door"
    (door / "data").mkdir(parents=True)
    (door / "config.yaml").write_text("offline: true\n", encoding="utf-8")
    ran = run("config", "check", "--data", door / "data")
    assert ran.code == 0
    assert f"{door / 'config.yaml'} is not read" in ran.err
    assert f"set its folder as the home: --home {door}" in ran.err
    assert run("config", "check", "--home", door, "--data", door / "data").err == ""
    assert run("config", "check").err == ""


def test_a_hint_names_the_config_of_the_home(home: Path, run: Runner) -> None:
    assert f"`model:` in {home / 'config.yaml'}" in run("models", "list").err
    sound = home / "long.wav"
    sound.write_bytes(b"0" * 5000)
    (home / "config.yaml").write_text("audio: {max_bytes: 1000}\n", encoding="utf-8")
    ran = run("identify", sound)
    assert ran.code == 25
    assert f"raise audio.max_bytes in {home / 'config.yaml'}" in ran.err
