"""Telling the observer of every change: a decorator for the methods that make them.

What is told is read off what the method returns, so that nothing is told of a dry run, nor
anything that was not written.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, cast

from voiceid.app.parts import Parts
from voiceid.domain import EnrollmentReport, Merge, Migration, Speaker, Split
from voiceid.errors import EnrollmentRefused
from voiceid.exchange import Exchanged
from voiceid.observability import Change, Observer
from voiceid.observability.observer import elapsed_ms

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store.copying import Copied
    from voiceid.store.restore import Restored

P = ParamSpec("P")
T = TypeVar("T")
Facts = dict[str, Any]


class _Room(Protocol):
    _parts: Parts


R = TypeVar("R", bound=_Room)
Method = Callable[Concatenate[R, P], T]


def changes(
    change: Change, facts: Callable[..., Iterable[Facts]]
) -> Callable[[Method[R, P, T]], Method[R, P, T]]:
    """Have what a method did told to the observer, or the error that it raised.

    Parameters
    ----------
    change : Change
    facts : callable
        From what the method returned and was given to the fields of an event for each change.
    """

    def decorate(method: Method[R, P, T]) -> Method[R, P, T]:
        @functools.wraps(method)
        def observed(self: R, *args: P.args, **kwargs: P.kwargs) -> T:
            observer, started = self._parts.observer, time.perf_counter()
            with observer.failures(change):
                result = method(self, *args, **kwargs)
            for found in facts(result, *args, **kwargs):
                observer.changed(**{"change": change, "elapsed_ms": elapsed_ms(started), **found})
            return result

        return cast("Method[R, P, T]", observed)

    return decorate


def each_told(
    observer: Observer, reports: Iterable[EnrollmentReport]
) -> Iterator[EnrollmentReport]:
    """Yield reports of enrolments; each is told to the observer first."""
    for report in reports:
        if report.status == "refused":
            error = EnrollmentRefused(f"{report.name} was not enrolled", report=report)
            observer.failed(Change.ENROLL, error, report.elapsed_ms)
        for found in enrolled(report):
            observer.changed(**found)
        yield report


def enrolled(report: EnrollmentReport, *_: object, **__: object) -> list[Facts]:
    """Return the event of an enrolment, if anything was written."""
    speaker = report.speaker
    if not report.enrolled or speaker is None:
        return []
    new = report.mode == "append" and speaker.n_samples == len(report.clips)
    change = Change.ENROLL if new else Change(report.mode)
    return [
        {
            "change": change,
            **_named(speaker),
            "samples": len(report.clips),
            "space": report.embedding_space.id,
            "elapsed_ms": round(report.elapsed_ms, 1),
        }
    ]


def one(speaker: Speaker, *_: object, **__: object) -> list[Facts]:
    """Return the event of one speaker's change."""
    return [_named(speaker)]


def purged(gone: Iterable[Speaker], *, dry_run: bool = False) -> list[Facts]:
    """Return an event for each of the erased."""
    return [] if dry_run else [_named(speaker) for speaker in gone]


def renamed(speaker: Speaker, name: str, new_name: str) -> list[Facts]:
    """Return the event of a new name, with the one before."""
    del new_name
    return [{**_named(speaker), "other": name}]


def merged(made: Merge, *_: object, **__: object) -> list[Facts]:
    """Return the event of a merger, unless it was not done."""
    if made.merged is None:
        return []
    return [{**_named(made.merged), "other": made.other.name, "samples": made.other.n_samples}]


def split(made: Split, *_: object, **__: object) -> list[Facts]:
    """Return the event of a split, unless it was not done."""
    if made.speaker is None or made.new is None:
        return []
    return [{**_named(made.speaker), "other": made.new.name, "samples": len(made.moved)}]


def erased(gone: tuple[object, ...], name: str, sample_ids: object) -> list[Facts]:
    """Return the event of samples that were erased."""
    del sample_ids
    return [{"speaker": name, "samples": len(gone)}]


def exchanged(made: Exchanged, *_: object, **__: object) -> list[Facts]:
    """Return the event of a file that was written or read."""
    return [{"speakers": made.speakers, "samples": made.samples}]


def fitted(made: Any, *_: object, **__: object) -> list[Facts]:
    """Return the event of a calibration or an adaptation; None: that none is used."""
    return [{} if made is None else {"number": made.id, "space": made.space_id}]


def migrated(made: Migration, *_: object, **__: object) -> list[Facts]:
    """Return the event of a change of the model: which, and who comes over with what."""
    comes_over = made.speakers - len(made.behind)
    facts = {"model": made.to_model, "space": made.change.to_space}
    return [{**facts, "speakers": comes_over, "samples": made.prepared}]


def finished(n_removed: int, *_: object, **__: object) -> list[Facts]:
    """Return the event of old samples that were removed."""
    return [{"samples": n_removed}]


def copied(made: Copied, *_: object, **__: object) -> list[Facts]:
    """Return the event of a gallery that was copied to another database."""
    return [{"speakers": made.rows["speakers"], "samples": made.rows["samples"]}]


def restored(made: Restored, *_: object, **__: object) -> list[Facts]:
    """Return the event of a backup that was put back."""
    return [{"speakers": made.n_speakers}]


def nothing(*_: object, **__: object) -> list[Facts]:
    """Return an event without fields."""
    return [{}]


def _named(speaker: Speaker) -> Facts:
    return {"speaker": speaker.name, "speaker_id": speaker.id}
