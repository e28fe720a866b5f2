"""The result of an enrolment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voiceid.domain.speaker import Speaker
from voiceid.domain.speech import EmbeddingSpace, QualityReport
from voiceid.domain.values import Value, json_of


@dataclass(frozen=True, slots=True)
class EnrollmentProblem(Value):
    """One problem of an enrolment.

    Parameters
    ----------
    code : str
        ``unreadable``, ``channels_differ``, ``no_speech``, ``clipped``, ``truncated``,
        ``partly_judged``, ``other_tracks``, ``unheard_data``, ``duplicate_clip``,
        ``clip_of_other``, ``too_little_speech``, ``inconsistent``, ``already_enrolled``,
        ``changed_meanwhile``, ``look_alike``, ``several_voices`` or ``no_consent``.
    clip : str or None
        The clip's name, None when the whole set is meant.
    message : str
        A sentence for people, with the numbers.
    overridable : bool
        Whether it is a judgement that ``--force`` may override.
    overridden : bool
        Whether it was.
    left_out : bool
        Whether the clip was left out because of it, as enrolments of many people do.
    """

    code: str
    clip: str | None
    message: str
    overridable: bool
    overridden: bool = False
    left_out: bool = False


@dataclass(frozen=True, slots=True)
class EnrollmentClip(Value):
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


@dataclass(frozen=True, slots=True)
class EnrollmentReport:
    """The result of an enrolment.

    Parameters
    ----------
    name : str
        The speaker's name.
    speaker : Speaker or None
        As enrolled now; None when refused or a dry run of a new name.
    enrolled : bool
        Whether anything was written.
    mode : str
        ``append``, ``replace`` or ``collect``.
    clips : tuple of EnrollmentClip
        Those given, in order.
    net_speech_s, missing_speech_s : float
        Net speech of the speaker with these clips, and the speech missing to the minimum.
    problems : tuple of EnrollmentProblem
        All problems; ``overridden`` marks those that were overridden.
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
        """The problems that were neither overridden nor solved by leaving out a clip."""
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
        return json_of(self, status=self.status, embedding_space=self.embedding_space.id)
