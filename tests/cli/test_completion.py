"""Shells ask for completions, and get them."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from cli_running import Runner, environment


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_calls_the_program(shell: str, run: Runner) -> None:
    ran = run("completion", shell)
    assert (ran.code, ran.err) == (0, "")
    assert f"_VOICEID_COMPLETE={shell}_complete" in ran.out


def test_another_shell_is_a_usage_error(run: Runner) -> None:
    assert run("completion", "csh").code == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("voiceid ident", "identify"),
        ("voiceid speakers re", "rename"),
        ("voiceid enroll --man", "--manifest"),
        ("voiceid completion z", "zsh"),
    ],
)
def test_words_are_completed(words: str, expected: str, spawn: Runner) -> None:
    env = {
        "_VOICEID_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    ran = spawn(env=env)
    assert ran.code == 0, ran.err
    assert expected in [line.split(",")[1] for line in ran.out.splitlines()]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_takes_the_script(run: Runner) -> None:
    script = run("completion", "bash").out
    done = subprocess.run(
        ["bash", "-c", script + "\ncomplete -p voiceid"],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    )
    assert "voiceid" in done.stdout
    assert done.stderr == ""
