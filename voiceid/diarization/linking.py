"""Unknown voices of many recordings: which are the same, one name each.

Each recording numbers its own voices, and `enroll --voice unknown-2` takes such a number.  A linked
voice has a letter, so that it cannot be confused with a number.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from scipy.optimize import linear_sum_assignment

from voiceid.diarization.naming import UNKNOWN
from voiceid.domain import Diarization, DiarizedVoice, EmbeddingSpace, VoiceLink

Likeness: TypeAlias = Callable[[DiarizedVoice, DiarizedVoice, int], tuple[float, float]]
"""Returns the score of two voices, and the threshold in a search among so many."""


@dataclass(frozen=True, slots=True)
class _Known:
    """An unknown voice, from the recording with most of its speech."""

    name: str
    clip: str
    voice: DiarizedVoice


class LinkedVoices:
    """The unknown voices of the recordings that were heard with it; see `VoiceID.diarize`.

    Pass the same object with each recording, one after the other.  It keeps one embedding for each
    voice, and nothing else.
    """

    def __init__(self) -> None:
        self._known: list[_Known] = []
        self._space: EmbeddingSpace | None = None
        self._letters = _letters()

    def named(
        self, talk: Diarization, likeness: Likeness, margin: float, is_taken: Callable[[str], bool]
    ) -> Diarization:
        """Return a diarization whose unknown voices have the names of the known voices they match.

        A voice matches if the score reaches the threshold, and leads the next score by the margin;
        two voices of one recording never match the same one.  Raises SpaceMismatch.

        - `is_taken`: whether a speaker is enrolled by a name.
        """
        if self._space is not None:
            self._space.require_same(talk.embedding_space)
        self._space = talk.embedding_space
        unknown = [voice for voice in talk.voices if voice.speaker is None]
        links = self._links(unknown, likeness, margin)
        called: dict[str, DiarizedVoice] = {}
        for voice in unknown:
            link = links.get(voice.name)
            at, shown = None, None
            if link is not None:
                at, *judged = link
                shown = VoiceLink(self._known[at].clip, self._known[at].voice.name, *judged)
            if at is None:
                name = next(name for name in self._letters if not is_taken(name))
            else:
                name = self._known[at].name
            called[voice.name] = replace(voice, name=name, own_name=voice.name, link=shown)
            self._keep(name, talk.clip, voice, at)
        return replace(
            talk,
            voices=tuple(called.get(voice.name, voice) for voice in talk.voices),
            turns=tuple(
                replace(turn, voice=called[turn.voice].name) if turn.voice in called else turn
                for turn in talk.turns
            ),
        )

    def _links(
        self, unknown: list[DiarizedVoice], likeness: Likeness, margin: float
    ) -> dict[str, tuple[int, float, float]]:
        """Return, by a voice's name, which known voice it is, with score and threshold."""
        heard = [voice for voice in unknown if voice.embedding is not None]
        if not heard or not self._known:
            return {}
        judged = np.array(
            [[likeness(v, k.voice, len(self._known)) for k in self._known] for v in heard]
        )
        scores, thresholds = judged[..., 0], judged[..., 1]
        others = np.sort(scores, axis=1)[:, -2:-1]
        lead = others if others.size else np.full((len(heard), 1), -np.inf)
        fits = (scores >= thresholds) & (scores - lead >= margin)
        rows, columns = linear_sum_assignment(np.where(fits, scores, -2.0), maximize=True)
        return {
            heard[row].name: (int(at), float(scores[row, at]), float(thresholds[row, at]))
            for row, at in zip(rows, columns, strict=True)
            if fits[row, at]
        }

    def _keep(self, name: str, clip: str, voice: DiarizedVoice, at: int | None) -> None:
        """Keep a voice in place of the voice that it matches, if it has more speech."""
        if voice.embedding is None:
            return
        if at is None:
            self._known.append(_Known(name, clip, voice))
        elif voice.alone_s > self._known[at].voice.alone_s:
            self._known[at] = _Known(name, clip, voice)


def _letters() -> Iterator[str]:
    """Yield unknown-a to unknown-z, unknown-aa, and so on."""
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield f"{UNKNOWN}{''.join(letters)}"
