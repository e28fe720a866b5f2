"""The audit events, each appended in the transaction that it records.

The writers of a database take turns, so the chain has no branches.  The table ``audit_head`` is the
counter: it says where the chain ends.  In a protected gallery each row and the counter carry a seal
by the gallery's key, and in a sealed gallery the content is sealed too.
"""

from __future__ import annotations

import functools
import json
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, null, select, text, update

from voiceid.domain import speaker_key
from voiceid.domain.audit_chain import (
    ACTOR,
    CONFIGURATION,
    DECISION,
    DECISIONS_BEFORE,
    ERASURE,
    AuditHead,
    AuditReport,
    AuditRow,
    ChainCheck,
    new_row,
)
from voiceid.errors import SpeakerNameInvalid, StoreError
from voiceid.protection import SealBroken, Vault
from voiceid.store import stored_rows
from voiceid.store.protection import Protection
from voiceid.store.snapshot import Rows, columns_of
from voiceid.store.tables import audit_events, audit_head, speakers

_AT_ONCE = 1000
_NO_SPEAKER = 0
"""No speaker has this id."""
_NOT_FACTS = {"speaker_id", "elapsed_ms"}
_NAMES = {"speaker", "other"}

_END = text(
    f"""
    SELECT last.number AS last_number, last.hash AS last_hash, {columns_of(audit_head)},
        EXISTS (SELECT 1 FROM speakers WHERE id = :speaker_id) AS is_enrolled
    FROM (SELECT 1) AS one
    LEFT JOIN (SELECT number, hash FROM audit_events ORDER BY number DESC LIMIT 1) AS last ON 1 = 1
    LEFT JOIN audit_head ON 1 = 1
    """  # noqa: S608 - names of columns
)
"""The newest row and the counter, as one row, and whether a speaker is enrolled.

Missing values are NULL.
"""


@dataclass(frozen=True, slots=True)
class _End:
    """The values that the next row of the chain needs."""

    head: AuditHead
    configuration: str  # the hash of the settings that were recorded last
    is_enrolled: bool  # whether the speaker of the row is enrolled


class Audit(Rows):
    """Reads the chain."""

    def head(self) -> AuditHead:
        """Return the end of the chain according to the counter."""
        return self._counter(self._read_end(None), self._protection.vault)

    def last_at(self) -> datetime | None:
        """Return the time of the newest row, or None without rows; raises StoreError."""
        query = select(audit_events.c.created_at).order_by(audit_events.c.number.desc()).limit(1)
        at = self._connection.execute(query).scalar()
        return None if at is None else stored_rows.moment_of(at)

    def page(
        self,
        after: int = 0,
        *,
        since: str | None = None,
        kind: str | None = None,
        speaker_id: int | None = None,
    ) -> list[AuditRow]:
        """Return the next rows, oldest first: all, or by kind, by speaker, since a time.

        Content that was changed or moved in a sealed gallery is empty.
        """
        columns = audit_events.c
        query = select(audit_events).where(columns.number > after)
        for column, value in ((columns.kind, kind), (columns.speaker_id, speaker_id)):
            query = query if value is None else query.where(column == value)
        if since is not None:
            query = query.where(columns.created_at >= since)
        rows = self._connection.execute(query.order_by(columns.number).limit(_AT_ONCE)).all()
        self._protection.load(row.speaker_id for row in rows if isinstance(row.speaker_id, int))
        return [_plain(row, self._protection) for row in rows]

    def rows(self) -> Iterator[AuditRow]:
        """Yield the whole chain."""
        page = self.page()
        while page:
            yield from page
            page = self.page(page[-1].number)

    def verify(self, head: str | None = None) -> AuditReport:
        """Check the whole chain; see `ChainCheck`."""
        check = ChainCheck(head)
        for row in self.rows():
            check.take(row)
        return check.report(self.head())

    def recorded(self) -> str | None:
        """Return ``audit.record`` at the time of the last row; None: there is no row."""
        return self._connection.execute(select(audit_head.c.record)).scalar()

    def _read_end(self, speaker_id: int | None) -> Any:
        # Run without a speaker too, as the key is: the time must not show who is enrolled.
        return self._connection.execute(_END, {"speaker_id": speaker_id or _NO_SPEAKER}).one()

    def _counter(self, row: Any, vault: Vault | None) -> AuditHead:
        """Return the end of the chain according to the counter in a row of `_END`."""
        if row.number is None:
            return AuditHead()
        head_hash = _text(row.hash)
        is_sealed = row.mac == counter_mac(vault, row.number, head_hash)
        return AuditHead(row.number, head_hash, is_sealed)


