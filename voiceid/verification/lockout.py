"""How failed attempts lock a claimed name, and a caller.

Locks are checked before any audio is heard, and again before an answer is given: a failure is
counted in the transaction that checks.  So parallel attempts, also from other processes and hosts,
get no more answers than attempts one after another.  An attempt of a killed process was not
answered, and does not count.  If a failure cannot be written (the disk is full), no acceptance is
given until a write succeeds; the first acceptance of a process is written, too.  Names that are not
enrolled count like enrolled ones: a lock does not reveal who is enrolled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from voiceid.domain import AttemptLimits, Decision, FailedAttempts, Outcome, speaker_key
from voiceid.errors import LockedOut, SpaceMismatch, SpeakerNotFound, StoreError
from voiceid.observability import ChangeKind

if TYPE_CHECKING:  # they load while the models do
    from voiceid.store import Reader, Store, Writer
    from voiceid.store.attempt_table import Attempt, Attempts
    from voiceid.verification.verifier import Admit


@dataclass(frozen=True, slots=True)
class Lockout:
    """Answers attempts, unless they are locked.  Safe to share among threads."""

    store: Callable[[], Store]
    limits: AttemptLimits
    began: Callable[..., None]  # receives the ``speaker`` or the ``caller`` of a lock that began
    can_count: Event = field(default_factory=Event)  # the last write of this process is on the disk

    def attempt(self, name: str, caller: str, ask: Callable[[Admit], Decision]) -> Decision:
        """Return the decision of ``ask`` about a claimed name.

        ``ask`` receives a check for a lock, for its first transaction.  Before the decision is
        returned, a failure is counted; an acceptance deletes the failures of the name.

        Raises LockedOut: from the check, or in place of the answer if a lock began meanwhile.
        """
        try:
            decision = ask(partial(self._admitted, name, caller))
        except (SpeakerNotFound, SpaceMismatch):  # a wrong name is a guess like any other
            self._fail(name, caller)
            raise
        as_name = self.failures(name, caller)  # a lock takes the same time for every decision
        if decision.accepted:
            if as_name or not self.can_count.is_set():  # usually there is nothing to forget
                self._accept(name, caller)
        elif decision.outcome is not Outcome.INCONCLUSIVE:
            self._fail(name, caller)
        return decision

    def failures(self, name: str, caller: str) -> Sequence[Attempt]:
        """Return the failures of a name that count; raises LockedOut."""
        with self.store().read() as reader:
            return self._admitted(name, caller, reader)

    def _admitted(self, name: str, caller: str, reader: Reader) -> Sequence[Attempt]:
        return self._unlocked(reader.attempts, name, caller, datetime.now(UTC))[0]

    def _unlocked(
        self, attempts: Attempts, name: str, caller: str, now: datetime
    ) -> tuple[Sequence[Attempt], Sequence[Attempt]]:
        """Return the failures of a name and of a caller that count; raises LockedOut."""
        made = attempts.of(speaker_key(name), caller)
        as_name, of_caller = (counted(failures, self.limits, now) for failures in made)
        refusals = []
        for who, failures, limits in (
            (f"as {name!r}", as_name, self.limits),
            (f"of {caller!r}", of_caller, self.limits.of_callers),
        ):
            until = locked_until(failures, limits)
            if until is not None:
                which = f"{limits.max_failures} attempts {who}"
                refusals.append(_refusal(which, (until - now).total_seconds()))
        if refusals:
            raise max(refusals, key=lambda refusal: refusal.retry_after_s)
        return as_name, of_caller

    def _accept(self, name: str, caller: str) -> None:
        with self._counting() as writer:
            self._unlocked(writer.attempts, name, caller, writer.now)
            key = speaker_key(name)
            writer.attempts.add(key, caller)  # fails on a full disk
            writer.attempts.forget_name(key)

    def _fail(self, name: str, caller: str) -> None:
        with self._counting() as writer:
            as_name, of_caller = self._unlocked(writer.attempts, name, caller, writer.now)
            writer.attempts.forget_before(writer.now - timedelta(seconds=self.limits.within_s))
            writer.attempts.add(speaker_key(name), caller)
            locked = {
                "speaker": (name, len(as_name), self.limits),
                "caller": (caller, len(of_caller), self.limits.of_callers),
            }
            began = [{w: who} for w, (who, n, of) in locked.items() if n + 1 == of.max_failures]
            writer.audit.changed(ChangeKind.LOCK, began, moved=False)
        for facts in began:
            self.began(**facts)

    @contextmanager
    def _counting(self) -> Iterator[Writer]:
        try:
            with self.store().write() as writer:
                yield writer
        except StoreError:
            self.can_count.clear()
            raise
        self.can_count.set()


def _refusal(which: str, wait_s: float) -> LockedOut:
    return LockedOut(
        f"{which} failed: for {math.ceil(wait_s)} s no more are taken",
        retry_after_s=wait_s,
        hint="Wait, or end the lock: `voiceid attempts unlock NAME`, or `--caller CALLER`.",
    )


def counted(made: Sequence[Attempt], limits: AttemptLimits, now: datetime) -> list[Attempt]:
    """Return the attempts that count: not too old, and not from a clock that was far ahead."""
    within = timedelta(seconds=limits.within_s)
    return [attempt for attempt in made if abs(now - attempt.failed_at) < within]


def locked_until(made: Sequence[Attempt], limits: AttemptLimits) -> datetime | None:
    """Return when the lock by some attempts, newest first, ends; None: there is no lock."""
    if len(made) < limits.max_failures:
        return None
    return made[limits.max_failures - 1].failed_at + timedelta(seconds=limits.within_s)


def summary(
    made: Sequence[Attempt], names: dict[str, str], limits: AttemptLimits
) -> list[FailedAttempts]:
    """Return the numbers of some attempts, newest first: by name, then by caller.

    ``names`` are those of enrolled speakers, by their keys.
    """
    by_name: dict[str, list[Attempt]] = {}
    by_caller: dict[str, list[Attempt]] = {}
    for attempt in made:
        by_name.setdefault(names.get(attempt.name_key, attempt.name_key), []).append(attempt)
        by_caller.setdefault(attempt.caller, []).append(attempt)
    return [
        *(
            FailedAttempts(name, None, len(failures), locked_until(failures, limits))
            for name, failures in sorted(by_name.items())
        ),
        *(
            FailedAttempts(None, caller, len(failures), locked_until(failures, limits.of_callers))
            for caller, failures in sorted(by_caller.items())
        ),
    ]
