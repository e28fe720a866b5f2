"""The limits of ARCHITECTURE: what is too large is hard to live in."""

from __future__ import annotations

import pytest

from benchmarks.sizes import Sizes, classes, measure, own_depth
from voiceid import VoiceID


@pytest.fixture(scope="module")
def sizes() -> Sizes:
    return measure()


def test_the_client_has_at_most_twenty_seven_public_members() -> None:
    public = [name for name in dir(VoiceID) if not name.startswith("_")]
    assert len(public) <= 27, public


def test_no_class_inherits_more_than_three_deep() -> None:
    # Errors are a tree of codes; every class of it holds a code and nothing else.
    deep = [
        found.__qualname__
        for found in classes()
        if own_depth(found) > 3 and not issubclass(found, Exception)
    ]
    assert deep == []


def test_no_class_has_more_than_twenty_five_methods(sizes: Sizes) -> None:
    assert [row for row in sizes.methods if row[1] > 25] == []


def test_functions_are_short(sizes: Sizes) -> None:
    assert sizes.function_p90 <= 18
    assert [row for row in sizes.functions if row[1] > 46] == []


def test_files_are_short(sizes: Sizes) -> None:
    assert [row for row in sizes.files if row[1] > 400] == []


def test_the_package_does_not_grow_beyond_what_can_be_read(sizes: Sizes) -> None:
    assert sizes.lines <= 64_840


def test_no_two_modules_share_a_name(sizes: Sizes) -> None:
    assert sizes.duplicate_names == []
