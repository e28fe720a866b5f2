"""An examination tells what is well and what is not, and changes nothing."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from cli_running import Runner
from voiceid.app import doctor


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
        "engine",
        "models",
        "database",
        "index",
        "thresholds",
        "codecs",
        "processors",
        "disk",
        "clock",
    )
}


def test_a_healthy_installation_is_well_in_every_line(home: Path, run: Runner) -> None:
    assert findings(run) == ALL_WELL
    ran = run("doctor")
    assert ran.code == 0
    assert all(line.startswith("ok ") for line in ran.out.splitlines())
    assert "libsndfile" in ran.out


def test_a_new_installation_is_told_what_is_still_missing(empty_home: Path, run: Runner) -> None:
    found = findings(run)
    assert found["database"] == {"warning"}
    assert "index" not in found
    assert not (empty_home / "data").exists()


def test_a_missing_model_is_an_error_offline_and_a_warning_else(
    home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_MODELS", str(home / "none"))
    assert findings(run, code=46)["models"] == {"error"}
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
def test_a_disk_that_fills_up_is_told_in_time(
    free: float, health: str, code: int, home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert findings(run, code) == {**ALL_WELL, "disk": {health}}


def test_a_provider_that_is_missing_is_found(
    home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_RUNTIME__PROVIDERS", "[cuda, cpu]")
    assert findings(run, code=46)["engine"] == {"error"}
    ran = run("identify", home / "none.wav")
    assert ran.code == 21
    assert "onnxruntime-gpu" in ran.err
