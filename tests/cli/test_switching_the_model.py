"""`voiceid models switch`: what it prints, what it refuses, and what other commands say of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cli_running import Runner

from voiceid import VoiceID
from voiceid.domain import NewSample


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


def test_the_model_is_switched_from_the_comparison_to_the_end(
    kept: Path, run: Runner, ami: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = ami.cut("alice-4", kept / "door.wav")
    space = run("identify", door, "--json").json["embedding_space"]
    ran = run("models", "switch", "prepare", "campplus-int8")
    assert ran.code == 0, ran.err
    first, *rest = ran.out.splitlines()
    assert first.split() == ["model", "size", "speed", "EER"]
    assert "scores of 6 pairs" in ran.out
    assert "ready             campplus-" in ran.out
    assert "speakers          3: 2 with all samples, 0 with some, 1 must enrol again" in rest
    assert "must enrol again  carol" in rest
    assert "campplus is still used" in ran.err
    assert run("identify", door, "--json").json["embedding_space"] == space

    again = run(
        "models", "switch", "prepare", "campplus-int8"
    )  # it goes on, and is not compared again
    assert "scores of" not in again.out
    status = run("models", "switch", "status", "--json").json
    assert (status["state"], status["behind"], status["prepared"]) == ("ready", ["carol"], 4)

    refused = run("models", "switch", "commit")
    assert refused.code == 49
    assert "1 of 3 speakers would be left behind: carol" in refused.err
    switched = run("models", "switch", "commit", "--leave", "carol")
    assert switched.code == 0, switched.err
    assert switched.out.startswith("switched          campplus-")
    assert "set `model: campplus-int8`" in switched.err
    found = run("identify", door, "--json").json
    assert found["speaker"]["name"] == "alice"
    assert found["embedding_space"].startswith("campplus-int8-")

    monkeypatch.setenv("VOICEID_DECISION__THRESHOLD", "0.4")
    refused = run("identify", door)
    assert refused.code == 39
    assert f"the threshold of the settings was set for {space}" in refused.err
    by_call = run("identify", door, "--threshold", "0.4", "--json").json
    assert by_call["threshold_source"] == "set by hand in the call"
    monkeypatch.delenv("VOICEID_DECISION__THRESHOLD")

    shown = run("config", "show")
    assert "the gallery was switched from campplus to campplus-int8, which is used" in shown.err
    assert run("config", "show", "--json").json["model_in_use"] == "campplus-int8"
    examined = run("doctor")
    assert "warning  models      the gallery was switched from campplus to" in examined.out
    assert "card campplus-int8, FMR 0.1 %" in examined.out
    assert run("config", "show", "--model", "campplus-int8").err == ""

    assert run("models", "switch", "finish").code == 2
    done = run("models", "switch", "finish", "--yes")
    assert done.out == "finished  4 old samples removed\n"
    assert run("database", "check").code == 0


def test_the_comparison_is_in_the_json(kept: Path, run: Runner) -> None:
    found = run("models", "switch", "prepare", "campplus-int8", "--json").json
    assert found["state"] == "ready"
    assert (found["comparison"]["a"]["name"], found["comparison"]["clips"]) == ("campplus", 4)
    assert run("models", "switch", "cancel", "--json").json["state"] == "given up"
    assert run("models", "switch", "status", "--json").json == {"state": "none"}


def test_without_kept_audio_every_speaker_is_listed(home: Path, run: Runner) -> None:
    ran = run("models", "switch", "prepare", "campplus-int8")
    assert ran.code == 0, ran.err
    assert "the models cannot be compared" in ran.err
    assert "must enrol again  alice, bob" in ran.out
    assert run("models", "switch", "commit").code == 49
    assert run("models", "switch", "cancel").out.startswith("given up")
    assert run("models", "switch", "status").out == "none  the model was never switched\n"
    assert run("models", "switch", "cancel").code == 49
    assert run("models", "switch", "finish", "--yes").code == 49
    assert run("models", "switch", "prepare", "campplus").code == 49
    assert run("models", "switch", "prepare", "resnet").code == 31


def test_a_gallery_of_an_older_version_comes_over_without_audio(
    empty_home: Path, run: Runner, ami: Any
) -> None:
    clips = {
        name: [ami.cut(f"{name}-{i}", empty_home / f"{name}-{i}.wav") for i in (1, 2)]
        for name in ("alice", "bob")
    }
    with VoiceID.open() as vid:
        raw = vid.models.space.raw
        with vid._session.store.write() as writer:  # as older versions wrote it
            for name, files in clips.items():
                heard = [vid.models.hear(file) for file in files]
                old = [
                    replace(
                        one,
                        embedding=replace(vid.embed(file, raw=True), telephone=None),
                        quality=replace(one.quality, telephone=None),
                    )
                    for one, file in zip(heard, files, strict=True)
                ]
                new = [NewSample(one) for one in old]
                writer.samples.add(writer.speakers.add(name).id, raw, new)
    for recording in empty_home.glob("*.wav"):
        recording.unlink()
    door = ami.cut("alice-4", empty_home / "door.wav")
    assert run("verify", "alice", door).code == 38
    doctor = run("doctor")
    assert doctor.code != 0
    assert "voiceid models switch prepare campplus" in doctor.out
    ran = run("models", "switch", "prepare", "campplus")
    assert ran.code == 0, ran.err
    assert "speakers    2: 2 with all samples, 0 with some, 0 must enrol again" in ran.out
    assert run("models", "switch", "commit").code == 0
    brought = run("identify", door, "--json").json
    assert brought["speaker"]["name"] == "alice"
    assert run("verify", "bob", door).code == 10
    assert run("models", "switch", "finish", "--yes").out == "finished  4 old samples removed\n"
    assert run("database", "check").code == 0
    assert run("models", "switch", "prepare", "campplus").code == 49

    files = [ami.cut(f"alice-{i}", empty_home / f"alice-{i}.wav") for i in (1, 2)]
    assert run("--data", "new", "enroll", "alice", *files).code == 0
    enrolled = run("--data", "new", "identify", door, "--json").json
    for number in ("score", "threshold", "llr"):
        assert brought[number] == pytest.approx(enrolled[number], abs=1e-4)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["status", "--leave", "carol"],
        ["prepare"],
        ["prepare", "ge2e", "--leave-all"],
        ["cancel", "--yes"],
        ["finish"],
    ],
    ids=" ".join,
)
def test_what_does_not_go_together_is_a_usage_error(
    empty_home: Path, run: Runner, words: list[str]
) -> None:
    assert run("models", "switch", *words, stdin=b"").code == 2
    assert not (empty_home / "data").exists()
