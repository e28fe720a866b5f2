"""What becomes of an acceptance whose recording was heard before.

An acceptance is given once its fingerprint is on the disk, and each looks, in the transaction that
keeps its own, at what came since it began: of two at once with one recording one is accepted.
Whatever fails ends without an acceptance.
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
    """Finds and keeps fingerprints.  Safe to share among threads."""

    store: Store
    options: ReplayOptions

    def checked(self, decision: Decision, speech: Speech | None) -> Decision:
        """Return an acceptance that is of no recording heard before; else a rejection.

        Raises ConfigError where there is an acceptance of a vector, and StoreError.
        """
        speaker = decision.speaker
        if not decision.accepted or speaker is None:
            return decision
        started = time.perf_counter()
        if speech is None:
            raise ConfigError(
                "replay.check is on, and it cannot be known of an embedding whether its recording"
                " was heard before: nothing is decided",
                hint="Give the recording, or pass allow_replayed where embeddings are trusted.",
            )
        fingerprint = Fingerprint.of(speech)
        # 1. Look at what is kept of the speaker, while others may decide and write.
        with self.store.read() as reader:
            newest = reader.fingerprints.newest()
            replay = found(reader, fingerprint, speaker.id)
        # 2. Look at what came meanwhile, and keep this one, in one transaction.
        if replay is None:
            with self.store.write() as writer:
                replay = found(writer, fingerprint, speaker.id, newest)
                if replay is None:
                    kept, days = fingerprint.kept, self.options.keep_days
                    writer.fingerprints.accepted(speaker.id, kept, days)
        elapsed_ms = decision.elapsed_ms + (time.perf_counter() - started) * 1e3
        decision = replace(decision, elapsed_ms=elapsed_ms)
        return decision if replay is None else _replayed(decision, replay)

    def accepted(self, decision: Decision, speech: Speech) -> None:
        """Keep the fingerprint of more that was said by who was accepted."""
        if decision.accepted and decision.speaker is not None:
            kept = Fingerprint.of(speech).kept
            with self.store.write() as writer:
                writer.fingerprints.accepted(decision.speaker.id, kept, self.options.keep_days)


def found(
    reader: Reader, fingerprint: Fingerprint, speaker_id: int, after: int = 0
) -> Replay | None:
    """Return what of a speaker's a clip is a recording of, or None."""
    for page in reader.fingerprints.of(speaker_id, datetime.now(UTC), after):
        known = fingerprint.finds([one.words for one in page])
        for one, is_known in zip(page, known, strict=True):
            if is_known:
                return one.replay
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
