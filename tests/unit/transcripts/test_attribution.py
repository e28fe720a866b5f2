"""Which voice says which words: every word once, in order, whatever the times are."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid import VoiceTurn
from voiceid.transcripts.attribution import HIDDEN, Segment, Speech, Word, parts

TALK = Speech([VoiceTurn(0, 4, "alice"), VoiceTurn(5, 9, "bob"), VoiceTurn(8, 9, "carol")])


def said(segment: Segment, speech: Speech = TALK) -> list[tuple[str | None, str]]:
    return [(part.voice, segment.text[part.text].strip()) for part in parts(segment, speech)]


def test_a_word_has_the_voice_of_most_of_its_time() -> None:
    words = (Word("one", 3, 3.6), Word("two", 3.8, 4.4), Word("three", 4.6, 5.8))
    assert said(Segment(" one two three", 3, 5.8, words)) == [
        ("alice", "one two"),
        ("bob", "three"),
    ]


def test_words_without_times_are_between_their_neighbours() -> None:
    words = (Word("In", 3, 3.4), Word("2016,"), Word("we", 5.4, 5.6), Word("met", 5.6, 6))
    cut = said(Segment("In 2016, we met", 3, 6, words))
    assert cut == [("alice", "In 2016,"), ("bob", "we met")]


def test_where_several_speak_the_voice_goes_on_that_spoke_before() -> None:
    words = (Word("yes", 7, 8), Word("no", 8.2, 8.8))
    assert said(Segment("yes no", 7, 9, words)) == [("bob", "yes no")]
    assert said(Segment("no", 8.2, 8.8)) == [("bob", "no")]  # the first by name
    both = Speech([VoiceTurn(0, 4, "carol"), VoiceTurn(2, 4, "bob")])
    words = (Word("yes", 1, 2), Word("no", 2.2, 3.8))
    assert said(Segment("yes no", 1, 4, words), both) == [("carol", "yes no")]


def test_a_text_without_times_is_shared_over_the_speech_and_cut_at_a_sentence() -> None:
    text = "It was on Friday. Then he left at once, they say."
    cut = parts(Segment(text, 1, 8), TALK)
    assert [(p.voice, text[p.text].strip()) for p in cut] == [
        ("alice", "It was on Friday."),
        ("bob", "Then he left at once, they say."),
    ]
    plain = Segment(text.replace(".", ","), 1, 8)
    assert said(plain)[0] == ("alice", "It was on Friday, Then he")
    moved, unmoved = ([(p.start_s, p.end_s) for p in found] for found in (cut, parts(plain, TALK)))
    assert moved == unmoved  # the voice changes when it did
    assert (cut[0].start_s, cut[1].end_s) == (1, 8)
    assert cut[0].end_s <= cut[1].start_s


def test_a_part_of_less_than_a_second_goes_to_its_neighbour() -> None:
    assert said(Segment("So it begins right here", 3.6, 8)) == [("bob", "So it begins right here")]
    words = tuple(Word(w, 3.6 + i, 4 + i) for i, w in enumerate(["So", "it", "begins"]))
    assert said(Segment("So it begins", 3.6, 8, words))[0] == ("alice", "So")


def test_where_no_voice_is_heard_there_is_no_name() -> None:
    assert said(Segment("hello", 20, 21)) == [(None, "hello")]
    assert said(Segment("hello", 9.4, 9.8)) == [("bob", "hello")]  # half a second beside a turn
    assert said(Segment("hello", 9.6, 9.8)) == [(None, "hello")]
    assert said(Segment("hello", 1, 2), Speech([])) == [(None, "hello")]


@pytest.mark.parametrize("times", [(math.nan, 1), (1, math.nan), (2, 1), (1, math.inf)])
def test_times_that_are_none_give_no_name(times: tuple[float, float]) -> None:
    assert said(Segment("hello there", *times)) == [(None, "hello there")]


def test_words_that_are_not_in_the_text_do_not_cut_it() -> None:
    words = (Word("uno", 1, 3), Word("dos", 5, 9))
    assert said(Segment("one two", 1, 9, words)) == [("bob", "one two")]


def test_scripts_without_blanks_are_cut_between_characters() -> None:
    words = (Word("你好", 1, 3), Word("再见", 5.5, 7))
    segment = Segment("你好。再见!", 1, 7, words)
    assert said(segment) == [("alice", "你好。"), ("bob", "再见!")]
    assert [part.words for part in parts(segment, TALK)] == [slice(0, 1), slice(1, 2)]


def test_what_is_hidden_is_of_no_length() -> None:
    hidden = HIDDEN * 60
    assert said(Segment(f"{hidden}one two three four", 3, 8.9))[0][0] == "bob"


times = st.one_of(
    st.floats(-5, 40, allow_nan=False), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1e300])
)
texts = st.lists(
    st.sampled_from(
        ["hello", "a", "2016,", "end.", "--", "你好", "ไทย", "a-b", "\u2026", "&amp;", HIDDEN]
    ),
    max_size=12,
)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    words = draw(texts)
    joined = draw(st.sampled_from([" ", "", "\n", "  "])).join(words)
    heard = draw(st.lists(st.sampled_from([*words, "other", " ", ""]), max_size=14))
    given_words = tuple(Word(word, draw(times), draw(times)) for word in heard)
    return Segment(joined, draw(times), draw(times), given_words)


turns = st.lists(
    st.tuples(st.floats(0, 30), st.floats(0.01, 9), st.sampled_from("abc")).map(
        lambda drawn: VoiceTurn(drawn[0], drawn[0] + drawn[1], drawn[2])
    ),
    max_size=8,
)


@given(segment=segments(), spoken=turns)
def test_all_of_the_text_and_every_word_come_out_once_in_order(
    segment: Segment, spoken: list[VoiceTurn]
) -> None:
    found = parts(segment, Speech(spoken))
    assert "".join(segment.text[part.text] for part in found) == segment.text
    assert [w for part in found for w in segment.words[part.words]] == list(segment.words)
    voices = {turn.voice for turn in spoken} | {None}
    assert {part.voice for part in found} <= voices
    assert all(one.voice != other.voice for one, other in itertools.pairwise(found))
    if len(found) > 1:
        assert all(math.isfinite(p.start_s) and p.start_s <= p.end_s for p in found)
        assert None not in {part.voice for part in found}


@given(segment=segments(), spoken=turns)
def test_no_word_is_cut_in_two(segment: Segment, spoken: list[VoiceTurn]) -> None:
    found = parts(segment, Speech(spoken))
    pieces = [segment.text[part.text].split() for part in found]
    if segment.text.isascii():
        assert [word for piece in pieces for word in piece] == segment.text.split()
