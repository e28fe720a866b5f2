"""Groups, metadata, expiry, disabling: said, shown, and never overheard by a decision."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cli_running import Runner

PAST, FUTURE = "2020-01-31", "2099-01-31"


@pytest.fixture
def door(home: Path, ami) -> Path:
    """A clip of alice that was not enrolled."""
    return ami.cut("alice-4", home / "door.wav")


def test_enrolment_says_what_is_to_be_known(empty_home: Path, ami, run: Runner) -> None:
    clips = [ami.cut(turn, empty_home / f"{turn}.wav") for turn in ("alice-1", "alice-2")]
    said = ["--label", "Door", "--group", "staff", "--group", "Lobby"]
    said += ["--meta", "badge=4711", "--meta", "note=a = b", "--expires", FUTURE]
    assert run("enroll", "alice", *clips, *said).code == 0
    shown = run("speakers", "show", "alice", "--json").json
    assert shown["groups"] == ["lobby", "staff"]
    assert shown["metadata"] == {"badge": "4711", "note": "a = b"}
    assert shown["expires_at"] == "2099-02-01T00:00:00+00:00"
    assert shown["standing"] == "active"
    assert [sample["label"] for sample in shown["samples"]] == ["door", "door"]
    text = run("speakers", "show", "alice").out
    assert "active until 2099-02-01 00:00 UTC" in text
    assert "meta badge" in text
    assert "lobby, staff" in run("speakers", "list").out


@pytest.mark.parametrize(
    ("words", "twice"),
    [
        (["identify", "a.wav", "--threshold", "0.9", "--threshold", "0.3"], "--threshold"),
        (["identify", "a.wav", "--group", "vault", "--top", "2", "--group", "lobby"], "--group"),
        (["identify", "a.wav", "--model", "a", "--model", "b"], "--model"),
        (["--model", "a", "--model", "b", "identify", "a.wav"], "--model"),
        (["enroll", "alice", "a.wav", "--part", "0-5", "--part", "6-9"], "--part"),
        (["speakers", "edit", "alice", "--meta", "badge=1", "--meta", "badge=2"], "badge"),
        (["speakers", "edit", "alice", "--meta", "badge=1", "--no-meta", "badge"], "badge"),
    ],
)
def test_what_is_said_twice_is_refused(
    empty_home: Path, run: Runner, words: list[str], twice: str
) -> None:
    ran = run(*words)
    assert ran.code == 2
    assert f"{twice} is given twice" in ran.err or f"{twice} is both given" in ran.err
    assert run("-q", "speakers", "list", "--json", "-q", "--json").code == 0, "flags say no value"


def test_a_refused_enrolment_changes_nothing_that_is_known(home: Path, ami, run: Runner) -> None:
    bad = ami.cut("bob-3", home / "bob.wav")
    assert run("enroll", "alice", bad, "--group", "staff", "--expires", PAST).code == 40
    shown = run("speakers", "show", "alice", "--json").json
    assert (shown["groups"], shown["expires_at"]) == ([], None)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["disable", "alice"], "speaker_disabled"),
        (["edit", "alice", "--expires", PAST], "speaker_expired"),
    ],
)
def test_who_is_barred_is_never_accepted(
    door: Path, run: Runner, words: list[str], reason: str
) -> None:
    assert run("verify", "alice", door).code == 0
    assert run("speakers", *words).code == 0
    for ask in (["verify", "alice", door], ["identify", door]):
        ran = run(*ask, "--json", *(["--margin", "0"] * (ask[0] != "verify")))
        assert ran.code == 10
        assert (ran.json["outcome"], ran.json["reason"]) == ("rejected", reason)
        assert reason.removeprefix("speaker_") in run(*ask).out
    assert run("speakers", "enable", "alice").code == 0
    assert run("speakers", "edit", "alice", "--no-expiry").code in {0, 2}
    assert run("verify", "alice", door).code == 0


def test_an_expiry_takes_effect_by_itself(door: Path, run: Runner) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.1)
    assert run("speakers", "edit", "alice", "--expires", soon.isoformat()).code == 0
    time.sleep(0.2)
    assert run("verify", "alice", door).code == 10


def test_the_voice_of_somebody_disabled_still_competes(door: Path, run: Runner) -> None:
    """Else the disabled alice would be let in as the speaker who sounds most like her."""
    assert run("speakers", "disable", "alice").code == 0
    found = run("identify", door, "--json").json
    assert found["reason"] == "speaker_disabled"
    assert found["candidates"][0]["speaker"]["name"] == "alice"
    assert found["speaker"] is None


def test_only_the_group_is_asked(door: Path, run: Runner) -> None:
    assert run("speakers", "edit", "bob", "--group", "Lobby").code == 0
    found = run("identify", door, "--group", "lobby", "--json")
    assert found.code == 10
    assert (found.json["gallery_size"], found.json["group"]) == (1, "lobby")
    assert [c["speaker"]["name"] for c in found.json["candidates"]] == ["bob"]
    assert "1 enrolled in lobby" in run("identify", door, "--group", "LOBBY").out
    assert run("speakers", "edit", "alice", "--group", "lobby").code == 0
    found = run("identify", door, "--group", "lobby", "--json")
    assert (found.code, found.json["speaker"]["name"]) == (0, "alice")
    nobody = run("identify", door, "--group", "attic", "--json")
    assert (nobody.code, nobody.json["reason"]) == (10, "gallery_empty")
    assert "no speaker of the group attic" in nobody.json["detail"]
    assert run("identify", door, "--group", " ").code == 47


def test_what_was_said_can_be_taken_back(home: Path, run: Runner) -> None:
    edit = ["speakers", "edit", "alice"]
    assert run(*edit, "--group", "a", "--meta", "k=v", "--expires", FUTURE).code == 0
    ran = run(*edit, "--no-group", "A", "--no-meta", "k", "--no-expiry", "--json")
    assert ran.code == 0
    assert (ran.json["groups"], ran.json["metadata"], ran.json["expires_at"]) == ([], {}, None)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["--meta", "badge"], 2),
        (["--meta", "=x"], 2),
        (["--expires", "soon"], 47),
        (["--group", "a;b"], 47),
        (["--expires", FUTURE, "--no-expiry"], 47),
        (["--group", "a", "--no-group", "A"], 47),
    ],
)
def test_what_cannot_be_meant_is_refused(
    home: Path, run: Runner, words: list[str], code: int
) -> None:
    ran = run("speakers", "edit", "alice", *words)
    assert ran.code == code
    assert "hint:" in ran.err


def test_editing_a_missing_speaker_is_an_error(home: Path, run: Runner) -> None:
    for words in (["edit", "zoe", "--group", "a"], ["disable", "zoe"], ["enable", "zoe"]):
        assert run("speakers", *words).code == 41


def test_a_purge_erases_who_has_expired_and_no_others(home: Path, run: Runner) -> None:
    run("speakers", "edit", "alice", "--expires", PAST)
    run("speakers", "edit", "bob", "--expires", FUTURE)
    dry = run("speakers", "purge", "--expired", "--dry-run")
    assert (dry.code, dry.out) == (0, "expired  alice\n")
    assert run("speakers", "purge", "--expired").code == 2  # no person to ask
    assert run("speakers", "purge").code == 2
    done = run("speakers", "purge", "--expired", "--yes", "--json")
    assert [(d["erased"], d["speaker"]["name"]) for d in done.json_lines] == [(True, "alice")]
    assert [s["name"] for s in run("speakers", "list", "--json").json_lines] == ["bob"]
    assert "no speaker has expired" in run("speakers", "purge", "--expired", "--yes").err
    assert run("index", "status", "--json").json_lines[0]["vectors"] == 1


def test_a_list_says_it_in_its_columns(empty_home: Path, ami, run: Runner) -> None:
    for turn in ("alice-1", "alice-2", "bob-1", "bob-2"):
        ami.cut(turn, empty_home / f"{turn}.wav")
    (empty_home / "people.csv").write_text(
        "name,path,label,group,metadata,expires\n"
        f"alice,alice-1.wav,phone,staff;lobby,badge=1;floor=2,{FUTURE}\n"
        "Alice,alice-2.wav,,night,,\n"
        "bob,bob-1.wav,,,,\nbob,bob-2.wav,,,,\n",
        encoding="utf-8",
    )
    assert run("enroll", "--manifest", "people.csv").code == 0
    shown = run("speakers", "show", "alice", "--json").json
    assert shown["groups"] == ["lobby", "night", "staff"]
    assert shown["metadata"] == {"badge": "1", "floor": "2"}
    assert shown["expires_at"] == "2099-02-01T00:00:00+00:00"  # the day itself is included
    assert [sample["label"] for sample in shown["samples"]] == ["phone", ""]
    assert run("speakers", "show", "bob", "--json").json["groups"] == []
    # A second run embeds nothing again, and what is known follows the list.
    rows = [
        {"name": "bob", "path": "bob-1.wav", "group": ["attic"], "metadata": {"badge": "9"}},
        {"name": "bob", "path": "bob-2.wav", "label": None, "expires": PAST},
    ]
    lines = "\n".join(json.dumps(row) for row in rows)
    (empty_home / "people.jsonl").write_text(lines, encoding="utf-8")
    again = run("enroll", "--manifest", "people.jsonl", "--json")
    assert [report["status"] for report in again.json_lines] == ["unchanged"]
    shown = run("speakers", "show", "bob", "--json").json
    assert (shown["groups"], shown["metadata"]) == (["attic"], {"badge": "9"})
    assert shown["standing"] == "expired"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("alice,a.wav,l,g,badge,", "metadata 'badge' is not key=value"),
        ("alice,a.wav,l,g,,soon", "is not a date or time"),
        ("alice,a.wav,a;b,g,,", "cannot be a label"),
        (f"alice,a.wav,l,{'g' * 65},,", "cannot be a group"),
        (f"alice,a.wav,,,k=1,{PAST}\nAlice,b.wav,,,k=2,", "two values of 'k'"),
        (f"alice,a.wav,,,,{PAST}\nAlice,b.wav,,,,{FUTURE}", "two expiries"),
    ],
)
def test_a_list_that_contradicts_itself_enrols_no_speaker(
    empty_home: Path, run: Runner, line: str, told: str
) -> None:
    (empty_home / "people.csv").write_text(f"name,path,label,group,metadata,expires\n{line}\n")
    ran = run("enroll", "--manifest", "people.csv")
    assert ran.code == 45
    assert told in ran.err


def test_what_is_said_of_all_goes_with_folders_and_not_with_lists(
    empty_home: Path, ami, run: Runner
) -> None:
    (empty_home / "people" / "alice").mkdir(parents=True)
    ami.cut("alice-2", empty_home / "people" / "alice" / "a.wav")
    said = ["--label", "door", "--group", "lobby"]
    assert run("enroll", "--from-dir", "people", *said).code == 0
    shown = run("speakers", "show", "alice", "--json").json
    assert (shown["groups"], shown["samples"][0]["label"]) == (["lobby"], "door")
    (empty_home / "people.csv").write_text("name,path\nalice,people/alice/a.wav\n")
    assert run("enroll", "--manifest", "people.csv", "--label", "door").code == 2


def test_only_the_members_of_a_group_are_listed(home: Path, run: Runner) -> None:
    assert run("speakers", "edit", "bob", "--group", "Staff").code == 0
    listed = run("speakers", "list", "--group", "STAFF", "--json").json_lines
    assert [speaker["name"] for speaker in listed] == ["bob"]
    assert "alice" not in run("speakers", "list", "--group", "staff").out
    nobody = run("speakers", "list", "--group", "lobby")
    assert (nobody.code, nobody.out) == (0, "")
    assert "no speaker is in the group 'lobby'" in nobody.err
    assert run("speakers", "list", "--group", "a;b").code == 47


def test_a_limit_counts_the_members_of_the_group_only(home: Path, run: Runner) -> None:
    assert run("speakers", "edit", "bob", "--group", "staff").code == 0
    listed = run("speakers", "list", "--group", "staff", "--limit", "1", "--json").json_lines
    assert [speaker["name"] for speaker in listed] == ["bob"]


def test_columns_that_are_the_same_in_every_row_are_left_out(home: Path, run: Runner) -> None:
    header = run("speakers", "list").out.splitlines()[0].split("  ")
    assert "embedding spaces" not in [cell.strip() for cell in header]
    assert {"standing", "groups"}.isdisjoint(cell.strip() for cell in header)
    assert {"speaker", "samples", "net speech"} <= {cell.strip() for cell in header}
    assert run("speakers", "list", "--json").json_lines[0]["embedding_spaces"]
    for name in ("alice", "bob"):
        assert run("speakers", "disable", name).code == 0
    assert "disabled" in run("speakers", "list").out  # what is unusual stays
    samples = run("samples", "list", "alice").out.splitlines()[0]
    assert "embedding space" not in samples
    assert "warnings" not in samples


def test_an_expiry_that_is_past_is_said(home: Path, run: Runner) -> None:
    past = run("speakers", "edit", "alice", "--expires", "2020-01-31")
    assert past.code == 0
    assert "2020-01-31 is in the past: the speaker is never accepted" in past.err
    assert "past" not in run("speakers", "edit", "alice", "--expires", "2999-01-31").err
