"""The recordings that a model is fitted to: the usable ones, and the two halves of speakers.

The speakers are halved: the compensation is learned from one half, and thresholds and LLRs are
fitted to the other.  It is every second name in order, of those with one recording and of those
with several, women and men apart where the sex is known: the same on every run.  At least five
with several are in the second half.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from voiceid.audio import AudioSource
from voiceid.decision.calibration import Calibration, HeldOut, trials_needed
from voiceid.decision.compensation import Compensation
from voiceid.decision.operating_points import OperatingPoint
from voiceid.decision.rule import percent
from voiceid.domain import Utterance
from voiceid.errors import AudioError, FitRefused
from voiceid.evaluation.cache import EmbeddingCache
from voiceid.evaluation.degradations import CONDITIONS, Clip, is_available, is_telephone
from voiceid.evaluation.directions import fit_compensation
from voiceid.evaluation.fitting import MIN_SPEAKERS
from voiceid.evaluation.learning import Heard
from voiceid.evaluation.model_fit import TARGETS, Fitted, fit
from voiceid.evaluation.pieces import USUAL, Parts, Piece, Sound, listen, pieces_of
from voiceid.evaluation.protocol import Recording
from voiceid.evaluation.scoring import Failure, hear_all, remembering
from voiceid.models.cards import ModelCard
from voiceid.speech.embedder import Embedder

Tell = Callable[[str, int, int], None]
"""Receives the step, the number of recordings that are done, and their total."""

_LONGEST_S = 60.0
"""Most of a recording: more measures nothing more, and its samples are in memory."""
_MORE = "Add wideband recordings of more speakers, several of each."


@dataclass(frozen=True, slots=True)
class Ear:
    """Embeds the recordings, without compensation.

    - `cache`: folder of earlier embeddings, if any.
    - `notify`: receives the recordings that are left out.
    """

    embedder: Embedder
    cache: str | os.PathLike[str] | None
    notify: Callable[[str], None]
    tell: Tell

    def whole(self, recordings: Sequence[Recording]) -> list[Utterance | Failure]:
        """Return the utterances of recordings as they are."""
        tell = partial(self.tell, "hearing")
        return hear_all(recordings, self.embedder, self.cache, self.notify, tell)

    def through(self, corpus: Corpus, conditions: Sequence[str]) -> Heard:
        """Return the utterances of a corpus through every condition; raises AudioError."""
        hear: Callable[[AudioSource], Utterance] = self.embedder.utterance
        if self.cache is not None:
            hear = remembering(self.embedder, EmbeddingCache(Path(self.cache), self.embedder.space))

        def sound(clip: Clip) -> Sound:
            try:
                utterance = hear(clip.source)
            except AudioError:  # of a recording that was heard whole
                return Sound(0.0, math.nan, None)
            quality, embedding = utterance.quality, utterance.embedding
            snr_db = math.nan if quality.snr_db is None else quality.snr_db
            vector = None if embedding is None else embedding.vector
            return Sound(quality.net_speech_s, snr_db, vector)

        pieces = corpus.pieces(self.embedder, partial(self.tell, "sending through lines"))
        return listen(pieces, conditions, sound, self.embedder.workers)


@dataclass(frozen=True, slots=True)
class Take:
    """A usable recording; takes of one ``key`` are never compared as one speaker's."""

    recording: Recording
    key: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """Usable recordings by speaker, and the speakers of both halves."""

    takes: Mapping[str, Sequence[Take]]
    learned: tuple[str, ...]
    judges: tuple[str, ...]

    @classmethod
    def of(
        cls,
        recordings: Sequence[Recording],
        heard: Sequence[Utterance | Failure],
        notify: Callable[[str], None],
    ) -> Corpus:
        """Return the usable recordings, halved; ``notify`` receives those that are left out.

        Raises `FitRefused`: there are too few, or two speakers have the same recording.
        """
        takes: dict[str, list[Take]] = {}
        for take in _usable(recordings, heard, notify):
            takes.setdefault(take.recording.speaker, []).append(take)

        def kind(name: str) -> tuple[bool, str, str]:
            return _is_repeated(takes[name]), takes[name][0].recording.sex, name

        names = sorted(takes, key=kind)
        repeated = [name for name in names if _is_repeated(takes[name])]
        single = names[: len(names) - len(repeated)]
        _require_enough(len(names), len(repeated))
        n_judging = max(MIN_SPEAKERS, len(repeated) // 2)
        sizes = (max(0, len(names) // 2 - n_judging), n_judging)
        halves = [_halved(own, n) for own, n in zip((single, repeated), sizes, strict=True)]
        learned, judges = ([name for half in halves for name in half[i]] for i in (0, 1))
        return cls(takes, tuple(learned), tuple(judges))

    def __len__(self) -> int:
        return sum(map(len, self.takes.values()))

    @property
    def unknown_sex(self) -> int:
        """The number of speakers whose sex is not known."""
        return sum(not own[0].recording.sex for own in self.takes.values())

    def pieces(self, embedder: Embedder, tell: Callable[[int, int], None]) -> Iterator[Piece]:
        """Yield all pieces, each recording read when its turn comes; raises AudioError."""
        done = 0
        for speaker, own in self.takes.items():
            for take in own:
                samples = embedder.samples(take.recording.path, _LONGEST_S)
                clip = Clip(take.key, speaker, take.recording.sex, samples, 16_000)
                yield from pieces_of(clip, alone=len(own) == 1)
                done += 1
                tell(done, len(self))


@dataclass(frozen=True, slots=True)
class ModelFit:
    """The fit of a model, and its data.

    Parameters
    ----------
    source : str
        The name of the recordings.
    conditions : tuple of str
        The conditions that they were sent through.
    recordings : int
        Those that could be used.
    learned_speakers, judging_speakers : int
        The speakers of the compensation, and those of the other fits.
    unknown_sex : int
        Speakers of both whose sex is not known: they are compared with all speakers.
    compensation_sha256 : str
        Of the numbers of the compensation, in hex.
    operating_points : tuple of OperatingPoint
        With ``worst_fmr`` in JSON.
    worst_fmr : tuple of float
        Of each point: the highest false match rate of any pair of conditions, 0 to 1, of strangers
        of one sex.
    strangers : mapping of float to int
        By least net speech in seconds: the number of comparisons of strangers of one sex in the
        pair of conditions with most; of telephones or of other lines, whichever is less.
    calibration : Calibration
        The map from scores to LLRs.
    held_out : HeldOut
        Their quality on speakers that they were not fitted to.
    """

    source: str
    conditions: tuple[str, ...]
    recordings: int
    learned_speakers: int
    judging_speakers: int
    unknown_sex: int
    compensation_sha256: str
    operating_points: tuple[OperatingPoint, ...]
    worst_fmr: tuple[float, ...]
    strangers: Mapping[float, int]
    calibration: Calibration
    held_out: HeldOut

    @property
    def description(self) -> str:
        """The data behind the operating points, for the model's card."""
        sex = "of the same sex" if not self.unknown_sex else "of the same sex, where it is known,"
        return (
            f"{self.source}: {self.recordings} recordings; the compensation was learned from"
            f" {self.learned_speakers} speakers, and thresholds and LLRs are of"
            f" {self.judging_speakers} others, with one and three samples enrolled and clips of"
            f" 1.3 s to whole recordings: {', '.join(self.conditions)}, on either side and on"
            f" both; each target_fmr is kept for impostors {sex} in the worst of these: see"
            " docs/models.md"
        )

    @property
    def unsupported(self) -> Mapping[float, int]:
        """Rates without a threshold for some amount of speech, and the comparisons each takes.

        By the rule of three; of strangers of one sex in one pair of conditions.
        """
        rates = [point.target_fmr for point in self.operating_points]
        lacking = [rate for rate in TARGETS if rates.count(rate) < len(self.strangers)]
        return {rate: trials_needed(rate) for rate in lacking}

    def card(self, card: ModelCard) -> ModelCard:
        """Return the card of the model with what was fitted in it."""
        return replace(
            card,
            compensation_sha256=self.compensation_sha256,
            operating_points=self.operating_points,
            calibration=self.calibration,
            operating_points_data=self.description,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON."""
        return {
            "source": self.source,
            "conditions": list(self.conditions),
            "recordings": self.recordings,
            "learned_speakers": self.learned_speakers,
            "judging_speakers": self.judging_speakers,
            "unknown_sex": self.unknown_sex,
            "compensation_sha256": self.compensation_sha256,
            "operating_points": [
                {**asdict(point), "worst_fmr": worst}
                for point, worst in zip(self.operating_points, self.worst_fmr, strict=True)
            ],
            "strangers": {f"{low:g}": n for low, n in self.strangers.items()},
            "unsupported": {f"{rate:g}": n for rate, n in self.unsupported.items()},
            "held_out": asdict(self.held_out),
        }


def lines_of(asked: Sequence[str], notify: Callable[[str], None]) -> tuple[str, ...]:
    """Return the conditions that recordings are sent through; by default the usual ones.

    Raises `FitRefused`: one is unknown or cannot be made here, or a line is missing.
    """
    for name in asked:
        if name not in CONDITIONS:
            raise FitRefused(
                f"there is no condition {name!r}", hint=f"Use one of: {'; '.join(CONDITIONS)}."
            )
    lacking = [name for name in asked or USUAL if not is_available(name)]
    if lacking:
        problem = f"the codec libraries here cannot make the condition {'; '.join(lacking)}"
        if asked:
            raise FitRefused(problem, hint="Leave it out, or install av and soundfile from wheels.")
        notify(f"left out: {problem}")
    lines = tuple(name for name in dict.fromkeys(asked or USUAL) if name not in lacking)
    if len({is_telephone(name) for name in lines}) < 2:  # noqa: PLR2004 - both
        raise FitRefused(
            "a model is fitted to telephones and to other lines, but one of the two is missing",
            hint="Name a condition of each: --condition clean --condition '8 kHz'.",
        )
    return lines


def fitted_on(
    recordings: Sequence[Recording], conditions: Sequence[str], ear: Ear, source: str
) -> tuple[ModelFit, Compensation]:
    """Learn the compensation from one half of the speakers, and fit the rest to the other.

    Raises `FitRefused`: there are too few speakers or comparisons for any rate, or for LLRs.
    """
    corpus = Corpus.of(recordings, ear.whole(recordings), ear.notify)
    heard = ear.through(corpus, conditions)
    learned = np.isin(heard.speaker, corpus.learned)
    compensation, _ = fit_compensation(heard.where(learned))
    fitted = fit(Parts.of(heard.where(~learned), compensation, conditions))
    _require_points(fitted)
    made = ModelFit(
        source=source,
        conditions=tuple(conditions),
        recordings=len(corpus),
        learned_speakers=len(corpus.learned),
        judging_speakers=len(corpus.judges),
        unknown_sex=corpus.unknown_sex,
        compensation_sha256=compensation.digest,
        operating_points=fitted.points,
        worst_fmr=tuple(fitted.worst[p.target_fmr, p.min_net_speech_s] for p in fitted.points),
        strangers=fitted.strangers,
        calibration=fitted.calibration,
        held_out=fitted.held_out,
    )
    return made, compensation


def _require_points(fitted: Fitted) -> None:
    if not fitted.points:
        needed, most = trials_needed(TARGETS[0]), max(fitted.strangers.values())
        raise FitRefused(
            f"no threshold keeps a false match rate of {percent(TARGETS[0])}, the highest: it takes"
            f" {needed} comparisons of strangers of one sex in a pair of conditions, but these"
            f" recordings make {most}",
            hint=_MORE,
        )


def _usable(
    recordings: Sequence[Recording],
    heard: Sequence[Utterance | Failure],
    notify: Callable[[str], None],
) -> Iterator[Take]:
    """Yield the usable recordings: wideband, each once."""
    first: dict[str, Recording] = {}
    for recording, utterance in zip(recordings, heard, strict=True):
        if isinstance(utterance, Failure):
            continue
        if "narrowband" in utterance.quality.warnings:
            notify(f"left out {recording.name}: it is narrowband, and lines are made of wideband")
            continue
        other = first.setdefault(utterance.pcm_sha256, recording)
        if other.speaker != recording.speaker:
            raise FitRefused(
                f"{other.name} of {other.speaker} and {recording.name} of {recording.speaker}"
                " are one recording",
                hint="Correct the names of the speakers, or leave both out.",
            )
        if other is not recording:
            notify(f"left out {recording.name}: the same recording as {other.name}")
            continue
        session = f"{recording.speaker}\n{recording.session}".encode()
        same_day = hashlib.sha256(session).hexdigest() if recording.session else ""
        yield Take(recording, same_day or utterance.pcm_sha256)


def _is_repeated(takes: Sequence[Take]) -> bool:
    """Whether a speaker has recordings that can be compared."""
    return len({take.key for take in takes}) > 1


def _halved(names: Sequence[str], n_judging: int) -> tuple[list[str], list[str]]:
    """Return two halves of some speakers, to learn from and to judge: every second one, or so."""
    order = [*names[1::2], *names[::2]]
    return order[n_judging:], order[:n_judging]


def _require_enough(n_speakers: int, n_repeated: int) -> None:
    if n_speakers < 2 * MIN_SPEAKERS or n_repeated < MIN_SPEAKERS:
        raise FitRefused(
            f"{n_speakers} speakers have usable recordings, {n_repeated} of them two or more (of"
            f" two sessions, where these are given); it takes {2 * MIN_SPEAKERS} and"
            f" {MIN_SPEAKERS}: half are learned from, and the others judge",
            hint=_MORE,
        )
