"""Nothing that merely lies in the current folder is run or obeyed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import voiceid
from voiceid.index import sealer


@pytest.fixture
def hostile(tmp_path: Path, home: Path) -> Path:
    """A folder in which modules of names that the program imports write a file ``ran``."""
    folder = tmp_path / "downloads"
    (folder / "voiceid").mkdir(parents=True)
    for name in ("voiceid/__init__", "voiceid/__main__", "click", "yaml", "sitecustomize"):
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    return folder


def test_the_process_that_seals_is_this_program(
    hostile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[int] = []

    def run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> bool:
        settings = {**os.environ, **environment}
        done = subprocess.run(command, cwd=hostile, env=settings, timeout=60, check=False)
        ended.append(done.returncode)
        return folder.name == "index"

    monkeypatch.setattr(sealer, "start", run)
    with voiceid.VoiceID.open() as vid:
        vid._session._start_sealing()
    assert ended == [0]
    assert not (tmp_path / "ran").exists()


def test_the_program_says_that_it_does_not_read_a_config_of_the_current_folder(
    hostile: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (hostile / "config.yaml").write_text("decision: {threshold: -1.0}\n")
    monkeypatch.chdir(hostile)
    monkeypatch.delenv("VOICEID_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    said: list[str] = []
    with voiceid.VoiceID.open(notify=said.append) as vid:
        assert vid._session.config.home == home / "voiceid"
    assert str(hostile / "config.yaml") in said[0]
