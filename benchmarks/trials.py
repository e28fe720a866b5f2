"""Enrolled voices against clips: who is compared with whom, and with what score."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.decision.calibration import Conditions
from voiceid.decision.embeddings import centroid
from voiceid.domain import Float32Array, telephone_share
from voiceid.metrics import Trials

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """The result of a clip.

    Parameters
    ----------
    recording, speaker, sex : str
        As of the clip.
    net_speech_s, snr_db : float
        ``snr_db`` is NaN where it is not known.
    telephone : float
        Posterior, 0 to 1, that it came over a telephone; NaN where it is not known.
    vector : (dim,) float32 or None
        Unit length; None when there was too little speech.
    """

    recording: str
    speaker: str
    sex: str
    net_speech_s: float
    snr_db: float
    telephone: float
    vector: Float32Array | None


@dataclass(frozen=True, slots=True, eq=False)
class Enrolled:
    """A speaker's centroid, the recordings that made it, and which share is a telephone's."""

    speaker: str
    sex: str
    recordings: frozenset[str]
    telephone: float
    net_speech_s: float
    n_samples: int
    vector: Float32Array


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Comparisons as columns of one length: one row per comparison.

    Parameters
    ----------
    score : (n,) float64
        Cosine.
    genuine, same_sex : (n,) bool
    conditions : Conditions
        On what thresholds depend, of each comparison.
    enrolled, speaker : (n,) int
        Numbers of the speaker who is enrolled and of the one who speaks.
    """

    score: Floats
    genuine: Flags
    same_sex: Flags
    conditions: Conditions
    enrolled: Ids
    speaker: Ids

    def where(self, rows: Flags) -> Table:
        """Return the rows that are marked."""
        return Table(
            self.score[rows],
            self.genuine[rows],
            self.same_sex[rows],
            self.conditions.rows(rows),
            self.enrolled[rows],
            self.speaker[rows],
        )

    @property
    def net_speech_s(self) -> Floats:
        """(n,) float64: of the clip."""
        return self.conditions.net_speech_s

    def between(self, low_s: float, high_s: float) -> Table:
        """Return the comparisons of clips with that much net speech."""
        return self.where((self.net_speech_s >= low_s) & (self.net_speech_s < high_s))

    @property
    def same(self) -> Table:
        """The genuine comparisons."""
        return self.where(self.genuine)

    @property
    def other(self) -> Table:
        """The impostor comparisons."""
        return self.where(~self.genuine)

    @property
    def trials(self) -> Trials:
        """Scores and speakers, for a bootstrap."""
        return Trials(self.score, np.stack([self.enrolled, self.speaker], axis=1))


def enroll(voices: Sequence[Voice]) -> Enrolled:
    """Return the centroid of one speaker's voices; those without a vector are left out."""
    vectors = [voice.vector for voice in voices if voice.vector is not None]
    heard = [voice for voice in voices if voice.vector is not None]
    first = voices[0]
    recordings = frozenset(voice.recording for voice in voices)
    share = telephone_share([_known(voice.telephone) for voice in heard])
    speech_s = sum(voice.net_speech_s for voice in heard)
    mean = centroid(np.stack(vectors))
    return Enrolled(first.speaker, first.sex, recordings, share, speech_s, len(heard), mean)


Rule: TypeAlias = Callable[[Sequence[Voice]], Enrolled]
"""How the voices of one speaker become what is compared."""


def enroll_in_turn(voices: Sequence[Voice], size: int = 3, rule: Rule = enroll) -> list[Enrolled]:
    """Enrol each speaker once for every run of ``size`` recordings, round and round."""
    result: list[Enrolled] = []
    for own in by_speaker([voice for voice in voices if voice.vector is not None]).values():
        runs = ([own[(i + k) % len(own)] for k in range(size)] for i in range(len(own)))
        result.extend(map(rule, runs))
    return result


def by_speaker(voices: Sequence[Voice]) -> dict[str, list[Voice]]:
    """Return the voices of each speaker, in order."""
    result: dict[str, list[Voice]] = {}
    for voice in voices:
        result.setdefault(voice.speaker, []).append(voice)
    return result


