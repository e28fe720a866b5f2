"""JSON of speech recognisers: openai-whisper, WhisperX, faster-whisper, whisper.cpp and others.

The known shapes (from the code that writes them, the only documentation):

- ``segments``: objects with ``start``, ``end`` in seconds and ``text``, and perhaps ``words`` with
  ``word``, ``start``, ``end``: openai-whisper ``--output_format json`` (words begin with a blank),
  WhisperX (they do not, and a number has no time; the same words once more in ``word_segments``),
  the verbose JSON of OpenAI's service (``words`` beside ``segments``, without punctuation);
- a list of such objects, or one a line: programs that use faster-whisper write it; words may be
  arrays of start, end, word, probability (they were named tuples);
- ``transcription``: whisper.cpp ``-oj``, with ``offsets`` in milliseconds and ``timestamps``, and
  ``tokens`` with ``-ojf``;
- ``chunks`` with ``timestamp``: [start, end], the last end perhaps null: Transformers.
"""

from __future__ import annotations

import bisect
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from voiceid.domain.turn_formats import clock
from voiceid.foreign_files import Unfit
from voiceid.transcripts.attribution import Part, Segment, Word

_LISTS = ("segments", "transcription", "chunks")


class RecognizerJson:
    """A transcript in JSON; only what concerns voices is changed."""

    def __init__(self, text: str) -> None:
        self._root, self._has_lines = _read(text)
        items, self._key = self._root, None
        if isinstance(items, dict):
            self._key = next((k for k in _LISTS if isinstance(items.get(k), list)), None)
            items = items.get(self._key) if self._key else None
        if not isinstance(items, list) or (items and not any(map(_is_segment, items))):
            raise Unfit(
                "its JSON has no list of segments: objects with text, start and end"
                f" (in {', '.join(_LISTS)}, or as the whole)"
            )
        self._items: list[Any] = items
        self._is_ascii = text.isascii()
        self._end = text[len(text.rstrip()) :]
        indent = re.match(r"\s*[\[{]\r?\n([ \t]+)", text)
        self._indent = indent[1] if indent else None
        self._flat = self._words_beside()
        self._heard = sorted(
            (word.middle_s, i) for i, word in enumerate(map(_word, self._flat)) if word.is_timed
        )

    @property
    def strange(self) -> tuple[str, ...]:
        """A few words on the entries that are not segments; they stay unchanged."""
        n = sum(not _is_segment(item) for item in self._items)
        of = len(self._items)
        return (f"{n} of {of} segments have no text, or are not objects",) if n else ()

    def segments(self, names: Iterable[str]) -> list[Segment | None]:
        """Return the segments, None for other entries; ``names`` is not used."""
        del names
        return [self._segment(number) for number in range(len(self._items))]

    def spoken(self, segment: Segment) -> Segment:
        """Return a segment, with text that is not spoken hidden."""
        return segment

    def plain(self, text: str) -> str:
        """Return text as it is shown."""
        return " ".join(text.split())

    def _words_beside(self) -> list[Any]:
        """Return the words of OpenAI's service, which are beside the segments."""
        inside = any(isinstance(item, dict) and item.get("words") for item in self._items)
        words = self._root.get("words") if isinstance(self._root, dict) else None
        return words if isinstance(words, list) and not inside else []

    def _segment(self, number: int) -> Segment | None:
        """Return a segment; None if the value is not a segment."""
        item = self._items[number]
        if not _is_segment(item):
            return None
        words = tuple(map(_word, _words(item)))
        start_s, end_s = _times(item)
        if not words and self._flat:
            first, end = (bisect.bisect_left(self._heard, (at_s,)) for at_s in (start_s, end_s))
            words = tuple(_word(self._flat[i]) for _, i in self._heard[first:end])
        timed = [word for word in words if word.is_timed]
        if math.isnan(start_s) and timed:
            start_s = timed[0].start_s
        if math.isnan(end_s):
            later = self._items[number + 1 : number + 2]
            next_s = _times(later[0])[0] if later and _is_segment(later[0]) else math.nan
            end_s = timed[-1].end_s if timed else next_s
        return Segment(item["text"], start_s, end_s, words)

    def named(
        self, segments: Sequence[Segment | None], parts_of: Mapping[int, Sequence[Part]]
    ) -> str:
        """Return the file with segments replaced by their parts; parts are by segment number."""
        del segments  # the text of their words is in the file
        made: list[Any] = []
        for number, item in enumerate(self._items):
            cut = parts_of.get(number)
            made += [item] if cut is None else _cut(item, cut)
        _count(self._items, made)
        root = self._root
        if self._key is not None:
            root = {**root, self._key: made, **self._beside(made, parts_of)}
        if self._has_lines:
            return "\n".join(_written(item, self._is_ascii, None) for item in made) + self._end
        text = _written(made if self._key is None else root, self._is_ascii, self._indent)
        return text + self._end

    def _beside(
        self, made: Sequence[Any], parts_of: Mapping[int, Sequence[Part]]
    ) -> dict[str, list[Any]]:
        """Return the lists of all words, with their voices, where the file has such lists."""
        if self._flat:
            spans = [(p.start_s, p.end_s, p.voice) for parts in parts_of.values() for p in parts]
            spans.sort(key=lambda span: span[0])
            return {"words": [_with_voice(word, _said(spans, word)) for word in self._flat]}
        words = self._root.get("word_segments")
        inside = [word for item in made if isinstance(item, dict) for word in _words(item)]
        if not isinstance(words, list) or len(words) != len(inside):
            return {}
        voices = [word.get("speaker") if isinstance(word, dict) else None for word in inside]
        return {"word_segments": list(map(_with_voice, words, voices))}


