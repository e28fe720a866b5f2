"""Kept audio goes when the last sample of it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceid.audio import KeptAudio
from voiceid.errors import StoreError

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Store


def audio_of_nobody(store: Store, kept: KeptAudio) -> set[str]:
    """Return the kept recordings of which nobody has a sample."""
    found = kept.recordings()
    if not found:
        return found
    with store.read() as reader:
        return found - reader.samples.owners(list(found)).keys()


def forget_audio(store: Store, kept: KeptAudio) -> None:
    """Remove kept recordings of which nobody has a sample, and what kills left of others.

    Raises
    ------
    StoreError
        They are still there.
    """
    try:
        gone = audio_of_nobody(store, kept)
        if gone or kept.unfinished():
            with store.write() as writer:  # nobody enrols meanwhile
                kept.remove(gone - writer.samples.owners(list(gone)).keys())
    except StoreError as error:
        raise StoreError(
            f"what was removed has left the database, but not all kept audio: {error.message}",
            hint="`voiceid speakers purge --expired` tries again.",
        ) from error
