"""Frames become turns, and turns frames again; windows that disagree are weighed."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.diarization import activity
from voiceid.diarization.activity import spoken, turns_of
from voiceid.diarization.local_voices import FRAME_S, Piece, Window
from voiceid.domain import VoiceTurn
from voiceid.domain.diarizations import alone, stretches

VECTOR = np.eye(4, dtype=np.float32)[0]


def window(first: int, active: np.ndarray, middles: list[tuple[int, float]]) -> Window:
    pieces = tuple(Piece(who, middle, 2.0, VECTOR) for who, middle in middles)
    return Window(first, active.astype(np.float16), pieces)


runs = st.lists(st.tuples(st.integers(120, 300), st.integers(120, 300)), max_size=5)


@given(runs=runs)
def test_a_clear_activity_is_found_again_to_the_padding(runs: list[tuple[int, int]]) -> None:
    frames = np.concatenate([[0.0], *([0.0] * quiet + [1.0] * loud for quiet, loud in runs), [0.0]])
    turns = spoken(frames.astype(np.float32))
    ends = np.flatnonzero(np.diff(frames > 0)).reshape(-1, 2) + 1
    assert len(turns) == len(runs)
    for (start_s, end_s), (first, end) in zip(turns, ends, strict=True):
        assert start_s == pytest.approx(first * FRAME_S, abs=0.1)
        assert end_s == pytest.approx(end * FRAME_S, abs=0.1)


@given(probability=st.lists(st.floats(0, 1, width=16), max_size=400))
def test_turns_of_a_voice_neither_overlap_nor_are_too_short(probability: list[float]) -> None:
    turns = spoken(np.array(probability, np.float32))
    assert all(end_s - start_s >= activity._LEAST_S for start_s, end_s in turns)
    for (_, end_s), (start_s, _) in itertools.pairwise(turns):
        assert start_s - end_s > activity._GAP_S


def test_a_short_pause_is_within_a_turn() -> None:
    frames = np.ones(400, np.float32)
    frames[200:220] = 0.0  # 0.34 s
    assert len(spoken(frames)) == 1
    frames[200:250] = 0.0
    assert len(spoken(frames)) == 2


def test_a_voice_of_two_people_is_cut_between_their_pieces() -> None:
    active = np.zeros((589, 3))
    active[:, 1] = 1.0
    heard = [window(0, active, [(1, 100.0), (1, 480.0)])]
    turns = turns_of(heard, np.array([0, 1]), 10.0)
    assert [turn.voice for turn in turns] == ["0", "1"]
    assert turns[0].start_s == 0.0
    assert turns[1].end_s == pytest.approx(10.0, abs=0.05)
    assert turns[1].start_s == pytest.approx(290 * FRAME_S, abs=0.1)


def test_where_windows_disagree_the_one_decides_in_whose_middle_it_is() -> None:
    silent, loud = np.zeros((589, 3)), np.zeros((589, 3))
    loud[:100, 0] = 1.0  # at the edge of the second window, in the middle of the first
    heard = [window(0, silent, []), window(280, loud, [(0, 50.0)])]
    assert turns_of(heard, np.array([0]), 14.7) == ()


@given(
    cuts=st.lists(
        st.tuples(st.integers(0, 99), st.integers(1, 30), st.sampled_from("ab")), max_size=8
    )
)
def test_what_a_voice_says_alone_no_other_says(cuts: list[tuple[int, int, str]]) -> None:
    turns = [VoiceTurn(start / 4, (start + n) / 4, voice) for start, n, voice in cuts]
    grid = {voice: np.zeros(600, bool) for voice in "ab"}
    for turn in turns:
        grid[turn.voice][round(turn.start_s * 4) : round(turn.end_s * 4)] = True
    a_alone = sum(end_s - start_s for start_s, end_s in alone(turns).get("a", []))
    assert a_alone <= (grid["a"] & ~grid["b"]).sum() / 4 + 1e-9
    for start_s, end_s in alone(turns).get("a", []):
        inside = slice(int(start_s * 4 + 1e-6), int(np.ceil(end_s * 4 - 1e-6)))
        assert grid["a"][inside].all()
        assert not grid["b"][inside].any()
    both_s = sum(end - start for start, end, names in stretches(turns) if len(names) == 2)
    assert both_s == pytest.approx((grid["a"] & grid["b"]).sum() / 4)
