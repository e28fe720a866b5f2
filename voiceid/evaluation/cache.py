"""Embeddings that were already made, by the hash of the recording, in a file that only grows.

One JSON object a line, after the beginning of its SHA-256; a line that was cut short by a
kill, or does not fit its hash, is ignored.  There is one file for each embedding space, so that
spaces are never mixed.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from voiceid.decision.embeddings import from_base64, to_base64
from voiceid.domain import Embedding, EmbeddingSpace, QualityReport, Utterance
from voiceid.errors import ConfigError
from voiceid.foreign_files import CACHE_LINE, Unfit, opened

_UNUSABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
_DIGITS = 16
"""Digits of the hash: 64 bits against damage by chance."""


class EmbeddingCache:
    """The utterances of recordings, for one embedding space.

    - `folder`: made for the first entry, for its owner alone; None: no file is written.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, space: EmbeddingSpace) -> None:
        self._path = None if folder is None else Path(folder, f"{space.id}.jsonl")
        self._space = space
        self._heard = dict(self._read())

    def __len__(self) -> int:
        return len(self._heard)

    def get(self, pcm_sha256: str, name: str) -> Utterance | None:
        """Return the utterance of a recording, with its present name, or None."""
        known = self._heard.get(pcm_sha256)
        return known and replace(known, name=name)

    def put(self, utterance: Utterance) -> None:
        """Keep the utterance of a recording.

        Raises `ConfigError`: the folder cannot be written to.
        """
        if utterance.pcm_sha256 in self._heard:
            return
        self._heard[utterance.pcm_sha256] = utterance
        if self._path is None:
            return
        vector = utterance.embedding and to_base64(utterance.embedding.vector)
        quality = utterance.quality.exact()
        facts = {"pcm_sha256": utterance.pcm_sha256, "quality": quality, "vector": vector}
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            number = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(number, "ab") as file:
                # It begins with a line break: this ends a last line that a kill cut short.
                file.write(b"\n" + _sealed(json.dumps(facts)).encode())
        except OSError as error:
            raise ConfigError(
                f"{self._path} cannot be written to: {error.strerror}",
                hint="Name another folder with --cache.",
            ) from error

    def _read(self) -> list[tuple[str, Utterance]]:
        heard = list[tuple[str, Utterance]]()
        if self._path is None:
            return heard
        try:
            with opened(self._path) as file:
                for line in iter(functools.partial(file.readline, CACHE_LINE.size), b""):
                    body = line[_DIGITS + 1 :].decode(errors="replace").removesuffix("\n")
                    if line.removesuffix(b"\n") == _sealed(body).encode():
                        with contextlib.suppress(*_UNUSABLE):
                            utterance = self._utterance(json.loads(body))
                            heard.append((utterance.pcm_sha256, utterance))
        except Unfit as error:
            raise ConfigError(f"the cache {self._path} cannot be used: {error}") from error
        except OSError:
            pass
        return heard

    def _utterance(self, facts: dict[str, Any]) -> Utterance:
        quality, embedding = QualityReport.of_exact(facts["quality"]), None
        if facts["vector"] is not None:
            vector = from_base64(facts["vector"], self._space.dim)
            embedding = Embedding(vector, self._space)
        return Utterance("", str(facts["pcm_sha256"]), quality, embedding)


def _sealed(body: str) -> str:
    return f"{hashlib.sha256(body.encode()).hexdigest()[:_DIGITS]} {body}"
