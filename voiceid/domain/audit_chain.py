"""The chain of audit events: every row names the hash of the row before it.

A row commits to its content by a hash over a random salt and the content, and the chain is over
that commitment: when salt and content are destroyed, the chain holds, and the content cannot be
guessed.  docs/audit.md says in words how to check a chain without this program.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from voiceid.errors import AuditBroken

NO_HASH = "0" * 64
"""The hash before the first row."""
SALT_BYTES = 16
DECISION, CONFIGURATION, ERASURE = "decision", "configuration", "erasure"
"""Kinds of events beside those of changes: the settings in use; an erasure from the record."""
DECISIONS_BEFORE = "decisions_before"
"""Field of an erasure by age: decisions before this time were erased."""
ACTOR: ContextVar[str | None] = ContextVar("voiceid_actor", default=None)
"""The actor, if it is not the system user of the process."""
_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class AuditOptions:
    """The options of the record.

    - `record`: ``off``, ``changes``, or ``all``: decisions too.
    - `settings`: the settings that decide, as JSON; empty: not recorded.
    """

    record: str = "changes"
    settings: str = ""

    @property
    def configuration(self) -> str:
        """The SHA-256 of the settings; empty without any."""
        return hashlib.sha256(self.settings.encode()).hexdigest() if self.settings else ""


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The end of a chain: the number of its last row, and the hash; 0 and `NO_HASH` without rows.

    `is_sealed`: whether its stored form has the seal of the gallery's key, if there is a key.
    """

    number: int = 0
    hash: str = NO_HASH
    is_sealed: bool = True


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One event, as it stands in the chain.

    Parameters
    ----------
    number : int
        From 1 on, without a gap.
    time : str
        ISO 8601 in UTC.
    kind : str
        A :class:`ChangeKind`, ``decision``, ``configuration`` or ``erasure``.
    speaker_id : int or None
        The speaker of the event; the number is never used again.
    content : bytes or None
        The salt (16 bytes) and JSON in UTF-8; None: it was erased, with the speaker or by age.
    commitment : str
        SHA-256 of the content.
    previous : str
        The hash of the row before.
    hash : str
        SHA-256 of all of the above but the content.
    is_sealed : bool
        Whether it bears the seal of the gallery's key, if there is one.
    """

    number: int
    time: str
    kind: str
    speaker_id: int | None
    content: bytes | None
    commitment: str
    previous: str
    hash: str
    is_sealed: bool = True

    @property
    def facts(self) -> dict[str, Any] | None:
        """The facts of the event; None: erased.  Raises AuditBroken if they were changed."""
        if self.content is None:
            return None
        with contextlib.suppress(ValueError, RecursionError):
            if hashlib.sha256(self.content).hexdigest() == self.commitment:
                facts = json.loads(self.content[SALT_BYTES:])
                if isinstance(facts, dict):
                    return facts
        raise AuditBroken(f"the content of row {self.number} of the audit chain was changed")

    @property
    def true_hash(self) -> str:
        """The hash that the row must have."""
        return row_hash(
            [self.number, self.time, self.kind, self.speaker_id, self.commitment, self.previous]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the event for those who read it, without the chain."""
        return {
            "number": self.number,
            "time": self.time,
            "kind": self.kind,
            "speaker_id": self.speaker_id,
            "erased": self.content is None,
            "facts": self.facts,
        }


def new_row(
    head: AuditHead, time: str, kind: str, speaker_id: int | None, facts: Mapping[str, object]
) -> AuditRow:
    """Return the row that follows the end of a chain.

    After an end that was not sealed it names no row: so the change stays visible for ever.
    """
    text = json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    content = os.urandom(SALT_BYTES) + text.encode("utf-8", "backslashreplace")
    commitment = hashlib.sha256(content).hexdigest()
    previous = head.hash if head.is_sealed else NO_HASH
    number = head.number + 1
    hashed = row_hash([number, time, kind, speaker_id, commitment, previous])
    return AuditRow(number, time, kind, speaker_id, content, commitment, previous, hashed)


