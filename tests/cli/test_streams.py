"""Broken, closed and narrow standard streams of real processes; questions on a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_running import Runner, environment
from terminal import on_terminal


def start(*words: str, **kwargs: object) -> subprocess.Popen[bytes]:
    settings: dict[str, object] = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "env": environment(),
    }
    return subprocess.Popen([sys.executable, "-m", "voiceid", *words], **(settings | kwargs))


def shell(command: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of shell in which `voiceid` is this checkout's."""
    line = f'voiceid() {{ "{sys.executable}" -m voiceid "$@"; }}; {command}'
    return subprocess.run(
        ["bash", "-c", line], env=environment(), capture_output=True, check=False, timeout=60
    )


def test_a_link_of_another_user_is_not_followed_to_what_it_names(home: Path, run: Runner) -> None:
    target, link = home / "target", home / "alice.html"
    target.write_text("kept")
    link.symlink_to(target)
    assert run("privacy", "report", "alice", "--to", str(link)).code == 0
    assert (link.is_symlink(), "alice" in target.read_text()) == (True, True)
    link.unlink()
    link.symlink_to(link)
    assert run("privacy", "report", "alice", "--to", str(link)).code == 0, "a loop names nothing"
    if os.geteuid() != 0:
        pytest.skip("only root can make a link for another user")
    link.unlink()
    link.symlink_to(target)
    os.lchown(link, 65_534, 65_534)
    target.write_text("kept")
    refused = run("privacy", "report", "alice", "--to", str(link))
    assert (refused.code, target.read_text()) == (58, "kept")
    assert "a link of another user" in refused.err


@pytest.mark.parametrize("words", [["--help"], ["--json", "config", "show"]])
def test_a_reader_that_goes_away_is_met_quietly(words: list[str], home: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = start(*words, stdout=write_end)
    os.close(write_end)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, b"")


def test_a_full_disk_under_the_result_is_an_error(home: Path) -> None:
    done = shell("voiceid speakers list >/dev/full")
    assert done.returncode == 20
    assert done.stderr.startswith(b"error: the result could not be written")
    assert b"Traceback" not in done.stderr


def test_a_full_disk_under_the_help_is_an_error() -> None:
    done = shell("voiceid --help >/dev/full")
    assert done.returncode == 20
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_with_standard_output_closed_nothing_is_done(home: Path, run: Runner) -> None:
    done = shell("voiceid speakers remove alice --yes >&-")
    assert done.returncode == 20
    assert b"standard output is closed" in done.stderr
    assert run("speakers", "show", "alice").code == 0


def test_with_standard_error_closed_the_result_is_reported(home: Path) -> None:
    done = shell("voiceid speakers list 2>&-")
    assert done.returncode == 0
    assert b"alice" in done.stdout


def test_with_standard_error_and_input_closed_an_error_keeps_its_exit_code(home: Path) -> None:
    assert shell("voiceid speakers show nobody 2>&- <&-").returncode == 41


def test_closed_standard_input_is_empty_audio(home: Path) -> None:
    done = shell("voiceid identify - <&-")
    assert done.returncode == 24
    assert b"Traceback" not in done.stderr


def test_ctrl_c_exits_with_130_and_no_traceback(home: Path) -> None:
    process = start("identify", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(b"RIFF" + bytes(1 << 20))  # no pipe holds as much: it is being read
    process.stdin.flush()  # and the rest is waited for
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == b""
    assert err.strip() == b"interrupted"  # on a line of its own, after the terminal's ^C


@pytest.mark.parametrize("delay_s", [0.02, 0.1, 0.3])
def test_ctrl_c_during_start_up_prints_no_result(delay_s: float, home: Path) -> None:
    process = start("speakers", "list")
    time.sleep(delay_s)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    if process.returncode == 0:  # it was done by then
        assert b"alice" in out
    else:
        assert out == b""
        assert b"internal error" not in err
    # The signal itself ends the process before Python has set its handler up, and 1 is what
    # Python's own start comes to.
    assert process.returncode in {130, -signal.SIGINT, 1, 0}


@pytest.mark.parametrize(
    "env",
    [
        {"LANG": "C", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"PYTHONIOENCODING": "ascii"},
    ],
    ids=lambda env: " ".join(f"{k}={v}" for k, v in env.items()),
)
def test_names_of_any_script_survive_a_narrow_locale(env: dict[str, str], home: Path) -> None:
    """The process gets the name as an argument, and prints it."""
    program = (
        "import sys; from voiceid.cli import main\n"
        "code = main(['speakers', 'rename', 'bob', sys.argv[1], '--json'])\n"
        "sys.exit(code or main(['speakers', 'list']) or main(['speakers', 'list', '--json']))"
    )
    command = [sys.executable, "-c", program, "Ольга 陳"]
    done = subprocess.run(command, env=environment(**env), capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    listed = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(b"{")]
    assert "Ольга 陳" in {speaker["name"] for speaker in listed[-2:]}


def test_removal_asks_on_a_terminal_and_no_means_no(home: Path, run: Runner) -> None:
    code, shown = on_terminal("speakers", "remove", "alice", typed=b"n\n")
    assert code == 130
    assert b"Remove alice and 2 samples? This cannot be undone. [y/N]" in shown
    assert b"nothing was changed" in shown
    assert run("speakers", "show", "alice").code == 0


def test_removal_asks_on_a_terminal_and_yes_means_yes(home: Path, run: Runner) -> None:
    code, shown = on_terminal("speakers", "remove", "alice", typed=b"y\n")
    assert code == 0
    assert b"removed  alice and 2 samples" in shown
    assert run("speakers", "show", "alice").code == 41


def test_a_restore_asks_on_a_terminal(home: Path, run: Runner) -> None:
    run("database", "backup", "copy.sqlite3")
    run("speakers", "remove", "bob", "--yes")
    for typed, code, then in ((b"n\n", 130, 41), (b"y\n", 0, 0)):
        ended, shown = on_terminal("database", "restore", "copy.sqlite3", typed=typed)
        assert ended == code
        assert b"The present database is saved beside it. [y/N]" in shown
        assert run("speakers", "show", "bob").code == then


def test_a_missing_speaker_is_an_error_before_a_question(home: Path) -> None:
    code, shown = on_terminal("speakers", "remove", "nobody", typed=b"y\n")
    assert code == 41
    assert b"[y/N]" not in shown


def test_end_of_input_at_the_question_removes_nothing(home: Path, run: Runner) -> None:
    code, _ = on_terminal("speakers", "remove", "alice", typed=b"\x04")
    assert code == 130
    assert run("speakers", "show", "alice").code == 0


def test_a_binary_file_is_refused_on_a_terminal() -> None:
    code, shown = on_terminal("embed", "clip.wav", "--format", "npy")
    assert code == 2
    assert b"-o FILE" in shown


def test_audio_is_not_read_from_a_terminal() -> None:
    code, shown = on_terminal("identify", "-")
    assert code == 2
    assert b"pipe audio into it" in shown
