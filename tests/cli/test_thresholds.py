"""Thresholds set by hand and by rates: whose wish wins, on real speech."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cli_running import Runner


@pytest.fixture
def door(home: Path, ami: Any) -> Path:
    return Path(ami.cut("alice-4", home / "door.wav"))


def test_the_more_special_wish_wins_from_the_card_to_the_call(
    site: Path, home: Path, door: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("speakers", "edit", "alice", "--group", "vault").code == 0

    def source(*words: object) -> str:
        ran = run(*words, "--json")
        assert ran.code in {0, 10}, ran.err
        assert (ran.code == 0) == (ran.json["score"] >= ran.json["threshold"])
        return str(ran.json["threshold_source"])

    verify, identify = ("verify", "alice", door), ("identify", door)
    for words in (verify, identify, ("compare", door, door)):
        assert source(*words).startswith("card campplus")
    fitted = run(
        *("calibrate", site / "site.csv", "--cache", site / "cache"),
        *("--target-fmr", "1/100", "--use", "--json"),
    )
    assert fitted.code == 0, fitted.err
    for words in (verify, identify, ("compare", door, door)):
        assert source(*words) == "calibration 1, FMR 1 %"
    monkeypatch.setenv("VOICEID_DECISION__THRESHOLD", "0.41")
    for words in (verify, identify, ("compare", door, door)):
        assert source(*words) == "set by hand in the settings"
    monkeypatch.setenv("VOICEID_GROUPS", "{vault: {threshold: 0.42}, lobby: {target_fmr: 2%}}")
    for words in (verify, identify):
        assert source(*words, "--group", "vault") == "set by hand in group vault"
        assert source(*words) == "set by hand in the settings"
        by_call = run(*words, "--group", "vault", "--threshold", "0.43", "--json").json
        assert by_call["threshold_source"] == "set by hand in the call"
        assert by_call["threshold"] == 0.43
    assert source("compare", door, door, "--threshold", "0.1") == "set by hand in the call"
    assert source(*verify, "--target-fmr", "2%") == "calibration 1, FMR 2 %"
    assert source(*verify, "--group", "vault", "--target-fmr", "0.02") == "calibration 1, FMR 2 %"
    assert source(*identify, "--target-fpir", "1/50").startswith("calibration 1, FPIR 2 % of 2")


def test_a_threshold_on_the_call_accepts_and_rejects(door: Path, run: Runner) -> None:
    score = run("verify", "alice", door, "--json").json["score"]
    assert run("verify", "alice", door, "--threshold", score - 0.01).code == 0
    assert run("verify", "alice", door, "--threshold", score + 0.01).code == 10
    shown = run("identify", door, "--threshold", "0.2")
    assert shown.code == 0
    assert "threshold 0.2 (set by hand in the call)" in shown.out


def test_a_speaker_who_is_not_in_the_group_is_not_verified(door: Path, run: Runner) -> None:
    ran = run("verify", "alice", door, "--group", "vault")
    assert ran.code == 41
    assert "alice is not in the group vault" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ["verify", "alice", "x.wav", "--threshold", "1.01"],
        ["verify", "alice", "x.wav", "--threshold", "0.09"],
        ["identify", "x.wav", "--threshold", "nan"],
        ["compare", "x.wav", "y.wav", "--threshold", "50%"],
        ["verify", "alice", "x.wav", "--threshold", "0.5", "--target-fmr", "0.01"],
        ["compare", "x.wav", "y.wav", "--threshold", "0.5", "--target-fmr", "0.01"],
        ["identify", "x.wav", "--threshold", "0.5", "--target-fpir", "0.01"],
        ["verify", "alice", "x.wav", "--target-fmr", "60%"],
        ["identify", "x.wav", "--target-fpir", "1/0"],
        ["verify", "alice", "x.wav", "--target-fmr", "often"],
    ],
    ids=" ".join,
)
def test_what_is_out_of_range_or_contradicts_is_a_usage_error(
    words: list[str], empty_home: Path, run: Runner
) -> None:
    ran = run(*words)
    assert ran.code == 2
    assert "--threshold" in ran.err or "--target" in ran.err
    assert not (empty_home / "data").exists()


def test_a_rate_that_is_refused_says_how_rates_are_written(run: Runner) -> None:
    assert "such as 0.005, 1/200 or 0.5%" in run("verify", "a", "x", "--target-fmr", "few").err


def test_the_settings_show_thresholds_and_groups_as_they_were_written(
    empty_home: Path, run: Runner
) -> None:
    text = """
decision: {threshold: {2: 0.6, 4: 0.5}, margin: 0.1}
groups: {vault: {target_fmr: 1/10000}, lobby: {threshold: 0.5}}
"""
    (empty_home / "config.yaml").write_text(text, encoding="utf-8")
    settings = run("config", "show", "--json").json["settings"]
    assert settings["decision.threshold"]["value"] == {"2": 0.6, "4": 0.5}
    assert settings["decision.margin"]["value"] == 0.1
    assert settings["decision.target_fmr"] == {"value": None, "source": "default"}
    assert settings["groups"]["value"] == {
        "vault": {"target_fmr": 0.0001},
        "lobby": {"threshold": 0.5},
    }
    shown = run("config", "show").out
    assert "{2: 0.6, 4: 0.5}" in shown
    assert "{vault: {target_fmr: 0.0001}, lobby: {threshold: 0.5}}" in shown
