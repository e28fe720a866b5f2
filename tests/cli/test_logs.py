"""Where events go: nowhere unless asked, standard error, or a file that loses none."""

from __future__ import annotations

import json
import logging
import os
import re
import stat
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from cli_running import Runner, environment
from worker_forks import program


@pytest.fixture
def door(home: Path, ami: Any) -> Path:
    return ami.cut("alice-4", home / "door.wav")


@pytest.fixture
def log(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOICEID_LOG__FILE", "data/logs/voiceid.jsonl")
    return home / "data" / "logs" / "voiceid.jsonl"


def events(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def test_there_is_no_log_unless_one_is_asked_for(door: Path, run: Runner) -> None:
    level = logging.getLogger("voiceid").level  # a service of another test may have set it
    before = run("verify", "alice", door)
    assert before.err == ""
    assert run("verify", "alice", door, "--log", "off").err == ""
    assert sorted(path.name for path in door.parent.iterdir()) == ["data", "door.wav"]
    asked = run("verify", "alice", door, "--log", "human")
    assert re.sub(r"\d+ ms", "", asked.out) == re.sub(r"\d+ ms", "", before.out)
    assert run("verify", "alice", door).err == "", "the log ended with its command"
    assert logging.getLogger("voiceid").level == level


def test_for_people_an_event_is_a_line_of_words(door: Path, run: Runner) -> None:
    ran = run("verify", "bob", door, "--log", "human", "-q")
    [line] = ran.err.splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO decision task=verify outcome=rejected"
        r" reason=below_threshold speaker=bob speaker_id=2 score=-0\.\d+"
        r" threshold=0\.47 llr=-\d+\.\d+"
        r" net_speech_s=6\.\d+ gallery_size=1 space=campplus-\w{12} elapsed_ms=[\d.]+",
        line,
    )


def test_json_on_standard_error_leaves_the_result_alone(door: Path, run: Runner) -> None:
    ran = run("identify", door, door.parent / "none.wav", "--log", "json", "--json")
    assert [line.get("outcome", line.get("error")) for line in ran.json_lines] == [
        "accepted",
        "AudioNotFound",
    ]
    told = [json.loads(line) for line in ran.err.splitlines()]
    assert {one["event"] for one in told} == {"decision", "error"}
    assert all(one["command"] == "identify" for one in told)


def test_the_settings_may_ask_for_it_and_yaml_may_read_off_as_false(
    door: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    (door.parent / "config.yaml").write_text("log: {format: json}\n")
    assert json.loads(run("verify", "alice", door).err)["event"] == "decision"
    (door.parent / "config.yaml").write_text("log: {format: off}\n")
    assert run("verify", "alice", door).err == ""
    monkeypatch.setenv("VOICEID_LOG__FORMAT", "xml")
    ran = run("verify", "alice", door)
    assert ran.code == 21
    assert "log.format" in ran.err


def test_the_file_is_its_owners_alone_and_is_appended_to(
    door: Path, log: Path, run: Runner
) -> None:
    run("verify", "alice", door)
    run("speakers", "rename", "bob", "Zoë Ωmega")
    run("verify", "alise", door)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700
    decided, changed, failed = events(log)
    assert (decided["outcome"], decided["speaker"], decided["pid"]) == (
        "accepted",
        "alice",
        os.getpid(),
    )
    assert (changed["command"], changed["speaker"], changed["other"]) == (
        "speakers rename",
        "Zoë Ωmega",
        "bob",
    )
    assert (failed["error"], failed["exit_code"], failed["level"]) == (
        "SpeakerNotFound",
        41,
        "warning",
    )
    assert "alise" not in log.read_text(encoding="utf-8")


def test_processes_that_write_at_once_tear_no_line(door: Path, log: Path) -> None:
    identify = "import sys; from voiceid.cli import main; print(main(sys.argv[1:]))"
    with ExitStack() as stack:
        workers = [
            stack.enter_context(program(identify, "identify", *[door] * 5)) for _ in range(3)
        ]
        ended = [worker.communicate() for worker in workers]
    assert [(said.split()[-1], errors) for said, errors in ended] == [("0", "")] * 3
    found = events(log)
    assert len(found) == 15
    assert len({one["pid"] for one in found}) == 3


def test_a_decision_that_cannot_be_recorded_is_none(
    door: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_LOG__FILE", "/dev/full")
    ran = run("verify", "alice", door)
    assert (ran.code, ran.out) == (20, "")
    assert (
        "/dev/full cannot be written: No space left on device; no speaker was accepted" in ran.err
    )
    assert run("identify", door, door, "--json").code == 20
    assert run("verify", "alice", door.parent / "none.wav").code == 23, "the error, as without it"
    renamed = run("speakers", "rename", "bob", "robert")
    assert renamed.code == 20
    assert "the change was made" in renamed.err
    assert run("speakers", "list").code == 0, "nothing to record"
    assert "robert" in run("speakers", "list").out


def test_a_file_that_cannot_be_opened_is_reported_before_anything_is_done(
    door: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_LOG__FILE", str(door / "log.jsonl"))
    ran = run("speakers", "remove", "bob", "--yes")
    assert ran.code == 21
    assert "nothing was done" in ran.err
    monkeypatch.delenv("VOICEID_LOG__FILE")
    assert "bob" in run("speakers", "list").out


def test_settings_may_name_a_file_below_the_data_folder_alone(
    door: Path, run: Runner, tmp_path: Path
) -> None:
    outside = tmp_path / "of_another"
    outside.mkdir()
    (door.parent / "data" / "linked").symlink_to(outside)
    for name in (outside / "log", "log", "data/../log", "data/linked/log", "~/log"):
        (door.parent / "config.yaml").write_text(f"log: {{file: {name}}}\n")
        ran = run("verify", "alice", door)
        assert (ran.code, ran.out) == (21, "")
        assert "not below the data folder" in ran.err
    assert list(outside.iterdir()) == []
    (door.parent / "config.yaml").write_text("log: {file: data/logs/log}\n")
    assert run("verify", "alice", door).code == 0
    assert len(events(door.parent / "data" / "logs" / "log")) == 1


def test_a_relative_path_of_the_environment_is_held_to_the_data_folder_too(
    door: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_LOG__FILE", "log.jsonl")
    assert run("verify", "alice", door).code == 21
    monkeypatch.setenv("VOICEID_LOG__FILE", str(door.parent / "log.jsonl"))
    assert run("verify", "alice", door).code == 0
    assert len(events(door.parent / "log.jsonl")) == 1


def test_a_link_or_a_pipe_is_no_log(door: Path, log: Path, run: Runner, tmp_path: Path) -> None:
    log.parent.mkdir()
    (tmp_path / "other").write_text("kept\n")
    log.symlink_to(tmp_path / "other")
    ran = run("verify", "alice", door)
    assert (ran.code, ran.out) == (21, "")
    assert "symbolic link" in ran.err
    assert (tmp_path / "other").read_text() == "kept\n"
    log.unlink()
    os.mkfifo(log)
    assert "it is not a file" in run("verify", "alice", door).err


def test_a_disk_that_fills_up_within_a_line_spoils_no_other(
    door: Path, log: Path, run: Runner
) -> None:
    room = 256 * 1024
    log.parent.mkdir()
    line = json.dumps({"event": "old"}) + "\n"
    log.write_text(line * ((room - 100) // len(line)))
    n_old = len(log.read_text().splitlines())
    command = f"ulimit -f 256; exec {sys.executable} -m voiceid verify alice {door}"
    ran = subprocess.run(
        ["bash", "-c", command], env=environment(), capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (20, "")
    assert "no speaker was accepted" in ran.stderr
    assert run("verify", "alice", door).code == 0
    cut, last = log.read_text(encoding="utf-8").splitlines()[n_old:]
    assert cut.startswith('{"time": ')
    assert len(cut) < 200
    assert json.loads(last)["event"] == "decision"


def test_the_log_of_a_sealed_gallery_names_nobody_and_is_found_again(
    door: Path, log: Path, ami: Any, run: Runner
) -> None:
    assert run("verify", "alice", door).code == 0
    said = run("keys", "gallery", "init")
    assert str(log) in said.err, "alice is still in it"
    assert str(log) in run("keys", "gallery", "status", "--json").json["older_copies"]
    log.unlink()
    carol = [ami.cut(f"carol-{i}", door.parent / f"carol-secret-{i}.wav") for i in (1, 2)]
    shown = []
    for words in (
        ("enroll", "carol", *carol),
        ("identify", door),
        ("verify", "alice", door, "--attempts", "gate"),
        *[("verify", "alice", carol[0], "--attempts", "gate")] * 5,
        ("verify", "not-enrolled", door),
        ("identify", "carol-secret-none.wav"),
        ("speakers", "rename", "carol", "caroline"),
        ("speakers", "merge", "alice", "bob", "--yes", "--force"),
        ("attempts", "unlock", "alice"),
        ("speakers", "export", "out-of-carol", "--plain"),
        ("speakers", "remove", "caroline", "--yes"),
    ):
        before = log.read_bytes() if log.exists() else b""
        shown.append(run(*words, "--log", "human", "-q").err)
        assert len(log.read_bytes()) > len(before), words
    content = (
        log.read_bytes()
        + "\n".join(
            line
            for text in shown
            for line in text.splitlines()
            if " INFO " in line or " WARN" in line
        ).encode()
    )
    for name in (b"alice", b"bob", b"carol", b"not-enrolled", b"secret", b".wav"):
        assert name not in content.lower(), name
    kinds = {one.get("kind") for one in events(log)}
    assert {"enroll", "rename", "merge", "lock", "unlock", "export", "remove"} <= kinds
    uses = run("privacy", "report", "alice", "--json").json["uses"]["events"]
    assert {one.get("outcome") for one in uses} >= {"accepted", "rejected"}
    assert run("keys", "gallery", "status", "--json").json["older_copies"] == []
