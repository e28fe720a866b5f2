"""Who spoke when: the voices of each window, the people they are, their turns, their names."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from voiceid.audio import AudioSource, AudioStream, Spans
from voiceid.decision.embeddings import unit
from voiceid.diarization.activity import turns_of
from voiceid.diarization.clustering import Grouping, Labels, Pieces, grouped
from voiceid.diarization.local_voices import EDGE_SAMPLES, FRAME_S, Piece, Window, windows_of
from voiceid.diarization.naming import Heard, named
from voiceid.domain import Decision, Diarization, Embedding, Float32Array, Utterance, VoiceTurn
from voiceid.domain.diarizations import alone
from voiceid.errors import ConfigError
from voiceid.speech.embedder import Embedder
from voiceid.speech.segmenter import Segmenter

Namer: TypeAlias = Callable[[Utterance | None], Decision]
"""Decides whose voice an utterance is; None: the voice never speaks alone."""
Progress: TypeAlias = Callable[[str, float, float | None], None]
"""Receives the step, ``hear`` or ``name``; the seconds that are done; and the total seconds, if
known: of the recording, or of the parts that the voices speak alone."""

_LONGER = 6.0
"""Factor on the limit of length: only the result grows with the length of a recording."""
_HEARD_S, _LEAST_PART_S = 20.0, 0.3
"""Measured of the parts that a voice speaks alone: at most this much, and no shorter part."""
_RATE_HZ = 16_000


@dataclass(frozen=True, slots=True)
class Request:
    """The options of a diarization.

    - `speakers`: the fewest and the most people who speak, if known.
    - `name`: decides who each voice is; None: names are not asked for.
    - `group`: the only group that is searched.
    """

    speakers: tuple[int, int] | None = None
    name: Namer | None = None
    group: str | None = None
    progress: Progress | None = None

    @classmethod
    def of(
        cls, speakers: int | tuple[int, int] | None, group: str | None, progress: Progress | None
    ) -> Request:
        """Return the options without names; raises ConfigError."""
        counts = (speakers, speakers) if isinstance(speakers, int) else speakers
        if counts is not None and not _are_counts(counts):
            raise ConfigError(
                f"speakers is {speakers!r:.40}, which is not a number of people",
                hint="Pass 2, for example, or the fewest and the most: (2, 4).",
            )
        return cls(counts, None, group, progress)


@dataclass(frozen=True, slots=True)
class Diarizer:
    """Finds who spoke when.  Safe to share among threads."""

    embedder: Embedder
    segmenter: Segmenter

    def diarize(self, source: AudioSource, request: Request) -> Diarization:
        """Return who spoke when in a recording; raises AudioError, ModelError."""
        started, hear = time.perf_counter(), lambda stream: self._heard(stream, request)
        diarization = self.embedder.listened(source, hear, _LONGER)
        return replace(diarization, elapsed_ms=(time.perf_counter() - started) * 1e3)

    def _heard(self, stream: AudioStream, request: Request) -> Diarization:
        encoder, workers = self.embedder.encoder, self.embedder.workers
        # 1. Hear the voices of each window.
        blocks = _shown(stream, request.progress)
        windows = list(windows_of(blocks, self.segmenter, encoder, workers))
        # 2. Join them to people.
        pieces = _joined(windows)
        fewest, most = request.speakers or (1, None)
        people = grouped(pieces, Grouping(fewest=fewest, most=most))
        # 3. Find their turns.
        turns = turns_of(windows, people, stream.duration_s)
        # 4. Measure the parts that each person speaks alone, and decide who it is.
        heard = [Heard(person, None, None) for person in dict.fromkeys(t.voice for t in turns)]
        if request.name is not None:
            utterances = self._utterances(stream, turns, windows, people, request.progress)
            heard = [
                Heard(h.voice, utterances[h.voice], request.name(utterances[h.voice]))
                for h in heard
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
            group=request.group,
            unheard=tuple(stream.unheard.values()),
            elapsed_ms=0.0,
        )

    def _utterances(
        self,
        stream: AudioStream,
        turns: Sequence[VoiceTurn],
        windows: Sequence[Window],
        people: Labels,
        progress: Progress | None,
    ) -> Mapping[str, Utterance | None]:
        """Return the utterance of each voice's parts alone, with the embedding of its pieces."""
        heard = dict[str, Utterance | None].fromkeys(turn.voice for turn in turns)
        where = {voice: tuple(spans) for voice, spans in alone(turns).items()}
        own = _own_pieces(windows, people, where)
        chosen = {voice: _longest(where[voice]) for voice in own}
        total_s = sum(end_s - start_s for spans in chosen.values() for start_s, end_s in spans)
        done_s = 0.0
        tell = progress or (lambda *_: None)
        tell("name", done_s, total_s)
        for voice, samples in _samples(stream, chosen).items():
            embedding = _embedding(own[voice])
            utterance = self.embedder.measured((samples, _RATE_HZ), embedding)
            quality = replace(utterance.quality, sample_rate_hz=stream.sample_rate_hz)
            heard[voice] = replace(utterance, quality=quality)
            done_s += len(samples) / _RATE_HZ
            tell("name", min(done_s, total_s), total_s)
        return heard


