"""Recordings in pieces, through every condition, and which of them are compared.

Only the recordings that are worked on are in memory: of each piece its embedding is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from voiceid.decision.compensation import Compensation
from voiceid.domain import Float32Array
from voiceid.evaluation.degradations import (
    BAD_LINES,
    CONDITIONS,
    LINES,
    Clip,
    cut,
    is_telephone,
    split,
)
from voiceid.evaluation.learning import Heard, compensated
from voiceid.evaluation.model_fit import ENROLLED, Part, compare
from voiceid.models.runtime import in_order

CUTS_S = (1.3, 1.8, 2.5, 3.5)
"""Cuts of a recording; of a speaker's only one, whose thirds are heard too, all but the last."""

MILD = ("opus 20 kbit/s", "clipped by 12 dB", "gain -30 dB")
"""Conditions that are left out unless they are asked for: each takes its time, and none sets a
threshold for 0.1 % and below (Opus and low gain raise those for 1 to 10 % by 0.006 to 0.019).  The
operating points of campplus were judged on them too."""

_NEVER_ENROLLED = "clipped by 12 dB"
"""More than a hundredth of the samples are clipped in 93 % of 378 clips: enrolment refuses them."""

WIDEBAND = ("clean", "noise 10 dB", "room 0.3 s")
"""Compared in all pairs; the other wideband conditions with clean recordings and themselves."""

USUAL = (*(name for name in CONDITIONS if name not in MILD), *BAD_LINES)
"""The conditions that a model is fitted on."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A clip, and whether it may be enrolled."""

    clip: Clip
    whole: bool


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """What is heard in a clip: net speech, SNR (NaN: not known), and (dim,) the encoder's vector.

    The vector is None when there is too little speech.
    """

    net_speech_s: float
    snr_db: float
    vector: Float32Array | None


def pieces_of(clip: Clip, *, alone: bool) -> Iterator[Piece]:
    """Yield what is heard of a recording; ``alone``: it is its speaker's only one.

    It is enrolled whole, or in thirds if it is alone.  Cuts of its middle are asked about.
    """
    for whole in split(clip, 3) if alone else [clip]:
        if whole.samples.any():
            yield Piece(whole, whole=True)
    for seconds in CUTS_S[: -1 if alone else None]:
        if seconds < clip.duration_s and (part := cut(clip, seconds)).samples.any():
            yield Piece(part, whole=False)


def listen(
    pieces: Iterable[Piece],
    conditions: Sequence[str],
    hear: Callable[[Clip], Sound],
    workers: int = 1,
) -> Heard:
    """Hear pieces through every condition; what has too little speech in one is left out there.

    ``pieces`` are drawn as they are needed, and let go.  The rows are in the order of the
    conditions, and then of the pieces.
    """

    def heard(item: tuple[Piece, str]) -> tuple[tuple[str, str, str, str, str, bool], Sound]:
        (clip, whole), condition = (item[0].clip, item[0].whole), item[1]
        names = (clip.speaker, clip.sex, clip.recording.partition("/")[0], clip.recording)
        return (*names, condition, whole), hear(LINES[condition](clip))

    items = ((piece, condition) for piece in pieces for condition in conditions)
    rows = [row for row in in_order(heard, items, workers) if row[1].vector is not None]
    rows.sort(key=lambda row: conditions.index(row[0][4]))
    speaker, sex, recording, piece, condition = (
        np.array([facts[i] for facts, _ in rows], dtype=np.str_) for i in range(5)
    )
    return Heard(
        speaker,
        sex,
        recording,
        piece,
        condition,
        over_telephone=np.array([is_telephone(facts[4]) for facts, _ in rows], dtype=np.bool_),
        whole=np.array([facts[5] for facts, _ in rows], dtype=np.bool_),
        net_speech_s=np.array([sound.net_speech_s for _, sound in rows], dtype=np.float64),
        snr_db=np.array([sound.snr_db for _, sound in rows], dtype=np.float64),
        vectors=np.array([sound.vector for _, sound in rows], dtype=np.float32),
    )


def pairs_of(conditions: Sequence[str]) -> list[tuple[str, str]]:
    """Return which conditions of an enrolment meet which of a clip; bad lines meet none.

    What enrolment refuses is not enrolled.
    """
    phones = [name for name in conditions if name in CONDITIONS and is_telephone(name)]
    wideband = [name for name in conditions if not is_telephone(name)]
    pairs = [(a, b) for a in wideband for b in wideband if {a, b} <= set(WIDEBAND)]
    pairs += [(a, b) for a in wideband for b in wideband if "clean" in {a, b} or a == b]
    pairs += [(a, b) for a in wideband if a in WIDEBAND for b in phones]
    pairs += [(a, "clean") for a in phones if "clean" in wideband]
    pairs += [(a, b) for a in phones for b in phones]
    return [pair for pair in dict.fromkeys(pairs) if pair[0] != _NEVER_ENROLLED]


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The comparisons of each pair of conditions and size of enrolment, made as they are asked for.

    - `vectors` (n, dim), `telephone` (n,): of `heard`, compensated.
    """

    heard: Heard
    vectors: Float32Array
    telephone: Float32Array
    pairs: Sequence[tuple[str, str]]

    @classmethod
    def of(cls, heard: Heard, compensation: Compensation, conditions: Sequence[str]) -> Parts:
        """Return those of all pairs of conditions, compensated."""
        return cls(heard, *compensated(heard, compensation), pairs_of(conditions))

    def __len__(self) -> int:
        return len(self.pairs) * len(ENROLLED)

    def __contains__(self, part: object) -> bool:
        return False  # each is made when it is asked for

    def __iter__(self) -> Iterator[Part]:
        for pair in self.pairs:
            for size in ENROLLED:
                comparison = compare(self.heard, self.vectors, self.telephone, pair, size)
                yield Part(pair, all(map(is_telephone, pair)), size, comparison)
