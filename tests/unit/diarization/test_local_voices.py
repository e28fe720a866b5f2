"""What is embedded of a voice of a window."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voiceid.diarization.local_voices import FRAME_S, split

N_FRAMES = 589


@given(
    frames=st.lists(st.integers(0, N_FRAMES - 1), min_size=24, unique=True).map(sorted),
    least=st.sampled_from([6, 60, 90]),
)
def test_pieces_are_long_enough_and_few(frames: list[int], least: int) -> None:
    pieces = split(np.array(frames), N_FRAMES, least)
    joined = np.concatenate(pieces).tolist()
    assert joined == sorted(set(joined))
    assert set(joined) <= set(frames)
    assert len(pieces) <= 4
    assert all(len(piece) * FRAME_S <= max(1.32, least * FRAME_S) for piece in pieces)
    assert all(len(piece) >= least for piece in pieces) or len(pieces) == 1


@given(at=st.integers(0, N_FRAMES - 100))
def test_a_voice_that_speaks_at_the_edge_of_a_window_alone_has_a_piece(at: int) -> None:
    [piece] = split(np.arange(at, at + 60), N_FRAMES, 6)
    assert len(piece) == 60
