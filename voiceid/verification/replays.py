"""The rejection of an acceptance whose recording was heard before.

An acceptance is given after its fingerprint is on the disk.  The transaction that stores it also
checks the fingerprints that were added meanwhile: of two requests at once with one recording, one
is accepted.  Every failure ends without an acceptance.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from voiceid.domain import Decision, Outcome, Reason, Replay, ReplayOptions, Speech, Task
from voiceid.errors import ConfigError
from voiceid.speech.fingerprint import Fingerprint

if TYPE_CHECKING:  # they load while the models do
    from voiceid.store import Store
    from voiceid.store.reader import Reader


@dataclass(frozen=True, slots=True)
class Replays:
    """Finds and stores fingerprints.  Safe to share among threads."""

    store: Store
    options: ReplayOptions

    def checked(self, decision: Decision, speech: Speech | None) -> Decision:
        """Return the acceptance of a new recording, and a rejection if it was heard before.

        Raises ConfigError for the acceptance of a vector, and StoreError.
        """
        speaker = decision.speaker
        if not decision.accepted or speaker is None:
            return decision
        started = time.perf_counter()
        if speech is None:
            raise ConfigError(
                "replay.check is on, and for an embedding voiceid cannot know whether its recording"
                " was heard before: no decision was made",
                hint="Give the recording, or pass allow_replayed where embeddings are trusted.",
            )
        fingerprint = Fingerprint.of(speech)
        # 1. Compare the stored fingerprints of the speaker, while others may decide and write.
        with self.store.read() as reader:
            newest = reader.fingerprints.newest()
            replay = replay_in(reader, fingerprint, speaker.id)
        # 2. Compare those that were added meanwhile, and store this one, in one transaction.
        if replay is None:
            with self.store.write() as writer:
                replay = replay_in(writer, fingerprint, speaker.id, newest)
                if replay is None:
                    kept, days = fingerprint.kept, self.options.keep_days
                    writer.fingerprints.accepted(speaker.id, kept, days)
        elapsed_ms = decision.elapsed_ms + (time.perf_counter() - started) * 1e3
        decision = replace(decision, elapsed_ms=elapsed_ms)
        return decision if replay is None else _replayed(decision, replay)

    def accepted(self, decision: Decision, speech: Speech) -> None:
        """Store the fingerprint of more speech of the speaker who was accepted."""
        if decision.accepted and decision.speaker is not None:
            kept = Fingerprint.of(speech).kept
            with self.store.write() as writer:
                writer.fingerprints.accepted(decision.speaker.id, kept, self.options.keep_days)


def replay_in(
    reader: Reader, fingerprint: Fingerprint, speaker_id: int, after: int = 0
) -> Replay | None:
    """Return the stored recording of a speaker that a clip repeats, or None."""
    for page in reader.fingerprints.of(speaker_id, datetime.now(UTC), after):
        known = fingerprint.finds([kept.words for kept in page])
        for kept, is_known in zip(page, known, strict=True):
            if is_known:
                return kept.replay
    return None


def _replayed(decision: Decision, replay: Replay) -> Decision:
    return replace(
        decision,
        outcome=Outcome.REJECTED,
        reason=Reason.REPLAYED,
        speaker=decision.speaker if decision.task is Task.VERIFY else None,
        detail=f"this recording, or a part of it, was {replay}",
        replay_of=replay,
    )
