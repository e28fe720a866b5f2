"""The details of speakers and samples beside the voice, and their valid values."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, Self

from voiceid.domain.values import Value
from voiceid.errors import SpeakerDetailInvalid

_TAG_MAX_CHARS = 64
_KEY_MAX_CHARS = 64
_VALUE_MAX_CHARS = 1024
_MOST_VALUES = 256
"""Groups, metadata, consents of a speaker, purposes of each: they are read with each list."""
_PROOF = "Consents are kept as proof until the speaker is erased: record one only when it is new."
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of invisible characters, or of line breaks."""
_BLANK = re.compile(
    "[\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u2065\\u2800\\u3164\\ufe00-\\ufe0f\\uffa0"
    "\\ufff0-\\ufff8\\U0001d159\\U000e0000-\\U000e0fff]"
)
"""Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt, as far as the categories
above leave it out, with the blank of braille and the note without a head."""


def tag(kind: str, text: str) -> str:
    """Return the name of a group or a label: NFKC, case-folded, without outer white space.

    - `kind`: ``group`` or ``label``, for the message.

    Raises `SpeakerDetailInvalid`: empty, over 64 characters, or with invisible characters, or
    with ``;``, which separates several in a list.
    """
    if not isinstance(text, str):
        raise SpeakerDetailInvalid(f"a {kind} is a text, not {type(text).__name__}")
    folded = unicodedata.normalize("NFKC", text).casefold()  # which may undo the form
    name = unicodedata.normalize("NFKC", folded).strip()
    unseen = has_invisible(name) or has_blank(name)
    if not name or len(name) > _TAG_MAX_CHARS or ";" in name or unseen:
        raise SpeakerDetailInvalid(
            f"{text!r} cannot be a {kind}",
            hint=f"A {kind} has 1 to {_TAG_MAX_CHARS} visible characters, and no `;`.",
        )
    return name


def has_blank(text: str) -> bool:
    """Whether a text holds a letter or a symbol, by its category, that is blank."""
    return _BLANK.search(text) is not None


def has_invisible(text: str) -> bool:
    """Whether a text holds control characters or other invisible ones."""
    return not text.isprintable() and any(unicodedata.category(ch) in _INVISIBLE for ch in text)


def moment(text: str) -> datetime:
    """Return an ISO 8601 date or time as UTC; without an offset it is UTC, a date its midnight."""
    try:
        time = datetime.fromisoformat(text.strip())
        # Aware already, it is converted; dates at the edge of the calendar cannot be.
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise SpeakerDetailInvalid(
            f"{text!r} is not a date or time{_in_iso(text)}",
            hint="Write 2027-01-31, or 2027-01-31T18:00+01:00; without an offset it is UTC.",
        ) from error


def expiry(text: str) -> datetime:
    """Return the moment of an expiry: a bare date includes that day, in UTC.

    ``90d`` is 90 days from now.  Raises SpeakerDetailInvalid.
    """
    if days := re.fullmatch(r"([0-9]{1,5})d", text.strip()):
        return datetime.now(UTC) + timedelta(days=int(days[1]))
    time = moment(text)
    try:
        date.fromisoformat(text.strip())
    except ValueError:
        return time
    if time.date() == date.max:
        raise SpeakerDetailInvalid(f"{text!r} is too late", hint="Name an earlier day.")
    return time + timedelta(days=1)


def _in_iso(text: str) -> str:
    """Return how to write a date such as 31.12.2026, if it can only be one day."""
    match = re.fullmatch(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})", text.strip())
    if match is None:
        return ""
    first, sign, second, year = match.groups()
    orders = [(second, first)] if sign == "." else [(second, first), (first, second)]
    days = set()
    for month, day in orders:
        with contextlib.suppress(ValueError):
            days.add(date(int(year), int(month), int(day)))
    return f": write {days.pop()}" if len(days) == 1 else ""


def _checked_metadata(metadata: Mapping[str, str | None]) -> dict[str, str | None]:
    checked: dict[str, str | None] = {}
    for key, value in metadata.items():
        name = unicodedata.normalize("NFC", key).strip()
        if not name or len(name) > _KEY_MAX_CHARS or "=" in name or has_invisible(name):
            raise SpeakerDetailInvalid(
                f"{key!r} cannot be a key of metadata",
                hint=f"A key has 1 to {_KEY_MAX_CHARS} visible characters, and no `=`.",
            )
        if value is not None and (len(value) > _VALUE_MAX_CHARS or has_invisible(value)):
            raise SpeakerDetailInvalid(
                f"the value of {name!r} cannot be kept: it is over {_VALUE_MAX_CHARS} characters"
                " long, or holds some that cannot be seen",
                hint="Keep long texts elsewhere, and a reference to them here.",
            )
        checked[name] = value
    _require_few("values of metadata", sum(value is not None for value in checked.values()))
    return checked


def _require_few(what: str, count: int, hint: str = "Remove some, or keep them elsewhere.") -> None:
    if count > _MOST_VALUES:
        raise SpeakerDetailInvalid(
            f"a speaker would have {count} {what}, over the limit of {_MOST_VALUES}", hint=hint
        )


