"""The audit chain: a verifiable record of changes and decisions, with their authors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voiceid.domain.audit_chain import SALT_BYTES, AuditHead, AuditReport, AuditRow, ChainCheck
from voiceid.errors import AuditBroken, FileNotWritten, StoreError
from voiceid.foreign_files import AUDIT_LINE, Unfit, opened
from voiceid.observability import ChangeKind
from voiceid.resources.collection import OfSession
from voiceid.whole_files import whole_file

_FORMAT, _VERSION = "voiceid audit", 1


class Audit(OfSession):
    """The record of changes and decisions in the database (docs/audit.md)."""

    def list(
        self, *, since: datetime | None = None, speaker: str | None = None, kind: str | None = None
    ) -> Iterator[AuditRow]:
        """Yield events, oldest first: all, or since a time, of a speaker, of a kind.

        Raises SpeakerNotFound; AuditBroken when the facts of a changed event are read.
        """
        after = 0
        while page := self.page(after, since=since, speaker=speaker, kind=kind):
            yield from page
            after = page[-1].number

    def page(
        self,
        after: int = 0,
        *,
        since: datetime | None = None,
        speaker: str | None = None,
        kind: str | None = None,
    ) -> Sequence[AuditRow]:
        """Return the next events, at most 1000, after a number; see :meth:`list`."""
        if not self._session.has_database:
            return []
        chosen: dict[str, Any] = {"kind": kind}
        if since is not None:
            chosen["since"] = since.astimezone(UTC).isoformat()
        with self._session.store.read() as reader:
            if speaker is not None:
                chosen["speaker_id"] = reader.speakers.get(speaker).id
            return reader.audit.page(after, **chosen)

    def head(self) -> AuditHead:
        """Return the end of the chain, to be kept elsewhere and given to `verify` later."""
        if not self._session.has_database:
            return AuditHead()
        with self._session.store.read() as reader:
            return reader.audit.head()

    def verify(self, head: str | None = None) -> AuditReport:
        """Check the whole chain; ``head`` is an earlier hash from `head`.

        With it, changes and cuts up to that row are detected even if others can write to the
        database.
        """
        if not self._session.has_database:
            return ChainCheck(head).report(None)
        with self._session.store.read() as reader:
            return reader.audit.verify(head)

    def export(self, file: str | os.PathLike[str]) -> int:
        """Write the chain to a new private file; return the number of rows.

        It is not encrypted, even if the gallery is.  Raises FileNotWritten, StoreError.
        """
        path = Path(file)
        if path.exists():
            raise FileNotWritten(
                f"{path} exists already; it was not changed", hint="Name a new file."
            )
        if not self._session.has_database:
            raise StoreError(
                f"there is no database {self._session.database}",
                hint="Give a home with a gallery: --home.",
            )
        with self._session.recorded(ChangeKind.EXPORT_AUDIT) as record:
            record()
            try:
                with self._session.store.read() as reader, whole_file(path) as written:
                    head = reader.audit.head()
                    document = {"format": _FORMAT, "version": _VERSION}
                    written.write(_line({**document, "number": head.number, "hash": head.hash}))
                    for row in reader.audit.rows():
                        written.write(_line(_written(row)))
            except OSError as error:
                raise FileNotWritten(
                    f"{path} cannot be written: {error.strerror}", hint="Choose another folder."
                ) from error
            return head.number

    def verify_file(self, file: str | os.PathLike[str], head: str | None = None) -> AuditReport:
        """Check an exported chain without the database; see `verify`.

        Raises AuditBroken for a file that is not an exported chain.
        """
        check, number = ChainCheck(head), 0
        try:
            with opened(Path(file)) as read:
                counter = _counter(json.loads(read.readline(AUDIT_LINE.size)))
                while line := read.readline(AUDIT_LINE.size + 1):
                    if len(line) > AUDIT_LINE.size:
                        raise AUDIT_LINE.exceeded()
                    number += 1
                    check.take(_read(line))
        except OSError as error:
            raise AuditBroken(f"{file} cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            why = str(error) if isinstance(error, Unfit) else f"line {number + 1} is not a row"
            raise AuditBroken(f"{file} is not an exported audit chain: {why}") from error
        return check.report(counter)


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode() + b"\n"


def _written(row: AuditRow) -> dict[str, Any]:
    content, text = row.content, None
    if content is not None:
        text = content[SALT_BYTES:].decode("utf-8", "replace")
    return {
        "number": row.number,
        "time": row.time,
        "kind": row.kind,
        "speaker_id": row.speaker_id,
        "salt": None if content is None else content[:SALT_BYTES].hex(),
        "content": text,
        "commitment": row.commitment,
        "previous": row.previous,
        "hash": row.hash,
    }


def _read(line: bytes) -> AuditRow:
    document, content = json.loads(line), None
    if document["content"] is not None:
        content = bytes.fromhex(document["salt"]) + document["content"].encode()
    columns = ("number", "time", "kind", "speaker_id", "commitment", "previous", "hash")
    row = AuditRow(content=content, **{name: document[name] for name in columns})
    if type(row.number) is not int or not isinstance(row.hash, str):
        raise TypeError("not a row")
    if _line(_written(row)) != line:
        raise ValueError("the line has content that is not hashed")
    return row


def _counter(document: dict[str, Any]) -> AuditHead:
    if document["format"] != _FORMAT or document["version"] != _VERSION:
        raise ValueError("another format")
    return AuditHead(int(document["number"]), str(document["hash"]))
