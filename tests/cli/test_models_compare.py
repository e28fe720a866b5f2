"""`voiceid models compare` and `quantize`: another form of an encoder, beside the first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import soundfile
from cli_running import Runner
from exports import conv_features_in


@pytest.fixture
def folders(home: Path, ami: Any) -> Path:
    """A folder a speaker."""
    folder = home / "recordings"
    for turn in ("alice-1", "alice-2", "alice-3", "bob-1", "bob-2", "carol-1"):
        (folder / turn.split("-")[0]).mkdir(parents=True, exist_ok=True)
        ami.cut(turn, folder / turn.split("-")[0] / f"{turn}.wav")
    return folder


def test_float32_and_int8_are_shown_side_by_side(folders: Path, run: Runner) -> None:
    ran = run("models", "compare", "campplus", "campplus-int8", folders)
    assert ran.code == 0, ran.err
    assert "times as fast as campplus" in ran.out
    assert "scores of 15 pairs" in ran.out
    assert "no EER: 4 pairs of one speaker and 11 of two, and 30 of each are needed" in ran.err
    found = run("models", "compare", "campplus", "campplus-int8", folders, "--json").json
    assert found["clips"] == 6
    assert found["pairs"] == 15
    assert found["rank_correlation"] > 0.8
    assert abs(found["mean_difference"]) < 0.05
    assert found["b"]["size_bytes"] < 0.6 * found["a"]["size_bytes"]
    assert found["speed_ratio"] == pytest.approx(
        found["b"]["real_time"] / found["a"]["real_time"], rel=1e-6
    )


def test_with_enough_pairs_there_are_error_rates(home: Path, run: Runner, ami: Any) -> None:
    for turn in ("alice-2", "alice-3", "bob-1", "bob-3"):
        speaker = home / "many" / turn.split("-")[0]
        speaker.mkdir(parents=True, exist_ok=True)
        samples = ami.samples(turn)
        for part in range(5):
            piece = samples[part * 10_000 : part * 10_000 + 34_000]
            soundfile.write(speaker / f"{turn}-{part}.wav", piece, 16_000)
    found = run("models", "compare", "campplus", "ge2e", home / "many", "--json").json
    assert found["no_eer"] == ""
    assert 0 <= found["a"]["eer"] <= 0.2
    assert 0 <= found["b"]["eer"] <= 0.5


def test_what_cannot_be_compared_is_reported(folders: Path, run: Runner) -> None:
    clip = folders / "alice" / "alice-1.wav"
    assert run("models", "compare", "campplus", "ge2e", clip).code == 27
    assert run("models", "compare", "campplus", "resnet", clip).code == 31
    assert run("models", "compare", "campplus", "silero-vad", clip).code == 31
    assert run("models", "compare", "campplus", "ge2e", "-").code == 2
    assert run("models", "compare", "campplus", "ge2e").code == 2


def test_campplus_is_quantized_without_recordings(
    models: Path, run: Runner, home: Path, ami: Any
) -> None:
    ran = run("models", "quantize", "campplus")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("campplus-int8  installed")
    assert "no threshold" not in ran.err
    assert not (models / "own").exists()
    clips = [ami.cut(turn, home / f"{turn}.wav") for turn in ("alice-2", "alice-4")]
    ran = run("compare", *clips, "--model", "campplus-int8", "--json")
    assert ran.json["outcome"] == "accepted"
    assert run("models", "remove", "campplus-int8").code == 0
    assert run("models", "pull", "campplus-int8").code == 0


def test_another_encoder_is_quantized_on_recordings(
    models: Path, folders: Path, run: Runner, home: Path
) -> None:
    file = home / "net.onnx"
    file.write_bytes(conv_features_in())
    assert run("models", "add", file, "--frontend", "kaldi-fbank-80").code == 0
    ran = run("models", "quantize", "net")
    assert ran.code == 30
    assert "voiceid models quantize net AUDIO..." in ran.err
    ran = run("models", "quantize", "net", folders, "--json")
    assert ran.json["name"] == "net-int8"
    assert not ran.json["has_threshold"]
    assert run("models", "verify", "net-int8").code == 0
    assert run("models", "quantize", "net", folders).code == 30  # the name is taken
    assert run("models", "quantize", "net-int8", folders, "--name", "x").code == 30
    assert run("models", "quantize", "silero-vad", folders, "--name", "x").code == 30
    assert run("models", "remove", "net-int8").code == 0
