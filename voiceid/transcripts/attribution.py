"""Which voice says which part of a segment of a transcript.

A segment is cut between words only, and its parts in order are all of its text.  A word has the
voice that speaks for most of its time.  Words without times share the time of speech in the
segment, by their lengths.  Such times are rough, so a part of less than a second goes to its
neighbour, and a cut moves to the end of a sentence nearby.
"""

from __future__ import annotations

import bisect
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from voiceid.domain import VoiceTurn
from voiceid.domain.diarizations import stretches

HIDDEN = "\0"
"""Replaces, in a segment's text, each character that is not spoken, such as those of a tag."""
_NEAR_S = 0.5
"""A word this near to a turn is of its voice: recognisers are not more exact."""
_SAME_S, _ROUNDING_S = 1e-3, 1e-6
_LEAST_S, _SENTENCE_S = 1.0, 1.5
"""For segments without times of words: the shortest part, and how far away a sentence may end.
Judged, not measured: if one person of a segment speaks a quarter faster than the other, a cut in
the middle of 8 s is wrong by half a second to one."""
_FAR_CHARS = 40
"""A word is searched this far after the word before it; text between has no time."""

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Scripts that put no blanks between words: Thai, Lao, Burmese, Khmer, kana and Han."""
_UNIT = re.compile(rf"[^\w\s]*[{_UNSPACED}][^\w\s]*|(?:(?![{_UNSPACED}])\S)+")
_MARKS = 6
"""The most marks at the end of a sentence."""
_SENTENCE = re.compile(r"[.?!\u2026\u3002\uff1f\uff01][^\w\s]*\Z")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a recogniser, from start to end in seconds; NaN: the time is not known."""

    text: str
    start_s: float = math.nan
    end_s: float = math.nan

    @property
    def is_timed(self) -> bool:
        """Whether the times can be used."""
        return math.isfinite(self.start_s) and self.start_s <= self.end_s < math.inf

    @property
    def middle_s(self) -> float:
        """Halfway between start and end."""
        return (self.start_s + self.end_s) / 2


