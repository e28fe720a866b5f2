"""Recordings whose speakers are known, heard for an evaluation or a fit."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from voiceid.domain import Utterance
from voiceid.evaluation.cache import EmbeddingCache
from voiceid.evaluation.protocol import Recording
from voiceid.evaluation.scoring import Failure, listen
from voiceid.speech.embedder import Embedder


def silent(done: int, total: int) -> None:
    """Ignore how many recordings are heard, of how many."""
    del done, total


def hear_all(
    recordings: Sequence[Recording],
    embedder: Embedder,
    cache: str | os.PathLike[str] | None,
    notify: Callable[[str], None],
    tell: Callable[[int, int], None] | None,
) -> list[Utterance | Failure]:
    """Return what was heard in each recording; ``notify`` receives what gave nothing."""
    kept = EmbeddingCache(cache, embedder.space)
    heard = listen(recordings, embedder, kept, tell or silent)
    for result in heard:
        if isinstance(result, Failure):
            notify(f"left out {result.recording.name}: {result.message}")
    return heard
