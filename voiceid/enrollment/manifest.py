"""Lists of people to enrol; `voiceid.listing` describes their form.

Each line is one recording; its path is relative to the folder of the list.  Lines with one name
are one person, in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voiceid.domain import (
    Consent,
    SpeakerDetails,
    expiry,
    is_expired,
    speaker_key,
    speaker_name,
    tag,
)
from voiceid.enrollment.clips import Person
from voiceid.errors import ManifestInvalid, SpeakerDetailInvalid, SpeakerNameInvalid
from voiceid.listing import FORM, META, Problems, labelled_rows, text_in


@dataclass(slots=True)
class _Entry:
    """The facts about one person in the lines read so far."""

    name: str
    sources: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    metadata: dict[str, str | None] = field(default_factory=dict)
    expires_at: datetime | None = None
    consents: list[Consent] = field(default_factory=list)

    def person(self) -> Person:
        """Return the person; raises SpeakerDetailInvalid."""
        details = SpeakerDetails(
            groups=tuple(self.groups),
            metadata=self.metadata,
            expires_at=self.expires_at,
            consents=tuple(self.consents),
        )
        return Person(self.name, tuple(self.sources), tuple(self.labels), details)


def read_manifest(
    path: Path, warn: Callable[[str], None] = lambda _: None, content: str | None = None
) -> list[Person]:
    """Return the people of a list, in the order of the first lines with their names.

    ``warn`` is called once with the lines whose expiry has passed, if there are any.  The file
    is read unless its ``content`` is given.

    Raises ManifestInvalid with every line that is wrong, or contradicts another line.
    """
    entries: dict[str, _Entry] = {}
    problems, past = Problems(), Problems()
    try:
        for number, row in labelled_rows(path, problems, content):
            try:
                details = _take(row, path.parent, entries)
                if is_expired(details.expires_at, datetime.now(UTC)):
                    past.append(f"line {number}: {text_in(row, 'name')}, {text_in(row, 'expires')}")
            except (ValueError, SpeakerNameInvalid, SpeakerDetailInvalid) as error:
                problems.append(f"line {number}: {error}")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ManifestInvalid(
            f"the list {path} cannot be read: {why}", hint="The list must be a text file."
        ) from error
    if problems:
        raise ManifestInvalid(
            f"the list {path} is malformed; no speaker was enrolled:\n  {problems}", hint=FORM
        )
    if not entries:
        raise ManifestInvalid(f"the list {path} is empty", hint=FORM)
    if past:
        warn(f"the list {path} has expired speakers, who are never accepted:\n  {past}")
    return [entry.person() for entry in entries.values()]


def _take(row: Mapping[str, Any], folder: Path, entries: dict[str, _Entry]) -> SpeakerDetails:
    """Add a line to the entries, and return its details.

    Raises ValueError and the errors of names and details.
    """
    if attack := text_in(row, "attack"):
        raise ValueError(f"it is an attack, {attack}, and attacks are not enrolled")
    name = speaker_name(text_in(row, "name"))
    expires = text_in(row, "expires")
    details = SpeakerDetails(
        groups=tuple(_several(row, "group")),
        metadata=_metadata(row),
        expires_at=expiry(expires) if expires else None,
        consents=_consents(row),
    )
    label = text_in(row, "label")
    entry = entries.setdefault(speaker_key(name), _Entry(name))
    _merge(entry, details)
    entry.sources.append(str(folder / text_in(row, "path")))
    entry.labels.append(label and tag("label", label))
    return details


def _merge(entry: _Entry, details: SpeakerDetails) -> None:
    """Add the details of a line to a person; raises ValueError if they contradict."""
    for key, value in details.metadata.items():
        if entry.metadata.setdefault(key, value) != value:
            raise ValueError(f"{entry.name} has two values of {key!r}")
    if details.expires_at is not None:
        if entry.expires_at not in {None, details.expires_at}:
            raise ValueError(f"{entry.name} has two expiries")
        entry.expires_at = details.expires_at
    entry.groups += [group for group in details.groups if group not in entry.groups]
    entry.consents += [consent for consent in details.consents if consent not in entry.consents]


def _consents(row: Mapping[str, Any]) -> tuple[Consent, ...]:
    """Return the consent of a line, if it has one; raises ValueError."""
    text, until = text_in(row, "consent"), text_in(row, "until")
    purposes, by = _several(row, "purpose"), text_in(row, "recorded_by")
    if not text:
        if until or purposes or by:
            raise ValueError("purpose, until or recorded_by without a consent")
        return ()
    return (Consent(text, tuple(purposes), expiry(until) if until else None, by),)


def _several(row: Mapping[str, Any], column: str) -> list[str]:
    """Return the texts of a cell (separated by ``;``), or of a JSON list."""
    value = row.get(column)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return [part for part in text_in(row, column).split(";") if part.strip()]


def _metadata(row: Mapping[str, Any]) -> dict[str, str | None]:
    """Return ``key=value`` pairs (split at ``;``) or a JSON object, and ``meta.KEY`` columns."""
    value = row.get("metadata")
    pairs: dict[str, str | None] = {}
    if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
        pairs |= value
    else:
        for part in filter(str.strip, text_in(row, "metadata").split(";")):
            key, sign, text = part.partition("=")
            if not sign:
                raise ValueError(f"metadata {part.strip()!r} is not key=value")
            _add(pairs, key.strip(), text.strip())
    for column in row:
        if column.startswith(META) and (text := text_in(row, column)):
            _add(pairs, column.removeprefix(META).strip(), text)
    return pairs


def _add(pairs: dict[str, str | None], key: str, text: str) -> None:
    if pairs.setdefault(key, text) != text:
        raise ValueError(f"two values of {key!r}")
