from __future__ import annotations

import ast
import json
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


def test_importing_the_package_loads_little_more_than_python_itself() -> None:
    """Measured: 13 modules, of the standard library alone."""
    loaded = modules_after("import voiceid") - modules_after("pass") - {"voiceid"}
    assert len(loaded) < 20
    assert {name.split(".")[0] for name in loaded} <= sys.stdlib_module_names


@pytest.mark.parametrize(
    "words",
    [["--help"], ["enroll", "--help"], ["models", "--help"], ["embed", "--help"]],
    ids=" ".join,
)
def test_help_loads_no_engine(words: list[str]) -> None:
    assert modules_after(f"from voiceid.cli import main; main({words!r})") & HEAVY == set()


def test_the_version_opens_no_audio_model_or_database() -> None:
    # The settings that say where the models are name the parts of the engine.
    loaded = modules_after("from voiceid.cli import main; main(['--version'])")
    assert loaded & HEAVY <= {"numpy", "onnxruntime"}


def test_people_are_listed_by_numpy_and_the_database_s_own_driver_alone(home: Path) -> None:
    loaded = modules_after("from voiceid.cli import main; main(['speakers', 'list'])")
    assert loaded & (HEAVY | {"mako", "psycopg"}) == {"numpy", "sqlalchemy"}
    assert not loaded & {"sqlalchemy.orm", "sqlalchemy.dialects.postgresql"}


def test_garbage_is_collected_as_usual_once_a_command_has_started() -> None:
    counts = python(
        "import gc; from voiceid.cli import collect_after_start\n"
        "usual = gc.get_threshold(); collect_after_start(); print(gc.get_count() < usual)\n"
        "started = gc.get_threshold()[0]; many = [[] for _ in range(started + 1000)]\n"
        "print(started > 100 * usual[0], gc.get_threshold() == usual)"
    )
    assert counts.split() == ["True"] * 3


def test_help_of_the_program_imports_no_command() -> None:
    loaded = modules_after("from voiceid.cli import main; main(['--help'])")
    assert [name for name in loaded if name.startswith("voiceid.cli.cmd_")] == []
    assert not loaded & {"voiceid.client", "voiceid.domain", "yaml"}


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
