"""`voiceid migrate`: what is printed, what is refused, and what the other commands say of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_running import Runner


@pytest.fixture
def kept(home: Path, ami: Any, run: Runner) -> Path:
    """alice and bob get their audio; carol and a stranger are enrolled without."""
    for turn in ("alice-1", "alice-2", "bob-1", "bob-2", "carol-1", "carol-2"):
        (home / "people" / turn.split("-")[0]).mkdir(parents=True, exist_ok=True)
        ami.cut(turn, home / "people" / turn.split("-")[0] / f"{turn}.wav")
    assert run("enroll", "carol", home / "people" / "carol").code == 0
    (home / "people" / "carol").rename(home / "carol")
    ran = run("enroll", "--from-dir", home / "people", "--keep-audio")
    assert ran.code == 0, ran.err
    assert "2 unchanged" in ran.err
    return home


def test_the_model_is_changed_from_the_comparison_to_the_end(
    kept: Path, run: Runner, ami: Any
) -> None:
    door = ami.cut("alice-4", kept / "door.wav")
    ran = run("migrate", "--to", "campplus-int8")
    assert ran.code == 0, ran.err
    first, *rest = ran.out.splitlines()
    assert first.split() == ["model", "size", "speed", "EER"]
    assert "scores of 6 pairs" in ran.out
    assert "ready             campplus-" in ran.out
    assert "speakers          3: 2 with all samples, 0 with some, 1 must enrol again" in rest
    assert "must enrol again  carol" in rest
    assert "campplus is used as before" in ran.err
    assert run("identify", door, "--json").json["embedding_space"].startswith("campplus-9")

    again = run("migrate", "--to", "campplus-int8")  # it goes on, and is not compared again
    assert "scores of" not in again.out
    status = run("migrate", "--status", "--json").json
    assert (status["state"], status["behind"], status["prepared"]) == ("ready", ["carol"], 4)

    refused = run("migrate", "--switch")
    assert refused.code == 49
    assert "1 of 3 speakers would be left behind: carol" in refused.err
    switched = run("migrate", "--switch", "--leave", "carol")
    assert switched.code == 0, switched.err
    assert switched.out.startswith("switched          campplus-")
    assert "set `model: campplus-int8`" in switched.err
    found = run("identify", door, "--json").json
    assert found["speaker"]["name"] == "alice"
    assert found["embedding_space"].startswith("campplus-int8-")

    shown = run("config", "show")
    assert "the gallery was switched from campplus to campplus-int8, which is used" in shown.err
    assert run("config", "show", "--json").json["model_in_use"] == "campplus-int8"
    examined = run("doctor")
    assert "warning  models      the gallery was switched from campplus to" in examined.out
    assert "card campplus-int8, FMR 0.1 %" in examined.out
    assert run("config", "show", "--model", "campplus-int8").err == ""

    assert run("migrate", "--finish").code == 2
    done = run("migrate", "--finish", "--yes")
    assert done.out == "finished  4 old samples removed\n"
    assert run("db", "check").code == 0


def test_the_comparison_is_in_the_json(kept: Path, run: Runner) -> None:
    found = run("migrate", "--to", "campplus-int8", "--json").json
    assert found["state"] == "ready"
    assert (found["comparison"]["a"]["name"], found["comparison"]["clips"]) == ("campplus", 4)
    assert run("migrate", "--cancel", "--json").json["state"] == "given up"
    assert run("migrate", "--status", "--json").json == {"state": "none"}


def test_without_kept_audio_everybody_is_listed(home: Path, run: Runner) -> None:
    ran = run("migrate", "--to", "campplus-int8")
    assert ran.code == 0, ran.err
    assert "the models cannot be compared" in ran.err
    assert "must enrol again  alice, bob" in ran.out
    assert run("migrate", "--switch").code == 49
    assert run("migrate", "--cancel").out.startswith("given up")
    assert run("migrate", "--status").out == "none  the model was never changed\n"
    assert run("migrate", "--cancel").code == 49
    assert run("migrate", "--finish", "--yes").code == 49
    assert run("migrate", "--to", "campplus").code == 49
    assert run("migrate", "--to", "resnet").code == 31


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--status", "--cancel"],
        ["--to", "ge2e", "--finish"],
        ["--to", "ge2e", "--leave-all"],
        ["--status", "--leave", "carol"],
    ],
    ids=" ".join,
)
def test_what_does_not_go_together_is_a_usage_error(
    empty_home: Path, run: Runner, words: list[str]
) -> None:
    assert run("migrate", *words).code == 2
    assert not (empty_home / "data").exists()
