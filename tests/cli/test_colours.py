"""Colours: where a person looks at a terminal, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cli_running import Runner
from terminal import on_terminal

from voiceid.cli.text import coloured

CODE = re.compile(rb"\x1b\[[0-9;]*m")
PLAIN = {"TERM": "xterm", "NO_COLOR": ""}  # an empty NO_COLOR is none


def test_an_error_is_red_on_a_terminal(home: Path) -> None:
    code, shown = on_terminal("speakers", "show", "zoe", **PLAIN)
    assert code == 41
    assert shown.startswith(b"\x1b[31merror\x1b[0m: no speaker called")
    assert len(CODE.findall(shown)) == 2


@pytest.mark.parametrize(
    ("words", "env"),
    [
        ((), {"TERM": "xterm", "NO_COLOR": "1"}),
        ((), {"TERM": "dumb", "NO_COLOR": ""}),
        (("--no-color",), PLAIN),
    ],
    ids=["NO_COLOR", "a dumb terminal", "--no-color"],
)
def test_who_wants_no_colours_gets_none(
    words: tuple[str, ...], env: dict[str, str], home: Path
) -> None:
    code, shown = on_terminal("speakers", "show", "zoe", *words, **env)
    assert code == 41
    assert shown.startswith(b"error: no speaker called")
    assert b"\x1b" not in shown
    code, shown = on_terminal(*words, "speakers", "shwo", **env)  # it cannot even be parsed
    assert code == 2
    assert b"\x1b" not in shown


def test_there_are_no_colours_in_a_file_or_in_json(
    home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in PLAIN.items():
        monkeypatch.setenv(name, value)
    written = run("speakers", "show", "zoe")
    assert b"\x1b" not in written.stdout + written.stderr
    code, shown = on_terminal("doctor", "--json", **PLAIN)
    assert code == 0
    assert b"\x1b" not in shown


def test_the_outcomes_of_many_clips_are_coloured_and_stay_in_their_columns(
    home: Path, ami: object, run: Runner
) -> None:
    clips = [ami.cut("alice-3", home / "accepted 陳.wav"), ami.cut("stranger", home / "b.wav")]
    (home / "error.wav").write_bytes(b"no audio")
    names = [*(clip.name for clip in clips), "error.wav"]
    code, shown = on_terminal("identify", *names, **PLAIN)
    assert code == 24
    lines = shown.replace(b"\r", b"").decode().splitlines()
    assert [re.findall("\x1b\\[(\\d+)m(\\w+)\x1b", line) for line in lines] == [
        [],
        [("32", "accepted")],
        [("31", "rejected")],
        [("31", "error")],
    ]
    piped = run("identify", *names)
    assert CODE.sub(b"", shown).replace(b"\r", b"") == piped.stdout + piped.stderr


def test_one_decision_and_its_warnings_are_coloured(home: Path, ami: object) -> None:
    ami.cut("alice-3", home / "door.wav")  # it is noisy
    code, shown = on_terminal("identify", "door.wav", **PLAIN)
    assert code == 0
    assert shown.startswith(b"\x1b[32maccepted\x1b[0m  alice\r\n")
    assert b"\n\x1b[33mwarning\x1b[0m: noisy" in shown
    assert len(CODE.findall(shown)) == 4


def test_the_states_of_health_are_coloured(home: Path) -> None:
    [index] = (home / "data" / "index").glob("*.index")
    index.write_bytes(b"damaged")
    code, shown = on_terminal("doctor", **PLAIN)
    assert code == 0
    assert shown.startswith(b"\x1b[32mok\x1b[0m       settings")
    assert b"\n\x1b[33mwarning\x1b[0m  index" in shown


def test_a_name_brings_no_colour_of_its_own(home: Path, ami: object) -> None:
    evil = ami.cut("stranger", home / "\x1b[32maccepted\x1b[0m.wav").name
    (home / "\x1b[32mok.wav").write_bytes(b"no audio")
    code, shown = on_terminal("identify", evil, "\x1b[32mok.wav", **PLAIN)
    assert code == 24
    assert b"\n\\x1b[32maccepted\\x1b[0m.wav  \x1b[31mrejected\x1b[0m" in shown
    assert set(CODE.findall(shown)) == {b"\x1b[31m", b"\x1b[0m"}


def test_only_the_word_that_stands_there_is_coloured() -> None:
    assert coloured("ok  ok", "ok", at=4) == "ok  \x1b[32mok\x1b[0m"
    for text, word in (("fine", "ok"), ("fine", ""), ("fine", "fine")):
        assert coloured(text, word) == text
