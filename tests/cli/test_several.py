"""Several people in a clip, from the command line: the exit code, the words, the options."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture
def two(home: Path, ami) -> Path:
    """Alice for 6.8 s, and then bob."""
    path = home / "two.wav"
    soundfile.write(path, np.concatenate([ami.samples("alice-4"), ami.samples("bob-3")]), 16_000)
    return path


def test_several_people_exit_with_11_and_are_named(run, two: Path) -> None:
    ran = run("identify", two)
    assert ran.code == 11
    assert ran.out.startswith("inconclusive  several people speak\n")
    assert "voice 1, like alice" in ran.out
    assert "voice 2, like bob" in ran.out
    answer = run("verify", "alice", two, "--target-fmr", "0.01", "--json").json
    assert answer["reason"] == "several_voices"
    assert [part["sounds_like"] for part in answer["parts"]] == ["alice", None]


def test_a_warning_is_on_standard_error_and_the_answer_as_before(run, two: Path) -> None:
    ran = run("identify", two, "--solo", "warn")
    assert ran.code == 0
    assert "more than one person speaks" in ran.err
    assert run("identify", two, "--solo", "maybe").code == 2


def test_a_recording_of_two_is_refused_and_its_part_enrolled(run, two: Path) -> None:
    refused = run("enroll", "dave", two, "--force", "--dry-run")
    assert "[several_voices]" in refused.err
    assert run("enroll", "dave", two).code == 40
    enrolled = run("enroll", "alice", two, "--part", "0-6.5")
    assert enrolled.code == 0, enrolled.err
    assert run("enroll", "bob", two, "--part", "7.3-11.5").code == 0


@pytest.mark.parametrize(
    "words",
    [("--part", "5"), ("--part", "5-3"), ("--part", "nan-3"), ("--part", "0-3", "--solo-part")],
)
def test_a_part_that_is_none_is_a_usage_error(run, two: Path, words: tuple[str, ...]) -> None:
    assert run("enroll", "alice", two, *words).code == 2
