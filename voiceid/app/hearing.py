"""Recordings whose speakers are known, heard for whatever is fitted to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from voiceid.app.parts import Parts
from voiceid.domain import Utterance
from voiceid.evaluation.cache import EmbeddingCache
from voiceid.evaluation.protocol import Recording
from voiceid.evaluation.scoring import Failure, listen


def silent(done: int, total: int) -> None:
    """Tell nobody how many recordings are heard, of how many."""
    del done, total


def heard_and_told(
    parts: Parts,
    recordings: Sequence[Recording],
    cache: str | os.PathLike[str],
    tell: Callable[[int, int], None] | None,
) -> list[Utterance | Failure]:
    """Return what was heard in each recording, and tell what gave nothing.

    Raises
    ------
    ModelError, ConfigError
    """
    kept = EmbeddingCache(Path(cache), parts.space)
    heard = listen(recordings, parts.embedder, kept, tell or silent)
    for one in heard:
        if isinstance(one, Failure):
            parts.notify(f"left out {one.recording.name}: {one.message}")
    return heard
