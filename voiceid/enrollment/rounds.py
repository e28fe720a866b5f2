"""From rounds of spoken words to tokens: find each word, and check that the rounds agree.

A round is one recording of all words in a known order, with a pause after each.  It is cut at its
longest pauses; then each round is matched with the others, as an answer with the code of all words,
and cut where the words are found.  A round that does not agree with the others is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voiceid.decision.word_matching import BoolArray, Tokens, Vocabulary, match
from voiceid.domain import Float32Array
from voiceid.errors import ChangeRefused
from voiceid.speech.word_features import WordFeatures

_PAUSE_FRAMES = 8
"""The shortest pause between words: 80 ms."""
_EDGE_FRAMES = 8
"""The quiet frames around the loud frames of a word, at most half of the pause."""
_MOST_TIMES = 2.5
"""The limit of the ratio of a word's length in one round to its median length."""
MAX_EXCESS = 0.7
"""The limit for a round against the others; see `voiceid.verification.spoken_code`."""


def vocabulary_of(
    words: Sequence[str], rounds: Sequence[WordFeatures], names: Sequence[str]
) -> Vocabulary:
    """Return the words with their tokens; raises ChangeRefused with the name of the round."""
    cuts = [
        _at_pauses(features.is_speech, len(words), name)
        for features, name in zip(rounds, names, strict=True)
    ]
    code, refined = range(len(words)), []
    for at, (features, name) in enumerate(zip(rounds, names, strict=True)):
        others = [i for i in range(len(rounds)) if i != at]
        tokens = _tokens([rounds[i].frames for i in others], [cuts[i] for i in others])
        matched = match(features.frames, features.is_speech, tokens, code)
        if matched.excess > MAX_EXCESS:
            spoken = matched.words
            worst = max(range(len(spoken)), key=lambda i: spoken[i].distance, default=0)
            raise ChangeRefused(
                f"{name} does not fit the other rounds, worst at {words[worst]!r}",
                hint="Say all words in their order in each round, with a pause of half a second"
                " after each; nothing was changed.",
            )
        refined.append([(word.start, word.end) for word in matched.words])
    _require_one_length(words, refined, names)
    return Vocabulary(tuple(words), _tokens([features.frames for features in rounds], refined))


def require_words(features: WordFeatures, n_words: int) -> None:
    """Raise ChangeRefused unless a round has this number of words with pauses between them."""
    _at_pauses(features.is_speech, n_words, "the round")


def _require_one_length(
    words: Sequence[str], cuts: Sequence[Sequence[tuple[int, int]]], names: Sequence[str]
) -> None:
    """Raise ChangeRefused if a word is much longer or shorter in one round than in most."""
    lengths = np.array([[end - start for start, end in spans] for spans in cuts])
    ratios = np.log(lengths / np.median(lengths, axis=0))
    at, word = np.unravel_index(np.abs(ratios).argmax(), ratios.shape)
    if abs(ratios[at, word]) > np.log(_MOST_TIMES):
        raise ChangeRefused(
            f"{names[at]} does not fit the other rounds: {words[word]!r} lasts"
            f" {lengths[at, word] / 100:.2f} s",
            hint="Say each word once, with a pause of half a second after it; nothing was changed.",
        )


def _at_pauses(is_speech: BoolArray, n_words: int, name: str) -> list[tuple[int, int]]:
    """Return the frames of each word, cut at the longest pauses."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_speech.astype(np.int8), [0]])))
    loud = edges.reshape(-1, 2)
    gaps = loud[1:, 0] - loud[:-1, 1]
    longest = np.sort(np.argsort(-gaps, kind="stable")[: n_words - 1])
    if len(longest) < n_words - 1 or (gaps[longest] < _PAUSE_FRAMES).any():
        n_found = 1 + int((gaps >= _PAUSE_FRAMES).sum())
        raise ChangeRefused(
            f"{name} has {n_found} words with pauses between them, but {n_words} are needed",
            hint="Say each word once, with a pause of half a second after it; nothing was changed.",
        )
    starts = [loud[0, 0], *(loud[i + 1, 0] for i in longest)]
    ends = [*(loud[i, 1] for i in longest), loud[-1, 1]]
    return _widened([(int(a), int(b)) for a, b in zip(starts, ends, strict=True)], len(is_speech))


def _widened(spans: list[tuple[int, int]], n_frames: int) -> list[tuple[int, int]]:
    """Return spans with the quiet frames around them."""
    ends, starts = [0, *(end for _, end in spans)], [*(start for start, _ in spans), n_frames]
    gaps = [start - end for end, start in zip(ends, starts, strict=True)]
    shares = [gaps[0], *(gap // 2 for gap in gaps[1:-1]), gaps[-1]]
    edges = [min(_EDGE_FRAMES, share) for share in shares]
    return [
        (start - before, end + after)
        for (start, end), before, after in zip(spans, edges, edges[1:], strict=False)
    ]


def _tokens(frames: Sequence[Float32Array], cuts: Sequence[Sequence[tuple[int, int]]]) -> Tokens:
    pieces = [
        features[start:end]
        for features, spans in zip(frames, cuts, strict=True)
        for start, end in spans
    ]
    lengths = np.array([len(piece) for piece in pieces])
    words = np.concatenate([np.arange(len(spans)) for spans in cuts])
    return Tokens(np.concatenate(pieces), lengths, words)
