"""Rounds of spoken words: where each word is, and rounds that do not agree."""

from __future__ import annotations

import numpy as np
import pytest
from spoken_words import ROUNDS, WORDS, pieces, said

from voiceid.domain import Float32Array
from voiceid.enrollment.rounds import vocabulary_of
from voiceid.errors import ChangeRefused
from voiceid.speech.word_features import WordFeatures, word_features

NAMES = [f"round {i}" for i in range(ROUNDS)]


@pytest.fixture(scope="module")
def words(ami) -> list[Float32Array]:
    return pieces(ami.samples("alice-2"))


def rounds_of(words: list[Float32Array]) -> list[WordFeatures]:
    return [word_features(said(words, take)[0]) for take in range(ROUNDS)]


def test_each_word_of_each_round_is_found(words: list[Float32Array]) -> None:
    found = vocabulary_of(WORDS, rounds_of(words), NAMES)
    assert found.rounds == ROUNDS
    assert found.tokens.words.tolist() == [*range(len(WORDS))] * ROUNDS
    # half a second each, without what is soft at the ends
    assert np.all((found.tokens.lengths > 15) & (found.tokens.lengths < 70))


def test_a_round_that_does_not_agree_with_the_others_is_refused(words: list[Float32Array]) -> None:
    good = rounds_of(words)
    short = word_features(said(words[:3], 1)[0])
    with pytest.raises(ChangeRefused, match=r"round 1 has . words with pauses .* 8 are needed"):
        vocabulary_of(WORDS, [good[0], short, good[2]], NAMES)
    swapped = [*words[:3], words[4], words[3], *words[5:]]
    wrong = word_features(said(swapped, 2)[0])
    with pytest.raises(ChangeRefused, match="does not fit the other rounds"):
        vocabulary_of(WORDS, [good[0], good[1], wrong], NAMES)
