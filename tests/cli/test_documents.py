"""Every example of README.md and docs/ runs, and prints what the page says it prints.

A ``console`` block is a session: each ``$`` line is run in one folder a page, and what follows
it must be what is printed, but for the figures.  A ``python`` block is run too.  A shell runs the
lines that need one; commands of voiceid alone, and Python, run in this process, which has the
models in memory.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from cli_running import environment
from exports import campplus_features_in
from postgres_server import Databases
from spoken_words import pieces, said
from worker_forks import start_voiceid

from examples.ami import clean_turns
from voiceid import Reason, VoiceID, VoiceIDError, errors
from voiceid.cli import exit_codes, main

REPO = Path(__file__).resolve().parents[2]
PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]
CLIPS = {
    "alice1.wav": "alice-1",
    "alice2.wav": "alice-2",
    "bob1.wav": "bob-1",
    "bob2.wav": "bob-2",
    "alice-later.wav": "alice-3",
    "door.mp3": "alice-4",
    "bob-later.wav": "bob-3",
    "stranger.wav": "stranger",
}
"""Files that the pages' examples may name, and the turns (see conftest) that they hold."""

_BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks(page: Path) -> list[tuple[str, str]]:
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


def _steps(block: str) -> list[tuple[str, str]]:
    """Return the commands of a session, each with what it prints."""
    parts = re.split(r"^\$ (.*(?:(?<=\\)\n.*)*)\n", block, flags=re.MULTILINE)
    assert not parts[0].strip(), "a console block starts with a command"
    return list(zip(parts[1::2], parts[2::2], strict=True))


def _shape(text: str) -> list[str]:
    """What must agree: the words.  Figures, hashes and the width of columns may differ."""
    text = re.sub(r"-[0-9a-f]{12}\b", "-HASH", text)
    text = re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", text)
    return [" ".join(line.split()) for line in text.strip().splitlines()]


def _matches(expected: str, printed: str) -> bool:
    """Whether the shapes agree; a line of ``...`` stands for any number of lines."""
    pattern = "\n".join(
        r"(?:.*\n)*?.*" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*")
        for line in _shape(expected)
    )
    return re.fullmatch(pattern, "\n".join(_shape(printed))) is not None


