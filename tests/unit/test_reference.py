"""What `make docs` builds: docs/reference.md as it stands, and a complete page of the library."""

from __future__ import annotations

import enum
import html
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import voiceid
from docs import command_reference
from docs.reference import COLLECTIONS
from voiceid import ChangeKind, VoiceID, VoiceIDError, errors
from voiceid.cli import exit_codes
from voiceid.cli.root import root

CLASSES = (VoiceID, *COLLECTIONS)
METHODS = [f"{k.__name__}.{name}" for k in CLASSES for name in dir(k) if not name.startswith("_")]
ENUMS = [name for name in voiceid.__all__ if isinstance(getattr(voiceid, name), enum.EnumType)]


@pytest.fixture(scope="module")
def entries(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The entries of the page, as text, by the names that links lead to."""
    folder = tmp_path_factory.mktemp("reference")
    command = [sys.executable, "-W", "error", "-m", "docs.reference", folder]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    page = (folder / "index.html").read_text(encoding="utf-8")
    parts = re.split(r'<(?:section|div) id="([\w.]+)"[^>]*>', page)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def description(entry: str) -> str:
    found = re.search(r'<div class="docstring">(.*?)</div>', entry, re.DOTALL)
    return "" if found is None else html.unescape(re.sub(r"<[^>]+>", "", found[1])).strip()


def test_every_public_name_is_described(entries: dict[str, str]) -> None:
    assert [name for name in voiceid.__all__ if not description(entries.get(name, ""))] == []


def test_every_method_of_a_voiceid_and_of_its_collections_is_described(
    entries: dict[str, str],
) -> None:
    assert {"VoiceID.open", "Speakers.rename", "Switch.commit", "Database.backup"} <= set(METHODS)
    assert [name for name in METHODS if not description(entries.get(name, ""))] == []


def test_every_value_of_an_enumeration_is_described(entries: dict[str, str]) -> None:
    assert {"Outcome", "Reason", "Standing"} <= set(ENUMS)
    values = [f"{name}.{value.name}" for name in ENUMS for value in getattr(voiceid, name)]
    assert [value for value in values if not description(entries.get(value, ""))] == []


def test_every_error_says_its_exit_code(entries: dict[str, str]) -> None:
    errors = [
        error
        for name in voiceid.__all__
        if isinstance(error := getattr(voiceid, name), type) and issubclass(error, Exception)
    ]
    assert len(errors) > 30
    for error in errors:
        shown = re.sub(r"<[^>]+>", "", entries[f"{error.__name__}.exit_code"])
        assert re.search(rf"=\s*{error.exit_code}\b", shown)


def test_no_entry_sends_the_reader_to_a_module_that_is_not_on_the_page(
    entries: dict[str, str],
) -> None:
    shown = {name: re.sub(r"<[^>]+>", "", entry) for name, entry in entries.items()}
    assert {
        name: found
        for name, text in shown.items()
        if (found := re.findall(r"voiceid\.[a-z]\w+\b(?!\.html)", text))
    } == {}


def test_the_page_of_reference_is_what_the_code_says() -> None:
    assert command_reference.PAGE.read_text(encoding="utf-8") == command_reference.page(), (
        "docs/reference.md does not agree with the code: run `make docs`"
    )


def test_the_page_of_reference_has_every_command_error_and_kind_of_change() -> None:
    page = command_reference.PAGE.read_text(encoding="utf-8")
    commands = set(re.findall(r"^### voiceid (\S+)", page, re.MULTILINE))
    assert commands == set(root.list_commands(click.Context(root)))
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    codes = {kind.exit_code for kind in kinds if issubclass(kind, VoiceIDError)}
    codes |= {value for name, value in vars(exit_codes).items() if name.isupper()}
    assert [code for code in codes if f"\n| {code} |" not in page] == []
    assert [kind for kind in ChangeKind if f"\n| `{kind}` |" not in page] == []
