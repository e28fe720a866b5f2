"""Enrolled speakers, their samples, and the revisions of the change feed."""

from __future__ import annotations

import enum
import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from voiceid.domain.conditions import Condition
from voiceid.domain.details import Consent, SpeakerDetails, has_blank, has_invisible
from voiceid.domain.speech import Float32Array, QualityReport, Utterance
from voiceid.domain.values import Value, json_of
from voiceid.errors import SpeakerNameInvalid

_NAME_MAX_CHARS = 128


def speaker_name(text: str) -> str:
    """Return a speaker's name: NFC, at most 128 characters; raises `SpeakerNameInvalid`."""
    name = _searched_name(text)
    if has_blank(name):
        raise _invisible(name)
    if _WIDE.search(name):
        raise SpeakerNameInvalid(
            f"the speaker's name {name!a} has several spaces in a row (or one like a dash)",
            hint="Use one space.",
        )
    return name


_WIDE = re.compile(r"\s\s|\u1680")
"""Two names must not differ only in how wide a gap is."""


def _searched_name(text: str) -> str:
    """Return a name, maybe of an older gallery, which allowed more; `SpeakerNameInvalid`."""
    if not isinstance(text, str):
        raise SpeakerNameInvalid(
            f"a speaker's name is a text, not {type(text).__name__}", hint="Pass a str."
        )
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise SpeakerNameInvalid("a speaker's name is empty", hint="Give it a name to show.")
    if len(name) > _NAME_MAX_CHARS:
        raise SpeakerNameInvalid(
            f"a speaker's name has {len(name)} characters, over the limit of {_NAME_MAX_CHARS}",
            hint="Use a shorter name.",
        )
    if has_invisible(name):
        raise _invisible(name)
    return name


def _invisible(name: str) -> SpeakerNameInvalid:
    return SpeakerNameInvalid(
        f"the speaker's name {name!a} holds control or invisible characters",
        hint="Use characters that can be seen.",
    )


def speaker_key(name: str) -> str:
    """Return the form under which names are unique: NFKC and case-folded (Alice = alice)."""
    return _key(name) if isinstance(name, str) else _searched_name(name)


@functools.lru_cache(maxsize=1 << 14)  # an import needs each several times
def _key(name: str) -> str:
    return unicodedata.normalize("NFKC", _searched_name(name)).casefold()


class Standing(enum.StrEnum):
    """Whether a speaker may be accepted."""

    ACTIVE = "active"
    """May be accepted."""
    EXPIRED = "expired"
    """Expired: never accepted."""
    DISABLED = "disabled"
    """Never accepted, until enabled again."""
    NO_CONSENT = "no_consent"
    """The consent has ended, or there is none for the purpose that was asked: never accepted."""


def is_expired(expires_at: datetime | None, now: datetime) -> bool:
    """Return whether an expiry has been reached: from its very moment on."""
    return expires_at is not None and now >= expires_at


def is_consented(consents: Sequence[Consent], now: datetime, purpose: str | None = None) -> bool:
    """Return whether a consent holds at a moment: for a purpose, or for any.

    Without a purpose, a speaker without any recorded consent is not refused.
    """
    if purpose is None and not consents:
        return True
    return any(
        not is_expired(consent.ends_at, now) and (purpose is None or purpose in consent.purposes)
        for consent in consents
    )


def consent_end(consents: Sequence[Consent]) -> datetime | None:
    """Return when the last consent ends; None: never, or there is no consent."""
    ends = [consent.ends_at for consent in consents]
    return None if None in ends else max(filter(None, ends), default=None)


def standing(who: Speaker | Enrolled, now: datetime, purpose: str | None = None) -> Standing:
    """Return the standing of a speaker at a moment, for a purpose if one is named."""
    if who.disabled_at is not None:
        return Standing.DISABLED
    if is_expired(who.expires_at, now):
        return Standing.EXPIRED
    return Standing.ACTIVE if is_consented(who.consents, now, purpose) else Standing.NO_CONSENT