def _write_site(folder: Path) -> None:
    """Write ``site.csv`` and its recordings: turns of people alone in AMI meetings."""
    (folder / "site").mkdir()
    lines = ["speaker,path"]
    for number, turn in enumerate(clean_turns(min_duration_s=1.5)):
        soundfile.write(folder / "site" / f"{number}.flac", *turn.samples())
        lines.append(f"{turn.speaker},site/{number}.flac")
    (folder / "site.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_meeting(ami: Any, path: Path) -> None:
    """Write a recording of alice, a stranger and bob, with pauses."""
    pause = np.full(19_200, 1e-4, np.float32)
    turns = [ami.samples(turn) for turn in ("alice-3", "stranger", "bob-3")]
    soundfile.write(path, np.concatenate([pause, *(x for t in turns for x in (t, pause))]), 16_000)


@pytest.fixture(scope="module")
def prepared(ami: Any, models_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the pages name; copy it."""
    place = tmp_path_factory.mktemp("pages")
    for name, turn in CLIPS.items():
        ami.cut(turn, place / name)
    _write_site(place)
    for take in range(3):
        soundfile.write(place / f"r{take + 1}.wav", *said(pieces(ami.samples("alice-2")), take))
    _write_meeting(ami, place / "meeting.wav")
    shutil.copy(REPO / "config.yaml", place)
    (place / "models").mkdir()
    for path in models_folder.glob("*"):
        if path.suffix in {".onnx", ".json"}:
            (place / "models" / path.name).symlink_to(path)
    export = campplus_features_in(models_folder / "campplus.onnx", {"framework": "3d-speaker"})
    (place / "features-in.onnx").write_bytes(export)
    return place


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "page", symlinks=True))


@pytest.fixture
def voices_on_a_server(postgres: Databases) -> Iterator[dict[str, str]]:
    """A server with an empty database that is called voices, and how it is found."""
    made = postgres.empty("voices")
    yield postgres.environment()
    postgres.drop(made)


_COMMAND = r"voiceid [^|;&<>$`*?]*(?:> [\w.]+ ?)?"
_COMMANDS = rf"({_COMMAND}(?:&& {_COMMAND})*)"
_PLAIN = re.compile(rf"{_COMMANDS}(; echo \"exit code \$\?\")?")
_LOOP = re.compile(rf"for i in ([\d ]+); do {_COMMANDS}; done")
_IF = re.compile(rf"if {_COMMANDS}; then echo (\w+); else echo \"([^\"]*)\"; fi")
_PIPED = re.compile(rf"{_COMMANDS}(2>&1 )?\| (.*)")
_PYTHON = re.compile(r"python (?:-c '([^']*)'|-m ([\w.]+) ([\w. ]*))")
"""Commands of voiceid that need no shell: alone, again and again, as a condition, and before a
pipe; and Python."""
_SET = re.compile(r"(?:export )?([A-Z_]+)=(\"[^\"]*\"|[^\s;]+);? (?=voiceid)")
_CONTENT = re.compile(r"\"?\$\(cat ([\w.]+)\)\"?")
"""What a shell puts in: a variable before a command, and what is in a file."""


class Reader:
    """A person who types what a page says, in a folder, and reads what is printed."""

    def __init__(self, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
        self._folder, self._capfd = folder, capfd

    def run(self, command: str) -> str:
        """Return what a line prints, on both streams."""
        line = command.replace("\\\n", " ")
        line = _CONTENT.sub(lambda found: (self._folder / found[1]).read_text().strip(), line)
        with pytest.MonkeyPatch.context() as patch:
            while found := _SET.match(line):
                value = found[2].strip('"').replace("$PWD", str(self._folder))
                patch.setenv(found[1], value)
                line = line[found.end() :]
            printed = self._plain(line)
        return self._shell(command) if printed is None else printed

    def _plain(self, line: str) -> str | None:
        """Return what a line prints that needs no shell; None for another."""
        if loop := _LOOP.fullmatch(line):
            return "".join(self._here(loop[2])[0] for _ in loop[1].split())
        if asked := _IF.fullmatch(line):
            printed, code = self._here(asked[1])
            return printed + (asked[3].replace("$?", str(code)) if code else asked[2])
        if piped := _PIPED.fullmatch(line):
            return self._shell(piped[3], self._here(piped[1], with_errors=bool(piped[2]))[0])
        if python := _PYTHON.fullmatch(line):
            return self._python(*python.groups(""))
        plain = _PLAIN.fullmatch(line)
        if plain is None:
            return None
        printed, code = self._here(plain[1])
        return f"{printed}exit code {code}" if plain[2] else printed

    def _python(self, program: str, module: str, words: str) -> str:
        """Run Python's ``-c`` or ``-m`` in this process; return what it prints."""
        self._capfd.readouterr()
        with pytest.MonkeyPatch.context() as patch, contextlib.suppress(SystemExit):
            patch.setattr(sys, "argv", [module, *words.split()] if module else ["-c"])
            if module:
                patch.delitem(sys.modules, module, raising=False)  # which another test may import
                runpy.run_module(module, run_name="__main__")
            else:
                exec(program, {"__name__": "__main__"})  # noqa: S102
        return self._capfd.readouterr().out

    def _here(self, commands: str, *, with_errors: bool = True) -> tuple[str, int]:
        """Run commands in this process; return what they print and the exit code."""
        code, printed = 0, ""
        for command in commands.split("&&"):
            words, _, file = command.partition(">")
            self._capfd.readouterr()
            as_one = with_errors and not file
            with contextlib.redirect_stderr(sys.stdout if as_one else sys.stderr):
                code = main(shlex.split(words)[1:])
            out, rest = self._capfd.readouterr()
            if file:
                (self._folder / file.strip()).write_text(out, encoding="utf-8")
            assert file or rest == "", "native code printed, or what a pipe does not take"
            printed += rest if file else out
            if code:
                break
        return printed, code

    def _shell(self, command: str, given: str = "") -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command,
            shell=True,
            cwd=self._folder,
            env=environment(PATH=path, PYTHONWARNINGS="error"),
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout


_START = subprocess.Popen


def _started(words: Any, *args: Any, **more: Any) -> Any:
    """Start a process; one of voiceid is a fork of one that has it loaded."""
    of_voiceid = [*words[:3]] == [sys.executable, "-m", "voiceid"]
    return start_voiceid(*words[3:]) if of_voiceid else _START(words, *args, **more)


@pytest.fixture
def reader(
    folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Reader]:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(subprocess, "Popen", _started)
    for name in [name for name in os.environ if name.startswith("VOICEID_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VOICEID_HOME", ".")  # the pages speak of the home's files by their names
    log = logging.getLogger("voiceid")
    level, handlers = log.level, [*log.handlers]
    yield Reader(folder, capfd)
    log.setLevel(level)  # a page sets it as a program may
    for handler in {*log.handlers} - {*handlers}:
        log.removeHandler(handler)
        handler.close()
    for pid in folder.glob("*.pid"):  # of what a page began, and did not end
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_print_what_it_says(
    page: Path, reader: Reader, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if page.name == "postgres.md":
        for name, value in request.getfixturevalue("voices_on_a_server").items():
            monkeypatch.setenv(name, value)
    for kind, block in _blocks(page):
        if kind == "python":
            exec(compile(block, page.name, "exec"), {"__name__": "__main__"})  # noqa: S102
        for command, expected in _steps(block) if kind == "console" else []:
            printed = reader.run(command)
            assert _matches(expected, printed), f"$ {command}\n{printed}"


def test_the_page_on_numbers_explains_every_word_of_an_answer(home: Path, ami: object) -> None:
    with VoiceID.open() as vid:
        facts = vid.identify(ami.cut("alice-4", home / "door.wav")).to_dict()
    page = (REPO / "docs" / "numbers.md").read_text(encoding="utf-8")
    for name in [*facts, *facts["quality"]]:
        assert re.search(rf"^\| `{name}` ", page, re.MULTILINE), name


DOOR = (REPO / "docs" / "door.md").read_text(encoding="utf-8")
OUTCOMES = {
    "accepted": exit_codes.DONE,
    "rejected": exit_codes.REJECTED,
    "inconclusive": exit_codes.INCONCLUSIVE,
}


def test_the_page_on_doors_has_a_row_for_every_reason() -> None:
    rows = re.findall(r"^\| (\w+) \| `(\w+)` \| (\d+) \|", DOOR, re.MULTILINE)
    assert sorted(reason for _, reason, _ in rows) == sorted(Reason)
    assert all(int(code) == OUTCOMES[outcome] for outcome, _, code in rows)


def test_the_page_on_doors_has_a_row_for_every_error_and_exit_code() -> None:
    tree = [error for error in vars(errors).values() if isinstance(error, type)]
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", DOOR, re.MULTILINE)
    expected = {(str(e.exit_code), e.__name__) for e in tree if issubclass(e, VoiceIDError)}
    assert set(rows) == expected
    codes = {value for name, value in vars(exit_codes).items() if name.isupper()}
    assert [code for code in codes if not re.search(rf"\| {code} \|", DOOR)] == []


def test_every_command_in_the_table_of_laws_is_one_that_a_page_runs() -> None:
    ran = {
        part.strip()
        for page in PAGES
        for kind, block in _blocks(page)
        for command, _ in (_steps(block) if kind == "console" else [])
        for part in re.split(r"&&|[;|>]", command)
    }
    laws = (REPO / "docs" / "privacy.md").read_text(encoding="utf-8").partition("## What the st")[2]
    rows = [line.split(" | ") for line in laws.splitlines() if line.startswith("| ")]
    assert {len(row) for row in rows} == {4}
    named = {found for row in rows for found in re.findall(r"`([^`]*voiceid [^`]*)`", row[2])}
    assert len(named) > 15
    assert named - ran == set()
