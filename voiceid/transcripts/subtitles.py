"""Subtitles: SubRip (SRT) and WebVTT, read line by line, so that all other lines stay.

No library is used: pysubs2 1.8 drops notes, styles, settings and voices of WebVTT, webvtt-py 0.6
drops text with an arrow and cues with a bad line of times, and srt only knows SubRip.
A cue is found by its line of times alone, as W3C's "WebVTT: The Web Video Text Tracks Format" (6.1)
has it; SubRip has no standard, and its cues last until the next, blank lines or not.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from voiceid.domain.turn_formats import clock, one_line, vtt_voice
from voiceid.transcripts.attribution import HIDDEN, Part, Segment, Word

_CLOCK = r"(?:(\d{1,9}):)?(\d{1,9}):(\d{1,9})(?:[.,](\d{1,9}))?"
_WHEN = re.compile(rf"\s*{_CLOCK}\s*-->\s*{_CLOCK}(?:[ \t](.*))?")
_INSIDE = re.compile(rf"<{_CLOCK}>")
_TAG = re.compile(r"<(/?)([A-Za-z][^\s.<>/]*)[^<>]*>|<[\d:.]+>|\{\\[^{}]*\}")
_VOICE = re.compile(r"<v(?:[ \t.\n][^<>]*)?>|</v>")
_FORMER = re.compile(r"\s*\[SPEAKER_\d+\]: ")
"""The prefix of a subtitle's text by WhisperX."""
_DEEPEST = 16
"""At most this many nested tags are opened again where a cue is cut."""
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class _Cue:
    """One subtitle: its identifier (None: it has no such line), times, settings and text."""

    number: str | None
    when: str
    start_s: float
    end_s: float
    settings: str
    text: str


class Subtitles:
    """A file of subtitles; only voices are changed."""

    def __init__(self, text: str) -> None:
        ends = _LINE_END.findall(text)
        self._line_end = ends[0] if ends else "\n"
        self._is_vtt = text.lstrip("\ufeff").startswith("WEBVTT")
        self._lines = _LINE_END.split(text)
        self._items = list(_items(self._lines, is_vtt=self._is_vtt))

    @property
    def is_one(self) -> bool:
        """Whether the file is one of subtitles at all."""
        return self._is_vtt or any(isinstance(item, _Cue) for item in self._items)

    @property
    def strange(self) -> tuple[str, ...]:
        """A few words on each line that looks like times, but is not."""
        strange = [
            number
            for number, line in enumerate(self._lines, start=1)
            if "-->" in line and not _WHEN.fullmatch(line)
        ]
        if not strange:
            return ()
        others = f" (and {len(strange) - 1} more)" if len(strange) > 1 else ""
        return (f"line {strange[0]} has an arrow but no times{others}: it was taken for text",)

    def segments(self, names: Iterable[str]) -> list[Segment | None]:
        """Return the cues, and None for each line outside a cue.

        Names that were there before are left out; in SubRip only those in ``names``.
        """
        former = tuple(f"{one_line(name)}: " for name in names)
        return [self._segment(item, former) for item in self._items]

    def _segment(self, item: _Cue | str, former: Sequence[str]) -> Segment | None:
        if isinstance(item, str):
            return None
        if self._is_vtt:
            text = _VOICE.sub("", item.text)
            return Segment(text, item.start_s, item.end_s, tuple(_timed_words(text, item)))
        former_id = _FORMER.match(item.text)
        text = item.text[former_id.end() :] if former_id else item.text
        name = next((name for name in former if text.startswith(name)), "")
        return Segment(text.removeprefix(name), item.start_s, item.end_s)

    def spoken(self, segment: Segment) -> Segment:
        """Return a segment, with text that is not spoken hidden."""
        text = _TAG.sub(lambda tag: HIDDEN * len(tag[0]), segment.text)
        return replace(segment, text=text)

    def plain(self, text: str) -> str:
        """Return text as it is shown."""
        shown = _TAG.sub("", text)
        return " ".join((html.unescape(shown) if self._is_vtt else shown).split())

    def named(
        self, segments: Sequence[Segment | None], parts_of: Mapping[int, Sequence[Part]]
    ) -> str:
        """Return the file with the parts of segments, by their numbers, in their place."""
        lines: list[str] = []
        number = 0
        for at, (item, segment) in enumerate(zip(self._items, segments, strict=True)):
            if isinstance(item, str) or segment is None:
                lines.append(str(item))
                continue
            cues = list(self._cut(item, segment.text, parts_of[at]))
            for i, (cue, text) in enumerate(cues):
                number += 1
                if not self._is_vtt:
                    lines.append(str(number))
                elif cue.number is not None and i == 0:
                    lines.append(cue.number)
                lines += [cue.when, *(text.split("\n") if text else [])]
                if i < len(cues) - 1:
                    lines.append("")
        return self._line_end.join(lines)

    def _cut(self, cue: _Cue, text: str, parts: Sequence[Part]) -> Iterator[tuple[_Cue, str]]:
        still_open: list[tuple[str, str]] = []
        for part in parts:
            said = text[part.text]
            if len(parts) > 1:
                point = "." if self._is_vtt else ","
                when = f"{clock(part.start_s, point)} --> {clock(part.end_s, point)}"
                cue = replace(cue, when=f"{when} {cue.settings}".rstrip())
                before = "".join(tag for tag, _ in still_open)
                still_open = _still_open(said, still_open)
                after = "".join(end for _, end in reversed(still_open))
                said = before + said.strip() + after
            yield cue, self._with_voice(said, part.voice)

    def _with_voice(self, text: str, voice: str | None) -> str:
        if voice is None:
            return text
        return vtt_voice(voice) + text if self._is_vtt else f"{one_line(voice)}: {text}"