@dataclass(frozen=True, slots=True)
class Speaker:
    """An enrolled speaker.

    Parameters
    ----------
    id : int
        Never used again after removal.
    created_at, updated_at : datetime
        UTC.
    n_samples : int
        Utterances enrolled, over all embedding spaces.
    net_speech_s : float
        Their net speech.
    spaces : tuple of str
        Ids of the embedding spaces in which the speaker has a centroid.
    groups : tuple of str
        In order of their names.
    metadata : mapping of str to str
        For the operator; voiceid does not use it.
    expires_at : datetime or None
        UTC; from then on the speaker is never accepted.
    disabled_at : datetime or None
        UTC; since then the speaker is never accepted.
    consents : tuple of Consent
        In the order in which they were recorded.
    """

    id: int
    name: str
    created_at: datetime
    updated_at: datetime
    n_samples: int
    net_speech_s: float
    spaces: tuple[str, ...]
    groups: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    expires_at: datetime | None = None
    disabled_at: datetime | None = None
    consents: tuple[Consent, ...] = ()

    @property
    def withdrawn_at(self) -> datetime | None:
        """When the consent was withdrawn, and none was given since; else None."""
        return self.consents[-1].withdrawn_at if self.consents else None

    def standing(self, now: datetime | None = None, purpose: str | None = None) -> Standing:
        """Return the standing, now or at a moment in UTC, for a purpose if named."""
        return standing(self, now or datetime.now(UTC), purpose)

    def waits_for_speech(self, samples: Sequence[Sample]) -> bool:
        """Whether the first of these samples, with too little speech, disabled the speaker."""
        return bool(samples) and self.disabled_at == samples[0].created_at

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the standing; times in ISO 8601."""
        return json_of(self, "spaces", embedding_spaces=self.spaces, standing=self.standing())


@dataclass(frozen=True, slots=True)
class SpeakerRef(Value):
    """A speaker in a decision.

    Parameters
    ----------
    id : int
        Never used again after removal.
    name : str
        At the time of the answer.
    """

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A speaker's enrolment in one embedding space, as a decision needs it.

    `telephone`, 0 to 1, is the share of the samples behind the centroid that came over a telephone;
    `n_samples` and `net_speech_s` are of the same samples.
    """

    speaker: SpeakerRef
    telephone: float
    n_samples: int
    net_speech_s: float
    expires_at: datetime | None
    disabled_at: datetime | None
    consents: tuple[Consent, ...] = ()

    def standing(self, now: datetime, purpose: str | None = None) -> Standing:
        """Return the standing at a moment in UTC, for a purpose if one is named."""
        return standing(self, now, purpose)

    def against(
        self,
        net_speech_s: float | None,
        *,
        telephone: float | None,
        snr_db: float | None,
        level_dbfs: float | None = None,
    ) -> Condition:
        """Return the condition of clips, of this share over a telephone, with this enrolment.

        An unknown share is 1; see `telephone_share`.
        """
        return Condition(
            telephone=(1.0 if telephone is None else telephone) * self.telephone,
            net_speech_s=net_speech_s,
            snr_db=snr_db,
            enrolled_speech_s=self.net_speech_s,
            n_enrolled=self.n_samples,
            level_dbfs=level_dbfs,
        )


@dataclass(frozen=True, slots=True, eq=False)
class EnrolledVoice:
    """An enrolment with its centroid, as read from the database for a recording.

    - `vector` (dim,): of unit length.
    - `is_replay`: whether an identical recording is enrolled, by any speaker.
    """

    enrolled: Enrolled
    vector: Float32Array
    is_replay: bool


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One enrolled utterance: an immutable row.

    Parameters
    ----------
    vector : (dim,) float32
        Unit length.
    created_at : datetime
        UTC.
    overrides : tuple of str
        Codes of the problems that ``--force``, or collecting, overrode when it was enrolled.
    label : str
        Where it was recorded, e.g. ``phone``; empty if not given.
    """

    id: int
    speaker_id: int
    space_id: str
    vector: Float32Array
    pcm_sha256: str
    source_name: str
    quality: QualityReport
    created_at: datetime
    overrides: tuple[str, ...] = ()
    label: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the vector."""
        return json_of(self, "speaker_id", "space_id", "vector", embedding_space=self.space_id)


@dataclass(frozen=True, slots=True)
class NewSample:
    """A sample to be written: an utterance with a vector; for other fields see `Sample`."""

    utterance: Utterance
    overrides: tuple[str, ...] = ()
    label: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, eq=False)
class NewSpeakers:
    """Speakers to be written together with their samples, column by column.

    `names` (n,) are free, no two with one key; `owners` (m,) are ascending positions of speakers,
    none left out; `vectors` (m, dim) are of unit length.  For the other columns (m,) see `Sample`.
    """

    names: Sequence[str]
    created_at: Sequence[datetime]
    details: Sequence[SpeakerDetails]
    owners: npt.NDArray[np.int64]
    vectors: Float32Array
    pcm_sha256: Sequence[str]
    source_names: Sequence[str]
    qualities: Sequence[QualityReport]
    overrides: Sequence[tuple[str, ...]]
    labels: Sequence[str]
    sampled_at: Sequence[datetime]


@dataclass(frozen=True, slots=True)
class Revision:
    """A point in the change feed: a number that only grows, and a random token.

    The token distinguishes a database that was restored from a backup from the one that an index
    was built on, though both may have reached the same number.
    """

    number: int
    token: str


EMPTY_REVISION = Revision(0, "")
"""The revision of a database that was never written to."""


class FeedEntry(NamedTuple):
    """An entry of the change feed: at its revision a centroid was changed or removed."""

    revision: Revision
    centroid_id: int


@dataclass(frozen=True, slots=True, eq=False)
class CentroidTable:
    """Centroids of one space: ids (n,), never used again, and unit vectors (n, dim)."""

    ids: npt.NDArray[np.int64]
    vectors: Float32Array
