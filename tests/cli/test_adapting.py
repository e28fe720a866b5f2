"""``voiceid adapt`` and ``adaptations``, on real speech."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from cli_running import Runner

from examples.ami import clean_turns
from voiceid import Embedding, QualityReport, Utterance, VoiceID
from voiceid.domain import NewSample
from voiceid.errors import FitRefused
from voiceid.resources import adaptations

PIECE_S = 1.6


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Turns of AMI meetings in pieces of 1.6 s, and a manifest of who speaks in them."""
    folder = tmp_path_factory.mktemp("pieces")
    lines = ["speaker,path"]
    for turn in clean_turns(min_duration_s=PIECE_S):
        samples, rate = turn.samples()
        for piece in np.array_split(samples, int(len(samples) / rate / PIECE_S)):
            name = f"{len(lines)}.flac"
            soundfile.write(folder / name, piece, rate)
            lines.append(f"{turn.speaker},{name}")
    (folder / "site.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def known(home: Path) -> VoiceID:
    """Thirty enrolled voices that a site moves: random ones, in the clothes of the model's."""
    rng = np.random.default_rng(8)
    with VoiceID.open() as vid:
        space = vid.models.space
        shift, nuisance = 0.12 * rng.standard_normal((2, space.dim))
        with vid._session.store.write() as writer:
            for number in range(30):
                voice = rng.standard_normal(space.dim) / np.sqrt(space.dim)
                speaker = writer.speakers.add(f"person {number}")
                new = []
                for take in range(4):
                    noise = 0.05 * rng.standard_normal(space.dim)
                    vector = voice + shift + rng.normal() * nuisance + noise
                    vector = (vector / np.linalg.norm(vector)).astype(np.float32)
                    clip = f"{number}-{take}"
                    digest = hashlib.sha256(clip.encode()).hexdigest()
                    quality = QualityReport(4.0, 3.0, 30.0, 0.0, 7000.0, 16_000, -20.0)
                    new.append(
                        NewSample(Utterance(clip, digest, quality, Embedding(vector, space)))
                    )
                writer.samples.add(speaker.id, space, new)
        yield vid


def changes(home: Path) -> list[tuple[str, int | None]]:
    """Return the kinds and numbers of the changes in the log."""
    lines = (home / "data" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines]
    return [(one["kind"], one["number"]) for one in events if one["event"] == "change"]


def test_what_helps_speakers_it_has_not_heard_decides_and_can_be_taken_back(
    known: VoiceID, home: Path, run: Runner, ami: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_LOG__FILE", "data/log.jsonl")
    door = ami.cut("alice-4", home / "door.wav")
    before = run("identify", door, "--json").json
    assert before["speaker"]["name"] == "alice"
    dry = run("adapt", "--dry-run", "--target-fmr", "0.01", "--json")
    assert (dry.code, dry.json["adopted"], dry.json["adaptation"]) == (0, True, None)
    assert run("adaptations", "list", "--json").out == ""
    ran = run("adapt", "--target-fmr", "0.01", "--json")
    assert ran.code == 0, ran.err
    adaptation, calibration = ran.json["adaptation"], ran.json["calibration"]
    assert adaptation["source"] == "the enrolled"
    [none, *rivals] = ran.json["held_out"]["measured"]
    [chosen] = [one for one in rivals if one["candidate"] == ran.json["held_out"]["chosen"]]
    assert chosen["eer"] <= none["eer"]
    assert chosen["gain_lower"] > 0.0
    assert calibration["space_id"] == adaptation["adapted_space"] != before["embedding_space"]
    monkeypatch.setenv("VOICEID_DECISION__THRESHOLD", "0.4")
    for ask in (["identify", door], ["verify", "alice", door]):
        refused = run(*ask)
        assert refused.code == 39
        assert "the threshold of the settings was set for campplus-" in refused.err
        by_call = run(*ask, "--threshold", "0.4", "--json").json
        assert by_call["threshold_source"] == "set by hand in the call"
    monkeypatch.delenv("VOICEID_DECISION__THRESHOLD")
    found = run("identify", door, "--json").json
    assert found["embedding_space"] == adaptation["adapted_space"]
    assert found["gallery_size"] == before["gallery_size"], "everybody is there"
    assert found["candidates"][0]["speaker"]["name"] == "alice"
    assert found["calibration"] == calibration["id"]
    for ask in (["verify", "alice", door], ["compare", door, door]):
        assert run(*ask, "--json").json["embedding_space"] == adaptation["adapted_space"]
    assert run("database", "check").code == 0
    assert run("adaptations", "remove", str(adaptation["id"])).code == 49
    assert f"calibration {calibration['id']} of" in run("doctor").out
    left = run("calibrations", "use", "none")
    assert "no speaker is accepted" in left.out
    assert run("verify", "alice", door).code == 39
    assert run("doctor").code == 46
    assert run("calibrations", "use", str(calibration["id"])).code == 0
    assert run("adaptations", "use", "none").code == 0
    after = run("identify", door, "--json").json
    same = ("outcome", "speaker", "score", "threshold", "embedding_space", "candidates")
    assert [after[key] for key in same] == [before[key] for key in same]
    assert run("adaptations", "use", str(adaptation["id"])).code == 0
    again = run("identify", door, "--json").json
    assert (again["score"], again["threshold"]) == (found["score"], found["threshold"])
    assert run("adaptations", "use", "none").code == 0
    assert run("adaptations", "remove", str(adaptation["id"])).code == 0
    assert run("calibrations", "list", "--json").out == ""
    assert changes(home) == [
        ("adapt", adaptation["id"]),
        ("use_calibration", None),
        ("use_calibration", calibration["id"]),
        ("use_adaptation", None),
        ("use_adaptation", adaptation["id"]),
        ("use_adaptation", None),
        ("remove_adaptation", adaptation["id"]),
    ]


def test_a_receipt_names_what_was_learned_from_the_person(
    known: VoiceID, home: Path, run: Runner, ami: Any
) -> None:
    fits = run("adapt", "--target-fmr", "0.01", "--json").json
    fits = [(kind, fits[kind]["id"]) for kind in ("adaptation", "calibration")]
    run("enroll", "later", ami.cut("bob-3", home / "later.wav"), "--force")
    for name, learned in [("person 3", fits), ("later", [])]:
        facts = run("privacy", "erase", name, "--yes", "--json").json["receipt"]["learned"]
        assert [(one["kind"], one["number"]) for one in facts] == learned
        assert all(
            (one["known"], one["speakers"], one["rule"]) == (True, 32, "kept") for one in facts
        )
    run("adaptations", "use", "none")
    assert run("adaptations", "remove", str(fits[0][1])).code == 0
    with known._session.store.read() as reader:
        assert reader.learned.all() == {}


@pytest.mark.parametrize("gone", ["erased", "merged", "a sample removed"])
def test_nothing_is_learned_from_a_person_who_goes_meanwhile(
    known: VoiceID, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(labelled: Any, source: str) -> Any:
        with VoiceID.open() as other:
            if gone == "erased":
                other.privacy.erase("person 3")
            elif gone == "merged":
                other.speakers.merge("person 4", "person 3", force=True)
            else:
                other.samples.remove("person 3", [other.samples.list("person 3")[0].id])
        return chosen(labelled, source)

    chosen = adaptations._choose
    monkeypatch.setattr(adaptations, "_choose", choose)
    with pytest.raises(FitRefused, match="removed or moved while"):
        known.adaptations.fit(cache=None, source="the enrolled", target_fmr=0.01)
    assert known.adaptations.list() == []
    monkeypatch.setattr(adaptations, "_choose", chosen)
    known.adaptations.fit(cache=None, source="the enrolled", target_fmr=0.01)


def test_a_run_learns_again_without_those_who_are_gone(
    known: VoiceID, home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = run("adapt", "--target-fmr", "0.01", "--json").json["adaptation"]
    monkeypatch.setenv("VOICEID_PRIVACY__LEARN_AGAIN", "true")
    assert run("privacy", "run", "--yes").code == 0
    assert [json.loads(run("adaptations", "list", "--json").out)["id"]] == [old["id"]]
    receipt = run("privacy", "erase", "person 3", "--yes", "--json").json["receipt"]
    assert {one["rule"] for one in receipt["learned"]} == {"learned again"}
    assert "the next run of retention" in receipt["of_learned"]
    ran = run("privacy", "run", "--yes")
    assert f"adaptation {old['id']} was removed: speakers" in ran.err, ran
    new = json.loads(run("adaptations", "list", "--json").out)
    assert (new["id"] > old["id"], new["in_use"], new["source"]) == (True, True, "the enrolled")
    [calibration] = known.calibrations.list()
    assert (calibration.space_id, calibration.target_fmr) == (new["adapted_space"], 0.01)
    for speaker in known.speakers.list()[2:]:  # too few are left to learn from
        known.speakers.remove(speaker.name)
    assert run("privacy", "run", "--yes").code == 0
    assert run("adaptations", "list", "--json").out == ""
    assert run("database", "check").code == 0


def test_what_does_not_surely_help_is_not_adopted_and_changes_nothing(
    home: Path, run: Runner, ami: Any
) -> None:
    rng = np.random.default_rng(8)
    with VoiceID.open() as vid:
        space = vid.models.space
        with vid._session.store.write() as writer:
            for number in range(12):
                speaker = writer.speakers.add(f"person {number}")
                for take in range(2):
                    vector = rng.standard_normal(space.dim)
                    vector = (vector / np.linalg.norm(vector)).astype(np.float32)
                    digest = hashlib.sha256(f"{number}-{take}".encode()).hexdigest()
                    quality = QualityReport(4.0, 3.0, 30.0, 0.0, 7000.0, 16_000, -20.0)
                    heard = Utterance("x", digest, quality, Embedding(vector, space))
                    writer.samples.add(speaker.id, space, [NewSample(heard)])
    ran = run("adapt", "--target-fmr", "0.02", "--json")
    assert ran.code == 60
    assert not json.loads(ran.out.splitlines()[0])["adopted"]
    assert run("adaptations", "list", "--json").out == ""
    assert run("calibrations", "list", "--json").out == ""
    door = ami.cut("alice-4", home / "door.wav")
    assert run("verify", "alice", door, "--json").json["calibration"] is None


def test_too_few_people_are_refused_with_the_number(home: Path, run: Runner) -> None:
    ran = run("adapt")
    assert ran.code == 60
    assert "5 are needed" in ran.err


def test_an_adaptation_that_is_not_there_is_an_error_of_its_own(home: Path, run: Runner) -> None:
    for words in (["adaptations", "use", "9"], ["adaptations", "remove", "9"]):
        assert run(*words).code == 61
    assert run("adaptations", "use", "none").code == 0
