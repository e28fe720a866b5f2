"""How failed attempts lock a claimed name, and a caller.

An attempt is a row of the database before any audio is heard, so those that come at once, from
other processes and hosts too, cannot all see the same count.  It stays unless it is known that the
attempt did not fail: what a killed process began counts as a failure.  Names that are not enrolled
count as enrolled ones do, and a lock says nothing about who is enrolled.

Only a failure waits for the disk, and takes the row with it: before a rejection is given, a power
cut cannot take it back.  What a power cut undoes otherwise was not answered yet, or makes the count
higher than it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from voiceid.domain import AttemptLimits, Decision, FailedAttempts, Outcome, speaker_key
from voiceid.errors import AudioError, LockedOut, ModelError, SpaceMismatch, SpeakerNotFound
from voiceid.observability import ChangeKind

if TYPE_CHECKING:  # they load while the models do
    from voiceid.store import Store
    from voiceid.store.attempt_table import Attempt

_UNDER_WAY_S = 1.0
"""When to ask again where attempts are under way: most are answered by then."""
_ENDED_S = 60.0
"""What is under way for longer is taken for an attempt of a process that was killed."""


@dataclass(frozen=True, slots=True)
class Lockout:
    """Takes attempts, or refuses them.  Safe to share among threads."""

    store: Callable[[], Store]
    limits: AttemptLimits
    began: Callable[..., None]  # receives the ``speaker`` or the ``caller`` of a lock that began

    def attempt(self, name: str, caller: str, ask: Callable[[], Decision]) -> Decision:
        """Return what ``ask`` decides about a claimed name; raises LockedOut without asking.

        A failure is counted, and an acceptance forgets those of the name, before it is returned.
        """
        number = self._reserve(name, caller)
        try:
            decision = ask()
        except (SpeakerNotFound, SpaceMismatch):  # the name was wrong, which is a guess like any
            self._fail(number, name, caller)
            raise
        except (AudioError, ModelError):  # no voice was judged
            self._withdraw(number)
            raise
        if decision.accepted:
            with self.store().write(synced=False) as writer:
                writer.attempts.accept(number)
        elif decision.outcome is Outcome.INCONCLUSIVE:
            self._withdraw(number)
        else:
            self._fail(number, name, caller)
        return decision

    def _reserve(self, name: str, caller: str) -> int:
        """Count an attempt that begins; return its number."""
        refusals = []
        with self.store().write(synced=False) as writer:
            now, key = writer.now, writer.attempts.stored_key(speaker_key(name))
            writer.attempts.forget_before(now - timedelta(seconds=self.limits.within_s))
            made = writer.attempts.of(key, caller)
            for who, those in (
                (f"as {name!r}", [one for one in made if one.name_key == key]),
                (f"of {caller!r}", [one for one in made if one.caller == caller]),
            ):
                if len(those) >= self.limits.max_failures:
                    refusals.append(self._refusal(who, those, now))
            number = 0 if refusals else writer.attempts.add(key, caller)
        if refusals:  # what is too old is forgotten all the same
            raise max(refusals, key=lambda refusal: refusal.retry_after_s)
        return number

    def _refusal(self, who: str, made: Sequence[Attempt], now: datetime) -> LockedOut:
        most = self.limits.max_failures
        until = locked_until(made, self.limits)
        begun = now - timedelta(seconds=_ENDED_S)
        n_ended = sum(one.has_failed or one.created_at < begun for one in made)
        if until is None or n_ended < most:
            return LockedOut(
                f"as many attempts {who} are under way as may fail: {most}",
                retry_after_s=_UNDER_WAY_S,
                hint="Ask again when they are answered.",
            )
        wait_s = max((until - now).total_seconds(), _UNDER_WAY_S)
        return LockedOut(
            f"{most} attempts {who} failed: for {math.ceil(wait_s)} s no more are taken",
            retry_after_s=wait_s,
            hint="Wait, or end the lock: `voiceid attempts list` shows it, `unlock` ends it.",
        )

    def _fail(self, number: int, name: str, caller: str) -> None:
        with self.store().write() as writer:
            since = writer.now - timedelta(seconds=self.limits.within_s)
            failed = writer.attempts.fail(number)
            if failed is None:  # it was unlocked, or the speaker removed, meanwhile
                return
            made = [one for one in writer.attempts.of(failed.name_key, caller) if one.has_failed]
            recent = [one for one in made if one.created_at > since]
            locked = {
                "speaker": (name, sum(one.name_key == failed.name_key for one in recent)),
                "caller": (caller, sum(one.caller == caller for one in recent)),
            }
            most = self.limits.max_failures
            began = [{word: who} for word, (who, n) in locked.items() if n == most]
            writer.audit.changed(ChangeKind.LOCK, began, moved=False)
        for facts in began:
            self.began(**facts)

    def _withdraw(self, number: int) -> None:
        with self.store().write(synced=False) as writer:
            writer.attempts.withdraw(number)


def locked_until(made: Sequence[Attempt], limits: AttemptLimits) -> datetime | None:
    """Return when few enough of some attempts, newest first, will count; None: they are few."""
    if len(made) < limits.max_failures:
        return None
    return made[limits.max_failures - 1].created_at + timedelta(seconds=limits.within_s)


def summary(
    made: Sequence[Attempt], names: dict[str, str], limits: AttemptLimits
) -> list[FailedAttempts]:
    """Return what counts of some attempts, newest first: by name, then by caller.

    ``names`` are those of enrolled speakers, by their keys.
    """
    by_name: dict[str, list[Attempt]] = {}
    by_caller: dict[str, list[Attempt]] = {}
    for one in made:
        by_name.setdefault(names.get(one.name_key, one.name_key), []).append(one)
        by_caller.setdefault(one.caller, []).append(one)
    return [
        *(
            FailedAttempts(name, None, len(those), locked_until(those, limits))
            for name, those in sorted(by_name.items())
        ),
        *(
            FailedAttempts(None, caller, len(those), locked_until(those, limits))
            for caller, those in sorted(by_caller.items())
        ),
    ]
