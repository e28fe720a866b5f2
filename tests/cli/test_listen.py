"""Live sound, from the command line: the lines, the JSON, the program that is run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_running import environment

RATE = 16_000


@pytest.fixture
def talk(home: Path, ami) -> Path:
    """Alice, and then the stranger."""
    gap = np.full(RATE, 1e-4, np.float32)
    path = home / "a talk.wav"
    parts = [gap, ami.samples("alice-4"), gap, ami.samples("stranger"), gap]
    soundfile.write(path, np.concatenate(parts), RATE)
    return path


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_each_event_is_a_line(run, talk: Path) -> None:
    ran = run("listen", talk)
    assert (ran.code, ran.err) == (0, "")
    lines = [line.split(maxsplit=3) for line in ran.out.splitlines()]
    assert [line[2].rstrip(":") for line in lines] == ["1"] * 4 + ["2"] * 4
    decided = [line[3] for line in lines if " ms behind" in line[3]]
    assert decided[0].startswith("accepted  alice  score 0.")
    assert decided[1].startswith("rejected  unknown  score ")
    assert lines[-1][3] == "rejected  unknown"


def test_a_warning_is_said_once_while_it_holds(run, home: Path, ami) -> None:
    turn = np.append(np.clip(30 * ami.samples("alice-4"), -1, 1), np.full(RATE, 1e-4, np.float32))
    soundfile.write(home / "loud.wav", np.concatenate([turn, turn]), RATE)
    ran = run("listen", "loud.wav")
    assert ran.err.count("warning: clipped: ") == 1
    assert ran.out.count(": accepted") == 2


def test_all_parts_of_a_turn_in_which_several_speak_are_said_once(run, home: Path, ami) -> None:
    both = np.concatenate([ami.samples("alice-4"), ami.samples("stranger")])
    soundfile.write(home / "both.wav", both, RATE)
    out = run("listen", "both.wav", "--challenge").out
    assert "several people speak  0." in out
    assert ("voice 1" in out, "voice 2" in out) == (True, True)


def test_each_event_is_an_object_with_json(run, talk: Path) -> None:
    events = run("listen", talk, "--json", "--verify", "alice", "--threshold", "0.4").json_lines
    kinds = {"speech_started", "decision", "speech_ended", "turn"}
    assert {event["kind"] for event in events} == kinds
    decided = [event for event in events if event["kind"] == "decision"]
    assert [event["decision"]["outcome"] for event in decided] == ["accepted", "rejected"]
    assert decided[0]["decision"]["threshold_source"] == "set by hand in the call"
    assert decided[0]["since_start_s"] == pytest.approx(
        decided[0]["at_s"] - decided[0]["start_s"], abs=0.02
    )
    assert decided[0]["delay_ms"] > 0.0


def test_turns_of_a_caller_are_counted_and_a_lock_ends_the_listening(run, talk: Path) -> None:
    words = ["listen", talk, "--verify", "bob", "--attempts", "a line", "--json"]
    assert run(*words).code == 0  # two turns, neither of them bob's
    assert [one["failures"] for one in run("attempts", "list", "--json").json_lines] == [2, 2]
    ran = [run(*words) for _ in range(2)]
    assert [one.code for one in ran] == [0, 67]
    assert run("listen", talk, "--attempts", "a line").code == 2


def test_a_program_gets_each_decision_and_no_shell_sees_it(run, talk: Path) -> None:
    text = "import sys; open('got', 'ab').write(sys.stdin.buffer.read() + b'\\n')"
    given = program(talk.parent / "a $(touch hacked) door", text)
    assert run("listen", talk, "--command", given).code == 0
    got = [json.loads(line) for line in Path("got").read_text().splitlines()]
    assert [event["decision"]["outcome"] for event in got] == ["accepted", "rejected"]
    assert not Path("hacked").exists()


def test_a_program_that_fails_is_said_and_listening_goes_on(run, talk: Path) -> None:
    ran = run("listen", talk, "--command", program(talk.parent / "bad", "raise SystemExit(3)"))
    assert ran.code == 0
    assert ran.err.count("exited with 3") == 2
    assert "rejected  unknown" in ran.out


def test_a_program_that_cannot_be_run_is_an_error_before_anything_is_heard(run, talk) -> None:
    ran = run("listen", talk, "--command", talk)
    assert (ran.code, ran.out) == (21, "")
    assert "is not executable" in ran.err


@pytest.mark.parametrize(
    ("source", "code", "text"),
    [
        ("file:///etc/passwd", 21, "addresses of file are not supported"),
        ("none.wav", 23, "no file"),
        ("rtsp://user:secret@127.0.0.1:9/x", 24, "Connection refused"),
    ],
)
def test_what_cannot_be_heard_is_an_error(
    run, home: Path, source: str, code: int, text: str
) -> None:
    ran = run("listen", source)
    assert (ran.code, ran.out) == (code, "")
    assert text in ran.err
    assert "secret" not in ran.err


def test_raw_samples_from_a_program_are_heard_as_they_come_until_it_is_stopped(
    talk: Path, ami
) -> None:
    words = [sys.executable, "-m", "voiceid", "listen", "-", "--format", "sln16", "--json"]
    listening = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), cwd=talk.parent
    )
    pcm = (ami.samples("alice-4") * 32767).astype("<i2").tobytes()
    listening.stdin.write(pcm)
    listening.stdin.flush()
    kinds = []
    while "decision" not in kinds:  # the pipe stays open: it is not waited for its end
        kinds.append(json.loads(listening.stdout.readline())["kind"])
    time.sleep(1.5)  # until all that was written was heard, and it waits for more
    listening.send_signal(signal.SIGINT)
    assert listening.wait(20) == 130
    listening.stdin.close()
    listening.stdout.close()
    assert kinds == ["speech_started", "decision"]
