"""Matching of spoken words, with every alignment of small inputs as the oracle."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.decision.word_matching import _SKIP, _STAY, Heard, Tokens

DIM = 3


def oracle(near: np.ndarray, pause: np.ndarray, words: list[list[tuple[int, int]]]) -> float:
    """Return the least distance of words, each of tokens from one frame to another, one by one."""

    @cache
    def between(t: int, word: int) -> float:
        """Return the least of the rest, of whole words from frame ``t`` on."""
        if t == len(near):
            return 0.0 if word == len(words) else math.inf
        rest = pause[t] + between(t + 1, word)
        if word < len(words):
            for start, end in words[word]:
                rest = min(rest, within(t, word, start, end))
        return rest

    @cache
    def within(t: int, word: int, at: int, end: int) -> float:
        """Return the least of the rest, with frame ``t`` at a frame of a token."""
        if t == len(near):
            return math.inf
        rest = between(t + 1, word + 1) if at == end - 1 else math.inf
        for step, cost in ((0, float(_STAY)), (1, 0.0), (2, float(_SKIP))):
            if at + step < end:
                rest = min(rest, cost + within(t + 1, word, at + step, end))
        return near[t, at] + rest

    return between(0, 0)


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Tokens]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, lengths = draw(st.integers(2, 9)), draw(st.lists(st.integers(2, 4), min_size=3, max_size=4))
    words = np.array([0, 1, *rng.integers(0, 2, len(lengths) - 2)])
    frames = rng.standard_normal((sum(lengths), DIM)).astype(np.float32)
    answer = rng.standard_normal((n, DIM)).astype(np.float32)
    return answer, rng.random(n) < 0.7, Tokens(frames, np.array(lengths), words)


def spans(tokens: Tokens, word: int) -> list[tuple[int, int]]:
    ends = np.cumsum(tokens.lengths)
    return [
        (int(end - n), int(end))
        for end, n, of in zip(ends, tokens.lengths, tokens.words, strict=True)
        if of == word
    ]


@given(answers(), st.lists(st.integers(0, 1), min_size=1, max_size=3))
def test_the_distance_of_a_code_is_that_of_the_best_of_all_alignments(
    given_: tuple[np.ndarray, np.ndarray, Tokens], code: list[int]
) -> None:
    answer, is_speech, tokens = given_
    heard = Heard(answer, is_speech, tokens)
    found = heard.match(code)
    near, pause = heard._near.astype(float), heard._pause.astype(float)
    best = oracle(near, pause, [spans(tokens, word) for word in code])
    if math.isinf(best):
        assert (found.excess, found.words) == (math.inf, ())
        return
    assert [int(tokens.words[word.token]) for word in found.words] == code
    spoken = [0, *itertools.chain(*((word.start, word.end) for word in found.words)), len(answer)]
    assert spoken == sorted(spoken), "they are said one after the other"
    paused = set(range(len(answer)))
    for word in found.words:
        paused -= set(range(word.start, word.end))
    parts = sum(word.distance * (word.end - word.start) for word in found.words)
    assert parts + pause[sorted(paused)].sum() == pytest.approx(best, abs=1e-3)
    spent = np.zeros(len(answer))
    spent[sorted(paused)] = pause[sorted(paused)]
    for word in found.words:
        spent[word.start : word.end] = word.distance
    ends = [*(word.start for word in found.words[1:]), len(answer)]
    above = np.diff([spent[:end].sum() - heard._best[end] for end in ends], prepend=0.0)
    length = np.mean([tokens.lengths[word.token] for word in found.words])
    assert found.excess == pytest.approx(max(0.0, above.max() / length), abs=1e-3)


@given(answers())
def test_the_loop_is_the_best_of_all_codes(given_: tuple[np.ndarray, np.ndarray, Tokens]) -> None:
    answer, is_speech, tokens = given_
    heard = Heard(answer, is_speech, tokens)
    near, pause = heard._near.astype(float), heard._pause.astype(float)
    every = [spans(tokens, 0), spans(tokens, 1)]
    lengths = range(len(answer) // 2 + 2)
    codes = [c for n in lengths for c in itertools.product(every, repeat=n)]
    for n in (len(answer) // 2, len(answer)):
        best = min(oracle(near[:n], pause[:n], list(code)) for code in codes)
        assert heard._best[n] == pytest.approx(best, abs=1e-3)
