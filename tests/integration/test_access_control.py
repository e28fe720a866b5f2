"""The door of `examples/access_control.py`: it opens for one voice and stays shut otherwise."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from examples import access_control
from voiceid import VoiceID


@pytest.fixture
def ask(home: Path, capsys: pytest.CaptureFixture[str]):
    """Ask at a door whose gallery has alice and bob; return the exit code and what it said."""

    def ask(claimed: str, clip: Path | str) -> tuple[int, str]:
        capsys.readouterr()
        return access_control.main(str(home), claimed, str(clip)), capsys.readouterr().out

    return ask


def test_the_door_opens_for_the_voice_of_the_card(ask, ami, tmp_path: Path) -> None:
    assert ask("alice", ami.cut("alice-3", tmp_path / "a.wav")) == (0, "door: open for alice\n")


@pytest.mark.parametrize("claimed", ["ALICE", " alice", "\uff41lice"])
def test_the_door_opens_for_the_name_of_the_card_in_another_form(
    claimed: str, ask, ami, tmp_path: Path
) -> None:
    said = ask(claimed, ami.cut("alice-3", tmp_path / "a.wav"))
    assert said == (0, f"door: open for {claimed}\n")


@pytest.mark.parametrize(
    ("claimed", "turn"), [("bob", "alice-3"), ("alice", "stranger"), ("nobody", "alice-3")]
)
def test_the_door_stays_shut_for_another_voice_or_card(
    claimed: str, turn: str, ask, ami, tmp_path: Path
) -> None:
    code, said = ask(claimed, ami.cut(turn, tmp_path / "clip.wav"))
    assert code == 10
    assert said.startswith("door: shut")


def test_the_door_stays_shut_for_silence_and_asks_for_more(ask, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(48_000, np.float32), 16_000)
    assert ask("alice", tmp_path / "silence.wav") == (10, "door: shut (please speak longer)\n")


def test_the_door_stays_shut_when_the_recording_cannot_be_read(ask, tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    for clip in (tmp_path / "broken.wav", tmp_path / "none.wav", tmp_path):
        assert ask("alice", clip) == (10, "door: shut (please speak again)\n")


def test_the_door_stays_shut_when_the_gallery_is_damaged(
    ask, ami, home: Path, tmp_path: Path
) -> None:
    clip = ami.cut("alice-3", tmp_path / "a.wav")
    database = home / "data" / "voiceid.sqlite3"
    database.write_bytes(b"\xff" * database.stat().st_size)
    assert ask("alice", clip) == (10, "door: shut (please call the desk)\n")
    shutil.rmtree(home / "data")
    assert ask("alice", clip) == (10, "door: shut (please call the desk)\n")


def test_the_door_stays_shut_on_a_fault_that_was_not_foreseen(
    ask, ami, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(VoiceID, "verify", fails)
    said = ask("alice", ami.cut("alice-3", tmp_path / "a.wav"))
    assert said == (10, "door: shut (please call the desk)\n")


def test_without_its_arguments_the_door_says_its_usage() -> None:
    for arguments in ([], ["home", "alice"], ["home", "alice", "a.wav", "more"]):
        ran = subprocess.run(
            [sys.executable, access_control.__file__, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        said = "usage: python examples/access_control.py HOME NAME CLIP\n"
        assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", said)