def compare(gallery: Sequence[Enrolled], voices: Sequence[Voice]) -> Table:
    """Compare each voice with everybody enrolled.

    A speaker is never compared with an enrolment that their own recording is part of.
    """
    heard = [voice for voice in voices if voice.vector is not None]
    shape = len(heard), len(gallery)
    scores = np.empty(shape)
    if all(shape):
        scores = _matrix([v.vector for v in heard]) @ _matrix([e.vector for e in gallery]).T
    speaker = np.array([_number(voice.speaker) for voice in heard])
    enrolled = np.array([_number(entry.speaker) for entry in gallery])
    sexes = np.array([v.sex for v in heard])[:, None] == np.array([e.sex for e in gallery])
    bases = [{base(recording) for recording in entry.recordings} for entry in gallery]
    rows = np.array([[base(voice.recording) not in own for own in bases] for voice in heard], bool)
    rows = rows.reshape(shape)
    return Table(
        score=scores[rows],
        genuine=(speaker[:, None] == enrolled)[rows],
        same_sex=sexes[rows],
        conditions=_conditions(heard, gallery, rows),
        enrolled=np.broadcast_to(enrolled, shape)[rows],
        speaker=np.broadcast_to(speaker[:, None], shape)[rows],
    )


def all_pairs(voices: Sequence[Voice]) -> Table:
    """Compare each voice with each other once."""
    heard = [voice for voice in voices if voice.vector is not None]
    vectors = _matrix([voice.vector for voice in heard])
    scores = vectors @ vectors.T
    number = np.array([_number(voice.speaker) for voice in heard])
    sex = np.array([voice.sex for voice in heard])
    a, b = (np.array(side) for side in zip(*combinations(range(len(heard)), 2), strict=True))
    speech = np.array([voice.net_speech_s for voice in heard])
    shares = np.array([telephone_share([_known(voice.telephone)]) for voice in heard])
    snrs_db = np.array([voice.snr_db for voice in heard])
    return Table(
        score=scores[a, b],
        genuine=number[a] == number[b],
        same_sex=sex[a] == sex[b],
        conditions=Conditions(
            net_speech_s=np.minimum(speech[a], speech[b]),
            snr_db=np.fmin(snrs_db[a], snrs_db[b]),
            enrolled_speech_s=np.maximum(speech[a], speech[b]),
            n_enrolled=np.ones(len(a)),
            telephone=shares[a] * shares[b],
        ),
        enrolled=number[a],
        speaker=number[b],
    )


@dataclass(frozen=True, slots=True, eq=False)
class Identified:
    """The results of identification in one gallery, one row per clip.

    Parameters
    ----------
    best, lead : (n,) float64
        Score of the best, and how far the runner-up is behind.
    correct, known : (n,) bool
        Whether the best is who speaks, and whether who speaks is enrolled at all.
    conditions : Conditions
        Of the comparison with the best.
    """

    best: Floats
    lead: Floats
    correct: Flags
    known: Flags
    conditions: Conditions


def identify(gallery: Sequence[Enrolled], voices: Sequence[Voice]) -> Identified:
    """Rank a gallery of one entry per speaker for every voice that is not part of it."""
    used = {base(recording) for entry in gallery for recording in entry.recordings}
    heard = [v for v in voices if v.vector is not None and base(v.recording) not in used]
    scores = _matrix([v.vector for v in heard]) @ _matrix([e.vector for e in gallery]).T
    speakers = np.array([entry.speaker for entry in gallery])
    truth = np.array([voice.speaker for voice in heard])
    top = np.sort(scores, axis=1)[:, -2:]
    return Identified(
        best=top[:, 1],
        lead=top[:, 1] - top[:, 0],
        correct=speakers[np.argmax(scores, axis=1)] == truth,
        known=np.isin(truth, speakers),
        conditions=_conditions(
            heard, gallery, np.arange(len(gallery)) == np.argmax(scores, axis=1)[:, None]
        ),
    )


def base(recording: str) -> str:
    """Return the recording that a piece was split from."""
    return recording.partition("/")[0]


def _conditions(voices: Sequence[Voice], gallery: Sequence[Enrolled], rows: Flags) -> Conditions:
    """Return on what thresholds depend, of the comparisons (voices, gallery) that are marked."""

    def of_voices(values: Sequence[float]) -> Floats:
        return np.broadcast_to(np.array(values)[:, None], rows.shape)[rows]

    def of_gallery(values: Sequence[float]) -> Floats:
        return np.broadcast_to(np.array(values), rows.shape)[rows]

    shares = of_voices([telephone_share([_known(voice.telephone)]) for voice in voices])
    return Conditions(
        net_speech_s=of_voices([voice.net_speech_s for voice in voices]),
        snr_db=of_voices([voice.snr_db for voice in voices]),
        enrolled_speech_s=of_gallery([entry.net_speech_s for entry in gallery]),
        n_enrolled=of_gallery([float(entry.n_samples) for entry in gallery]),
        telephone=shares * of_gallery([entry.telephone for entry in gallery]),
    )


def _known(share: float) -> float | None:
    return None if np.isnan(share) else share


def _number(speaker: str) -> int:
    """Return the same number for the same name in every table."""
    return zlib.crc32(speaker.encode())


def _matrix(vectors: Sequence[Float32Array | None]) -> Floats:
    return np.array(vectors, dtype=np.float64)
