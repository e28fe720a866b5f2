"""The page that plays a recording: names and words are text, and all it needs is in it."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser

import pytest
from talks import talk

from voiceid import Diarization
from voiceid.transcripts import TranscriptLine
from voiceid.transcripts.talk_page import talk_page

HOSTILE = '</script><script>alert(1)</script> & "b" \udcff'
TALK = talk((0, 4, "alice"), (3, 9, HOSTILE), (9, 9.5, "alice"), duration_s=3700.0)
VOID = {"meta", "input", "br"}


class Page(HTMLParser):
    """The tags of a page, which must be balanced, and what stands in some."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        text.encode()
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def of(self, tag: str) -> list[str]:
        return [text for where, text in self.texts if where == tag]

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.tags if found == tag]


def test_a_page_has_voices_lanes_and_lines_and_nothing_of_it_is_markup() -> None:
    lines = [TranscriptLine(0, 4, "alice", "<b>Hi</b>"), TranscriptLine(math.nan, 4, None, "so")]
    page = Page(talk_page(TALK, lines, "sub dir/a #1?.wav"))
    assert len(page.all("script")) == 2
    assert page.all("b") == [{}]
    assert [text for text in page.of("p") if text in {"<b>Hi</b>", "so"}] == ["<b>Hi</b>", "so"]
    assert page.all("audio")[0]["src"] == "./sub%20dir/a%20%231%3F.wav"
    assert "hidden" in next(p for p in page.all("p") if p.get("id") == "missing")
    shown = HOSTILE.replace("\udcff", "\\udcff")
    assert page.of("bdi") == ["alice", shown, "alice", shown, "alice"]
    assert len(page.all("i")) == len(TALK.turns)
    facts = json.loads(page.of("script")[0])
    assert facts["turns"] == [[0, 4, 0], [3, 9, 1], [9, 9.5, 0]]
    assert facts["lines"] == [[0, 4], [None, 4]]


def test_without_lines_the_page_lists_the_turns_and_without_sound_it_asks_for_it() -> None:
    text = talk_page(TALK)
    page = Page(text)
    assert "src" not in page.all("audio")[0]
    assert "hidden" not in next(p for p in page.all("p") if p.get("id") == "missing")
    assert len(page.of("b")) + len(page.of("bdi")) >= len(TALK.turns)
    assert not re.search(r"https?:", text)
    assert "1:01:40, 2 voices" in text


@pytest.mark.parametrize("found", [talk(), talk(duration_s=0.0)])
def test_a_recording_without_voices_has_a_page(found: Diarization) -> None:
    assert json.loads(Page(talk_page(found)).of("script")[0])["turns"] == []


def test_a_colon_in_a_name_is_no_scheme() -> None:
    page = Page(talk_page(TALK, (), "javascript:alert(1)"))
    assert page.all("audio")[0]["src"] == "./javascript%3Aalert%281%29"