@dataclass(frozen=True, slots=True)
class Segment:
    """Some text of a transcript, with `HIDDEN` for unspoken characters, and its words."""

    text: str
    start_s: float
    end_s: float
    words: tuple[Word, ...] = ()

    @property
    def is_timed(self) -> bool:
        """Whether the times can be used."""
        return math.isfinite(self.start_s) and self.start_s <= self.end_s < math.inf


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a segment that one voice says.

    - `voice`: None: no voice was heard there.
    - `text`: of the segment's text, where it begins and ends.
    - `words`: of the segment's words, where they begin and end.
    """

    voice: str | None
    start_s: float
    end_s: float
    text: slice
    words: slice


@dataclass(slots=True)
class _Unit:
    """The smallest unit of one voice: a word, or a character of a script without blanks."""

    number: int
    first: int
    end: int
    start_s: float = math.nan
    end_s: float = math.nan
    voice: str | None = None

    @property
    def is_free(self) -> bool:
        """Whether it has no time yet."""
        return math.isnan(self.start_s)


class Speech:
    """The turns of all voices, with the voice of any time."""

    def __init__(self, turns: Iterable[VoiceTurn]) -> None:
        spoken = [stretch for stretch in stretches(turns) if stretch[2]]
        self._stretches = spoken
        self._starts = [start_s for start_s, _, _ in spoken]

    def during(self, start_s: float, end_s: float) -> Iterator[tuple[float, float, frozenset[str]]]:
        """Yield starts, ends and voices of the speech in some time, cut to it."""
        at = max(0, bisect.bisect_right(self._starts, start_s) - 1)
        while at < len(self._stretches) and self._stretches[at][0] < end_s:
            first_s, last_s, voices = self._stretches[at]
            if last_s > start_s:
                yield max(first_s, start_s), min(last_s, end_s), voices
            at += 1

    def voice(self, start_s: float, end_s: float, before: str | None) -> str | None:
        """Return the voice that speaks most in some time, or beside it; None: no voice.

        Of several equal ones, the voice that spoke before, else the first by name.
        """
        spoken_s: dict[str, float] = {}
        for first_s, last_s, voices in self.during(start_s, max(end_s, start_s + _SAME_S)):
            for voice in voices:
                spoken_s[voice] = spoken_s.get(voice, 0.0) + last_s - first_s
        most_s = max(spoken_s.values(), default=0.0)
        loudest = frozenset(voice for voice, s in spoken_s.items() if s >= most_s - _SAME_S)
        loudest = loudest or self._beside(start_s, end_s)
        return before if before in loudest else min(loudest, default=None)

    def _beside(self, start_s: float, end_s: float) -> frozenset[str]:
        at = bisect.bisect_right(self._starts, start_s)
        near = [
            (max(first_s - end_s, start_s - last_s), index)
            for index, (first_s, last_s, _) in enumerate(self._stretches[max(0, at - 1) : at + 1])
        ]
        off_s, index = min(near, default=(math.inf, 0))
        return self._stretches[max(0, at - 1) + index][2] if off_s <= _NEAR_S else frozenset()

    def spans(self, start_s: float, end_s: float) -> list[tuple[float, float]]:
        """Return the spans of speech in some time, or all of the time."""
        return [span[:2] for span in self.during(start_s, end_s)] or [(start_s, end_s)]

    def shared(
        self, start_s: float, end_s: float, sizes: Sequence[int]
    ) -> list[tuple[float, float]]:
        """Return the starts and ends of words of some sizes that share the speech in some time."""
        spans = self.spans(start_s, end_s)
        done_s = [0.0, *itertools.accumulate(last_s - first_s for first_s, last_s in spans)]
        step_s = done_s[-1] / max(1, sum(sizes))
        ends = [step_s * end for end in itertools.accumulate(sizes)]
        shares = []
        for left_s, right_s in itertools.pairwise([0.0, *ends]):
            first = min(bisect.bisect_right(done_s, left_s + _ROUNDING_S), len(spans)) - 1
            last = max(min(bisect.bisect_left(done_s, right_s - _ROUNDING_S), len(spans)), 1) - 1
            begin_s = spans[first][0] + left_s - done_s[first]
            shares.append((begin_s, max(begin_s, spans[last][0] + right_s - done_s[last])))
        return shares


def _places(segment: Segment) -> list[int]:
    """Return the place of each word in the text of its segment; -1: the word is not there."""
    places, at = [], 0
    for word in segment.words:
        text = word.text.strip()
        place = segment.text.find(text, at, at + len(text) + _FAR_CHARS) if text else -1
        places.append(place)
        at = at if place < 0 else place + len(text)
    return places


def words_of(segment: Segment) -> Iterator[re.Match[str]]:
    """Find the words of a segment's text, one after the other."""
    return _UNIT.finditer(segment.text)


def parts(segment: Segment, speech: Speech) -> list[Part]:
    """Return the parts of a segment, in order: at least one; together they are the segment."""
    spans = [word.span() for word in words_of(segment) if word[0].strip(HIDDEN)]
    units = [_Unit(number, *span) for number, span in enumerate(spans)]
    if not segment.is_timed or not units:
        return [Part(None, segment.start_s, segment.end_s, slice(None), slice(None))]
    places = _places(segment)
    is_timed = _give_times(units, segment, places)
    _share_rest(units, segment, speech)
    _give_voices(units, speech)
    if not is_timed:
        _settle(units, segment, speech)
    cuts = _changes(units)
    if segment.words and max(places) < 0:  # the voice of each word cannot be known
        most = speech.voice(segment.start_s, segment.end_s, None)
        cuts, units[0].voice = [0], most or units[0].voice
    return _cut(segment, units, cuts, places)


def _give_times(units: Sequence[_Unit], segment: Segment, places: Sequence[int]) -> bool:
    """Give units the times of the words in them; return whether any word has a time."""
    ends = [unit.end for unit in units]
    is_timed = False
    for word, first in zip(segment.words, places, strict=True):
        if first < 0 or not word.is_timed:
            continue
        is_timed = True
        at, end = bisect.bisect_right(ends, first), first + len(word.text.strip())
        while at < len(units) and units[at].first < end:
            unit = units[at]
            had = word if unit.is_free else unit
            unit.start_s = min(had.start_s, word.start_s)
            unit.end_s = max(had.end_s, word.end_s)
            at += 1
    return is_timed


