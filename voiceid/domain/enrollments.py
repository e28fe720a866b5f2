"""What an enrolment did, or why it did nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voiceid.domain.identities import Speaker
from voiceid.domain.speech import EmbeddingSpace, QualityReport


@dataclass(frozen=True, slots=True)
class EnrollmentProblem:
    """One thing that speaks against an enrolment.

    Parameters
    ----------
    code : str
        ``unreadable``, ``no_speech``, ``clipped``, ``truncated``, ``duplicate_clip``,
        ``clip_of_other``, ``too_little_speech``, ``inconsistent`` or ``already_enrolled``.
    clip : str or None
        The clip's name, None when the whole set is meant.
    message : str
        A sentence for people, with the numbers.
    overridable : bool
        Whether it is a judgement that ``--force`` may override.
    overridden : bool
        Whether it was.
    left_out : bool
        Whether the clip was left out for it, as enrolments of many people do.
    """

    code: str
    clip: str | None
    message: str
    overridable: bool
    overridden: bool = False
    left_out: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return {
            "code": self.code,
            "clip": self.clip,
            "message": self.message,
            "overridable": self.overridable,
            "overridden": self.overridden,
            "left_out": self.left_out,
        }


@dataclass(frozen=True, slots=True)
class EnrollmentClip:
    """One clip of an enrolment, as the report shows it.

    Parameters
    ----------
    name : str
        The file's name, without folders.
    pcm_sha256 : str or None
        Hash of the decoded samples; None when it could not be read.
    quality : QualityReport or None
        None when it could not be read.
    agreement : float or None
        Cosine, -1 to 1, to the centroid of the speaker's other clips; None when there are no
        others, or no vector.
    """

    name: str
    pcm_sha256: str | None
    quality: QualityReport | None
    agreement: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return {
            "name": self.name,
            "pcm_sha256": self.pcm_sha256,
            "agreement": None if self.agreement is None else round(self.agreement, 6),
            "quality": None if self.quality is None else self.quality.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class EnrollmentReport:
    """What an enrolment did, or why it did nothing.

    Parameters
    ----------
    name : str
        The speaker's name.
    speaker : Speaker or None
        As enrolled now; None when refused or a dry run of a new name.
    enrolled : bool
        Whether anything was written.
    dry_run : bool
    mode : str
        ``append`` or ``replace``.
    clips : tuple of EnrollmentClip
        Those given, in order.
    net_speech_s, missing_speech_s : float
        Net speech of the speaker with these clips, and how much the minimum lacks.
    problems : tuple of EnrollmentProblem
        All that was found; those overridden say so.
    embedding_space : EmbeddingSpace
    elapsed_ms : float
    """

    name: str
    speaker: Speaker | None
    enrolled: bool
    dry_run: bool
    mode: str
    clips: tuple[EnrollmentClip, ...]
    net_speech_s: float
    missing_speech_s: float
    problems: tuple[EnrollmentProblem, ...]
    embedding_space: EmbeddingSpace
    elapsed_ms: float

    @property
    def blocking(self) -> tuple[EnrollmentProblem, ...]:
        """The problems that were neither overridden nor met by leaving a clip out."""
        return tuple(p for p in self.problems if not p.overridden and not p.left_out)

    @property
    def status(self) -> str:
        """``enrolled``, ``refused``, ``possible`` (dry run), or ``unchanged``: nothing new."""
        if self.enrolled:
            return "enrolled"
        if self.blocking:
            return "refused"
        return "possible" if self.dry_run else "unchanged"

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON of an enrolment."""
        return {
            "name": self.name,
            "status": self.status,
            "enrolled": self.enrolled,
            "dry_run": self.dry_run,
            "mode": self.mode,
            "speaker": None if self.speaker is None else self.speaker.to_dict(),
            "clips": [clip.to_dict() for clip in self.clips],
            "net_speech_s": round(self.net_speech_s, 3),
            "missing_speech_s": round(self.missing_speech_s, 3),
            "problems": [problem.to_dict() for problem in self.problems],
            "embedding_space": self.embedding_space.id,
            "elapsed_ms": round(self.elapsed_ms, 1),
        }
