"""Failed attempts, and the locks that they cause."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from voiceid.domain import FailedAttempts, caller_name, speaker_key
from voiceid.observability import ChangeKind
from voiceid.resources.collection import OfSession
from voiceid.verification.lockout import counted, summary


class Attempts(OfSession):
    """Failed attempts to be accepted, of named callers (docs/attempts.md)."""

    def list(self) -> Sequence[FailedAttempts]:
        """Return the attempts that count now: by the claimed name, then by caller."""
        if not self._session.has_database:
            return []
        limits, now = self._session.config.attempts, datetime.now(UTC)
        with self._session.store.read() as reader:
            failed = reader.attempts.since(now - timedelta(seconds=limits.within_s))
            failed = counted(failed, limits, now)
            names = reader.speakers.names_by_stored_key(sorted({row.name_key for row in failed}))
        return summary(failed, names, limits)

    def unlock(self, name: str) -> int:
        """Forget the attempts as a speaker, enrolled or not; return their number.

        Raises SpeakerNameInvalid, StoreError.
        """
        with self._session.change(ChangeKind.UNLOCK) as change:
            forgotten = change.writer.attempts.forget_name(speaker_key(name))
            change.record(speaker=name)
        return forgotten

    def unlock_caller(self, caller: str) -> int:
        """Forget the attempts of a caller; return their number.  Raises ConfigError, StoreError."""
        caller = caller_name(caller)
        with self._session.change(ChangeKind.UNLOCK) as change:
            forgotten = change.writer.attempts.forget_caller(caller)
            change.record(caller=caller)
        return forgotten
