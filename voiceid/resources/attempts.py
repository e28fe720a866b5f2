"""Failed attempts, and the locks that they make."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from voiceid.domain import FailedAttempts, caller_name, speaker_key
from voiceid.observability import ChangeKind
from voiceid.resources.collection import OfSession
from voiceid.verification.lockout import counted, summary


class Attempts(OfSession):
    """Attempts to be accepted that failed, of callers who named themselves (docs/attempts.md)."""

    def list(self) -> Sequence[FailedAttempts]:
        """Return what counts now: by the name that was claimed, then by caller."""
        if not self._session.has_database:
            return []
        limits, now = self._session.config.attempts, datetime.now(UTC)
        with self._session.store.read() as reader:
            made = reader.attempts.since(now - timedelta(seconds=limits.within_s))
            made = counted(made, limits, now)
            names = reader.speakers.names_by_stored_key(sorted({one.name_key for one in made}))
        return summary(made, names, limits)

    def unlock(self, name: str) -> int:
        """Forget the attempts as a speaker, enrolled or not; return how many.

        Raises SpeakerNameInvalid, StoreError.
        """
        with self._session.change(ChangeKind.UNLOCK) as change:
            forgotten = change.writer.attempts.forget_name(speaker_key(name))
            change.record(speaker=name)
        return forgotten

    def unlock_caller(self, caller: str) -> int:
        """Forget the attempts of a caller; return how many.  Raises ConfigError, StoreError."""
        caller = caller_name(caller)
        with self._session.change(ChangeKind.UNLOCK) as change:
            forgotten = change.writer.attempts.forget_caller(caller)
            change.record(caller=caller)
        return forgotten
