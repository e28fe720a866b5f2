"""Whether a clip is one person's: two who speak in turn or at once make a vector near both.

Two things are looked at.  The segmentation model says where two speak at once.  It takes many pairs
who speak in turn for one person, so windows of the speech are embedded, and must agree by the
thresholds of the card; where a few do not, the voices are told apart, and each is heard as a whole.
How the limits were chosen, and what they miss: docs/voices.md.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voiceid.decision.embeddings import unit
from voiceid.domain import Embedding, Float32Array, Speech, VoicePart
from voiceid.speech.encoder import Encoder
from voiceid.speech.segmenter import SPEAKERS, STEP_SAMPLES, Segmenter

Labels = npt.NDArray[np.int64]

_SOME_OVERLAP, _MUCH_OVERLAP, _MIN_OVERLAP_S = 0.1, 0.2, 0.4
"""Shares of the speech in which two may speak at once if windows agree too, and in any case; and
the least overlap: a cough, a door.  In a room that echoes one voice comes to 0.19."""
_MIN_BOTH, _SMOOTH_S = 0.5, 0.5
"""Mean probability, over so long, from which two are taken to speak at once."""
_WINDOWS_FMR = 0.001
"""False match rate at which windows must agree; where they do not, it is looked closer."""
_VOICES_FMR = ((3.0, 0.003), (2.0, 0.03), (0.0, 0.1))
"""False match rates at which voices must agree that were told apart, by the seconds of the one with
less: the worst split of one voice, too, is below what two clips of it reach, most of all short."""
_WINDOW_S, _LEAST_WINDOW_S, _SHORTEST_S = 2.0, 1.5, 1.4
"""A window; the least where there are three; the least where there are two."""
_SPREAD_S, _MOST_WINDOWS = 4.0, 12
"""From window to window, at most; and the most windows of a long clip."""
_FINE_S = 0.5
"""Step of the windows where voices are told apart; the shortest part; and what is left out of an
embedding on either side of a change of the voice."""
_MIN_VOICE_S = 1.0
"""Speech that a voice needs to be compared with those enrolled."""
_ROUNDS = 10
_RATE_HZ = 16_000
_FRAME_S = STEP_SAMPLES / _RATE_HZ


@dataclass(frozen=True, slots=True)
class Several:
    """Who speaks when in a clip of several people.

    - `parts`: in order.
    - `embeddings`: of the voices that speak enough alone, and of how many seconds each is.
    """

    parts: tuple[VoicePart, ...]
    embeddings: Mapping[int, tuple[Embedding, float]]


class Voices:
    """Says whether speech is one person's.  Safe to share among threads.

    - `segmenter`: loads what says who speaks when.
    """

    def __init__(self, encoder: Encoder, segmenter: Callable[[], Segmenter]) -> None:
        self._encoder, self._segmenter = encoder, segmenter

    def several(self, speech: Speech) -> Several | None:
        """Return who speaks when, or None: it is one person's.  Raises `ModelError`."""
        at_once, share = self._at_once(speech.samples)
        agree = self._windows_agree(speech.samples)
        overlaps = share >= (_MUCH_OVERLAP if agree else _SOME_OVERLAP)
        if agree and not overlaps:
            return None
        voice = self._labels(speech.samples, at_once)
        several = self._told_apart(speech, voice)
        if self._differ(several):
            return several
        return self._told_apart(speech, np.minimum(voice, 1)) if overlaps else None

    def _at_once(self, samples: Float32Array) -> tuple[npt.NDArray[np.bool_], float]:
        """Return in which frames two speak at once, and in which share of the speech, 0 to 1.

        Raises `ModelError`.
        """
        segmenter = self._segmenter()
        at_once = np.zeros(max(1, segmenter.frames(len(samples))), np.bool_)
        spoken_s = both_s = 0.0
        for first, log_probs in segmenter.windows(samples):
            probabilities = np.exp(log_probs)
            both = probabilities @ (SPEAKERS.sum(axis=1) > 1)
            spoken_s += float((1.0 - probabilities[:, 0]).sum()) * _FRAME_S
            both_s += float(both.sum()) * _FRAME_S
            at_once[first : first + len(both)] = _smooth(both) >= _MIN_BOTH
        return at_once, 0.0 if both_s < _MIN_OVERLAP_S else both_s / spoken_s

    def _windows_agree(self, samples: Float32Array) -> bool:
        """Whether a few windows of (n,) samples may be of one voice."""
        starts, size = windows(len(samples))
        found = [self._encoder.embed(samples[at : at + size]) for at in starts]
        group = two_groups(_vectors(found))
        sides = [[e for e, at in zip(found, group, strict=True) if at == side] for side in (0, 1)]
        net_speech_s = min(map(len, sides)) * size / _RATE_HZ
        return self._encoder.parts_agree(sides[0], sides[1], net_speech_s, _WINDOWS_FMR)

    def _differ(self, several: Several) -> bool:
        """Whether two voices differ, now that each is heard as a whole."""
        if len(several.embeddings) < 2:  # noqa: PLR2004 - nothing to compare
            return False
        (one, one_s), (other, other_s) = several.embeddings.values()
        less_s = min(one_s, other_s)
        fmr = next(fmr for from_s, fmr in _VOICES_FMR if less_s >= from_s)
        return not self._encoder.parts_agree([one], [other], less_s, fmr)

    def _labels(self, samples: Float32Array, at_once: npt.NDArray[np.bool_]) -> Labels:
        """Return which of two voices speaks in each frame, in the order in which they come.

        To the nearest half second; 0 where two speak at once.
        """
        step = round(_FINE_S * _RATE_HZ)
        size = max(min(round(_WINDOW_S * _RATE_HZ), len(samples) // 2), self._encoder.min_samples)
        starts = range(0, max(len(samples) - size, 0) + 1, step)
        found = [self._encoder.embed(samples[at : at + size]) for at in starts]
        group = two_groups(_vectors(found))
        middles = np.arange(len(at_once)) * STEP_SAMPLES
        nearest = np.clip(np.round((middles - size / 2) / step), 0, len(group) - 1)
        return in_order_of_speech(np.where(at_once, 0, 1 + group[nearest.astype(np.int64)]))

    def _told_apart(self, speech: Speech, voice: Labels) -> Several:
        """Return the parts and the embeddings of the voices that labels of frames (n,) name."""
        samples, step = speech.samples, round(_FINE_S * _RATE_HZ)
        parts, own = list[VoicePart](), dict[int, list[Float32Array]]()
        for who, first, end in runs(voice, round(_FINE_S / _FRAME_S)):
            start = first * STEP_SAMPLES
            stop = len(samples) - 1 if end == len(voice) else end * STEP_SAMPLES
            parts.append(VoicePart(speech.at_s(start), speech.at_s(stop), who or None))
            start += step if first > 0 else 0
            stop -= step if end < len(voice) else 0
            if who and start < stop:
                own.setdefault(who, []).append(samples[start:stop])
        return Several(tuple(parts), self._embedded(own))

    def _embedded(
        self, own: Mapping[int, Sequence[Float32Array]]
    ) -> dict[int, tuple[Embedding, float]]:
        """Return the embedding of each voice with enough of its own, and of how many seconds."""
        least = max(round(_MIN_VOICE_S * _RATE_HZ), self._encoder.min_samples)
        joined = {who: np.concatenate(pieces) for who, pieces in own.items()}
        return {
            who: (self._encoder.embed(samples), len(samples) / _RATE_HZ)
            for who, samples in joined.items()
            if len(samples) >= least
        }


def windows(n_samples: int) -> tuple[list[int], int]:
    """Return where windows of the speech start, evenly spread, and their length in samples.

    Three of 1.5 to 2 s at least, one every 4 s, at most 12.  Of less than 4.5 s the two halves,
    and none where these would be shorter than 1.4 s.
    """
    least = round(_LEAST_WINDOW_S * _RATE_HZ)
    if n_samples < 3 * least:
        size = n_samples // 2
        return ([0, n_samples - size] if size >= round(_SHORTEST_S * _RATE_HZ) else []), size
    size = min(max(n_samples // 5, least), round(_WINDOW_S * _RATE_HZ))
    count = min(max(3, math.ceil(n_samples / (_SPREAD_S * _RATE_HZ))), _MOST_WINDOWS)
    return np.linspace(0, n_samples - size, count).astype(int).tolist(), size


def two_groups(vectors: Float32Array) -> Labels:
    """Return to which of two groups, 0 or 1, each unit vector (n, dim) belongs: two means.

    They start from the two that are least alike.  All are 0 where there are not two.
    """
    group = np.zeros(len(vectors), np.int64)
    if len(vectors) < 2:  # noqa: PLR2004 - nothing to part
        return group
    centres = vectors[list(np.unravel_index(np.argmin(vectors @ vectors.T), (len(vectors),) * 2))]
    for _ in range(_ROUNDS):
        nearer = (vectors @ centres.T).argmax(axis=1)
        if len(set(nearer.tolist())) < 2 or np.array_equal(nearer, group):  # noqa: PLR2004
            break
        group = nearer
        centres = unit(np.stack([vectors[group == side].mean(axis=0) for side in (0, 1)]))
    return group


def in_order_of_speech(voice: Labels) -> Labels:
    """Return labels (n,) with those above 0 numbered from 1 in the order in which they come."""
    order = dict.fromkeys(label for label in voice.tolist() if label)
    number = {label: at for at, label in enumerate(order, start=1)}
    return np.array([number.get(label, 0) for label in voice.tolist()], np.int64)


def runs(labels: Labels, shortest: int) -> list[tuple[int, int, int]]:
    """Return label, start and end of the runs of equal labels (n,); short ones join the one before.

    The first run takes the label of the one after it if it is short.
    """
    found: list[tuple[int, int, int]] = []
    at = 0
    for label, equal in itertools.groupby(labels.tolist()):
        end = at + len(list(equal))
        if found and (end - at < shortest or label == found[-1][0]):
            found[-1] = (found[-1][0], found[-1][1], end)
        elif found and found[-1][2] - found[-1][1] < shortest:
            found[-1] = (label, found[-1][1], end)
        else:
            found.append((label, at, end))
        at = end
    return found


def _vectors(found: Sequence[Embedding]) -> Float32Array:
    return np.stack([one.vector for one in found]) if found else np.empty((0, 1), np.float32)


def _smooth(values: Float32Array) -> Float32Array:
    """Return the running mean (n,) over half a second."""
    span = min(round(_SMOOTH_S / _FRAME_S), len(values))
    return np.convolve(values, np.full(span, 1 / span), "same") if span else values
