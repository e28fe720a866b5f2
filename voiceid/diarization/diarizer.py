"""Who spoke when: the voices of each window, the people they are, their turns, their names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from voiceid.audio import AudioSource, AudioStream, Spans
from voiceid.diarization.activity import turns_of
from voiceid.diarization.clustering import Grouping, Pieces, grouped
from voiceid.diarization.local_voices import Window, windows_of
from voiceid.diarization.naming import Heard, named
from voiceid.domain import Decision, Diarization, Float32Array, Utterance, VoiceTurn
from voiceid.domain.diarizations import alone
from voiceid.errors import ConfigError
from voiceid.speech.embedder import Embedder
from voiceid.speech.segmenter import Segmenter

Namer: TypeAlias = Callable[[Utterance | None], Decision]
"""Decides whose voice an utterance is; None: there is nothing that the voice says alone."""
Progress: TypeAlias = Callable[[str, float, float | None], None]
"""Receives what is done, ``hear`` or ``name``; of how many seconds it is done; and, if that is
known, of how many in all: of the recording, or of what the voices say alone."""

_LONGER = 6.0
"""Times as long as other recordings: nothing but the result grows with its length."""
_HEARD_S, _LEAST_PART_S = 20.0, 0.3
"""A voice is named by so much of what it says alone, the longest parts first, and none shorter."""
_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a call wants to know of a recording.

    - `speakers`: the fewest and the most people who speak, where that is known.
    - `name`: decides who each voice is; None: names are not asked for.
    - `group`: the only group in which it looks.
    """

    speakers: tuple[int, int] | None = None
    name: Namer | None = None
    group: str | None = None
    progress: Progress | None = None

    @classmethod
    def of(
        cls, speakers: int | tuple[int, int] | None, group: str | None, progress: Progress | None
    ) -> Wanted:
        """Return what is asked without names; raises ConfigError."""
        found = (speakers, speakers) if isinstance(speakers, int) else speakers
        if found is not None and not _are_counts(found):
            raise ConfigError(
                f"speakers is {speakers!r:.40}, and not how many people speak",
                hint="Pass 2, for example, or the fewest and the most: (2, 4).",
            )
        return cls(found, None, group, progress)


@dataclass(frozen=True, slots=True)
class Diarizer:
    """Says who spoke when.  Safe to share among threads."""

    embedder: Embedder
    segmenter: Segmenter

    def diarize(self, source: AudioSource, wanted: Wanted) -> Diarization:
        """Return who spoke when in a recording; raises AudioError, ModelError."""
        started = time.perf_counter()
        found = self.embedder.listened(source, lambda stream: self._heard(stream, wanted), _LONGER)
        return replace(found, elapsed_ms=(time.perf_counter() - started) * 1e3)

    def _heard(self, stream: AudioStream, wanted: Wanted) -> Diarization:
        encoder, workers = self.embedder.encoder, self.embedder.workers
        # 1. Hear the voices of each window.
        blocks = _shown(stream, wanted.progress)
        windows = list(windows_of(blocks, self.segmenter, encoder, workers))
        # 2. Find the people that they are.
        pieces = _joined(windows)
        fewest, most = wanted.speakers or (1, None)
        people = grouped(pieces, Grouping(fewest=fewest, most=most))
        # 3. Find their turns.
        turns = turns_of(windows, people, stream.duration_s)
        # 4. Hear what each says alone, and decide who it is.
        heard = [Heard(person, None, None) for person in dict.fromkeys(t.voice for t in turns)]
        if wanted.name is not None:
            utterances = self._utterances(stream, turns, wanted.progress)
            heard = [
                Heard(one.voice, utterances[one.voice], wanted.name(utterances[one.voice]))
                for one in heard
            ]
        # 5. Give each name once.
        voices_, turns = named(heard, turns, encoder)
        return Diarization(
            clip=stream.name,
            pcm_sha256=stream.pcm_sha256,
            duration_s=stream.duration_s,
            voices=voices_,
            turns=turns,
            embedding_space=encoder.space,
            group=wanted.group,
            unheard=tuple(stream.unheard.values()),
            elapsed_ms=0.0,
        )

    def _utterances(
        self, stream: AudioStream, turns: Sequence[VoiceTurn], progress: Progress | None
    ) -> Mapping[str, Utterance | None]:
        """Return what each voice says alone, heard as a recording of its own."""
        chosen = {voice: _longest(alone(turns, voice)) for voice in {t.voice for t in turns}}
        heard = dict.fromkeys(chosen)
        total_s = sum(end_s - start_s for spans in chosen.values() for start_s, end_s in spans)
        done_s = 0.0
        tell = progress or (lambda *_: None)
        tell("name", done_s, total_s)
        for voice, samples in _samples(stream, chosen).items():
            utterance = self.embedder.with_speech((samples, _RATE_HZ))
            quality = replace(utterance.quality, sample_rate_hz=stream.sample_rate_hz)
            heard[voice] = replace(utterance, quality=quality)
            done_s += len(samples) / _RATE_HZ
            tell("name", min(done_s, total_s), total_s)
        return heard


def _are_counts(given: object) -> bool:
    pair = given if isinstance(given, tuple) and len(given) == 2 else (0, 0)  # noqa: PLR2004
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in pair)
    return whole and 1 <= pair[0] <= pair[1]


def _joined(windows: Sequence[Window]) -> Pieces:
    """Return the pieces of all windows, in order."""
    pieces = [(at, piece) for at, window in enumerate(windows) for piece in window.pieces]
    voices = [(at, piece.who) for at, piece in pieces]
    return Pieces(
        np.array([piece.vector for _, piece in pieces], np.float32),
        np.array(voices, np.int64).reshape(-1, 2),
        np.array([piece.alone_s for _, piece in pieces]),
    )


def _shown(stream: AudioStream, progress: Progress | None) -> Iterator[Float32Array]:
    """Yield the blocks of a recording, and say how far it was heard."""
    n_heard = 0
    for block in stream.blocks():
        yield block
        n_heard += len(block)
        if progress is not None:
            progress("hear", n_heard / _RATE_HZ, stream.duration_hint_s)


def _longest(spans: Spans) -> Spans:
    """Return the longest of spans, in order of time, as far as they are needed."""
    left_s = _HEARD_S
    chosen = []
    for start_s, end_s in sorted(spans, key=lambda span: span[0] - span[1]):
        length_s = min(end_s - start_s, left_s)
        if length_s < _LEAST_PART_S:
            break
        chosen.append((start_s, start_s + length_s))
        left_s -= length_s
    return tuple(sorted(chosen))


def _samples(stream: AudioStream, chosen: Mapping[str, Spans]) -> dict[str, Float32Array]:
    """Return (n,) float32 at 16 kHz: the chosen parts of each voice, joined."""
    parts = sorted((*span, voice) for voice, spans in chosen.items() for span in spans)
    if not parts:
        return {}
    with stream.only(tuple((start_s, end_s) for start_s, end_s, _ in parts)) as only:
        samples = np.concatenate(list(only.blocks()))
    rate_hz = stream.sample_rate_hz
    lengths = [round(end_s * rate_hz) - round(start_s * rate_hz) for start_s, end_s, _ in parts]
    ends = np.round(np.cumsum(lengths) * (_RATE_HZ / rate_hz)).astype(np.int64)
    found: dict[str, list[Float32Array]] = {}
    for (_, _, voice), piece in zip(parts, np.split(samples, ends[:-1]), strict=True):
        found.setdefault(voice, []).append(piece)
    return {voice: np.concatenate(pieces) for voice, pieces in found.items()}
