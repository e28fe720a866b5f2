"""Whether the words of a code were said: one-pass dynamic time warping (Ney 1984).

An answer is aligned with a person's own recordings of the words, from its first frame to its last,
each frame with a frame of a word or with the pause around the words.  Within a word an alignment
stays, goes to the next frame, or skips one.  The distance is summed over the frames of the answer,
so that all alignments of one answer can be compared:

- the *chain*: the words of the code, in order, with pauses or without;
- the *loop*: any words in any order; the best of all codes, so never more than the chain.

What decides is where the loop gains most on the chain, and not the mean: a word that is wrong, or
too many, is one word, and noise is spread over all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.domain import Float32Array

BoolArray: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.int64]
Distances: TypeAlias = npt.NDArray[np.float64]

_STAY, _SKIP = np.float32(0.3), np.float32(0.3)
"""The cost, in distance, of not going to the next frame."""
_FAR = np.float32(1e9)


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """A person's recordings of some words.

    Parameters
    ----------
    frames : (n, d) float32
        The features of all of them, one after the other.
    lengths : (k,) int64
        The number of frames of each: 2 or more.
    words : (k,) int64
        The word of each, by number.
    """

    frames: Float32Array
    lengths: IntArray
    words: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """The words of which a person's codes are made, by number, and their recordings."""

    words: tuple[str, ...]
    tokens: Tokens

    @property
    def rounds(self) -> int:
        """How many recordings there are of each."""
        return len(self.tokens.words) // len(self.words)


@dataclass(frozen=True, slots=True)
class SaidWord:
    """Where a word of a code was found in an answer: frames ``start`` to ``end``.

    ``distance`` is the mean from the frames of the token that is nearest, the ``token``-th.
    """

    start: int
    end: int
    token: int
    distance: float


@dataclass(frozen=True, slots=True)
class Match:
    """How an answer fits a code.

    Parameters
    ----------
    excess : float
        The most that the chain gains on the loop from where one word begins to the next, for each
        frame of a word of mean length.  0 when no other code fits better.
    words : tuple of SaidWord
        Where each word of the code is; empty, with an infinite excess: the answer is shorter.
    """

    excess: float
    words: tuple[SaidWord, ...]

    @property
    def distances(self) -> Float32Array:
        """The distance (k,) of each word; a sound that is not one of the words is far from them."""
        return np.array([word.distance for word in self.words], np.float32)


class Heard:
    """An answer that codes are compared with."""

    def __init__(self, frames: Float32Array, is_speech: BoolArray, tokens: Tokens) -> None:
        quiet = frames[~is_speech]
        self._tokens, self._near = tokens, _distances(frames, tokens.frames)
        self._pause = self._near.max(1)
        if len(quiet):
            self._pause = _distances(frames, quiet.mean(0, keepdims=True))[:, 0]
        self._best = _loop(self._near, self._pause, tokens)

    def match(self, code: Sequence[int]) -> Match:
        """Return how the answer fits a code."""
        distances, words = _chain(self._near, self._pause, self._tokens, code)
        if not words:
            return Match(math.inf, ())
        ends = [word.start for word in words[1:]] + [len(self._near)]
        above = np.diff(distances - self._best[ends], prepend=0.0)
        mean_length = np.mean([self._tokens.lengths[word.token] for word in words])
        return Match(max(0.0, float(above.max() / mean_length)), words)


def match(frames: Float32Array, is_speech: BoolArray, tokens: Tokens, code: Sequence[int]) -> Match:
    """Return how an answer (t, d), with its frames of speech (t,), fits a code."""
    return Heard(frames, is_speech, tokens).match(code)


def _distances(left: Float32Array, right: Float32Array) -> Float32Array:
    """Return (t, n): the Euclidean distance of each row to each."""
    distances: Float32Array = -2 * left @ right.T  # then in place: it may be large
    distances += np.square(left).sum(1)[:, None]
    distances += np.square(right).sum(1)
    np.maximum(distances, 0, out=distances)
    return np.sqrt(distances, out=distances)


def _loop(near: Float32Array, pause: Float32Array, tokens: Tokens) -> Distances:
    """Return the distance (n + 1,) before each frame of the best words, in any order and number."""
    lattice = _Lattice(tokens, [np.arange(len(tokens.lengths))])
    between, best = np.zeros(1, np.float32), [0.0]
    for t, pause_now in enumerate(pause):
        lattice.advance(between, near[t, lattice.frames], t)
        between = np.minimum(between + pause_now, lattice.ends())
        best.append(float(between[0]))
    return np.array(best)


