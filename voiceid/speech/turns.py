"""Whether one person speaks in a clip: two people in turn or at once make a vector near both.

The segmentation model finds where two people speak at once.  It takes many pairs who speak in turn
for one person, so the speech is divided by its voice as well.  Windows of speech, one each half
second, fall into the two groups that separate best; the two groups must be as near to each other as
the card's threshold asks of two clips.  If two people alternate faster, each window holds both:
then shorter windows are used, which differ in all directions for one voice, in one for two.
In little speech, the parts before and after each moment are compared as well.
docs/voices.md says how the limits were chosen, and what they miss.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.decision.embeddings import unit
from voiceid.domain import Embedding, Float32Array, Speech, VoicePart
from voiceid.speech.encoder import Encoder
from voiceid.speech.pooling import Part, statistics
from voiceid.speech.segmenter import SPEAKERS, STEP_SAMPLES, Segmenter

Labels = npt.NDArray[np.int64]
Scores: TypeAlias = Callable[[Sequence[Embedding]], npt.NDArray[np.floating]]
"""Returns the scores of embeddings against the voice that the clip would be accepted as."""

MOST_OVERLAP, _MIN_OVERLAP_S = 0.2, 0.4
"""The share of the speech that may be overlap, and the least overlap: a cough is shorter."""
_MOST_ASKED = 72_000
"""Longest speech for the weights of the frames: 4.5 s, as in the clips that they come from."""
_MIN_BOTH, _SMOOTH_S = 0.5, 0.5
"""Mean probability, over this many seconds, from which two people speak at once."""
_FRAMES_FMR = ((3.0, 0.0003), (2.0, 0.003), (0.0, 0.01))
_HEARD_FMR = ((3.0, 0.003), (2.0, 0.03), (0.0, 0.1))
"""False match rates at which separated voices must agree, by the seconds of the shorter one: for
frames of the clip, which depend on the speech around them, and for voices embedded apart.  The
worst split of one voice scores lower than two clips of it, most of all if it is short.
"""
_WINDOW_S, _FINE_S = 2.0, 0.5
"""Length and step of the windows that separate voices.  The step is also the shortest part, and the
speech that is left out of an embedding on either side of a change of voice."""
_COARSE_S = 1.0
"""Step of the windows where each is embedded apart."""
_MIN_VOICE_S = 1.0
"""Least speech of a voice that is compared."""
_ROUNDS = 10
_RATE_HZ = 16_000
_FRAME_S = STEP_SAMPLES / _RATE_HZ
_SHORT, _SHORT_STEP = 12_800, 4_000
"""Length (0.8 s) and step of the windows that separate two people who alternate quickly."""
_LEAST_ALTERNATING_S = 3.0
_MOST_VARIANCE, _AND_S = 0.08, 0.5
"""Largest variance of short windows in one direction for one voice in long speech; the second
number, divided by the seconds of speech, is added.  Of 156 talks of one voice of train-clean-100,
half of them degraded, one had more in 3 s, and none in 4 s or more."""
_MOST_DEVIATION = 0.14
"""Largest deviation of the scores of such windows for one voice, in more speech than `_MOST_ASKED`.
Over telephones one voice deviates by 0.18, as two do: not used from this posterior on:"""
_TELEPHONE = 0.5

_LEAST_SIDE, _SPLIT_STEP = 9_600, 1_600
"""Least samples before and after a change, and the step between the places that are tried."""
_SIDES_S, _LEAST_COSINES = (0.6, 0.8, 1.0, 1.3, 2.0), (0.05, 0.12, 0.18, 0.24, 0.28)
"""Seconds of the shorter side of a change, and the least cosine of two sides of one voice."""
_HANDOVER, _THEN_MORE = 0.1, 0.12
"""From this `handover` on the cosine must be this much higher."""
_LEAST_DROPS_S, _DROPS = (0.6, 1.0, 1.3, 2.0), (0.35, 0.3, 0.25, 0.2)
"""Seconds of the shorter side, and how far its score may be below the longer one's.  The cosine
must be higher by the amount that the score is lower than that."""
_INNER, _INNER_STEP = (9_600, 12_800, 16_000, 24_000), 3_200
"""Samples of the parts of a clip that are compared with the enrolled voice."""
_INNER_S, _LEAST_SCORES = (0.6, 1.5), (0.05, 0.25)
"""Seconds of such a part, and its least score."""


@dataclass(frozen=True, slots=True)
class Several:
    """Who speaks when in a clip of several people.

    - `parts`: in order.
    - `embeddings`: of the voices with enough speech alone, each with its seconds of speech.
    """

    parts: tuple[VoicePart, ...]
    embeddings: Mapping[int, tuple[Embedding, float]]


class Voices:
    """Decides whether one person speaks.  Safe to share among threads.

    - `segmenter`: loads the segmentation model.
    - `overlap` (2 channels + 1,): weights of mean, deviation and 1 of the encoder's frames; the sum
      is above 0 for two people who speak at once.  None: only the segmenter is asked.
    """

    def __init__(
        self,
        encoder: Encoder,
        segmenter: Callable[[], Segmenter],
        overlap: Float32Array | None = None,
    ) -> None:
        self._encoder, self._segmenter, self._overlap = encoder, segmenter, overlap

    def several(
        self, speech: Speech, scores: Scores | None = None, telephone: float | None = None
    ) -> Several | None:
        """Return who speaks when, or None if one person speaks.  Raises `ModelError`.

        - `scores`: against the voice that the clip would be accepted as, if there is one.
        - `telephone`: posterior that the speech came over a telephone, if known.

        The segmentation model takes a third of the time of the encoder.  It does not run if the
        frames show one person, and no change that it could find would alter that.
        """
        if (telephone or 0.0) >= _TELEPHONE and len(speech.samples) > _MOST_ASKED:
            scores = None
        may_be = self._may_be_at_once(speech)
        never = np.zeros(max(1, Segmenter.frames(len(speech.samples))), np.bool_)
        if not may_be and self._found(speech, never, (0.0, _HANDOVER), scores) is None:
            return None
        at_once, share, change = self.at_once(speech.samples)
        return self._found(speech, at_once, (share if may_be else 0.0, change), scores)

    def _found(
        self,
        speech: Speech,
        at_once: npt.NDArray[np.bool_],
        says: tuple[float, float],
        scores: Scores | None,
    ) -> Several | None:
        """Return the answer of :meth:`several`, from the result of :meth:`at_once`."""
        share, change = says
        voice = self._labels(speech, at_once)
        several = self._separated(speech, voice)
        if not self._agree(several, _HEARD_FMR if speech.encoded is None else _FRAMES_FMR):
            return several
        if speech.encoded is not None:
            heard = self._encoder, speech.encoded, len(speech.samples)
            is_short = len(speech.samples) <= _MOST_ASKED
            if (group := alternating(*heard, None if is_short else scores)) is not None:
                return self._separated(speech, _of_frames(group, at_once, _SHORT, _SHORT_STEP))
            known = scores if is_short else None
            more = _THEN_MORE if change >= _HANDOVER else 0.0
            part = None
            if (clearest := clearest_change(*heard, more, known)) and clearest[1] > 0.0:
                part = clearest[0], len(speech.samples)
            elif known is not None:
                part = _strange_part(*heard, known)
            if part is not None:
                at = np.arange(len(at_once)) * STEP_SAMPLES
                voice = np.where((at >= part[0]) & (at < part[1]), 2, 1)
                return self._separated(speech, in_order_of_speech(np.where(at_once, 0, voice)))
        return self._several_at_once(speech, at_once) if share >= MOST_OVERLAP else None

    def _several_at_once(self, speech: Speech, at_once: npt.NDArray[np.bool_]) -> Several:
        """Return the parts where two people speak at once, each of the least length or more."""
        near = np.ones(1 + round(_FINE_S / _FRAME_S), np.bool_)
        for where in (at_once, np.convolve(at_once, near, "same"), np.ones_like(at_once)):
            several = self._separated(speech, np.where(where, 0, 1))
            if any(part.voice is None for part in several.parts):
                break
        return several

    def _may_be_at_once(self, speech: Speech) -> bool:
        """Whether the frames may be of two people: the segmentation model may report an echo."""
        if self._overlap is None or speech.encoded is None or len(speech.samples) > _MOST_ASKED:
            return True
        return bool(statistics(speech.encoded) @ self._overlap[:-1] + self._overlap[-1] > 0.0)

    def at_once(self, samples: Float32Array) -> tuple[npt.NDArray[np.bool_], float, float]:
        """Return the frames where two people speak at once, their share of speech, and `handover`.

        Raises `ModelError`.
        """
        segmenter = self._segmenter()
        at_once = np.zeros(max(1, segmenter.frames(len(samples))), np.bool_)
        spoken_s = both_s = change = 0.0
        for first, log_probs in segmenter.windows(samples):
            probabilities = np.exp(log_probs)
            both = probabilities @ (SPEAKERS.sum(axis=1) > 1)
            spoken_s += float((1.0 - probabilities[:, 0]).sum()) * _FRAME_S
            both_s += float(both.sum()) * _FRAME_S
            at_once[first : first + len(both)] = _smooth(both) >= _MIN_BOTH
            change = max(change, handover(probabilities @ SPEAKERS))
        return at_once, 0.0 if both_s < _MIN_OVERLAP_S else both_s / spoken_s, change

    def _agree(self, several: Several, rates: Sequence[tuple[float, float]]) -> bool:
        """Whether two voices, each embedded as a whole, may be one."""
        if len(several.embeddings) < 2:  # noqa: PLR2004 - nothing to compare
            return True
        (first, first_s), (other, other_s) = several.embeddings.values()
        less_s = min(first_s, other_s)
        fmr = next(fmr for from_s, fmr in rates if less_s >= from_s)
        return self._encoder.parts_agree([first], [other], less_s, fmr)

    def _labels(self, speech: Speech, at_once: npt.NDArray[np.bool_]) -> Labels:
        """Return which of two voices speaks in each frame, numbered in order of appearance.

        Accurate to half a second, or a second; 0 where two people speak at once.
        """
        n = len(speech.samples)
        step = round((_COARSE_S if speech.encoded is None else _FINE_S) * _RATE_HZ)
        size = max(min(round(_WINDOW_S * _RATE_HZ), n // 2), self._encoder.min_samples)
        starts = range(0, max(n - size, 0) + 1, step)
        windows = self._embedded(speech, [[(at, at + size)] for at in starts])
        group = two_groups(np.stack([window.vector for window in windows]))
        return _of_frames(group, at_once, size, step)

    def _embedded(self, speech: Speech, parts: Sequence[Part]) -> list[Embedding]:
        return self._encoder.embed_parts(speech.samples, speech.encoded, parts)

    def _separated(self, speech: Speech, voice: Labels) -> Several:
        """Return the parts and the embeddings of the voices that labels of frames (n,) name."""
        n, step = len(speech.samples), round(_FINE_S * _RATE_HZ)
        parts, own = list[VoicePart](), dict[int, list[tuple[int, int]]]()
        for who, first, end in runs(voice, round(_FINE_S / _FRAME_S)):
            start, stop = first * STEP_SAMPLES, n if end == len(voice) else end * STEP_SAMPLES
            where = speech.at_s(start), speech.at_s(min(stop, n - 1))
            parts.append(VoicePart(*where, who or None))
            start += step if first > 0 else 0
            stop -= step if end < len(voice) else 0
            if who and start < stop:
                own.setdefault(who, []).append((start, stop))
        least = max(round(_MIN_VOICE_S * _RATE_HZ), self._encoder.min_samples)
        lengths = {who: sum(stop - start for start, stop in part) for who, part in own.items()}
        heard = [who for who, length in lengths.items() if length >= least]
        voices = self._embedded(speech, [own[who] for who in heard])
        embeddings = {
            who: (voice, lengths[who] / _RATE_HZ) for who, voice in zip(heard, voices, strict=True)
        }
        return Several(tuple(parts), embeddings)


def alternating(
    encoder: Encoder, encoded: Float32Array, n_samples: int, scores: Scores | None = None
) -> Labels | None:
    """Return which of two voices, 0 or 1, is in each short window, if two alternate; else None.

    Windows of one voice differ a little in all directions, windows of two mostly in one.

    - `encoded` (channels, m): the encoder's frames of the samples.
    - `scores`: they deviate more if two people alternate and one of them is enrolled.
    """
    if n_samples < _LEAST_ALTERNATING_S * _RATE_HZ:
        return None
    starts = range(0, n_samples - _SHORT + 1, _SHORT_STEP)
    windows = encoder.embed_frames(encoded, n_samples, [[(at, at + _SHORT)] for at in starts])
    vectors = np.stack([window.vector for window in windows])
    vectors -= vectors.mean(axis=0)
    squares, along = np.linalg.eigh(vectors @ vectors.T)  # a fifth of the time of the directions
    group: Labels = (along[:, -1] > 0).astype(np.int64)
    if squares[-1] / len(vectors) <= _MOST_VARIANCE + _AND_S * _RATE_HZ / n_samples:
        if scores is None or (own := scores(windows)).std() <= _MOST_DEVIATION:
            return None
        group = (own < own.mean()).astype(np.int64)
    return group


def handover(activity: Float32Array) -> float:
    """Return how much less one of three (frames, 3) speaks after a change, and another more."""
    n, least = len(activity), round(_LEAST_SIDE / STEP_SAMPLES)
    if n < 2 * least:
        return 0.0
    at = np.arange(least, n - least + 1)[:, None]
    until = np.cumsum(activity, axis=0)[at[:, 0] - 1]
    less = until / at - (activity.sum(axis=0) - until) / (n - at)
    return float(np.minimum(less.max(axis=1), (-less).max(axis=1)).max())


def clearest_change(
    encoder: Encoder,
    encoded: Float32Array,
    n_samples: int,
    more: float = 0.0,
    scores: Scores | None = None,
) -> tuple[int, float] | None:
    """Return the place whose two sides are least alike, and the shortfall of their cosine.

    A shortfall above 0 shows two voices.  None: there is too little speech.

    - `more`: added to the cosine that is needed for one voice.
    - `scores`: a lower score of the shorter side adds to the cosine that is needed, too.
    """
    at = np.arange(_LEAST_SIDE, n_samples - _LEAST_SIDE + 1, _SPLIT_STEP)
    shorter_s = np.minimum(at, n_samples - at) / _RATE_HZ
    at, shorter_s = at[shorter_s <= _SIDES_S[-1]], shorter_s[shorter_s <= _SIDES_S[-1]]
    if len(at) == 0:
        return None
    sides = [[side] for split in at.tolist() for side in ((0, split), (split, n_samples))]
    embedded = encoder.embed_frames(encoded, n_samples, sides)
    before, after = (np.stack([side.vector for side in embedded[i::2]]) for i in (0, 1))
    lack = np.interp(shorter_s, _SIDES_S, _LEAST_COSINES) - (before * after).sum(axis=1) + more
    if scores is not None:
        first, second = scores(embedded).reshape(len(at), 2).T
        drop = np.where(at <= n_samples - at, second - first, first - second)
        lack += np.maximum(drop - np.interp(shorter_s, _LEAST_DROPS_S, _DROPS) - more, 0.0)
    return int(at[lack.argmax()]), float(lack.max())


def _strange_part(
    encoder: Encoder, encoded: Float32Array, n_samples: int, scores: Scores
) -> tuple[int, int] | None:
    """Return the part that is too unlike the voice that the clip would be accepted as, or None.

    At least `_LEAST_SIDE` samples must remain outside the part.
    """
    parts = [
        (at, at + size)
        for size in _INNER
        if n_samples - size >= _LEAST_SIDE
        for at in range(0, n_samples - size + 1, _INNER_STEP)
    ]
    if not parts:
        return None
    lengths_s = np.array([end - start for start, end in parts]) / _RATE_HZ
    part_scores = scores(encoder.embed_frames(encoded, n_samples, [[part] for part in parts]))
    lack = np.interp(lengths_s, _INNER_S, _LEAST_SCORES) - part_scores
    return parts[int(lack.argmax())] if lack.max() > 0.0 else None


def two_groups(vectors: Float32Array) -> Labels:
    """Return the group, 0 or 1, of each unit vector (n, dim): k-means with two means.

    They start from the two vectors that are least alike.  All are 0 if there is one group.
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


