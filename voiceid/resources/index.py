"""The search index: one for each embedding space, each a cache of the database."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from voiceid.index.base import IndexStatus
from voiceid.models import runtime
from voiceid.observability import ChangeKind
from voiceid.resources.collection import OfSession
from voiceid.session import seal_indexes
from voiceid.speech.embedder import or_error
from voiceid.speech.fingerprint import Fingerprint

_NICENESS = 10
_LOOKED_AT = 1000
"""Samples that are read at once."""


class Index(OfSession):
    """The indexes of all embedding spaces."""

    def status(self) -> list[IndexStatus]:
        """Compare the index of each embedding space with the database."""
        return self._session.each_index(lambda index, reader: index.status(reader))

    def rebuild(self) -> list[IndexStatus]:
        """Rebuild each index from the database, and return their states.

        With ``replay.check`` it also makes missing fingerprints from kept audio.
        """
        with self._session.recorded(ChangeKind.REBUILD_INDEX) as record:
            self._session.each_index(lambda index, reader: index.rebuild(reader))
            if self._session.config.replay.check:
                self._make_fingerprints()
            record()
        return self.status()

    def _make_fingerprints(self) -> None:
        """Make the missing fingerprints from kept audio."""
        session, after, n_made = self._session, 0, 0
        audio, recordings = session.kept_audio, session.kept_audio.recordings()
        model = session.speaker_model(session.config.model, channel="mix")

        def hear(sample: tuple[int, str]) -> bytes:
            speech = model.embedder.with_speech(audio.source(sample[1])).speech
            return b"" if speech is None else Fingerprint.of(speech).kept

        while True:
            with session.store.read() as reader:
                lacking = reader.fingerprints.lacking(after, _LOOKED_AT)
            if not lacking:
                break
            after = lacking[-1][0]
            available = [sample for sample in lacking if audio.stored_hash(sample[1]) in recordings]
            heard = runtime.in_order(or_error(hear), available, model.workers)
            for sample, words in zip(available, heard, strict=True):
                if isinstance(words, bytes) and words:  # damage is reported where it matters
                    with session.store.write() as writer:
                        n_made += writer.fingerprints.made(*sample, words)
        if n_made:
            session.notify(f"{n_made} fingerprints were made from kept audio")

    def seal(self) -> bool:
        """Write the due index files, at a low priority; False: one could not be written.

        Changes of large galleries start a process in the background that does it.
        """
        # On Linux a priority is a thread's; that of the caller could not be raised again.
        with ThreadPoolExecutor(1, initializer=_step_back) as pool:
            return pool.submit(seal_indexes, self._session).result()


def _step_back() -> None:
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