def row_hash(bound: list[Any]) -> str:
    """Return the SHA-256 of the bound fields, as a list in JSON."""
    return hashlib.sha256(json.dumps(bound, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result of the check of a chain.

    Parameters
    ----------
    rows, erased : int
        The number of rows, and of those with erased content, with a speaker or by age.
    number : int
        Of the last row.
    hash : str
        Of the last row: the head.
    problems : tuple of str
        Everything that is wrong, in sentences; empty: nothing was changed.
    """

    rows: int
    erased: int
    number: int
    hash: str
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return {
            "ok": self.ok,
            "rows": self.rows,
            "erased": self.erased,
            "head": {"number": self.number, "hash": self.hash},
            "problems": list(self.problems),
        }


class ChainCheck:
    """Checks the rows of a chain in their order; ``head`` is a hash that must be among theirs."""

    def __init__(self, head: str | None = None) -> None:
        self._sought = head if head != NO_HASH else None
        self._last = AuditHead()
        self._rows = self._erased = 0
        self._emptied: dict[int | None, list[AuditRow]] = {}
        self._problems: list[str] = []

    def take(self, row: AuditRow) -> None:
        """Check the next row."""
        last, number = self._last, row.number
        if number > last.number + 1:
            self._say(f"{_rows(last.number + 1, number - 1)} missing")
        elif number <= last.number:
            self._say(f"row {number} stands after row {last.number}")
        elif row.previous != last.hash:
            before = f"row {number - 1}" if number > 1 else "the beginning"
            self._say(f"row {number} does not follow {before}: one was changed, or put in")
        if row.hash != row.true_hash:
            self._say(f"row {number} was changed")
        self._look_at_content(row)
        if not row.is_sealed:
            self._say(f"row {number} was not written with the key of the gallery")
        if row.hash == self._sought:
            self._sought = None
        self._rows += 1
        self._last = AuditHead(number, row.hash)

    def _look_at_content(self, row: AuditRow) -> None:
        if row.content is None:
            self._emptied.setdefault(row.speaker_id, []).append(row)
        elif hashlib.sha256(row.content).hexdigest() != row.commitment:
            self._say(f"the content of row {row.number} was changed")
        elif row.kind == ERASURE:
            try:
                before = (row.facts or {}).get(DECISIONS_BEFORE)
            except AuditBroken:
                self._say(f"the content of row {row.number} was changed")
            else:
                if before:
                    self._forget(str(before), row.time)
        if row.kind == ERASURE and row.speaker_id is not None:
            self._erased += len(self._emptied.pop(row.speaker_id, []))

    def _forget(self, before: str, at: str) -> None:
        """Count the decisions before a time as erased, and those of a clock that was ahead."""
        for speaker_id, rows in self._emptied.items():
            left = [row for row in rows if row.kind != DECISION or before <= row.time <= at]
            self._erased += len(rows) - len(left)
            self._emptied[speaker_id] = left

    def report(self, counter: AuditHead | None) -> AuditReport:
        """Return the result; ``counter`` is the end that is kept beside the rows, if any."""
        last = self._last
        for speaker_id, rows in self._emptied.items():
            who = "it is of no speaker" if speaker_id is None else f"speaker {speaker_id} was not"
            for row in rows:
                self._say(f"the content of row {row.number} was removed, and {who} erased")
        if counter is not None:
            self._compare(counter)
        if self._sought is not None:
            self._say(
                f"no row has the hash {self._sought:.16}: the row that had it was changed, or"
                " was cut off the end"
            )
        more = len(self._problems) - _MOST_PROBLEMS
        problems = self._problems[:_MOST_PROBLEMS] + ([f"and {more} more"] if more > 0 else [])
        return AuditReport(self._rows, self._erased, last.number, last.hash, tuple(problems))

    def _compare(self, counter: AuditHead) -> None:
        last = self._last
        if counter.number > last.number:
            self._say(f"{_rows(last.number + 1, counter.number)} missing at the end")
        elif counter.number < last.number:
            self._say(
                f"the counter is {counter.number}, and the last row is {last.number}: it was"
                " reset, or rows were put in"
            )
        elif counter.hash != last.hash:
            self._say(f"the counter does not name row {last.number} as it is: one was changed")
        if not counter.is_sealed:
            self._say("the counter was not written with the key of the gallery: it was reset")

    def _say(self, problem: str) -> None:
        self._problems.append(problem)


def _rows(first: int, last: int) -> str:
    return f"row {first} is" if first == last else f"rows {first} to {last} are"