@dataclass(frozen=True, slots=True)
class Consent(Value):
    """The consent of a person, and who recorded it.

    Parameters
    ----------
    text : str
        The version of the text that was agreed to: 1 to 64 visible characters, no ``;``.
    purposes : tuple of str
        The uses of the voice, e.g. ``door``; upper and lower case are equal.
    until : datetime or None
        When it ends; taken as UTC when it has no offset.
    recorded_by : str
        Who recorded it, e.g. the id of a key to the service; empty: the user of the system.
    recorded_at : datetime or None
        None: when it is stored.
    withdrawn_at : datetime or None
        When the person withdrew it.
    withdrawn_by : str
        Who recorded the withdrawal.

    Raises `SpeakerDetailInvalid`.
    """

    text: str
    purposes: tuple[str, ...] = ()
    until: datetime | None = None
    recorded_by: str = ""
    recorded_at: datetime | None = None
    withdrawn_at: datetime | None = None
    withdrawn_by: str = ""

    def __post_init__(self) -> None:
        purposes = dict.fromkeys(tag("purpose", purpose) for purpose in self.purposes)
        object.__setattr__(self, "purposes", tuple(purposes))
        by = self.recorded_by.strip() or system_user()
        object.__setattr__(self, "recorded_by", _seen("who recorded a consent", by))
        object.__setattr__(self, "text", _seen("the version of a text", self.text))
        for name in ("until", "recorded_at", "withdrawn_at"):
            if (time := getattr(self, name)) is not None:
                object.__setattr__(self, name, moment(time.isoformat()))

    @classmethod
    def of_dict(cls, facts: Mapping[str, Any]) -> Self:
        """Return the consent of `to_dict`; raises KeyError, TypeError, ValueError."""
        times = {
            name: None if facts[name] is None else datetime.fromisoformat(facts[name])
            for name in ("until", "recorded_at", "withdrawn_at")
        }
        return cls(**{**facts, "purposes": tuple(facts["purposes"]), **times})

    @property
    def ends_at(self) -> datetime | None:
        """When it ends or was withdrawn, whichever is first; None: never."""
        return min(filter(None, (self.until, self.withdrawn_at)), default=None)


def system_user() -> str:
    """Return the name of the operating system's user."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown"


def _seen(kind: str, text: str) -> str:
    """Return a text of 1 to 64 visible characters; raises SpeakerDetailInvalid."""
    name = unicodedata.normalize("NFC", text).strip() if isinstance(text, str) else ""
    unseen = has_invisible(name) or has_blank(name)
    if not name or len(name) > _TAG_MAX_CHARS or ";" in name or unseen:
        raise SpeakerDetailInvalid(
            f"{text!r:.80} cannot be {kind}",
            hint=f"It has 1 to {_TAG_MAX_CHARS} visible characters, and no `;`.",
        )
    return name


@dataclass(frozen=True, slots=True)
class SpeakerDetails:
    """The new details of a speaker; details that are not given stay unchanged.

    - `groups`, `not_groups`: at most 256 to be in, and some not to be in: 1 to 64 visible
      characters, no ``;``, in any case.
    - `metadata`: at most 256 values, of at most 1024 characters, by key of 1 to 64; None removes
      the key.
    - `expires_at`: the time from which the speaker is never accepted; taken as UTC when it has no
      offset.
    - `never_expires`: remove the expiry.
    - `enabled`: False: the speaker stays, and is never accepted.
    - `consents`: consents to add: at most 256, withdrawn ones included, of 256 purposes each.

    Raises `SpeakerDetailInvalid`.
    """

    groups: tuple[str, ...] = ()
    not_groups: tuple[str, ...] = ()
    metadata: Mapping[str, str | None] = field(default_factory=dict, hash=False)
    expires_at: datetime | None = None
    never_expires: bool = False
    enabled: bool | None = None
    consents: tuple[Consent, ...] = ()

    def __post_init__(self) -> None:
        into = dict.fromkeys(tag("group", g) for g in self.groups)
        out_of = dict.fromkeys(tag("group", g) for g in self.not_groups)
        if both := into.keys() & out_of.keys():
            raise SpeakerDetailInvalid(
                f"the group {min(both)} is both added and removed", hint="Name it once."
            )
        if self.expires_at is not None and self.never_expires:
            raise SpeakerDetailInvalid(
                "an expiry is both set and removed", hint="Use one of the two."
            )
        _require_few("groups", len(into))
        _require_few("consents", len(self.consents), _PROOF)
        for consent in self.consents:
            _require_few("purposes of a consent", len(consent.purposes))
        object.__setattr__(self, "groups", tuple(into))
        object.__setattr__(self, "not_groups", tuple(out_of))
        object.__setattr__(self, "metadata", MappingProxyType(_checked_metadata(self.metadata)))
        if self.expires_at is not None:
            object.__setattr__(self, "expires_at", moment(self.expires_at.isoformat()))

    def joined(
        self, groups: Iterable[str], metadata: Mapping[str, str], consents: Iterable[Consent]
    ) -> SpeakerDetails:
        """Return what a speaker who had these has after this change; a consent in force, once."""
        stay = [group for group in groups if group not in self.not_groups]
        kept = {k: v for k, v in {**metadata, **self.metadata}.items() if v is not None}
        before = tuple(consents)
        valid = {(c.text, c.purposes, c.until) for c in before if not c.withdrawn_at}
        new = (c for c in self.consents if (c.text, c.purposes, c.until) not in valid)
        return SpeakerDetails((*stay, *self.groups), metadata=kept, consents=(*before, *new))

    @property
    def changes_nothing(self) -> bool:
        """Whether nothing is named."""
        return self == SpeakerDetails()