class AuditWriter(Audit):
    """Appends to the chain, in a change."""

    def changed(self, kind: str, events: Sequence[Mapping[str, Any]], *, moved: bool) -> None:
        """Append the events of a change; a change that ``moved`` voices always has a row."""
        for facts in events or ([{}] if moved else []):
            content = {name: value for name, value in facts.items() if name != "change"}
            self.append(str(facts.get("change", kind)), content)

    def append(self, kind: str, facts: Mapping[str, object]) -> None:
        """Append an event, if events are recorded, after the settings if they have changed."""
        if self._effects.audit.record != "off":
            speaker_id = self._speaker_id(facts)
            self._put(self.configure(speaker_id), kind, speaker_id, facts)
        elif self.recorded() != "off":
            self.configure()

    def configure(self, speaker_id: int | None = None) -> _End:
        """Append the settings if they have changed; return the end, as `_end` does."""
        options, end = self._effects.audit, self._end(speaker_id)
        if options.configuration in {"", end.configuration}:
            return end
        end = replace(end, configuration=options.configuration)
        settings = {"settings": json.loads(options.settings)}
        head = self._put(replace(end, is_enrolled=False), CONFIGURATION, None, settings)
        return replace(end, head=head)

    def erase(self, speaker_id: int) -> None:
        """Destroy salt and content of the events of a speaker who was removed."""
        theirs = audit_events.c.speaker_id == speaker_id
        query = update(audit_events).where(theirs, audit_events.c.content.is_not(None))
        if n_erased := self._connection.execute(query.values(content=null())).rowcount:
            self._put(self._end(speaker_id), ERASURE, speaker_id, {"rows": n_erased})

    def forget_decisions(self, before: str) -> int:
        """Destroy salt and content of the decisions before a time; return their number.

        A row with a time in the future (of a wrong clock) is older than the rows after it.
        """
        columns = audit_events.c
        last = select(func.max(columns.number)).where(columns.created_at < before).scalar_subquery()
        ahead = (columns.created_at > self._effects.now) & (columns.number < last)
        old = (columns.kind == DECISION) & ((columns.created_at < before) | ahead)
        query = update(audit_events).where(old, columns.content.is_not(None))
        if n_erased := self._connection.execute(query.values(content=null())).rowcount:
            self._effects.erase(())  # the log has copies
            self._put(self._end(None), ERASURE, None, {"rows": n_erased, DECISIONS_BEFORE: before})
        return n_erased

    def _speaker_id(self, facts: Mapping[str, object]) -> int | None:
        if "speaker_id" in facts or facts.get("speaker") is None:
            return facts.get("speaker_id")  # type: ignore[return-value]  # an id or None
        try:
            stored = self._effects.protection.name_key(speaker_key(str(facts["speaker"])))
        except SpeakerNameInvalid:
            return None
        query = select(speakers.c.id).where(speakers.c.name_key == stored)
        return self._connection.execute(query).scalar()

    def _end(self, speaker_id: int | None) -> _End:
        """Return the end that the next row follows, a row with a speaker or without one.

        Where the chain was tampered with, this end does not fit: the next row shows that for ever.
        """
        row = self._read_end(speaker_id)
        counter = self._counter(row, self._effects.protection.vault)
        last = AuditHead(row.last_number or 0, _text(row.last_hash or AuditHead().hash))
        if counter != last:
            last = AuditHead(max(counter.number, last.number), is_sealed=False)
        return _End(last, row.configuration or "", bool(row.is_enrolled))

    def _put(
        self, end: _End, kind: str, speaker_id: int | None, facts: Mapping[str, object]
    ) -> AuditHead:
        """Append a row after an end of the chain; return the head after it."""
        facts = {"by": ACTOR.get() or _user(), **_facts(facts, is_enrolled=end.is_enrolled)}
        row = new_row(end.head, self._effects.now, kind, speaker_id, facts)
        protection, owner = self._effects.protection, speaker_id if end.is_enrolled else None
        protection.load([owner or _NO_SPEAKER])
        assert row.content is not None  # noqa: S101 - a new row has content; for mypy
        values = {
            "number": row.number,
            "created_at": row.time,
            "kind": kind,
            "speaker_id": speaker_id,
            "content": sealed_content(protection, row.number, owner, row.content),
            "commitment": row.commitment,
            "previous": row.previous,
            "hash": row.hash,
            "mac": row_mac(protection.vault, row.hash),
        }
        self._connection.execute(insert(audit_events).values(**values))
        mac = counter_mac(protection.vault, row.number, row.hash)
        counter = {"number": row.number, "hash": row.hash, "mac": mac}
        counter |= {"configuration": end.configuration, "record": self._effects.audit.record}
        if not self._connection.execute(update(audit_head).values(**counter)).rowcount:
            self._connection.execute(insert(audit_head).values(**counter))
        return AuditHead(row.number, row.hash)