def _chain(
    near: Float32Array, pause: Float32Array, tokens: Tokens, code: Sequence[int]
) -> tuple[Distances, tuple[SaidWord, ...]]:
    """Return the distance (k,) up to the next word of each word of a code, and its place."""
    lattice = _Lattice(tokens, [np.flatnonzero(tokens.words == word) for word in code])
    n, n_words = len(near), len(code)
    between = np.full((n + 1, n_words + 1), _FAR)  # before each frame, after so many words
    between[0, 0] = 0
    ends = np.full((n + 1, n_words), _FAR)  # of the words that end there
    said = np.zeros((n + 1, n_words, 2), np.int64)  # their tokens, and where these began
    for t in range(n):
        lattice.advance(between[t, :-1], near[t, lattice.frames], t)
        ends[t + 1], said[t + 1] = lattice.ends(), lattice.said()
        between[t + 1] = between[t] + pause[t]
        np.minimum(between[t + 1, 1:], ends[t + 1], out=between[t + 1, 1:])
    if between[n, -1] >= _FAR:  # the answer is shorter than the words
        return np.zeros(0), ()
    words, t, distances = [], n, [between[n, -1]]
    for at in range(n_words - 1, -1, -1):
        while between[t, at + 1] != ends[t, at]:  # in the pause behind the word
            t -= 1
        token, start = map(int, said[t, at])
        distance = float(ends[t, at] - between[start, at]) / (t - start)
        words.append(SaidWord(start, t, token, distance))
        distances.append(between[start, at])
        t = start
    return np.array(distances[-2::-1]), tuple(reversed(words))


class _Lattice:
    """The frames of some tokens side by side, in blocks of tokens that stand for one another.

    The costs of the frames have two more columns before them, which no alignment reaches.
    """

    def __init__(self, tokens: Tokens, blocks: Sequence[IntArray]) -> None:
        self._tokens = np.concatenate(blocks)  # the number of each in all tokens
        starts, lengths = np.cumsum(tokens.lengths) - tokens.lengths, tokens.lengths[self._tokens]
        spans = zip(starts[self._tokens], lengths, strict=True)
        self.frames = np.concatenate([np.arange(start, start + n) for start, n in spans])
        self._first = np.cumsum(lengths) - lengths
        self._last = 2 + self._first + lengths - 1
        sizes = np.array([len(block) for block in blocks])
        self._block = np.repeat(np.arange(len(blocks)), sizes)
        self._heads = np.cumsum(sizes) - sizes
        self._next = np.zeros(len(self.frames), np.float32)
        self._next[self._first] = _FAR
        self._skip = np.full(len(self.frames), _SKIP)
        self._skip[np.concatenate([self._first, self._first + 1])] = _FAR
        self._cost = np.full(len(self.frames) + 2, _FAR)
        self._begun = np.zeros(len(self.frames) + 2, np.int32)  # the frame of the answer
        self._is_traced = len(blocks) > 1

    def advance(self, entry: Float32Array, near: Float32Array, t: int) -> None:
        """Take frame ``t`` of an answer; ``entry`` is what it costs to begin each block there."""
        cost, begun = self._cost, self._begun
        moved, next_, skip = cost[2:] + _STAY, cost[1:-1] + self._next, cost[:-2] + self._skip
        if self._is_traced:
            since = np.where(next_ < moved, begun[1:-1], begun[2:])
            np.minimum(moved, next_, out=moved)
            begun[2:] = np.where(skip < moved, begun[:-2], since)
            begun[2 + self._first[entry[self._block] < moved[self._first]]] = t
        else:
            np.minimum(moved, next_, out=moved)
        np.minimum(moved, skip, out=moved)
        moved[self._first] = np.minimum(moved[self._first], entry[self._block])
        np.add(moved, near, out=cost[2:])

    def ends(self) -> Float32Array:
        """Return the cost of having said a token of each block."""
        return np.minimum.reduceat(self._cost[self._last], self._heads)

    def said(self) -> IntArray:
        """Return (blocks, 2): for each block its token, and the frame where it began."""
        at = self._last
        order = np.lexsort((self._cost[at], self._block))[self._heads]
        return np.stack([self._tokens[order], self._begun[at[order]]], axis=1)
