"""The features of spoken words: what is the same in them, and what is no sound of words."""

from __future__ import annotations

import numpy as np
import pytest

from voiceid.errors import AudioInvalid
from voiceid.speech.word_features import LONGEST_S, WordTape, word_features


def test_how_loud_a_word_is_and_over_which_line_it_came_hardly_changes_it(ami) -> None:
    speech = ami.samples("alice-1")
    plain = word_features(speech)
    softer = word_features(0.05 * speech)
    assert softer.frames == pytest.approx(plain.frames, abs=0.1)
    dull = np.convolve(speech, [0.7, 0.3], "same").astype(np.float32)
    moved = np.linalg.norm(word_features(dull).frames - plain.frames, axis=1)[plain.is_speech]
    others = np.linalg.norm(plain.frames[1:] - plain.frames[:-1], axis=1)[plain.is_speech[1:]]
    assert np.median(moved) < 0.3 * np.median(others)
    assert 0.2 < plain.is_speech.mean() < 0.9


def test_a_tape_gives_the_sound_at_16_khz_and_nothing_that_is_too_long_or_too_short() -> None:
    tape = WordTape()
    tape.add(np.ones(8000, np.float32))
    assert len(tape.samples(8000)) == 16_000
    tape.clear()
    with pytest.raises(AudioInvalid, match=r"lasts 0\.0 s"):
        tape.samples(8000)
    for _ in range(int(LONGEST_S) + 1):
        tape.add(np.zeros(8000, np.float32))
    with pytest.raises(AudioInvalid, match="the limit is 60 s"):
        tape.samples(8000)