def _read(text: str) -> tuple[Any, bool]:
    """Return the value of the JSON, and whether it is one object a line."""
    try:
        return json.loads(text), False
    except json.JSONDecodeError as error:
        lines = [line for line in text.split("\n") if line.strip()]
        if error.msg != "Extra data" or len(lines) < 2:  # noqa: PLR2004 - one object is not a list
            raise Unfit(f"it is not JSON: {error}") from error
    except (ValueError, RecursionError) as error:
        raise Unfit(f"it is not JSON: {error}") from error
    try:
        return [json.loads(line) for line in lines], True
    except (ValueError, RecursionError) as error:
        raise Unfit(f"it is neither JSON nor one JSON object a line: {error}") from error


def _is_segment(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("text"), str)


def _words(item: Mapping[str, Any]) -> list[Any]:
    """Return the words of a segment, or whisper.cpp's tokens."""
    words = item.get("words")
    if not isinstance(words, list):
        words = item.get("tokens")
        if not isinstance(words, list) or not all(isinstance(word, dict) for word in words):
            return []
    return words


def _word(value: object) -> Word:
    if isinstance(value, list) and len(value) >= 3:  # noqa: PLR2004 - start, end, word
        value = dict(zip(("start", "end", "word"), value, strict=False))
    if not isinstance(value, dict):
        return Word("")
    text = value.get("word", value.get("text"))
    return Word(text if isinstance(text, str) else "", *_times(value))


def _times(item: Mapping[str, Any]) -> tuple[float, float]:
    """Return start and end in seconds; NaN if a value is not a time."""
    offsets, pair = item.get("offsets"), item.get("timestamp")
    if isinstance(offsets, dict):
        return _number(offsets.get("from")) / 1000, _number(offsets.get("to")) / 1000
    if isinstance(pair, list) and len(pair) == 2:  # noqa: PLR2004 - start, end
        return _number(pair[0]), _number(pair[1])
    return _number(item.get("start")), _number(item.get("end"))


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        number = float(value)
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def _cut(item: Mapping[str, Any], parts: Sequence[Part]) -> Iterator[dict[str, Any]]:
    """Yield a segment for each part: all fields are copied, and those of time, text and voice set.

    Blanks between two parts are dropped if the segment has none before its text.
    """
    words, key = _words(item), "words" if isinstance(item.get("words"), list) else "tokens"
    for number, part in enumerate(parts):
        made = dict(item)
        if len(parts) > 1:
            text = item["text"][part.text]
            made["text"] = text if number == 0 or item["text"][:1].isspace() else text.lstrip()
            _set_times(made, part, first=number == 0, last=number == len(parts) - 1)
        if words:
            voice = part.voice
            own = words[part.words]
            made[key] = [_with_voice(w, voice) for w in own] if key == "words" else own
        yield _with_voice(made, part.voice)


def _set_times(item: dict[str, Any], part: Part, *, first: bool, last: bool) -> None:
    """Set the times of the cuts of a segment; others stay, except an end before a start."""
    last = last and not _times(item)[1] < part.start_s
    pairs = [(0, part.start_s)] * (not first) + [(1, part.end_s)] * (not last)
    for at, time_s in pairs:
        if isinstance(item.get("offsets"), dict):
            key = ("from", "to")[at]
            item["offsets"] = {**item["offsets"], key: round(time_s * 1000)}
            if isinstance(item.get("timestamps"), dict):
                item["timestamps"] = {**item["timestamps"], key: clock(time_s, ",")}
        elif isinstance(item.get("timestamp"), list):
            pair = list(item["timestamp"])
            pair[at] = round(time_s, 3)
            item["timestamp"] = pair
        else:
            item[("start", "end")[at]] = round(time_s, 3)


def _with_voice(item: Any, voice: str | None) -> Any:
    """Return a segment or word with the voice in place of an old one; other values unchanged."""
    if not isinstance(item, dict):
        return item
    if voice is None:
        return {key: value for key, value in item.items() if key != "speaker"}
    return {**item, "speaker": voice}


def _said(spans: Sequence[tuple[float, float, str | None]], word: Any) -> str | None:
    """Return the voice of a word by its time, among parts by their starts."""
    middle_s = _word(word).middle_s
    at = bisect.bisect_right(spans, middle_s, key=lambda span: span[0]) - 1
    return spans[at][2] if at >= 0 and middle_s <= spans[at][1] else None


def _count(before: Sequence[Any], after: Sequence[Any]) -> None:
    """Renumber the segments if their ids were their numbers."""
    ids = [item.get("id") if isinstance(item, dict) else None for item in before]
    if not ids or type(ids[0]) is not int or ids != list(range(ids[0], ids[0] + len(ids))):
        return
    for number, item in enumerate(after, start=ids[0]):
        item["id"] = number


def _written(root: object, is_ascii: bool, indent: str | None) -> str:
    dumps: Callable[..., str] = json.dumps
    text = dumps(root, ensure_ascii=is_ascii, indent=indent)
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # halves of characters that were escaped in the file
        return dumps(root, indent=indent)
    return text
