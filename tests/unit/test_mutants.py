"""The list of `make mutate` is true: each change can be made, and the tests that guard it exist."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from mutation.mutants import Mutant, listed

MUTANTS = listed()


def test_there_are_many_mutants_and_no_two_are_one() -> None:
    assert len(MUTANTS) >= 120
    twice = Counter((mutant.file, mutant.was, mutant.becomes) for mutant in MUTANTS)
    assert [change for change, n in twice.items() if n > 1] == []
    assert [name for name, n in Counter(map(str, MUTANTS)).items() if n > 1] == []


@pytest.mark.parametrize("file", sorted({mutant.file for mutant in MUTANTS}))
def test_what_a_mutant_changes_is_once_in_its_file(file: str, repo: Path) -> None:
    text = (repo / file).read_text(encoding="utf-8")
    for mutant in MUTANTS:
        if mutant.file == file:
            assert mutant.applied(text) != text


def test_the_tests_that_guard_a_line_exist(repo: Path) -> None:
    for test in sorted({test for mutant in MUTANTS for test in mutant.tests}):
        path, _, name = test.partition("::")
        text = (repo / path).read_text(encoding="utf-8")
        assert re.search(rf"^def {name.partition('[')[0] or 'test_'}", text, re.MULTILINE), test


def test_a_mutant_that_changes_nothing_or_what_is_not_there_once_is_refused() -> None:
    mutant = Mutant("voiceid/x/y.py", "nothing", "a", "b", ("t",))
    assert (mutant.module, mutant.applied("xa")) == ("x.y", "xb")
    for text in ("", "aa"):
        with pytest.raises(ValueError, match=r"x\.y: nothing"):
            mutant.applied(text)
