"""The list of mutants: what is changed in which file, and which tests are to notice it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LISTS = Path(__file__).parent / "mutants"


@dataclass(frozen=True)
class Mutant:
    """A mistake that a programmer could make.

    `was` occurs once in `file`, and `becomes` takes its place.  `tests` are files or tests of
    pytest, relative to the checkout.  `reason` says why no test notices it; empty: one must.
    """

    file: str
    fault: str
    was: str
    becomes: str
    tests: tuple[str, ...]
    reason: str = ""

    @property
    def module(self) -> str:
        """The module's name, without the package's."""
        return self.file.removeprefix("voiceid/").removesuffix(".py").replace("/", ".")

    def applied(self, text: str) -> str:
        """Return the text of the file with the mistake in it."""
        if text.count(self.was) != 1 or self.was == self.becomes:
            raise ValueError(f"{self}: what it changes is not once in {self.file}")
        return text.replace(self.was, self.becomes)

    def __str__(self) -> str:
        return f"{self.module}: {self.fault}"


def listed(folder: Path = LISTS) -> list[Mutant]:
    """Return all mutants, in the order of the lists."""
    return [mutant for path in sorted(folder.glob("*.toml")) for mutant in _of_list(path)]


def _of_list(path: Path) -> Iterator[Mutant]:
    """Yield the mutants of a list: tables of files, with the tests of all or of each."""
    for table in tomllib.loads(path.read_text(encoding="utf-8"))["file"]:
        for values in table["mutant"]:
            tests = tuple(values.pop("tests", None) or table["tests"])
            yield Mutant(table["path"], tests=tests, **values)