def row_mac(vault: Vault | None, row_hash: str) -> str:
    """Return the seal of a row; empty without a key."""
    return "" if vault is None else vault.hash("audit row", row_hash)


def counter_mac(vault: Vault | None, number: int, head_hash: str) -> str:
    """Return the seal of the counter; empty without a key."""
    return "" if vault is None else vault.hash("audit head", f"{number} {head_hash}")


def sealed_content(protection: Protection, number: int, owner: int | None, content: bytes) -> bytes:
    """Return the content of an event as it is stored: sealed by the key of a speaker, if any."""
    if protection.sealing is None:
        return content
    key = protection.sealing.text_key if owner is None else protection.key(owner)
    return key.seal(content, "audit", number)


def opened_content(protection: Protection, row: Any) -> bytes | None:
    """Return the content of a stored event; empty if it was changed or moved.

    The keys of the speakers must be loaded.
    """
    stored: bytes | None = row.content if isinstance(row.content, bytes | None) else b""
    if protection.sealing is None or stored is None:
        return stored
    try:
        has_key = row.speaker_id in protection.wrapped
        key = protection.key(row.speaker_id) if has_key else protection.sealing.text_key
        return key.open(stored, "audit", row.number)
    except (SealBroken, StoreError):
        return b""


def _plain(row: Any, protection: Protection) -> AuditRow:
    plain = AuditRow(
        number=row.number,
        time=_text(row.created_at),
        kind=_text(row.kind),
        speaker_id=row.speaker_id if isinstance(row.speaker_id, int | None) else -1,
        content=opened_content(protection, row),
        commitment=_text(row.commitment),
        previous=_text(row.previous),
        hash=_text(row.hash),
    )
    return replace(plain, is_sealed=row.mac == row_mac(protection.vault, plain.hash))


def _text(stored: object) -> str:
    """Return a text; in place of another type one that no hash fits."""
    return stored if isinstance(stored, str) else f"no text: {stored!r}"


def _facts(facts: Mapping[str, object], *, is_enrolled: bool) -> dict[str, object]:
    """Return the facts to write, without names that an erasure of the speaker would leave."""
    left_out = set(_NOT_FACTS)
    if not is_enrolled:
        left_out |= _NAMES
    elif "other_id" in facts:
        left_out.add("other")
    return {k: v for k, v in facts.items() if v is not None and k not in left_out}


@functools.cache
def _user() -> str:
    """Return the user and the host of this process."""
    name = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    try:
        import pwd  # noqa: PLC0415 - not on every system

        name = pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        pass
    return f"{name}@{socket.gethostname()}"
