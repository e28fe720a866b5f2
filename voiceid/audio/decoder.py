"""The protocol of a decoder."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt

from voiceid.domain import Float32Array
from voiceid.errors import AudioInvalid

Pieces: TypeAlias = Generator[tuple[npt.NDArray[Any], int], None, None]
"""Samples (n,) or (n, channels) that come live, of any PCM type, and their rate in Hz."""


class Decoder(Protocol):
    """Decoded audio, block by block.

    ``duration_hint_s`` is what the header claims, None when it does not or cannot be
    trusted.  ``truncated`` and ``unheard`` are known once the blocks are exhausted; the
    latter has, for each code of a warning, a few words on what was not decoded.
    """

    sample_rate_hz: int
    channels: int
    duration_hint_s: float | None
    truncated: bool
    unheard: dict[str, str]

    def blocks(self) -> Iterator[Float32Array]:
        """Yield blocks of shape (n, channels) float32, full scale being -1 to 1."""

    def close(self) -> None:
        """Release the decoder, not the media."""


def require_track(track: int | None, n_tracks: int, where: str) -> None:
    """Raise `AudioInvalid` unless there is such an audio track; None stands for any."""
    if track is not None and track >= n_tracks:
        count = "1 audio track" if n_tracks == 1 else f"{n_tracks} audio tracks"
        raise AudioInvalid(
            f"{where} has {count}, so there is no track {track}",
            hint="Leave out --track, or use a track that exists (counted from 0).",
        )
