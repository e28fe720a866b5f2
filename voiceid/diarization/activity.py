"""The turns of each person: the weighted activity in all windows, and the turns that it makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from voiceid.diarization.local_voices import EDGE_SAMPLES, Window
from voiceid.domain import Float32Array, VoiceTurn
from voiceid.speech.segmenter import STEP_SAMPLES

Labels = npt.NDArray[np.int64]

_SPEAKS = 0.35
"""Probability from which a person speaks: chosen on the AMI cuts trn*, where at 0.5 24 % of the
speech is missed, and at 0.3 19 %.  An offset under the onset was no better."""
_PAD_S, _GAP_S, _LEAST_S = 0.05, 0.5, 0.2
"""Padding on both sides of a turn; the longest pause within a turn; the shortest turn."""
_RATE_HZ = 16_000


def turns_of(windows: Sequence[Window], people: Labels, duration_s: float) -> tuple[VoiceTurn, ...]:
    """Return the turns of each person in a recording of that length, by their starts.

    - `people` (pieces,): the number of the person of each piece of the windows, in order.
    """
    weight = _total(windows, ((window, _weights(window)) for window in windows))
    turns = [
        VoiceTurn(max(0.0, start_s), min(end_s, duration_s), str(person))
        for person in range(people.max(initial=-1) + 1)
        for start_s, end_s in spoken(_total(windows, _of(windows, people, person)) / weight)
    ]
    return tuple(sorted(turns, key=lambda turn: (turn.start_s, turn.end_s)))


def spoken(probability: Float32Array) -> list[tuple[float, float]]:
    """Return starts and ends, in seconds, of the turns that a probability (frames,) makes."""
    edges = np.flatnonzero(np.diff(probability >= _SPEAKS, prepend=False, append=False))
    turns: list[tuple[float, float]] = []
    for first, end in edges.reshape(-1, 2).tolist():
        start_s = (first * STEP_SAMPLES + EDGE_SAMPLES) / _RATE_HZ - _PAD_S
        end_s = (end * STEP_SAMPLES + EDGE_SAMPLES) / _RATE_HZ + _PAD_S
        if turns and start_s - turns[-1][1] <= _GAP_S:
            start_s = turns.pop()[0]
        turns.append((start_s, end_s))
    return [(start_s, end_s) for start_s, end_s in turns if end_s - start_s >= _LEAST_S]


def _total(windows: Sequence[Window], parts: Iterator[tuple[Window, Float32Array]]) -> Float32Array:
    """Return the sum (frames of the recording,) of values of the frames of windows."""
    n_frames = windows[-1].first + len(windows[-1].activity) if windows else 0
    total = np.zeros(n_frames, np.float32)
    for window, values in parts:
        total[window.first : window.first + len(values)] += values
    return total


def _of(
    windows: Sequence[Window], people: Labels, person: int
) -> Iterator[tuple[Window, Float32Array]]:
    """Yield the weighted activity of a person in the frames of the windows that have the person."""
    ends = np.cumsum([len(window.pieces) for window in windows])
    for window, end in zip(windows, ends, strict=True):
        own = people[end - len(window.pieces) : end]
        if person in own:
            yield window, _weights(window) * _activity(window, own == person)


def _activity(window: Window, theirs: npt.NDArray[np.bool_]) -> Float32Array:
    """Return the activity of a person in each frame; ``theirs`` marks the person's pieces.

    If a voice of the window is of two people, a frame belongs to the one with the nearest piece.
    """
    frames = np.arange(len(window.activity))
    active = np.zeros(len(frames), np.float32)
    for who in range(window.activity.shape[1]):
        of_voice = np.array([piece.who == who for piece in window.pieces])
        if not np.any(theirs & of_voice):
            continue
        middles = np.array([piece.middle for piece in window.pieces])[of_voice]
        nearest = np.abs(frames[:, None] - middles).argmin(axis=1)
        mine = theirs[of_voice][nearest]
        active = np.maximum(active, np.where(mine, window.activity[:, who], 0))
    return active


def _weights(window: Window) -> Float32Array:
    """Return the weight of a window (frames,): least at its edges, where it is least certain."""
    n = len(window.activity)
    ramp = np.minimum(np.arange(n) + 1, n - np.arange(n))
    return np.asarray((ramp / ramp.max()) ** 2, np.float32)
