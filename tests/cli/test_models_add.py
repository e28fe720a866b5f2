"""`voiceid models add`: a network from a file becomes a model that every command takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import soundfile
from cli_running import Runner
from exports import THREE_D_SPEAKER, campplus_features_in, pooled, redimnet_like


def test_an_export_of_campplus_is_added_used_and_removed(
    models: Path, home: Path, run: Runner, ami: Any
) -> None:
    meta = {**THREE_D_SPEAKER, "output_dim": "192"}
    file = home / "Cam.onnx"
    file.write_bytes(campplus_features_in(models / "campplus.onnx", meta))
    ran = run("models", "add", file, "--frontend", "kaldi-fbank-80")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("added  cam\n")
    assert "no threshold yet" in ran.err
    clip = ami.cut("alice-3", home / "clip.wav")
    own = run("embed", clip, "--raw", "--json").json  # what is added has no compensation
    added = run("embed", clip, "--model", "cam", "--json").json
    cosine = sum(a * b for a, b in zip(own["embedding"], added["embedding"], strict=True))
    assert cosine > 0.999999
    assert own["embedding_space"] != added["embedding_space"]
    assert run("models", "verify", "cam").code == 0
    assert run("models", "show", "cam", "--json").json["source"]["file"] == "Cam.onnx"
    ran = run("compare", clip, clip, "--model", "cam")
    assert ran.code == 39
    assert "voiceid calibrate" in ran.err
    ran = run("models", "pull", "cam", "--force")
    assert ran.code == 32
    assert "--from Cam.onnx" in ran.err
    assert run("models", "remove", "cam").code == 0
    assert run("models", "show", "cam").code == 31
    assert not list(models.rglob("cam.*"))


def test_an_export_of_redimnet2_is_added_in_one_command_and_hears_a_clip(
    models: Path, home: Path, run: Runner, ami: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home / "b6-vb2+vox2_v0-lm.onnx"
    file.write_bytes(redimnet_like())
    add = ("models", "add", file, "--frontend", "redimnet-mel-72")
    ran = run(*add)
    assert ran.code == 30  # a plus is in no model's name
    assert "--name" in ran.err
    ran = run(*add, "--name", "redimnet2-b6", "--license", "MIT")
    assert ran.code == 0, ran.err
    assert "redimnet-mel-72 v1, 1 to 30 s at once" in ran.out
    clip = ami.cut("alice-3", home / "clip.wav")
    assert len(run("embed", clip, "--model", "redimnet2-b6", "--json").json["embedding"]) == 192
    soundfile.write(home / "short.wav", ami.samples("alice-3")[8000:20_000], 16_000)
    monkeypatch.setenv("VOICEID_QUALITY__MIN_NET_SPEECH_S", "0.3")
    ran = run("embed", home / "short.wav", "--model", "redimnet2-b6")
    assert ran.code == 27
    assert "an embedding needs 1 s" in ran.err
    assert run("embed", home / "short.wav").code == 0  # campplus takes less
    assert run("models", "remove", "redimnet2-b6").code == 0


def test_what_cannot_be_added_is_reported_and_changes_nothing(
    models: Path, home: Path, run: Runner
) -> None:
    before = sorted(models.iterdir())
    file = home / "net.onnx"
    file.write_bytes(pooled().SerializeToString())
    add = ("models", "add", file, "--frontend", "kaldi-fbank-80")
    ran = run(*add)
    assert ran.code == 35
    assert "--framework" in ran.err
    assert run(*add, "--framework", "wespeaker", "--name", "campplus").code == 30
    assert run(*add, "--framework", "wespeaker", "--name", "../net").code == 30
    assert run("models", "add", home / "none.onnx", "--frontend", "waveform").code == 35
    assert run("models", "add", file).code == 2
    assert run("models", "add", file, "--frontend", "mfcc").code == 2
    assert sorted(models.iterdir()) == before
    ran = run(*add, "--framework", "wespeaker", "--json")
    assert ran.json["frontend"] == "kaldi-fbank-80 v1, hamming window, mean removed, 16-bit samples"
