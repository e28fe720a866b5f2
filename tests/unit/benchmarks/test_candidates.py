"""What the rules that are measured before any is adopted make of the voices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import candidates
from benchmarks.trials import Voice
from voiceid.decision.embeddings import cosine, unit


def voice(
    recording: str, net_speech_s: float, *, narrow: bool = False, heard: bool = True
) -> Voice:
    seed = list(f"{recording} {net_speech_s}".encode())
    vector = unit(np.random.default_rng(seed).normal(1.0, 1.0, 8).astype(np.float32))
    return Voice(recording, "a", "F", net_speech_s, narrow, vector)


def test_a_mean_knows_no_bands_and_a_weight_moves_it() -> None:
    long, short = voice("a-1", 9.0, narrow=True), voice("a-2", 1.0)
    third = voice("a-3", 1.0)
    mean = candidates.plain([long, short, third])
    assert mean.vector == pytest.approx(unit(long.vector + short.vector + third.vector))
    assert mean.narrowband_share == pytest.approx(1 / 3)
    weighed = candidates.by_net_speech([long, short, third])
    assert cosine(weighed.vector, long.vector) > cosine(mean.vector, long.vector)


def test_the_longest_clip_is_averaged_with_the_pieces_of_its_recording() -> None:
    whole, piece, third = voice("a-1", 9.0), voice("a-1", 2.0), voice("a-1/0", 3.0)
    alone, silent = voice("a-2", 4.0), replace(voice("a-1", 0.1), vector=None)
    clips = [piece, whole, third, alone, silent]
    (averaged,) = candidates.with_crops(clips)
    assert averaged.vector == pytest.approx(unit(whole.vector + piece.vector + third.vector))
    assert (averaged.recording, averaged.net_speech_s) == ("a-1", 9.0)
    assert candidates.longest(clips) == [whole]
