"""A transcript, and the names of who says what in it."""

from __future__ import annotations

import codecs
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Self

from voiceid.domain import Diarization
from voiceid.errors import TranscriptInvalid
from voiceid.foreign_files import (
    SEGMENT,
    TRANSCRIPT,
    TRANSCRIPT_LINES,
    TRANSCRIPT_WORDS,
    Limit,
    Unfit,
    content,
)
from voiceid.transcripts.attribution import Part, Segment, Speech, parts, words_of
from voiceid.transcripts.recognizer_json import RecognizerJson
from voiceid.transcripts.subtitles import Subtitles

_BOM = "\ufeff"
_CHAR_S = 0.1
"""Assumed length of a character of the last segment, if its end is not stated."""


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """The words of one voice.

    Parameters
    ----------
    start_s, end_s : float
        In the recording, in seconds; NaN: not in the transcript.
    voice : str or None
        The name of the voice; None: no voice was heard there.
    text : str
        Without tags, on one line.
    """

    start_s: float
    end_s: float
    voice: str | None
    text: str


@dataclass(frozen=True, slots=True)
class NamedTranscript:
    """A transcript with the names of who says what.

    Parameters
    ----------
    data : bytes
        The file, in the format in which it came.
    lines : tuple of TranscriptLine
        Its lines, in the order of the file.
    unused : tuple of str
        The parts without a name, and why, in a few words each.
    """

    data: bytes
    lines: tuple[TranscriptLine, ...]
    unused: tuple[str, ...]


class Transcript:
    """A transcript of a recording, by any recogniser, without names.

    Parameters
    ----------
    data : bytes
        The content of the file: SubRip, WebVTT, or JSON of openai-whisper, WhisperX,
        faster-whisper, whisper.cpp, OpenAI's service or Transformers.
    name : str
        Its name in messages.

    Raises
    ------
    TranscriptInvalid
        It is not in one of these formats.
    """

    def __init__(self, data: bytes, name: str = "the transcript") -> None:
        self.name = name
        self._notes: list[str] = []
        try:
            text = self._decoded(data)
            self._marked = text.startswith(_BOM)
            _require_at_most(TRANSCRIPT_LINES, sum(map(text.count, "\n\r{[,")))
            _require_at_most(TRANSCRIPT_WORDS, text.count("<"))
            self._file = _file(text.removeprefix(_BOM))
            segments = [segment for segment in self._file.segments(()) if segment is not None]
            _require_at_most(SEGMENT, max((len(segment.text) for segment in segments), default=0))
            pieces = islice(chain(segments, *map(words_of, segments)), TRANSCRIPT_WORDS.size + 1)
            _require_at_most(TRANSCRIPT_WORDS, sum(1 for _ in pieces))
        except Unfit as error:
            raise TranscriptInvalid(f"{name} cannot be read: {error}") from error

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read a file; raises TranscriptInvalid."""
        try:
            return cls(content(Path(path), TRANSCRIPT), os.fspath(path))
        except (OSError, Unfit) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise TranscriptInvalid(f"{path} cannot be read: {why}") from error

    def named(self, talk: Diarization) -> NamedTranscript:
        """Return the transcript with the names of the voices that say its words.

        A segment or cue is cut where the voice changes: between words by their times, if it has
        them; else by their share of the time, at the end of a sentence if one is near, and never
        into parts of less than a second.  Names that it had before are replaced.

        - In JSON segments, and their words, have the field ``speaker``; all others stay.
        - In WebVTT a cue begins with ``<v NAME>``, in SubRip with ``NAME: ``.
        """
        speech = Speech(talk.turns)
        segments = self._file.segments([voice.name for voice in talk.voices])
        parts_of = {
            number: parts(self._file.spoken(_ended(segment)), speech)
            for number, segment in enumerate(segments)
            if segment is not None
        }
        lines = [
            TranscriptLine(part.start_s, part.end_s, part.voice, text)
            for number, cut in parts_of.items()
            for part in cut
            if (segment := segments[number]) and (text := self._shown(segment.text[part.text]))
        ]
        text = self._file.named(segments, parts_of)
        data = ((_BOM if self._marked else "") + text).encode("utf-8", "surrogateescape")
        unused = [*self._notes, *self._file.strange, *_nameless(segments, parts_of, talk)]
        return NamedTranscript(data, tuple(lines), tuple(unused))

    def _shown(self, text: str) -> str:
        return re.sub("[\ud800-\udfff]", "\ufffd", self._file.plain(text))

    def _decoded(self, data: bytes) -> str:
        if not data.strip():
            raise Unfit("it is empty")
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            self._notes.append("it is UTF-16, and was written in UTF-8")
            return data.decode("utf-16", "replace")
        text = data.decode("utf-8", "surrogateescape")  # other bytes are written unchanged
        if re.search("[\udc80-\udcff]", text):
            self._notes.append("it is not UTF-8: its bytes were kept, and names written in UTF-8")
        return text


def _require_at_most(limit: Limit, n: int) -> None:
    if n > limit.size:
        raise limit.exceeded()


def _file(text: str) -> RecognizerJson | Subtitles:
    if text.lstrip()[:1] in {"{", "["}:
        return RecognizerJson(text)
    subtitles = Subtitles(text)
    if not subtitles.is_one:
        raise Unfit("it has no line of times, such as 00:00:01,000 --> 00:00:02,500")
    return subtitles


def _ended(segment: Segment) -> Segment:
    """Return a segment that has an end, if it does not say when it ends."""
    if not math.isnan(segment.end_s):
        return segment
    return replace(segment, end_s=segment.start_s + _CHAR_S * len(segment.text))


def _nameless(
    segments: Sequence[Segment | None], parts_of: Mapping[int, Sequence[Part]], talk: Diarization
) -> Iterator[str]:
    """Yield why some segments have no name."""
    reasons = {
        "have no times that can be used": 0,
        f"begin after the recording ends, at {talk.duration_s:.1f} s": 0,
        "are where no voice was heard": 0,
    }
    untimed, late, unheard = reasons
    for number, cut in parts_of.items():
        segment = segments[number]
        if cut[0].voice is not None or segment is None or not segment.text.strip():
            continue
        if not _ended(segment).is_timed:
            reasons[untimed] += 1
        else:
            reasons[late if segment.start_s > talk.duration_s else unheard] += 1
    for reason, n in reasons.items():
        if n:
            yield f"{n} of {len(parts_of)} segments {reason}, and have no name"
