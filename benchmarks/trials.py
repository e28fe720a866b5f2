"""Enrolled voices against clips: who is compared with whom, and with what score."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.corpora import Samples
from voiceid.decision.embeddings import centroid
from voiceid.domain import Band, band_of
from voiceid.metrics import Trials

BANDS = tuple(Band)
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """What came of a clip.

    Parameters
    ----------
    recording, speaker, sex : str
        As of the clip.
    net_speech_s : float
    narrowband : bool
        Whether the quality report warns of a telephone's bandwidth.
    vector : (dim,) float32 or None
        Unit length; None when there was too little speech.
    """

    recording: str
    speaker: str
    sex: str
    net_speech_s: float
    narrowband: bool
    vector: Samples | None


@dataclass(frozen=True, slots=True, eq=False)
class Enrolled:
    """A speaker's centroid, the recordings that made it, and which share is narrowband."""

    speaker: str
    sex: str
    recordings: frozenset[str]
    narrowband_share: float
    vector: Samples


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Comparisons as columns of one length: one row per comparison.

    Parameters
    ----------
    score : (n,) float64
        Cosine.
    net_speech_s : (n,) float64
        Of the clip.
    genuine, same_sex : (n,) bool
    band : (n,) int
        Place of the comparison's band in `BANDS`.
    enrolled, speaker : (n,) int
        Numbers of the speaker who is enrolled and of the one who speaks.
    """

    score: Floats
    net_speech_s: Floats
    genuine: Flags
    same_sex: Flags
    band: Ids
    enrolled: Ids
    speaker: Ids

    def where(self, rows: Flags) -> Table:
        """Return the rows that are marked."""
        return Table(*(getattr(self, field.name)[rows] for field in fields(self)))

    def of_band(self, band: Band) -> Table:
        """Return the comparisons that the product would judge by a band's thresholds."""
        return self.where(self.band == BANDS.index(band))

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


def join(tables: Iterable[Table]) -> Table:
    """Return the rows of all tables."""
    parts = list(tables)
    names = [field.name for field in fields(Table)]
    return Table(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def enroll(voices: Sequence[Voice]) -> Enrolled:
    """Return the centroid of one speaker's voices; those without a vector are left out."""
    vectors = [voice.vector for voice in voices if voice.vector is not None]
    narrow = np.array([voice.narrowband for voice in voices if voice.vector is not None])
    first = voices[0]
    recordings = frozenset(voice.recording for voice in voices)
    mean = centroid(np.stack(vectors), narrow)
    return Enrolled(first.speaker, first.sex, recordings, float(np.mean(narrow)), mean)


Rule: TypeAlias = Callable[[Sequence[Voice]], Enrolled]
"""How the voices of one speaker become what is compared."""


def enroll_in_turn(
    voices: Sequence[Voice],
    changed: Sequence[Voice] = (),
    n_changed: int = 0,
    size: int = 3,
    rule: Rule = enroll,
) -> list[Enrolled]:
    """Enrol each speaker once for every run of ``size`` recordings, round and round.

    Of each run the first ``n_changed`` are taken from ``changed``: the same recordings in
    the same order, degraded.
    """
    pairs = list(zip(voices, changed or voices, strict=True))
    result: list[Enrolled] = []
    for speaker in by_speaker(voices):
        own = [pair for pair in pairs if pair[0].speaker == speaker]
        usable = [(a, b) for a, b in own if a.vector is not None and b.vector is not None]
        for i in range(len(usable)):
            run = [usable[(i + k) % len(usable)] for k in range(size)]
            result.append(rule([b if k < n_changed else a for k, (a, b) in enumerate(run)]))
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
    scores = _matrix([v.vector for v in heard]) @ _matrix([e.vector for e in gallery]).T
    speaker = np.array([_number(voice.speaker) for voice in heard])
    enrolled = np.array([_number(entry.speaker) for entry in gallery])
    sexes = np.array([v.sex for v in heard])[:, None] == np.array([e.sex for e in gallery])
    bases = [{base(recording) for recording in entry.recordings} for entry in gallery]
    rows = np.array([[base(voice.recording) not in own for own in bases] for voice in heard])
    shape = scores.shape
    net_speech_s = np.array([voice.net_speech_s for voice in heard])
    return Table(
        score=scores[rows],
        net_speech_s=np.broadcast_to(net_speech_s[:, None], shape)[rows],
        genuine=(speaker[:, None] == enrolled)[rows],
        same_sex=sexes[rows],
        band=_bands(heard, gallery)[rows],
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
    speech = np.array([voice.net_speech_s for voice in heard])
    a, b = (np.array(side) for side in zip(*combinations(range(len(heard)), 2), strict=True))
    return Table(
        score=scores[a, b],
        net_speech_s=np.minimum(speech[a], speech[b]),
        genuine=number[a] == number[b],
        same_sex=sex[a] == sex[b],
        band=np.array(
            [
                _band(heard[i].narrowband, float(heard[k].narrowband))
                for i, k in zip(a, b, strict=True)
            ]
        ),
        enrolled=number[a],
        speaker=number[b],
    )


@dataclass(frozen=True, slots=True, eq=False)
class Identified:
    """What identification in one gallery came to, one row per clip.

    Parameters
    ----------
    best, lead : (n,) float64
        Score of the best, and how far the runner-up is behind.
    correct, known : (n,) bool
        Whether the best is who speaks, and whether who speaks is enrolled at all.
    net_speech_s : (n,) float64
    band : (n,) int
        Of the comparison with the best: a place in `BANDS`.
    """

    best: Floats
    lead: Floats
    correct: Flags
    known: Flags
    net_speech_s: Floats
    band: Ids


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
        net_speech_s=np.array([voice.net_speech_s for voice in heard]),
        band=_bands(heard, gallery)[np.arange(len(heard)), np.argmax(scores, axis=1)],
    )


def base(recording: str) -> str:
    """Return the recording that a piece was split from."""
    return recording.partition("/")[0]


def _bands(voices: Sequence[Voice], gallery: Sequence[Enrolled]) -> Ids:
    """Return the band (voices, gallery) of each comparison."""
    shares = [entry.narrowband_share for entry in gallery]
    rows = {narrow: [_band(narrow, share) for share in shares] for narrow in (False, True)}
    return np.array([rows[voice.narrowband] for voice in voices], dtype=np.intp)


def _band(clip_is_narrowband: bool, enrolled_share: float) -> int:
    return BANDS.index(band_of(clip_is_narrowband, enrolled_share))


def _number(speaker: str) -> int:
    """Return the same number for the same name in every table."""
    return zlib.crc32(speaker.encode())


def _matrix(vectors: Sequence[Samples | None]) -> Floats:
    return np.array(vectors, dtype=np.float64)
