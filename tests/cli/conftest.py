"""Running the command line, in this process or in one of its own."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import process_memory
import pytest
import soundfile
from cli_running import Ran, Runner, environment

from examples.ami import clean_turns
from voiceid.cli import main


@pytest.fixture(autouse=True, scope="session")
def _charts() -> None:
    process_memory.remember_charts()


@pytest.fixture
def run(capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Run a command in this process; what native code prints is caught as well."""

    def run(*words: object, stdin: bytes | None = None) -> Ran:
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        code = main([str(word) for word in words])
        return Ran(code, *capfdbinary.readouterr())

    return run


@pytest.fixture
def spawn() -> Runner:
    """Run a command in a process of its own."""

    def spawn(
        *words: object,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "voiceid", *map(os.fspath, map(str, words))],
            input=stdin,
            capture_output=True,
            env=environment(**(env or {})),
            timeout=timeout,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return spawn


@pytest.fixture
def models(models_folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder of this test's own."""
    folder = home / "models"
    folder.mkdir()
    for name in ("campplus", "segmentation", "silero-vad"):
        for suffix in (".onnx", ".json"):
            shutil.copy(models_folder / f"{name}{suffix}", folder)
    monkeypatch.setenv("VOICEID_MODELS", str(folder))
    return folder


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of turns of people alone in meetings, and what is kept of them."""
    folder = tmp_path_factory.mktemp("site")
    lines = ["speaker,path"]
    for number, turn in enumerate(clean_turns(min_duration_s=1.5)):
        soundfile.write(folder / f"{number}.flac", *turn.samples())
        lines.append(f"{turn.speaker},{number}.flac")
    (folder / "site.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def calibrated(site: Path, home: Path, run: Runner) -> dict[str, Any]:
    """What `calibrate` said of the gallery of this home; the first test makes it for all."""
    kept, data = site / "calibrated", home / "data"
    if kept.exists():
        shutil.rmtree(data)
        shutil.copytree(kept, data)
    else:
        ran = run(
            *("calibrate", site / "site.csv", "--use", "--target-fmr", "1%"),
            *("--cache", site / "cache", "--json"),
        )
        assert ran.code == 0, ran.err
        (site / "calibrated.json").write_bytes(ran.stdout)
        shutil.copytree(data, kept)
    said = json.loads((site / "calibrated.json").read_bytes())
    assert isinstance(said, dict)
    return said
