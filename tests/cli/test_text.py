from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from voiceid.cli.text import (
    counted,
    fields,
    json_line,
    megabytes,
    printable,
    printable_lines,
    table,
    width,
)

any_text = st.text(st.characters(codec=None))


@given(any_text)
def test_printable_text_holds_nothing_that_acts_on_a_terminal(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown


def test_an_escape_sequence_is_shown_instead_of_obeyed() -> None:
    assert printable("\x1b[2Jalice\r\n") == r"\x1b[2Jalice\r\n"


def test_names_of_any_script_are_left_alone() -> None:
    for name in ("Zoë", "Ольга", "陳大文", "علي", "trñ00.wav"):
        assert printable(name) == name


def test_a_file_name_that_is_not_unicode_is_shown_escaped() -> None:
    assert printable(b"caf\xe9.wav".decode("utf-8", "surrogateescape")) == r"caf\udce9.wav"


def test_a_smuggled_line_break_cannot_pose_as_a_line_of_the_program() -> None:
    assert printable_lines("no file\naccepted  alice") == "no file\n  accepted  alice"


@given(st.dictionaries(any_text, any_text))
def test_json_lines_read_back_and_hold_nothing_unprintable(value: dict[str, str]) -> None:
    line = json_line(value)
    assert line.isprintable()
    assert json.loads(line) == value


@given(any_text)
def test_json_for_a_narrow_encoding_is_ascii(text: str) -> None:
    line = json_line({"x": text}, ascii_only=True)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"x": text}


def test_json_refuses_numbers_that_are_not_finite() -> None:
    for number in (float("nan"), float("inf")):
        try:
            json_line({"score": number})
        except ValueError:
            continue
        raise AssertionError(number)


def test_columns_line_up_whatever_the_script() -> None:
    lines = table(["name", "n"], [["陳大文", "1"], ["Zoë", "22"], ["e\u0301", "333"]], {"n"})
    first, *rest = lines.split("\n")
    assert {width(line) for line in rest} == {width(first)}
    assert rest[0].endswith("    1")


@given(st.lists(st.tuples(any_text, any_text), max_size=5))
def test_a_table_has_one_line_a_row(rows: list[tuple[str, str]]) -> None:
    assert len(table(["a", "b"], rows).split("\n")) == len(rows) + 1


def test_fields_align_their_values() -> None:
    assert fields({"a": "1", "long": "2"}) == "a     1\nlong  2"


def test_sizes_and_counts_read_well() -> None:
    assert megabytes(81_000_000) == "81.0 MB"
    assert megabytes(1_234_000_000) == "1234 MB"
    assert (counted(1, "clip"), counted(2, "clip")) == ("1 clip", "2 clips")
