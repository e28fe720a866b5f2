"""Lists of people to enrol: CSV with a header, or JSON Lines.

Each line is one recording: ``name`` and ``path``, relative to the list's own folder, and where
wanted ``label`` (of the recording), ``group``, ``metadata`` and ``expires`` (of the person).
Lines of one name are one person, in whatever order they come.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from voiceid.domain import SpeakerDetails, moment, speaker_key, speaker_name, tag
from voiceid.enrollment.clips import Person
from voiceid.errors import ManifestInvalid, SpeakerDetailInvalid, SpeakerNameInvalid
from voiceid.listing import Row, rows_of, shortened

_REQUIRED = ("name", "path")
COLUMNS = (*_REQUIRED, "label", "group", "metadata", "expires")


@dataclass(slots=True)
class _Entry:
    """What the lines read so far say about one person."""

    name: str
    sources: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    metadata: dict[str, str | None] = field(default_factory=dict)
    expires_at: datetime | None = None

    def person(self) -> Person:
        """Return the person; raises SpeakerDetailInvalid."""
        details = SpeakerDetails(
            groups=tuple(self.groups), metadata=self.metadata, expires_at=self.expires_at
        )
        return Person(self.name, tuple(self.sources), tuple(self.labels), details)


def read_manifest(path: Path) -> list[Person]:
    """Return the people of a list, in the order in which their names first come.

    Parameters
    ----------
    path : Path
        ``.jsonl``, ``.ndjson`` and ``.json`` are JSON Lines; anything else is CSV.

    Raises
    ------
    ManifestInvalid
        It cannot be read, a line lacks a column or has one that is not known, what stands
        there cannot be meant, or two lines of one person contradict each other.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestInvalid(
            f"the list {path} cannot be read: {error}", hint="It must be a text file in UTF-8."
        ) from error
    entries: dict[str, _Entry] = {}
    problems = []
    for number, row in rows_of(path, text):
        try:
            _take(row, path.parent, entries)
        except (ValueError, SpeakerNameInvalid, SpeakerDetailInvalid) as error:
            problems.append(f"line {number}: {error}")
    if problems or not entries:
        raise _invalid(path, problems)
    return [entry.person() for entry in entries.values()]


def _invalid(path: Path, problems: list[str]) -> ManifestInvalid:
    if not problems:
        return ManifestInvalid(f"the list {path} names nobody", hint="Add lines of name and path.")
    return ManifestInvalid(
        f"the list {path} is malformed; nobody was enrolled:\n  {shortened(problems)}",
        hint=f"Each line needs {' and '.join(_REQUIRED)}, and may have"
        f" {', '.join(COLUMNS[len(_REQUIRED) :])}.",
    )


def _take(row: Row, folder: Path, entries: dict[str, _Entry]) -> None:
    """Add a line to what is known; raises ValueError and the errors of names and details."""
    if isinstance(row, str):
        raise ValueError(row)  # noqa: TRY004 - it is the line that is wrong, not a type
    texts = {c: _text(c, row.get(c)) for c in (*_REQUIRED, "label", "expires")}
    missing = [column for column in _REQUIRED if not texts[column]]
    if missing:
        raise ValueError(f"no {' and no '.join(missing)}")
    if unknown := sorted(row.keys() - set(COLUMNS)):
        raise ValueError(f"unknown column {', '.join(map(repr, unknown))}")
    name = speaker_name(texts["name"])
    details = SpeakerDetails(
        groups=tuple(_groups(row.get("group"))),
        metadata=_metadata(row.get("metadata")),
        expires_at=moment(texts["expires"]) if texts["expires"] else None,
    )
    label = texts["label"] and tag("label", texts["label"])
    entry = entries.setdefault(speaker_key(name), _Entry(name))
    _merge(entry, details)
    entry.sources.append(str(folder / texts["path"]))
    entry.labels.append(label)


def _merge(entry: _Entry, details: SpeakerDetails) -> None:
    """Join what two lines say of one person; raises ValueError when they contradict."""
    for key, value in details.metadata.items():
        if entry.metadata.setdefault(key, value) != value:
            raise ValueError(f"{entry.name} has two values of {key!r}")
    if details.expires_at is not None:
        if entry.expires_at not in {None, details.expires_at}:
            raise ValueError(f"{entry.name} has two expiries")
        entry.expires_at = details.expires_at
    entry.groups += [group for group in details.groups if group not in entry.groups]


def _text(column: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{column} is not a text")  # noqa: TRY004 - as above
    return value if column == "path" and value.strip() else value.strip()


def _groups(value: object) -> list[str]:
    """Return the groups of a cell (parted by ``;``), or of a JSON list."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return [part for part in _text("group", value).split(";") if part.strip()]


def _metadata(value: object) -> dict[str, str | None]:
    """Return the ``key=value`` pairs of a cell (parted by ``;``), or of a JSON object."""
    if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
        return value
    pairs: dict[str, str | None] = {}
    for part in filter(str.strip, _text("metadata", value).split(";")):
        key, sign, text = part.partition("=")
        if not sign:
            raise ValueError(f"metadata {part.strip()!r} is not key=value")
        pairs[key.strip()] = text.strip()
    return pairs
