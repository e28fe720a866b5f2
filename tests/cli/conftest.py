"""Running the command line, in this process or in one of its own."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from cli_running import Ran, Runner, environment

from voiceid.cli import main


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
    for name in ("campplus", "silero-vad"):
        for suffix in (".onnx", ".json"):
            shutil.copy(models_folder / f"{name}{suffix}", folder)
    monkeypatch.setenv("VOICEID_MODELS", str(folder))
    return folder