def _of_frames(group: Labels, at_once: npt.NDArray[np.bool_], size: int, step: int) -> Labels:
    """Return the voice of each frame, by the window with the nearest middle; 0: two people at once.

    - `group` (windows,): 0 or 1, for windows of ``size`` samples, one each ``step``.
    """
    middles = np.arange(len(at_once)) * STEP_SAMPLES
    nearest = np.clip(np.round((middles - size / 2) / step), 0, len(group) - 1)
    return in_order_of_speech(np.where(at_once, 0, 1 + group[nearest.astype(np.int64)]))


def in_order_of_speech(voice: Labels) -> Labels:
    """Return labels (n,), those above 0 numbered from 1 in order of appearance."""
    order = dict.fromkeys(label for label in voice.tolist() if label)
    number = {label: at for at, label in enumerate(order, start=1)}
    return np.array([number.get(label, 0) for label in voice.tolist()], np.int64)


def runs(labels: Labels, shortest: int) -> list[tuple[int, int, int]]:
    """Return label, start and end of runs of equal labels (n,); a short run joins the one before.

    The first run takes the label of the one after it if it is short.
    """
    labelled: list[tuple[int, int, int]] = []
    at = 0
    for label, equal in itertools.groupby(labels.tolist()):
        end = at + len(list(equal))
        if labelled and (end - at < shortest or label == labelled[-1][0]):
            labelled[-1] = (labelled[-1][0], labelled[-1][1], end)
        elif labelled and labelled[-1][2] - labelled[-1][1] < shortest:
            labelled[-1] = (label, labelled[-1][1], end)
        else:
            labelled.append((label, at, end))
        at = end
    return labelled


def _smooth(values: Float32Array) -> Float32Array:
    """Return the running mean (n,) over half a second."""
    span = min(round(_SMOOTH_S / _FRAME_S), len(values))
    return np.convolve(values, np.full(span, 1 / span), "same") if span else values
