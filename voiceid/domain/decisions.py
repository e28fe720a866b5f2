"""The answer to one question about one clip."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from voiceid.domain.replay import Replay
from voiceid.domain.speaker import SpeakerRef
from voiceid.domain.speech import EmbeddingSpace, QualityReport
from voiceid.domain.values import Value, json_of

SCORE_SCALE = "cosine"
"""The one scale of every ``score``: cosine similarity, -1 to 1, nothing rescaled."""


class Outcome(enum.StrEnum):
    """The three outcomes of a decision."""

    ACCEPTED = "accepted"
    """It is the claimed or the named speaker: the only outcome that opens a door."""
    REJECTED = "rejected"
    """It is another speaker, a stranger, or a speaker who may not be accepted."""
    INCONCLUSIVE = "inconclusive"
    """There is too little speech to decide, two speakers are too close, or several speak."""


class Reason(enum.StrEnum):
    """The reason for a decision."""

    MATCH = "match"
    """Accepted: the score reaches the threshold."""
    BELOW_THRESHOLD = "below_threshold"
    """Rejected (verify, compare): the score does not reach the threshold."""
    UNKNOWN = "unknown"
    """Rejected (identify): the best score does not reach the threshold."""
    GALLERY_EMPTY = "gallery_empty"
    """Rejected (identify): no speaker, or none of the group, is enrolled with this model."""
    AMBIGUOUS = "ambiguous"
    """Inconclusive (identify): the best would be accepted, but leads by less than the margin."""
    NOT_ENOUGH_SPEECH = "not_enough_speech"
    """Inconclusive: less net speech than an embedding needs."""
    SPEAKER_EXPIRED = "speaker_expired"
    """Rejected: the best, or the claimed, speaker has expired."""
    SPEAKER_DISABLED = "speaker_disabled"
    """Rejected: the best, or the claimed, speaker is disabled."""
    NO_CONSENT = "no_consent"
    """Rejected: the best, or the claimed, speaker has no valid consent, or none for the purpose."""
    CLOCK_BEHIND = "clock_behind"
    """Rejected: the speaker has an expiry, and the clock is earlier than the database."""
    REPLAYED = "replayed"
    """Rejected: the recording was heard before, or the words of a code are pieces of recordings
    that were enrolled; it does not show who is speaking now."""
    CHALLENGE_FAILED = "challenge_failed"
    """Rejected: the voice matches, but the clip is not the code that was asked for, or the speaker
    has no recorded words for codes."""
    CHALLENGE_EXPIRED = "challenge_expired"
    """Rejected (verify): the voice matches, but this caller has no code with this id for the
    speaker, or the code was answered before, or too late."""

    PRESENTATION_ATTACK = "presentation_attack"
    """Rejected: it would be accepted, but the countermeasure takes the clip for an attack."""
    SEVERAL_VOICES = "several_voices"
    """Inconclusive: it would be accepted, but more than one person speaks in the clip."""


class Solo(enum.StrEnum):
    """The result of an acceptance when several people speak in the clip."""

    OFF = "off"
    """It is not checked."""
    WARN = "warn"
    """It stays accepted, with a warning and the parts."""
    REQUIRE = "require"
    """It becomes inconclusive."""


class Task(enum.StrEnum):
    """The question (ISO/IEC 2382-37)."""

    VERIFY = "verify"
    """Is it this speaker?  1:1."""
    IDENTIFY = "identify"
    """Which of the enrolled speakers is it, if any?  1:N, open set."""
    COMPARE = "compare"
    """Are two clips of one voice?"""


@dataclass(frozen=True, slots=True)
class Threshold(Value):
    """A decision threshold, and its source.

    Parameters
    ----------
    value : float
        Cosine, -1 to 1, from which a score is accepted.
    source : str
        E.g. ``card campplus, FMR 0.1 %``: measured for this model, for that false match rate; or
        ``calibration 3, FMR 0.1 %``.
    """

    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Candidate(Value):
    """A speaker of the gallery, and the likeness to the clip.

    Parameters
    ----------
    score : float
        Raw cosine, -1 to 1, of the clip against the speaker's centroid.
    llr : float or None
        Log-likelihood ratio of that score, as of `Decision`: of a claimed speaker, and among named
        ones; else None.
    """

    speaker: SpeakerRef
    score: float
    llr: float | None = None


@dataclass(frozen=True, slots=True)
class VoicePart(Value):
    """A part of a clip in which several people speak.

    Parameters
    ----------
    start_s, end_s : float
        Of the recording, in seconds.
    voice : int or None
        The voice, counted from 1 in the clip; None: several at once.
    sounds_like : str or None
        The enrolled speaker whose threshold the part reaches; None: it reaches no threshold of the
        speakers in question, or has too little speech.
    score : float or None
        Cosine, -1 to 1, of the voice to that speaker; None without one.
    """

    start_s: float
    end_s: float
    voice: int | None
    sounds_like: str | None = None
    score: float | None = None

    def __str__(self) -> str:
        """Return the time and the voice, as a text."""
        who = "several at once" if self.voice is None else f"voice {self.voice}"
        if self.sounds_like is not None:
            who += f", like {self.sounds_like}"
        return f"{self.start_s:.1f}-{self.end_s:.1f} s {who}"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one question about one clip (docs/numbers.md explains each number).

    ``bool(decision)`` raises: ask ``decision.accepted``, which is true for one outcome only.

    Parameters
    ----------
    speaker : SpeakerRef or None
        The accepted speaker (identify), or the claimed one (verify, for any outcome).
    score : float or None
        Raw cosine, -1 to 1, of the clip against the best (or the claimed) centroid; None when
        nothing was compared.
    threshold : Threshold or None
        None when nothing was compared.
    llr : float or None
        Log-likelihood ratio of the score, a natural logarithm: how much likelier the score is if
        the voice is the speaker's than if it is another's.  None for too little speech.
    calibration : int or None
        Number of the site's calibration that made the threshold and the LLR; None: they come from
        the model's card.
    margin : float or None
        Score minus the runner-up's; None without a runner-up.
    candidates : tuple of Candidate
        Best first, at most the requested number.
    quality : QualityReport or None
        Of the clip (compare: of the clip with less net speech); None when a vector was given.
    gallery_size : int
        How many centroids were searched (verify: 1; compare: 0).
    group : str or None
        The only group that was searched, if one was named (identify).
    elapsed_ms : float
        From the call to the answer.
    detail : str
        The reason in a sentence, for people.
    more_speech_s : float or None
        If the clip was not accepted: the further net speech, in seconds, with which few right
        people are refused at the target rate; None: the clip has enough, the score is a stranger's
        at every measured rate, or nothing was measured.
    parts : tuple of VoicePart
        Who speaks when, if several people were found; else empty.
    replay_of : Replay or None
        The earlier recording that the clip repeats, if ``replay.check`` is on; None: there is none,
        or the clip is identical to an enrolled recording.
    """

    task: Task
    outcome: Outcome
    reason: Reason
    speaker: SpeakerRef | None
    score: float | None
    threshold: Threshold | None
    llr: float | None
    calibration: int | None
    margin: float | None
    runner_up: Candidate | None
    candidates: tuple[Candidate, ...]
    quality: QualityReport | None
    embedding_space: EmbeddingSpace
    gallery_size: int
    group: str | None
    elapsed_ms: float
    detail: str
    more_speech_s: float | None = None
    parts: tuple[VoicePart, ...] = ()
    replay_of: Replay | None = None

    @property
    def accepted(self) -> bool:
        """True when, and only when, the outcome is ``accepted``."""
        return self.outcome is Outcome.ACCEPTED

    @property
    def judged_speech_s(self) -> float | None:
        """Seconds of net speech that were judged; None when a vector was given."""
        return None if self.quality is None else self.quality.judged_speech_s

    def __bool__(self) -> bool:
        """Refuse to be used as a truth value: a rejected decision is an object, too."""
        raise TypeError("a Decision has three outcomes; ask decision.accepted")

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON of a decision."""
        at, judged_s = self.threshold, self.judged_speech_s
        return json_of(
            self,
            judged_speech_s=None if judged_s is None else round(judged_s, 3),
            score_scale=SCORE_SCALE,
            threshold=None if at is None else at.value,
            threshold_source=None if at is None else at.source,
            embedding_space=self.embedding_space.id,
        )
