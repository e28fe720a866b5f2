"""A disk that is full at any byte: a clear error, and the state before or after, never half."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_running import Ran, Runner
from disks import filled, mounted

from voiceid import VoiceID

LEVELS = [0, 4096, 12_288, 40_960, 98_304, 200_000, 400_000, 800_000, 1_600_000]
"""Bytes that are free: for nothing, a page, the log, a copy of the database, and more."""


@pytest.fixture
def disk(home: Path, ami, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The home on a small disk of its own, with a backup, an export and clips elsewhere."""
    for turn in ("alice-3", "bob-3", "carol-1", "carol-2"):
        ami.cut(turn, home / f"{turn}.wav")
    with mounted(tmp_path / "disk", "8m") as disk:
        shutil.copytree(home / "data", disk / "data")
        monkeypatch.setenv("VOICEID_DATA", str(disk / "data"))
        yield disk


def gallery() -> object:
    """Open the gallery, check its database, and return all that it says of every speaker."""
    with VoiceID.open() as vid:
        assert vid.database.check() == []
        assert vid.audit.verify().problems == ()
        listed = [one.to_dict() for one in vid.speakers.list()]
        samples = [vid.samples.list(one["name"]) for one in listed]
    return [
        [{k: v for k, v in one.items() if not k.endswith("_at")} for one in listed],
        [[s.pcm_sha256 for s in of_one] for of_one in samples],
    ]


def told(ran: Ran) -> None:
    """A failure says what is wrong and what to do: no traceback, no fault of the program."""
    assert ran.code >= 21, ran
    assert "error: " in ran.err, ran
    assert "hint: " in ran.err, ran
    assert "Traceback" not in ran.err, ran
    assert "internal error" not in ran.err, ran


def at_every_level(disk: Path, run: Runner, command: list[object], undo: Callable[[], None]) -> int:
    """Run a command at every level; return how often it failed."""
    before, failed = gallery(), 0
    after = None
    for left in LEVELS:
        with filled(disk, left):
            ran = run(*command)
        if ran.code:
            told(ran)
            failed += 1
            assert gallery() == before, f"{left} bytes: {ran.err}"
            continue
        now = gallery()
        after = after or now
        assert now == after, f"{left} bytes"
        undo()
        assert gallery() == before
    assert after is not None, "no level had room enough"
    return failed


COMMANDS = {
    "enroll": ["enroll", "carol", "carol-1.wav", "carol-2.wav", "--force"],
    "append": ["enroll", "alice", "alice-3.wav"],
    "replace": ["enroll", "alice", "alice-3.wav", "--replace"],
    "remove": ["speakers", "remove", "alice", "--yes"],
    "rename": ["speakers", "rename", "alice", "eve"],
    "merge": ["speakers", "merge", "alice", "bob", "--force", "--yes"],
    "import": ["speakers", "import", "carol.jsonl"],
    "restore": ["database", "restore", "carol.sqlite3", "--yes"],
    "rebuild": ["index", "rebuild"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_change_on_a_full_disk_is_made_or_refused(
    name: str, disk: Path, home: Path, run: Runner
) -> None:
    assert run("database", "backup", "before.sqlite3").code == 0
    assert run("enroll", "carol", "carol-1.wav", "carol-2.wav", "--force").code == 0
    assert run("speakers", "export", "carol.jsonl", "carol").code == 0
    assert run("database", "backup", "carol.sqlite3").code == 0
    shutil.copy(disk / "data" / "receipts.key", home / "data")

    def undo() -> None:
        shutil.rmtree(disk / "data")
        shutil.copytree(home / "data", disk / "data")

    undo()
    at_every_level(disk, run, COMMANDS[name], undo)


WRITERS = {
    "backup": ["database", "backup", "{disk}/copy.sqlite3"],
    "export": ["speakers", "export", "{disk}/copy.jsonl"],
    "evaluate": ["evaluate", "people.csv", "--output", "{disk}/report", "--cache", "cache"],
    "plot": ["plot", "speakers", "--output", "{disk}/voices.png"],
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_on_a_full_disk_is_whole_or_not_there(
    name: str, disk: Path, home: Path, run: Runner
) -> None:
    rows = [f"{turn.split('-')[0]},{turn}.wav" for turn in ("alice-3", "carol-1", "carol-2")]
    (home / "people.csv").write_text("\n".join(["speaker,path", *rows, "bob,bob-3.wav"]))
    command = [word.format(disk=disk) for word in WRITERS[name]]
    target = Path(next(word for word in command if word.startswith(str(disk))))
    sizes = set()
    for left in LEVELS:
        with filled(disk, left):
            ran = run(*command)
        if ran.code:
            told(ran)
            assert ran.code == 58 or name == "evaluate", ran
            assert not list(disk.rglob("*.tmp")), left
            assert target.is_dir() or not target.exists(), left
            shutil.rmtree(target, ignore_errors=True)
            continue
        if target.is_dir():
            sizes.add(frozenset(path.name for path in target.iterdir()))
            shutil.rmtree(target)
        else:
            sizes.add(target.stat().st_size)
            target.unlink()
    assert len(sizes) == 1, sizes


def test_a_model_on_a_full_disk_is_installed_or_not(
    disk: Path, run: Runner, silero_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_MODELS", str(disk / "models"))
    codes = []
    for left in (0, 100_000, 600_000, 2_000_000, 5_000_000):
        with filled(disk, left):
            ran = run("models", "pull", "silero-vad", "--from", silero_checkpoint)
        codes.append(ran.code)
        if ran.code:
            told(ran)
            assert run("models", "verify", "silero-vad").code == 32  # not installed
            assert not list((disk / "models").glob("*"))
        else:
            assert run("models", "verify", "silero-vad").code == 0
            shutil.rmtree(disk / "models")
    assert codes[0] != 0
    assert codes[-1] == 0
