"""Attacks from a list to a report, by the product's own answers; and the gates on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from cli_running import Runner
from exports import band_detector
from scipy.signal import firwin

TURNS = (
    "alice-1",
    "alice-2",
    "alice-3",
    "alice-4",
    "bob-1",
    "bob-2",
    "bob-3",
    "carol-1",
    "stranger",
)
ATTACKS = {"telephone": ("alice-3", "alice-4"), "backwards": ("alice-3", "alice-4", "bob-3")}
BPCER = 0.4  # so few clips support no lower one


EVALUATE = ("evaluate", "people.csv", "-o", "report", "--enroll-first", "2")


@pytest.fixture
def people(home: Path, ami: Any) -> Path:
    """Nine recordings of four speakers, what a telephone leaves of two, and three backwards."""
    lines = ["speaker,path,attack"]
    for turn in TURNS:
        ami.cut(turn, home / f"{turn}.wav")
        lines.append(f"{turn.split('-')[0]},{turn}.wav,")
    kernel = firwin(257, 3400, fs=16_000)
    for species, turns in ATTACKS.items():
        for turn in turns:
            samples = ami.samples(turn)
            sound = samples[::-1] if species == "backwards" else np.convolve(samples, kernel)
            soundfile.write(home / f"{species}-{turn}.wav", sound, 16_000)
            lines.append(f"{turn.split('-')[0]},{species}-{turn}.wav,{species}")
    path = home / "people.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def by_species(report: dict[str, Any]) -> dict[str, Any]:
    return {one["species"]: one for one in report["attacks"]["species"]}


def test_attacks_are_counted_as_the_product_answers(people: Path, run: Runner) -> None:
    ran = run(*EVALUATE, "--json", "--max-iapar", "10%", "--max-apcer", "1")
    assert ran.code == 59
    assert "the iapar is 1.00000, above 0.1" in ran.err
    assert "the apcer cannot be measured" in ran.err
    found = ran.json_lines[0]
    attacks = by_species(found)
    accepted = {
        species: [
            run("verify", t.split("-")[0], f"{species}-{t}.wav", "--solo", "off", "--json").json[
                "outcome"
            ]
            == "accepted"
            for t in turns
        ]
        for species, turns in ATTACKS.items()
    }
    for species, outcomes in accepted.items():
        rate = attacks[species]["iapar"]
        assert (rate["errors"], rate["trials"]) == (sum(outcomes), len(outcomes))
        assert attacks[species]["apcer"] is None
    assert sum(accepted["telephone"]) == 2
    assert found["attacks"]["overall"]["iapar"]["trials"] == 5
    assert (found["recordings"], found["acquisition"]["fta"]["trials"]) == (14, 9)


def test_a_detector_is_added_calibrated_and_judged_in_tandem_with_the_voice(
    people: Path, models: Path, home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "band.onnx").write_bytes(band_detector())
    ran = run("models", "add", "band.onnx", "--kind", "countermeasure", "--frontend", "waveform")
    assert ran.code == 0, ran.err
    assert "voiceid calibrate LIST --countermeasure band" in ran.err
    calibrate = ("calibrate", people, "--countermeasure", "band", "--target-bpcer", str(BPCER))
    assert run(*calibrate, "--use").code == 2
    assert run("calibrate", people, "--target-bpcer", "0.1").code == 2
    assert run(*calibrate[:-2]).code == 60  # nine clips do not support 1 %
    fit = run(*calibrate, "--json").json
    assert fit["threshold"]["bona_fide"] == 9
    assert (fit["bpcer"]["errors"], fit["bpcer"]["trials"]) == (3, 9)
    assert fit["apcer"]["telephone"]["errors"] == 0
    assert "APCER backwards" in run(*calibrate).out

    monkeypatch.setenv("VOICEID_COUNTERMEASURE", "band")
    soundfile.write(home / "unheard.wav", np.zeros(32_000), 16_000)
    with people.open("a", encoding="utf-8") as more:
        more.write("\nalice,unheard.wav,silence")
    gates = ("--max-apcer", "1", "--max-iapar", "1", "--max-bpcer", "0.2", "--max-t-dcf", "0.01")
    ran = run(*EVALUATE, "--json", *gates)
    assert ran.code == 59
    assert "the bpcer is 0.33333, above 0.2; the t-dcf is" in ran.err
    assert "the iapar cannot be measured" in ran.err
    assert "the apcer cannot be measured" in ran.err
    found = ran.json_lines[0]
    attacks = by_species(found)
    assert attacks["telephone"]["accepted_by_both"]["errors"] == 0
    assert attacks["telephone"]["iapar"]["errors"] == 2
    bpcer = found["attacks"]["bpcer"]
    assert (bpcer["errors"], bpcer["trials"]) == (3, 9)
    whole = found["attacks"]["overall"]
    at = found["verification"]["at_shipped_thresholds"]
    miss, fa, spoof = at["fnmr"]["rate"], at["fmr"]["rate"], whole["iapar"]["rate"]
    c0 = 0.9405 * miss + 10 * 0.0095 * fa
    c1, c2 = 0.9405 - c0, 10 * 0.05 * spoof  # as ASVspoof's plans write it
    cost = (c0 + c1 * bpcer["rate"] + c2 * whole["apcer"]["rate"]) / (c0 + min(c1, c2))
    assert whole["t_dcf"]["value"] == pytest.approx(cost)
    low, high = whole["t_dcf"]["bounds_95"]
    assert low <= cost <= high
    assert whole["t_dcf"]["least"] <= cost
    page = Path("report/report.html").read_text(encoding="utf-8")
    assert "<h2>Attacks</h2>" in page
    assert "countermeasure band" in page
    refused = run("verify", "alice", "telephone-alice-3.wav", "--json").json
    assert (refused["outcome"], refused["reason"]) == ("rejected", "presentation_attack")


@pytest.mark.parametrize("limit", ["nan", "inf", "-0.1"])
def test_a_gate_is_a_number_that_a_cost_can_exceed(home: Path, run: Runner, limit: str) -> None:
    assert run(*EVALUATE, "--max-t-dcf", limit).code == 2