def _share_rest(units: Sequence[_Unit], segment: Segment, speech: Speech) -> None:
    """Give units without times the time between their neighbours, or all of the segment."""
    before_s = segment.start_s
    for is_free, run in itertools.groupby(units, lambda unit: unit.is_free):
        members = list(run)
        if is_free:
            after = members[-1].number + 1
            after_s = units[after].start_s if after < len(units) else segment.end_s
            sizes = [_size(unit, segment) for unit in members]
            times = speech.shared(before_s, max(before_s, after_s), sizes)
            for unit, span in zip(members, times, strict=True):
                unit.start_s, unit.end_s = span
        before_s = members[-1].end_s


def _size(unit: _Unit, segment: Segment) -> int:
    return len(segment.text[unit.first : unit.end].replace(HIDDEN, ""))


def _give_voices(units: Sequence[_Unit], speech: Speech) -> None:
    voice = None
    for unit in units:
        unit.voice = voice = speech.voice(unit.start_s, unit.end_s, voice) or voice
    for unit in reversed(units):  # units before the first with a voice
        unit.voice = voice = unit.voice or voice


def _changes(units: Sequence[_Unit]) -> list[int]:
    """Return the numbers of the units that begin a part."""
    return [i for i, unit in enumerate(units) if i == 0 or unit.voice != units[i - 1].voice]


def _settle(units: Sequence[_Unit], segment: Segment, speech: Speech) -> None:
    """Change the voices of units whose times are rough: no short parts, and whole sentences."""
    sizes = [0, *itertools.accumulate(_size(unit, segment) for unit in units)]
    spans = speech.spans(segment.start_s, segment.end_s)
    step_s = sum(last_s - first_s for first_s, last_s in spans) / sizes[-1]
    done_s = [step_s * size for size in sizes]
    cuts = _changes(units)
    while len(cuts) > 1:
        ends = [*cuts[1:], len(units)]
        lengths = [done_s[end] - done_s[cut] for cut, end in zip(cuts, ends, strict=True)]
        at = lengths.index(min(lengths))
        if lengths[at] >= _LEAST_S:
            break
        beside = [i for i in (at - 1, at + 1) if 0 <= i < len(cuts)]
        longer = cuts[max(beside, key=lengths.__getitem__)]
        for unit in units[cuts[at] : ends[at]]:
            unit.voice = units[longer].voice
        cuts = [i for i in cuts if i == 0 or units[i].voice != units[i - 1].voice]
    for number in range(1, len(cuts)):
        last = cuts[number + 1] if number + 1 < len(cuts) else len(units)
        near = [
            (off_s, at)
            for at in range(cuts[number - 1] + 1, last)
            if (off_s := abs(done_s[at] - done_s[cuts[number]])) <= _SENTENCE_S
            and _ends_sentence(segment.text[units[at - 1].first : units[at - 1].end])
        ]
        if near:
            _move(units, cuts[number], min(near)[1])
            cuts[number] = min(near)[1]


def _move(units: Sequence[_Unit], cut: int, to: int) -> None:
    """Change the voice at another unit, and at the time at which it changed."""
    before, after = units[cut - 1], units[cut]
    changes_s = before.end_s, after.start_s
    for unit in units[min(to, cut) : max(to, cut)]:
        unit.voice = after.voice if to < cut else before.voice
    units[to - 1].end_s, units[to].start_s = changes_s


def _ends_sentence(text: str) -> bool:
    return _SENTENCE.search(text.strip(HIDDEN)[-_MARKS:]) is not None


def _cut(
    segment: Segment, units: Sequence[_Unit], cuts: Sequence[int], places: Sequence[int]
) -> list[Part]:
    """Return the parts that begin at some units; blanks between two are the second's."""
    reached = list(itertools.accumulate(places, max))
    borders = [0, *(units[cut - 1].end for cut in cuts[1:]), len(segment.text)]
    words = [bisect.bisect_left(reached, border) for border in borders]
    words[0], words[-1] = 0, len(segment.words)
    starts = [segment.start_s, *(round(units[cut].start_s, 3) for cut in cuts[1:])]
    last_s = segment.end_s if segment.end_s >= starts[-1] else units[-1].end_s
    ends = [*(round(units[cut - 1].end_s, 3) for cut in cuts[1:]), last_s]
    return [
        Part(
            units[cut].voice,
            starts[i],
            max(starts[i], ends[i]),
            slice(borders[i], borders[i + 1]),
            slice(words[i], words[i + 1]),
        )
        for i, cut in enumerate(cuts)
    ]
