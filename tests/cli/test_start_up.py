from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_running import environment

import voiceid

HEAVY = {
    "alembic",
    "av",
    "faiss",
    "librosa",
    "matplotlib",
    "numba",
    "numpy",
    "onnx",
    "onnxruntime",
    "sklearn",
    "soundfile",
    "soxr",
    "sqlalchemy",
    "torch",
}


def python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, check=True
    )
    return done.stdout.decode()


def modules_after(program: str) -> set[str]:
    last = python(f"{program}\nimport sys, json; print(json.dumps(list(sys.modules)))")
    return set(json.loads(last.splitlines()[-1]))


def test_importing_the_package_loads_no_engine() -> None:
    assert modules_after("import voiceid") & HEAVY == set()
    assert modules_after("from voiceid import AudioError") & HEAVY == set()


def cpu_s(*arguments: str) -> float:
    """Return the least CPU time of three runs of Python: others of the machine do not count."""
    used = []
    for _ in range(3):
        before = os.times()
        command = [sys.executable, *arguments]
        subprocess.run(command, env=environment(), stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        used.append(
            after.children_user
            + after.children_system
            - before.children_user
            - before.children_system
        )
    return min(used)


def test_importing_the_package_takes_less_than_five_starts_of_python() -> None:
    """Measured: twice as long, 0.03 s more."""
    assert cpu_s("-c", "import voiceid") < 5 * cpu_s("-c", "pass")


@pytest.mark.parametrize(
    "words",
    [["--help"], ["enroll", "--help"], ["models", "--help"], ["embed", "--help"]],
    ids=" ".join,
)
def test_help_loads_no_engine(words: list[str]) -> None:
    assert modules_after(f"from voiceid.cli import main; main({words!r})") & HEAVY == set()


def test_the_version_opens_no_audio_model_or_database() -> None:
    # The settings that say where the models are name the parts of the engine room.
    loaded = modules_after("from voiceid.cli import main; main(['--version'])")
    assert loaded & HEAVY <= {"numpy", "onnxruntime"}


def test_help_of_the_program_imports_no_command() -> None:
    loaded = modules_after("from voiceid.cli import main; main(['--help'])")
    assert [name for name in loaded if name.startswith("voiceid.cli.cmd_")] == []
    assert not loaded & {"voiceid.client", "voiceid.domain", "yaml"}


def test_help_takes_little_longer_than_loading_click() -> None:
    """Measured: 1.4 times as long."""
    assert cpu_s("-m", "voiceid", "--help") < 2.5 * cpu_s("-c", "import click")


def test_a_usage_error_loads_no_engine() -> None:
    loaded = modules_after("from voiceid.cli import main; main(['verify', 'alice'])")
    assert loaded & HEAVY == set()


def test_what_type_checkers_see_is_what_there_is() -> None:
    stub = ast.parse(Path(voiceid.__file__).with_suffix(".pyi").read_text("utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    assert sorted(alias.asname for node in imports for alias in node.names) == voiceid.__all__


@pytest.mark.parametrize("name", voiceid.__all__)
def test_every_public_name_is_there(name: str) -> None:
    value = getattr(voiceid, name)
    assert getattr(value, "__name__", name) == name
    assert name in dir(voiceid)


def test_every_error_is_public() -> None:
    from voiceid import errors

    theirs = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert theirs <= set(voiceid.__all__)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Voice'"):
        _ = voiceid.Voice
