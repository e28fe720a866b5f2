"""Turns as text: readers that know the formats alone read back what is written."""

from __future__ import annotations

import csv
import html
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.domain import VoiceTurn
from voiceid.domain.turn_formats import FORMS, text, tokens

NAMES = st.sampled_from(
    [
        "alice",
        "unknown-1",
        "Ana María",
        "Ana_María",
        "a --> b",
        "<i>&amp;",
        '"x", y',
        "=1+1",
        "李 雷",
    ]
)


@st.composite
def turn_lists(draw: st.DrawFn) -> list[VoiceTurn]:
    starts = sorted(draw(st.lists(st.integers(0, 40_000_000), max_size=6)))
    lengths = [draw(st.integers(1, 90_000)) for _ in starts]
    return [
        VoiceTurn(start / 1000, (start + length) / 1000, draw(NAMES))
        for start, length in zip(starts, lengths, strict=True)
    ]


def read_rttm(written: str) -> list[tuple[float, float, str]]:
    rows = [line.split(" ") for line in written.splitlines()]
    for row in rows:
        assert len(row) == 10
        assert (row[0], row[2]) == ("SPEAKER", "1")
        assert [row[i] for i in (5, 6, 8, 9)] == ["<NA>"] * 4
    return [(float(row[3]), float(row[3]) + float(row[4]), row[7]) for row in rows]


def at_s(written: str) -> float:
    hours, minutes, seconds = re.fullmatch(
        r"(\d\d+):([0-5]\d):([0-5]\d[.,]\d{3})", written
    ).groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds.replace(",", "."))


def read_cues(blocks: list[str]) -> list[tuple[float, float, str]]:
    found = []
    for block in blocks:
        when, line = block.split("\n")
        start, end = when.split(" --> ")
        found.append((at_s(start), at_s(end), line))
    return found


def read_srt(written: str) -> list[tuple[float, float, str]]:
    blocks = written.rstrip("\n").split("\n\n") if written else []
    numbers = [block.partition("\n")[0] for block in blocks]
    assert numbers == [str(number) for number in range(1, len(blocks) + 1)]
    return read_cues([block.partition("\n")[2] for block in blocks])


def read_vtt(written: str) -> list[tuple[float, float, str]]:
    head, *blocks = written.rstrip("\n").split("\n\n")
    assert head == "WEBVTT"
    cues = read_cues(blocks)
    found = []
    for start, end, line in cues:
        tag, shown = re.fullmatch(r"<v ([^<>]*)>([^<>]*)", line).groups()
        assert html.unescape(tag) == html.unescape(shown)
        found.append((start, end, html.unescape(tag)))
    return found


def read_csv(written: str) -> list[tuple[float, float, str]]:
    rows = list(csv.DictReader(io.StringIO(written)))
    assert {row["clip"] for row in rows} <= {"a talk.wav"}
    return [(float(row["start_s"]), float(row["end_s"]), row["voice"]) for row in rows]


def read_audacity(written: str) -> list[tuple[float, float, str]]:
    rows = [line.split("\t") for line in written.splitlines()]
    return [(float(start), float(end), name) for start, end, name in rows]


READERS = {
    "rttm": read_rttm,
    "srt": read_srt,
    "vtt": read_vtt,
    "csv": read_csv,
    "audacity": read_audacity,
}


@pytest.mark.parametrize("form", FORMS)
@given(turns=turn_lists())
def test_what_is_written_is_read_back(form: str, turns: list[VoiceTurn]) -> None:
    found = READERS[form](text(form, "a talk.wav", turns))
    assert len(found) == len(turns)
    words = tokens(turn.voice for turn in turns)
    for (start, end, name), turn in zip(found, turns, strict=True):
        assert (start, end) == pytest.approx((turn.start_s, turn.end_s), abs=1e-6)
        wanted = {"rttm": words[turn.voice], "csv": turn.voice, "vtt": turn.voice}
        assert name == wanted.get(form, turn.voice.replace("-->", "->"))


@given(names=st.lists(NAMES))
def test_names_of_one_word_still_differ(names: list[str]) -> None:
    words = tokens(names)
    assert len(set(words.values())) == len(set(names))
    assert all(len(word.split()) == 1 for word in words.values())


def test_the_file_of_rttm_is_one_word_without_its_ending() -> None:
    line = text("rttm", "a talk.wav", [VoiceTurn(1.5, 2.25, "bob")])
    assert line == "SPEAKER a_talk 1 1.500 0.750 <NA> <NA> bob <NA> <NA>\n"


def test_another_format_is_an_error() -> None:
    with pytest.raises(ValueError, match="'xml' is not one of rttm, srt, vtt, csv, audacity"):
        text("xml", "talk.wav", [])