def _items(lines: Sequence[str], *, is_vtt: bool) -> Iterator[_Cue | str]:
    """Yield the cues of a file, and each line outside a cue, in order."""
    whens = [(i, times) for i, line in enumerate(lines) if (times := _WHEN.fullmatch(line))]
    heads = [_has_number(lines, i, is_vtt=is_vtt) for i, _ in whens]
    at = 0
    for place, ((i, times), has_number) in enumerate(zip(whens, heads, strict=True)):
        yield from lines[at : i - has_number]
        end = len(lines)
        if place + 1 < len(whens):
            end = whens[place + 1][0] - heads[place + 1]
        at = i + 1
        if is_vtt:
            while at < end and lines[at].strip():
                at += 1
        else:
            at = end
            while at > i + 1 and not lines[at - 1].strip():
                at -= 1
        start_s, end_s = _seconds(times.groups()[:4]), _seconds(times.groups()[4:8])
        number = lines[i - 1] if has_number else None
        text = "\n".join(lines[i + 1 : at])
        yield _Cue(number, lines[i], start_s, end_s, times[9] or "", text)
    yield from lines[at:]


def _has_number(lines: Sequence[str], i: int, *, is_vtt: bool) -> bool:
    """Whether the line before a line of times is a cue's identifier."""
    if i == 0 or not lines[i - 1].strip() or _WHEN.fullmatch(lines[i - 1]):
        return False
    if is_vtt:
        return i > 1 and not lines[i - 2].strip()
    return lines[i - 1].strip().isdigit()


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = parts
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return whole + float(f"0.{fraction or 0}")


def _timed_words(text: str, cue: _Cue) -> Iterator[Word]:
    """Yield the text between times within a cue: such captions are shown word by word."""
    times = list(_INSIDE.finditer(text))
    starts = [cue.start_s, *(_seconds(at.groups()) for at in times)]
    places = [0, *(at.end() for at in times)]
    ends = [*(at.start() for at in times), len(text)]
    if times:
        for i, (first, end) in enumerate(zip(places, ends, strict=True)):
            last_s = starts[i + 1] if i + 1 < len(starts) else cue.end_s
            yield Word(_TAG.sub("", text[first:end]).strip(), starts[i], last_s)


def _still_open(text: str, before: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the tags that are open after a text, each with its closing tag."""
    still_open = list(before)
    for tag in _TAG.finditer(text):
        if tag[0].startswith("{"):
            still_open.append((tag[0], ""))
        elif tag[1] and any(end == f"</{tag[2]}>" for _, end in still_open):
            while still_open.pop()[1] != f"</{tag[2]}>":
                pass
        elif tag[2] and not tag[1]:
            still_open.append((tag[0], f"</{tag[2]}>"))
    return still_open[:_DEEPEST]