def _are_counts(value: object) -> bool:
    pair = value if isinstance(value, tuple) and len(value) == 2 else (0, 0)  # noqa: PLR2004
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in pair)
    return whole and 1 <= pair[0] <= pair[1]


def _joined(windows: Sequence[Window]) -> Pieces:
    """Return the pieces of all windows, in order."""
    pieces = [(at, piece) for at, window in enumerate(windows) for piece in window.pieces]
    voices = [(at, piece.who) for at, piece in pieces]
    return Pieces(
        np.array([piece.embedding.vector for _, piece in pieces], np.float32),
        np.array(voices, np.int64).reshape(-1, 2),
        np.array([piece.alone_s for _, piece in pieces]),
    )


def _own_pieces(
    windows: Sequence[Window], people: Labels, where: Mapping[str, Spans]
) -> Mapping[str, Sequence[Piece]]:
    """Return the pieces of each voice, a person's number, whose middle is where it is alone.

    If a voice has no such piece, all its pieces.
    """
    own: dict[str, list[tuple[float, Piece]]] = {}
    pieces = ((window.first, piece) for window in windows for piece in window.pieces)
    for (first, piece), person in zip(pieces, people.tolist(), strict=True):
        if piece.alone_s > 0 and str(person) in where:
            at_s = (first + piece.middle) * FRAME_S + EDGE_SAMPLES / _RATE_HZ
            own.setdefault(str(person), []).append((at_s, piece))

    def is_alone(voice: str, at_s: float) -> bool:
        return any(start_s <= at_s <= end_s for start_s, end_s in where[voice])

    return {
        voice: [piece for at_s, piece in made if is_alone(voice, at_s)] or [p for _, p in made]
        for voice, made in own.items()
    }


def _embedding(pieces: Sequence[Piece]) -> Embedding:
    """Return the mean of the embeddings of pieces, by their lengths."""
    lengths = np.array([piece.alone_s for piece in pieces], np.float32)
    made = [piece.embedding for piece in pieces]
    shares = [embedding.telephone for embedding in made if embedding.telephone is not None]
    telephone = float(np.average(shares, weights=lengths)) if len(shares) == len(made) else None
    return Embedding(
        unit(lengths @ np.stack([embedding.vector for embedding in made])), made[0].space, telephone
    )


def _shown(stream: AudioStream, progress: Progress | None) -> Iterator[Float32Array]:
    """Yield the blocks of a recording, and report the progress."""
    n_heard = 0
    for block in stream.blocks():
        yield block
        n_heard += len(block)
        if progress is not None:
            progress("hear", n_heard / _RATE_HZ, stream.duration_hint_s)


def _longest(spans: Spans) -> Spans:
    """Return the longest spans, in order of time, up to the speech that is needed."""
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
    by_voice: dict[str, list[Float32Array]] = {}
    for (_, _, voice), piece in zip(parts, np.split(samples, ends[:-1]), strict=True):
        by_voice.setdefault(voice, []).append(piece)
    return {voice: np.concatenate(pieces) for voice, pieces in by_voice.items()}
