"""The checked speakers of a file, kept until a transaction adds them.

A file is parsed before the transaction: reading may be slow, and other writers would wait for it.
The speakers are kept in batches of some thousand samples, in memory, or in a sealed temporary file
if they are many, so that millions of rows take no more memory than a few.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from itertools import chain
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Self, TypeAlias

from voiceid.domain import EmbeddingSpace, NewSpeakers, QualityReport
from voiceid.exchange.adding import Exchanged, add, joined, lacking
from voiceid.protection import SealedSpool
from voiceid.protection.sealed_stream import Writable

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader, Writer

Batch: TypeAlias = tuple[NewSpeakers, Sequence[str]]
"""Some speakers, and the place of each in the file, as the beginning of a sentence."""

_IN_MEMORY = 32 << 20
_MEASURED = attrgetter(*(field.name for field in fields(QualityReport)))


class SealedSpeakers:
    """The speakers of a file, for a ``with`` statement; the constructor reads the file."""

    def __init__(self, space: EmbeddingSpace, batches: Iterable[Batch]) -> None:
        self._space = space
        self._n_batches = 0
        self._file = SealedSpool(_IN_MEMORY)
        try:
            for batch in batches:
                _pickler(self._file).dump(batch)
                self._n_batches += 1
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add_to(self, writer: Writer, *, append: bool, trust: bool) -> Exchanged:
        """Add the speakers in the transaction of ``writer``: an error undoes everything.

        With ``append``, enrolled speakers get the samples that they lack; their details stay.
        Without ``trust`` the telephone line that the file declares is ignored, so that the higher
        threshold decides; with it each sample is marked as imported unchecked.
        """
        done = Exchanged(0, 0)
        with writer.bulk.at_scale():
            for speakers, where in self._batches():
                marked = _trusted(speakers) if trust else _doubted(speakers)
                done += add(writer, self._space, marked, where, append=append)
        return done

    def lacking(self, reader: Reader, *, append: bool) -> NewSpeakers:
        """Return what :meth:`add_to` would add without ``trust``, each speaker once.

        It takes memory for all vectors of the file.  Raises the errors of :meth:`add_to`.
        """
        batches = list(self._batches())
        whole = joined([_doubted(speakers) for speakers, _ in batches], self._space.dim)
        where = list(chain.from_iterable(places for _, places in batches))
        return lacking(reader, self._space, whole, where, append=append).of(whole)

    def _batches(self) -> Iterator[Batch]:
        spooled = self._file.written()
        for _ in range(self._n_batches):
            yield pickle.load(spooled)  # noqa: S301 - written above, and sealed


def _trusted(speakers: NewSpeakers) -> NewSpeakers:
    overrides = [tuple(dict.fromkeys([*codes, "trusted_import"])) for codes in speakers.overrides]
    return replace(speakers, overrides=overrides)


def _doubted(speakers: NewSpeakers) -> NewSpeakers:
    """Return speakers without the telephone line, which the file declares and no one measured."""
    is_declared = [quality.telephone is not None for quality in speakers.qualities]
    pairs = zip(speakers.qualities, is_declared, strict=True)
    return replace(speakers, qualities=[replace(q, telephone=None) if k else q for q, k in pairs])


def _pickler(file: Writable) -> pickle.Pickler:
    """Return a pickler for read-only metadata, twice as fast as the default for quality."""
    pickler = pickle.Pickler(file, pickle.HIGHEST_PROTOCOL)
    pickler.dispatch_table = {
        MappingProxyType: lambda view: (_read_only, (dict(view),)),
        QualityReport: lambda quality: (QualityReport, _MEASURED(quality)),
    }
    return pickler


def _read_only(metadata: dict[str, str]) -> MappingProxyType[str, str]:
    return MappingProxyType(metadata)
