"""Lists of recordings: which forms are read, and how what is wrong in them is said."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.enrollment import read_manifest
from voiceid.errors import ManifestInvalid, TrialsInvalid
from voiceid.evaluation import read_manifest as read_recordings
from voiceid.listing import open_text, rows_in


def write(folder: Path, data: bytes | str, name: str = "people.csv") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_a_spreadsheet_saves_is_read(tmp_path: Path, delimiter: str, encoding: str) -> None:
    lines = [["Name", " PATH ", "Group"], ["", "", ""], ["Jürgen Groß", "a.wav", "staff"], [""] * 3]
    text = "\r\n".join(delimiter.join(cells) for cells in lines)
    [person] = read_manifest(write(tmp_path, text.encode(encoding)))
    assert person.name == "Jürgen Groß"
    assert person.sources == (str(tmp_path / "a.wav"),)
    assert person.details.groups == ("staff",)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff")))
def test_utf_8_is_never_taken_for_anything_else(tmp_path_factory, text: str) -> None:
    path = write(tmp_path_factory.getbasetemp(), text, "utf-8.txt")
    with open_text(path) as file:
        assert file.read() == text


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"a\0b", b"\x81\x8d", "a\0".encode("utf-16")])
def test_what_is_not_text_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ManifestInvalid, match="not text in UTF-8, UTF-16 or Windows-1252"):
        read_manifest(write(tmp_path, data))
    with pytest.raises(TrialsInvalid, match="not text in UTF-8, UTF-16 or Windows-1252"):
        read_recordings(write(tmp_path, data))


def test_an_unknown_column_is_said_once_with_the_way_out(tmp_path: Path) -> None:
    lines = ["name,path,department", *(f"p{i},{i}.wav,sales" for i in range(5))]
    with pytest.raises(ManifestInvalid) as refused:
        read_manifest(write(tmp_path, "\n".join(lines)))
    assert refused.value.message.count("department") == 2
    assert "line 2: unknown column 'department': call it 'meta.department'" in str(refused.value)
    assert "or leave it out" in str(refused.value)


@pytest.mark.parametrize(("column", "meant"), [("groups", "group"), ("purposes", "purpose")])
def test_a_column_that_is_almost_known_is_named(tmp_path: Path, column: str, meant: str) -> None:
    with pytest.raises(ManifestInvalid, match=f"unknown column '{column}': did you mean '{meant}'"):
        read_manifest(write(tmp_path, f"name,path,{column}\na,a.wav,x"))


def test_of_a_very_long_column_the_beginning_and_the_way_out_are_said(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid) as refused:
        read_manifest(write(tmp_path, f"name,path,{'x' * 9000}\na,a.wav,1"))
    assert "unknown column 'xxx" in refused.value.message
    assert "or leave it out" in refused.value.message
    assert len(refused.value.message) < 600


def test_expiries_that_are_past_are_said_by_their_lines(tmp_path: Path) -> None:
    today, said = datetime.now(UTC).date(), list[str]()
    days = [today - timedelta(days=1), today, "2999-01-31", "2020-01-31T08:00", ""]
    lines = ["name,path,expires", *(f"p{n},{n}.wav,{day}" for n, day in enumerate(days))]
    assert len(read_manifest(write(tmp_path, "\n".join(lines)), said.append)) == 5
    [warning] = said
    assert warning.splitlines()[1:] == [
        f"  line 2: p0, {days[0]}",
        "  line 5: p3, 2020-01-31T08:00",
    ]
    read_manifest(write(tmp_path, "\n".join([lines[0], *lines[2:4]])), said.append)
    assert len(said) == 1


def test_a_column_that_is_missing_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid) as refused:
        read_manifest(write(tmp_path, "name\nalice\nbob\n"))
    assert refused.value.message.count("no column path") == 1


def test_a_column_of_metadata_is_one_key(tmp_path: Path) -> None:
    text = "name,path,metadata,META.Department,meta.room\nalice,a.wav,badge=7,Sales,\n"
    [person] = read_manifest(write(tmp_path, text))
    assert dict(person.details.metadata) == {"badge": "7", "Department": "Sales"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,path,metadata,meta.a\nalice,a.wav,a=1,2\n", "two values of 'a'"),
        ("name,path,metadata\nalice,a.wav,a=1;a=2\n", "two values of 'a'"),
        ("name,path,Name\nalice,a.wav,bob\n", "two columns have the same name"),
        ("name,speaker,path\nalice,bob,a.wav\n", "both name and speaker"),
        ("name;path;expires\nalice;a.wav;31.12.2026\n", "write 2026-12-31"),
        ("name,path,meta.a=b\nalice,a.wav,2\n", "cannot be a key"),
        ('{"name": "alice", "path": true}', "path is not a text"),
        ('{"name": "alice", "name": "bob", "path": "a.wav"}', "a key twice"),
    ],
)
def test_what_cannot_be_meant_is_named(tmp_path: Path, text: str, said: str) -> None:
    name = "people.jsonl" if text.startswith("{") else "people.csv"
    with pytest.raises(ManifestInvalid, match=said):
        read_manifest(write(tmp_path, text, name))


def test_one_list_serves_enrolment_and_evaluation(tmp_path: Path) -> None:
    text = (
        "name,path,label,group,meta.badge,expires,session\n"
        "Alice,a.wav,Phone,staff,7,2026-12-31,mon\nalice,b.wav,,,,,tue\n"
    )
    path = write(tmp_path, text)
    [person] = read_manifest(path)
    assert person.details.expires_at == datetime(2027, 1, 1, tzinfo=UTC)
    first, second = read_recordings(path)
    assert (first.speaker, first.session, first.condition) == ("Alice", "mon", "Phone")
    assert (second.speaker, second.session, second.condition) == ("Alice", "tue", "")
    assert read_recordings(write(tmp_path, text.replace("name,", "speaker,", 1))) == (first, second)


@given(
    st.lists(st.text(st.characters(codec="utf-8")), max_size=5), st.sampled_from([".csv", ".jsonl"])
)
def test_any_text_gives_rows_or_sentences(lines: list[str], suffix: str) -> None:
    text = io.StringIO("\n".join(lines), newline="")
    for number, row in rows_in(Path(f"list{suffix}"), text):
        assert number > 0
        assert isinstance(row, dict | str)
