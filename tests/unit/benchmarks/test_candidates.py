"""What the rules that are measured before any is adopted make of the voices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import candidates, trials
from benchmarks.candidates import Heard
from benchmarks.trials import Voice
from voiceid.decision.embeddings import cosine, unit


def voice(recording: str, net_speech_s: float) -> Voice:
    seed = list(f"{recording} {net_speech_s}".encode())
    vector = unit(np.random.default_rng(seed).normal(1.0, 1.0, 8).astype(np.float32))
    return Voice(recording, recording[0], "F", net_speech_s, np.nan, 0.0, vector)


def test_more_speech_weighs_more() -> None:
    voices = [voice("a-1", 9.0), voice("a-2", 1.0), voice("a-3", 1.0)]
    weighed, mean = candidates.by_net_speech(voices), trials.enroll(voices)
    long, short, third = (one.vector for one in voices)
    assert weighed.vector == pytest.approx(unit(9.0 * long + short + third))
    assert cosine(weighed.vector, long) > cosine(mean.vector, long)
    assert weighed.recordings == mean.recordings


def test_runs_of_utterances_and_thirds_of_single_ones_are_enrolled() -> None:
    utterances = [voice(f"a-{take}", 5.0) for take in range(4)]
    thirds = [voice(f"b-0/{i}", 3.0) for i in range(3)]
    silent = [replace(voice(f"c-0/{i}", 3.0), vector=None) for i in range(3)]
    heard = Heard([], [*utterances, *thirds, *silent])
    gallery = heard.gallery(trials.enroll)
    assert [entry.speaker for entry in gallery] == ["a"] * 4 + ["b"]
    assert {len(entry.recordings) for entry in gallery} == {3}


def test_the_longest_clip_is_averaged_with_the_pieces_of_its_recording() -> None:
    whole, piece, third = voice("a-1", 9.0), voice("a-1", 2.0), voice("a-1/0", 3.0)
    alone, silent = voice("a-2", 4.0), replace(voice("a-1", 0.1), vector=None)
    clips = [piece, whole, third, alone, silent]
    (averaged,) = candidates.with_crops(clips)
    assert averaged.vector == pytest.approx(unit(whole.vector + piece.vector + third.vector))
    assert (averaged.recording, averaged.net_speech_s) == ("a-1", 9.0)
    assert candidates.longest(clips) == [whole]
