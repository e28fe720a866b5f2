"""Names in transcripts: how many words have the voice of the person who says them.

    python -m benchmarks.transcripts

The labels of the AMI cuts have no words.  So a word is made for each third of a second of a turn
in which one person speaks alone, and segments as recognisers make them: they end at a pause of
half a second, or after six seconds, even if the speaker changes.  The names are those of `diarize`,
once with the times of the words, and once with the text of the segments alone.  Voices stand for
people as is best for each recording.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from benchmarks.diarization import HOME, labels
from benchmarks.tables import markdown, percent
from examples.ami import wav_of
from voiceid import Diarization, Transcript, VoiceID
from voiceid.domain import VoiceTurn
from voiceid.domain.diarizations import stretches

WORD_S, PAUSE_S, SEGMENT_S = 1 / 3, 0.5, 6.0

Said = tuple[float, str]
"""When a word begins, and who says it."""


def words_of(people: Sequence[tuple[float, float, str]]) -> list[Said]:
    """Return the words of what people say alone."""
    turns = [VoiceTurn(*turn) for turn in people]
    return [
        (float(at_s), next(iter(names)))
        for start_s, end_s, names in stretches(turns)
        if len(names) == 1
        for at_s in np.arange(start_s, end_s - WORD_S, WORD_S)
    ]


def segments_of(words: Sequence[Said]) -> Iterator[list[int]]:
    """Yield which words are of each segment."""
    segment: list[int] = []
    for number, (at_s, _) in enumerate(words):
        if segment:
            is_late = at_s - words[segment[-1]][0] - WORD_S > PAUSE_S
            if is_late or at_s - words[segment[0]][0] > SEGMENT_S:
                yield segment
                segment = []
        segment.append(number)
    if segment:
        yield segment


def transcript(words: Sequence[Said], *, timed: bool) -> bytes:
    """Return the JSON of a recogniser that heard the words."""
    segments: list[dict[str, Any]] = []
    for own in segments_of(words):
        heard = [{"word": f" w{i}", "start": words[i][0], "end": words[i][0] + WORD_S} for i in own]
        text = "".join(f"{word['word']}" for word in heard)
        segment = {"start": heard[0]["start"], "end": heard[-1]["end"], "text": text}
        segments.append(segment | ({"words": heard} if timed else {}))
    return json.dumps(segments).encode()


def counts(found: Diarization, words: Sequence[Said], *, timed: bool) -> tuple[int, int, int]:
    """Return how many words have the right voice, another, and none."""
    named = Transcript(transcript(words, timed=timed)).named(found)
    voice_of = {word: line.voice for line in named.lines for word in line.text.split()}
    voices = [voice_of[f"w{i}"] for i in range(len(words))]
    names, people = [v.name for v in found.voices], sorted({person for _, person in words})
    common = np.zeros((len(people), len(names)))
    for (_, person), voice in zip(words, voices, strict=True):
        if voice is not None:
            common[people.index(person), names.index(voice)] += 1
    right = int(common[linear_sum_assignment(common, maximize=True)].sum())
    none = voices.count(None)
    return right, len(words) - right - none, none


def main() -> None:
    """Print the table."""
    truth: Mapping[str, list[tuple[float, float, str]]] = labels()
    totals = {True: np.zeros(3, int), False: np.zeros(3, int)}
    with tempfile.TemporaryDirectory() as data, VoiceID.open(Path(data), home=HOME) as vid:
        for recording, people in truth.items():
            if words := words_of(people):
                found = vid.diarize(wav_of(recording), names=False)
                for timed in totals:
                    totals[timed] += counts(found, words, timed=timed)
    rows = []
    for timed, title in ((True, "words with times"), (False, "text alone")):
        n = int(totals[timed].sum())
        rows.append([title, n, *(percent(part / n) for part in totals[timed].tolist())])
    headers = ["transcript", "words", "right voice %", "another", "none"]
    print(markdown("Voices of words in AMI cuts of 30 s", headers, rows))


if __name__ == "__main__":
    main()
