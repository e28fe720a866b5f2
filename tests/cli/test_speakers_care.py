"""Merge, split, inspect, single samples, export and import: on real voices."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_running import Runner

from voiceid import VoiceID


@pytest.fixture
def clips(home: Path, ami) -> dict[str, Path]:
    """Clips that are not enrolled, by turn."""
    turns = ("alice-3", "alice-4", "bob-3", "carol-1", "carol-2")
    return {turn: ami.cut(turn, home / f"{turn}.wav") for turn in turns}


@pytest.fixture
def alise(clips: dict[str, Path], run: Runner) -> None:
    """Alice a second time, under another name."""
    assert run("enroll", "alise", clips["alice-3"], clips["alice-4"], "--force").code == 0


def samples(run: Runner, name: str) -> dict[str, int]:
    listed = run("samples", "list", name, "--json").json_lines
    return {sample["source_name"]: sample["id"] for sample in listed}


def test_the_sample_that_does_not_fit_is_named(clips: dict[str, Path], run: Runner) -> None:
    assert run("enroll", "alice", clips["bob-3"], "--force").code == 0
    found = run("speakers", "inspect", "alice", "--json").json
    assert [s["source_name"] for s in found["samples"] if s["outlier"]] == ["bob-3.wav"]
    assert len(found["scores"]) == 3
    for i, row in enumerate(found["scores"]):
        assert row[i] == pytest.approx(1.0, abs=1e-5)
        assert row == pytest.approx([other[i] for other in found["scores"]], abs=1e-5)
    assert found["scores"][0][1] > 0.5 > found["scores"][0][2]
    assert found["nearest"]["speaker"]["name"] == "bob"
    assert found["likeness"]["same_voice"] is False
    text = run("speakers", "inspect", "alice").out
    assert "bob-3.wav" in text
    assert "does not fit" in text
    assert "nearest  bob, two voices" in text


def test_a_speaker_whose_samples_agree_has_no_outlier(home: Path, run: Runner) -> None:
    found = run("speakers", "inspect", "alice", "--json").json
    assert [s["outlier"] for s in found["samples"]] == [False, False]
    assert run("speakers", "split", "alice", "new").code == 49
    assert run("speakers", "show", "new").code == 41


def test_the_outlier_goes_to_a_speaker_of_its_own(clips: dict[str, Path], run: Runner) -> None:
    run("enroll", "alice", clips["bob-3"], "--force")
    before = samples(run, "alice")
    dry = run("speakers", "split", "alice", "robert", "--dry-run")
    assert dry.code == 0
    assert "1 sample would go to robert" in dry.out
    assert samples(run, "alice") == before
    assert run("speakers", "split", "alice", "bob").code == 42
    assert run("speakers", "split", "alice", "robert").code == 0
    assert samples(run, "robert") == {"bob-3.wav": before["bob-3.wav"]}
    assert set(samples(run, "alice")) == {"alice-1.wav", "alice-2.wav"}
    assert run("database", "check").code == 0
    back = run("speakers", "merge", "bob", "robert", "--yes", "--json")
    assert back.code == 0
    assert back.json["likeness"]["same_voice"] is True
    assert back.json["merged"]["n_samples"] == 3


def test_samples_that_are_named_are_split_off(home: Path, run: Runner) -> None:
    first = samples(run, "alice")["alice-1.wav"]
    theirs = samples(run, "bob")["bob-1.wav"]
    assert run("speakers", "split", "alice", "new", "--sample", theirs).code == 48
    ids = [word for one in samples(run, "alice").values() for word in ("--sample", one)]
    assert run("speakers", "split", "alice", "new", *ids).code == 49
    assert run("speakers", "split", "alice", "new", "--sample", first).code == 0
    assert samples(run, "new") == {"alice-1.wav": first}


def test_one_person_under_two_names_becomes_one(
    alise: None, clips: dict[str, Path], run: Runner
) -> None:
    run("speakers", "edit", "alice", "--group", "lobby", "--meta", "badge=1")
    run("speakers", "edit", "alise", "--group", "staff", "--meta", "badge=2", "--meta", "floor=3")
    run("speakers", "edit", "alise", "--expires", "2099-01-31")
    dry = run("speakers", "merge", "alice", "alise", "--dry-run")
    assert dry.code == 0
    assert "one voice: score" in dry.out
    assert run("speakers", "show", "alise").code == 0
    assert run("speakers", "merge", "alice", "alise").code == 2  # no person to ask
    assert run("speakers", "merge", "alice", "alise", "--yes").code == 0
    shown = run("speakers", "show", "alice", "--json").json
    assert shown["n_samples"] == 4
    assert shown["groups"] == ["lobby", "staff"]
    assert shown["metadata"] == {"badge": "1", "floor": "3"}
    assert shown["expires_at"].startswith("2099-02-01")
    assert run("speakers", "show", "alise").code == 41
    found = run("identify", clips["alice-4"], "--json", "--allow-replayed")
    assert (found.code, found.json["gallery_size"]) == (0, 2)
    assert run("database", "check").code == 0
    assert run("index", "status", "--json").json_lines[0]["state"] == "current"


def test_who_was_disabled_under_one_name_is_so_under_both(alise: None, run: Runner) -> None:
    run("speakers", "disable", "alise")
    assert run("speakers", "merge", "alice", "alise", "--yes").code == 0
    assert run("speakers", "show", "alice", "--json").json["standing"] == "disabled"


def test_two_people_are_not_made_one_by_mistake(home: Path, run: Runner) -> None:
    ran = run("speakers", "merge", "alice", "bob", "--yes")
    assert ran.code == 49
    assert "are not one voice" in ran.err
    assert [s["n_samples"] for s in run("speakers", "list", "--json").json_lines] == [2, 2]
    assert run("speakers", "merge", "alice", "ALICE", "--yes").code == 49
    assert run("speakers", "merge", "alice", "zoe", "--yes").code == 41
    assert run("speakers", "merge", "alice", "bob", "--yes", "--force").code == 0
    assert run("speakers", "show", "alice", "--json").json["n_samples"] == 4


def test_a_recording_that_both_have_is_kept_once(home: Path, ami, run: Runner) -> None:
    assert run("speakers", "export", "a.jsonl", "alice").code == 0
    again = ami.cut("alice-2", home / "again.wav")
    run("speakers", "split", "alice", "alise", "--sample", samples(run, "alice")["alice-2.wav"])
    run("enroll", "alice", ami.cut("alice-3", home / "x.wav"), "--force")
    assert run("enroll", "alice", again, "--force").code == 40  # it is alise's
    assert run("speakers", "merge", "alice", "alise", "--yes", "--force").code == 0
    assert set(samples(run, "alice")) == {"alice-1.wav", "alice-2.wav", "x.wav"}


def test_a_sample_is_erased_and_the_last_one_stays(home: Path, run: Runner) -> None:
    ids = samples(run, "alice")
    assert run("samples", "remove", "alice", ids["alice-1.wav"]).code == 2
    assert run("samples", "remove", "alice", 10**6, "--yes").code == 48
    gone = run("samples", "remove", "alice", ids["alice-1.wav"], "--yes", "--json")
    assert [one["removed"]["source_name"] for one in gone.json_lines] == ["alice-1.wav"]
    assert set(samples(run, "alice")) == {"alice-2.wav"}
    last = run("samples", "remove", "alice", ids["alice-2.wav"], "--yes")
    assert last.code == 49
    assert "speakers remove" in last.err
    assert run("database", "check").code == 0
    assert run("samples", "list", "zoe").code == 41
    few = run("samples", "remove", "bob", samples(run, "bob")["bob-2.wav"], "--yes")
    assert (few.code, "are required" in few.err) == (0, True)


def test_a_gallery_moves_to_another_home(home: Path, clips: dict[str, Path], run: Runner) -> None:
    run("speakers", "disable", "bob")
    made = run("speakers", "export", "gallery.jsonl", "--json")
    assert (made.code, made.json["speakers"], made.json["samples"]) == (0, 2, 4)
    assert run("speakers", "export", "gallery.jsonl").code == 58
    swapped = run("speakers", "export", "alice", "bob")
    assert (swapped.code, Path("alice").exists()) == (2, False)
    assert "FILE comes first, then NAME; alice is a speaker" in swapped.err
    assert run("speakers", "import", "gallery.jsonl").code == 42
    there = ["--data", "elsewhere"]
    take = [*there, "speakers", "import", "gallery.jsonl"]
    assert run(*take).code == 76
    take += ["--signed-by", run("privacy", "key").out.strip()]
    assert run(*take, "--json").json["new_speakers"] == 2
    assert run(*take, "--append").code == 0
    here, moved = (
        run(*words, "identify", clips["alice-4"], "--json").json for words in ([], there)
    )
    assert moved["score"] == pytest.approx(here["score"], abs=1e-6)
    assert moved["candidates"][0]["speaker"]["name"] == "alice"
    assert run(*there, "verify", "bob", clips["bob-3"], "--json").json["reason"] == (
        "speaker_disabled"
    )
    other = run("--model", "ge2e", "--data", "third", "speakers", "import", "gallery.jsonl")
    assert other.code == 38
    (home / "bad.jsonl").write_bytes((home / "gallery.jsonl").read_bytes()[:-20])
    for name in ("bad.jsonl", "missing.jsonl", "."):
        assert run("--data", "third", "speakers", "import", name).code == 55


def test_speakers_of_a_sealed_gallery_are_listed_by_name(home: Path, run: Runner) -> None:
    assert run("keys", "gallery", "init").code == 0
    names = ["alice", "bob", "Carol", "dora", "Emil", "frida", "gus"]
    with VoiceID.open() as vid:
        for name in reversed(names[2:]):
            vid.speakers.add(name)
    listed = [one["name"] for one in run("speakers", "list", "--json").json_lines]
    assert listed == names
    pages = run("speakers", "list", "--limit", "3", "--json").json_lines
    pages += run("speakers", "list", "--after", pages[-1]["name"], "--json").json_lines
    assert sorted(one["name"] for one in pages) == sorted(names)
