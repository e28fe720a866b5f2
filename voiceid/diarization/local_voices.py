"""The voices of each window of a recording: where each speaks, and its embeddings.

The segmentation model numbers up to three voices in each window in any order, so the embeddings
show which voices of two windows are one.  The parts that a voice speaks alone are encoded once, and
embedded in pieces: the model takes some pairs who speak in turn for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from voiceid.domain import Embedding, Float32Array
from voiceid.models.runtime import in_order
from voiceid.speech.encoder import Encoder
from voiceid.speech.segmenter import (
    BATCH,
    LEAST_SAMPLES,
    SPEAKERS,
    STEP_SAMPLES,
    WINDOW_SAMPLES,
    Segmenter,
)

FRAME_S: Final = STEP_SAMPLES / 16_000
"""From frame to frame: 17 ms."""
STEP_FRAMES = 444
"""Step of the windows, 7.5 s: edges of 2.5 s are in two.  On the AMI cuts trn* a DER of 26.2 %,
and with a window every 5 s 26.5 to 27.5.  See benchmarks/results/diarization.md."""
EDGE_SAMPLES = (LEAST_SAMPLES - STEP_SAMPLES) // 2
"""A frame of 991 samples shows who speaks in the 270 samples in its middle."""
_SPEAKS = 0.5
"""Probability from which a voice speaks."""
_QUIET = 0.3
"""Probability up to which another voice does not speak."""
_PIECES, _PIECE_S = 4, 1.3
"""Most pieces of a voice of a window that are embedded, and the most seconds of each."""
_LONGEST = round(_PIECE_S / FRAME_S)
_LEAST_PIECE_S = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Some speech of a voice of a window.

    - `who`: the number of the voice, 0 to 2.
    - `middle`: of its frames, in the window.
    - `alone_s`: how long it is; 0: another voice speaks as well.
    """

    who: int
    middle: float
    alone_s: float
    embedding: Embedding


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Ten seconds of a recording, or all of it where it is shorter.

    - `first`: the number of its first frame in the recording.
    - `activity` (frames, 3) float16: probability that each of its voices speaks.
    - `pieces`: of its voices.
    """

    first: int
    activity: npt.NDArray[np.float16]
    pieces: tuple[Piece, ...]


def windows_of(
    blocks: Iterable[Float32Array], segmenter: Segmenter, encoder: Encoder, workers: int
) -> Iterator[Window]:
    """Yield the windows of a recording that comes in blocks (n,) float32 at 16 kHz, in order.

    Nothing for fewer than 991 samples.  Raises `ModelError`.
    """

    def heard(batch: list[tuple[int, Float32Array]]) -> list[Window]:
        log_probs = segmenter.log_probabilities(np.stack([samples for _, samples in batch]))
        activities = np.exp(log_probs) @ SPEAKERS
        return [
            Window(first, activity.astype(np.float16), tuple(_pieces(samples, activity, encoder)))
            for (first, samples), activity in zip(batch, activities, strict=True)
        ]

    for windows in in_order(heard, batches(cut(blocks)), workers):
        yield from windows


def cut(blocks: Iterable[Float32Array]) -> Iterator[tuple[int, Float32Array]]:
    """Yield the first frame and the samples of each window; the last ends with the recording."""
    kept, first, n_kept = [np.empty(0, np.float32)], 0, 0
    step = STEP_FRAMES * STEP_SAMPLES
    held = first  # the frame where the kept samples begin: a step before the next window
    for block in blocks:
        kept.append(block)
        n_kept += len(block)
        if n_kept < (first - held) * STEP_SAMPLES + WINDOW_SAMPLES:
            continue
        samples = np.concatenate(kept)
        while len(samples) >= (first - held) * STEP_SAMPLES + WINDOW_SAMPLES:
            yield first, samples[(first - held) * STEP_SAMPLES :][:WINDOW_SAMPLES]
            if first > held:
                samples, held = samples[step:], held + STEP_FRAMES
            first += STEP_FRAMES
        kept, n_kept = [samples], len(samples)
    samples = np.concatenate(kept)
    last = held + max(0, len(samples) - WINDOW_SAMPLES) // STEP_SAMPLES
    if len(samples) >= LEAST_SAMPLES and (first == 0 or last > first - STEP_FRAMES):
        yield last, samples[(last - held) * STEP_SAMPLES :][:WINDOW_SAMPLES]


def batches(
    windows: Iterable[tuple[int, Float32Array]],
) -> Iterator[list[tuple[int, Float32Array]]]:
    """Yield a few windows at a time."""
    batch: list[tuple[int, Float32Array]] = []
    for window in windows:
        batch.append(window)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _pieces(samples: Float32Array, activity: Float32Array, encoder: Encoder) -> Iterator[Piece]:
    """Yield the pieces of the voices of a window."""
    speaks = activity >= _SPEAKS
    for who in range(activity.shape[1]):
        own = np.flatnonzero(speaks[:, who])
        others = np.delete(activity, who, axis=1).max(axis=1)
        alone = own[others[own] < _QUIET]
        is_alone = len(alone) * FRAME_S >= _LEAST_PIECE_S
        least = -(-encoder.min_samples // STEP_SAMPLES)
        if is_alone:
            parts = split(alone, len(activity), least)
        else:
            parts = [_nearest(own, len(activity), max(_LONGEST, least))]
        parts = [part for part in parts if len(part) >= least]
        for part, embedding in zip(parts, _embedded(samples, parts, encoder), strict=True):
            alone_s = len(part) * FRAME_S if is_alone else 0.0
            yield Piece(who, float(part.mean()), alone_s, embedding)


def _embedded(
    samples: Float32Array, parts: Sequence[npt.NDArray[np.int64]], encoder: Encoder
) -> list[Embedding]:
    """Return the embeddings of parts of one voice, which are encoded together."""
    if not parts:
        return []
    joined = np.concatenate([spoken(samples, part) for part in parts])
    frames = encoder.encode(joined)[1] if encoder.makes_frames else None
    ends = np.cumsum([len(part) for part in parts]) * STEP_SAMPLES
    starts = [0, *ends[:-1].tolist()]
    return encoder.embed_parts(joined, frames, [[span] for span in zip(starts, ends, strict=True)])


def split(frames: npt.NDArray[np.int64], n_frames: int, least: int) -> list[npt.NDArray[np.int64]]:
    """Return pieces of frames (n,) that rise: those of the middle of a window of so many frames.

    Of few frames, those nearest to it; of many, the middles of equal parts.  A piece has fewer
    frames than ``least`` only if it is the only one.
    """
    n_middle = int((np.abs(frames - n_frames / 2) <= STEP_FRAMES / 2).sum())
    taken = _nearest(frames, n_frames, max(n_middle, _LONGEST, least))
    n_pieces = min(round(len(taken) / _LONGEST), len(taken) // least, _PIECES)
    parts = np.array_split(taken, max(1, n_pieces))
    longest = max(_LONGEST, least)
    starts = [max(0, len(part) - longest) // 2 for part in parts]
    return [part[at : at + longest] for part, at in zip(parts, starts, strict=True)]


def _nearest(frames: npt.NDArray[np.int64], n_frames: int, count: int) -> npt.NDArray[np.int64]:
    """Return so many of frames (n,), in order, that are nearest to the middle of a window."""
    order = np.argsort(np.abs(frames - n_frames / 2), kind="stable")
    return np.sort(frames[order[:count]])


def spoken(samples: Float32Array, frames: npt.NDArray[np.int64]) -> Float32Array:
    """Return the samples of frames (n,), which rise, joined."""
    ends = np.flatnonzero(np.diff(frames) > 1) + 1
    pieces = [
        samples[run[0] * STEP_SAMPLES + EDGE_SAMPLES :][: len(run) * STEP_SAMPLES]
        for run in np.split(frames, ends)
    ]
    return np.concatenate(pieces)
