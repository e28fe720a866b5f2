"""Speakers from the embedding space of one model to that of another, by their kept audio."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from voiceid.app.parts import Parts
from voiceid.audio import AudioSource
from voiceid.domain import Embedding, Migration, ModelChange, NewSample, Sample, Utterance
from voiceid.errors import AudioError, ChangeRefused
from voiceid.models import runtime

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader, Writer

_LOOKED_AT = 1000
"""Samples that are read at once."""
_AT_ONCE = 16
"""Recordings whose embeddings are written in one transaction: some milliseconds."""
REMOVED_AT_ONCE = 200
"""Samples, in one transaction."""
_COMPARED, _OF_EACH = 60, 3
"""Recordings that two models are compared on, and at most so many of a speaker."""

Tell: TypeAlias = Callable[[int, int], None]
"""Is told how many recordings are heard, of how many."""


def hearing_kept(parts: Parts, model: str) -> Parts:
    """Return parts that hear kept audio, which is of one channel, with a model."""
    audio = replace(parts.config.audio, channel="mix")
    made = parts.beside(replace(parts.config, model=model, audio=audio))
    _ = made.card  # raises ModelUnknown before anything else is done
    return made


def some_kept(parts: Parts) -> Iterator[tuple[str, AudioSource]]:
    """Yield recordings of speakers who are drawn by lot, always the same."""
    kept, space_id = parts.kept_audio, parts.in_use.space.id
    there = kept.recordings()
    chosen: list[tuple[str, str]] = []
    with parts.store.read() as reader:
        people = reader.speakers.all() if there else []
        random.Random(0).shuffle(people)  # noqa: S311 - a sample, no secret
        for speaker in people:
            heard = [s.pcm_sha256 for s in reader.samples.of(speaker.id, space_id)]
            chosen += [(speaker.name, one) for one in heard if one in there][:_OF_EACH]
            if len(chosen) >= _COMPARED:
                break
    for name, recording in chosen:
        with contextlib.suppress(AudioError):  # one that is damaged is told by who needs it
            yield name, kept.source(recording)


def begun(parts: Parts, target: Parts) -> ModelChange:
    """Return the change to the target's space: begun now, or a run before."""
    model = target.config.model
    with parts.store.write() as writer:
        here = writer.spaces.current(parts.space.id)
        if here == target.space.id:
            raise ChangeRefused(
                f"the gallery uses {model} already", hint="Name another: `voiceid models list`."
            )
        changes = writer.switches.list()
        if changes and changes[-1].switched_at is None:
            if changes[-1].to_space != target.space.id:
                raise ChangeRefused(
                    f"a change to {writer.spaces.model_of(changes[-1].to_space)} is being prepared",
                    hint="Switch it or give it up first: `voiceid migrate --cancel`.",
                )
            return changes[-1]
        if not writer.centroids.count(here):
            raise ChangeRefused(
                f"nobody is enrolled in {here}, so there is nothing to bring over",
                hint=f"Set `model: {model}` in config.yaml.",
            )
        return writer.switches.begin(here, target.space)


def prepare(parts: Parts, target: Parts, change: ModelChange, tell: Tell | None) -> dict[str, str]:
    """Have the target hear what is kept and waits; return what gave nothing, and why."""
    kept, unusable, done = parts.kept_audio.recordings(), dict[str, str](), 0
    with parts.store.read() as reader:
        total = progress(parts, reader, change, {}).waiting
    for some in _waiting(parts, change, kept):
        heard = _heard(target, some)
        unusable |= {one: why for one, why in heard.items() if isinstance(why, str)}
        vectors = {one: what for one, what in heard.items() if isinstance(what, Embedding)}
        if vectors:
            with parts.store.write() as writer:
                require_open(writer, change)
                _add(writer, change, vectors)
        done += len(some)
        if tell is not None:
            tell(min(done, total), total)
    for why in unusable.values():
        parts.notify(f"left out {why}")
    return unusable


def _waiting(parts: Parts, change: ModelChange, kept: Collection[str]) -> Iterator[list[str]]:
    """Yield kept recordings that the new space lacks, some at a time; those added meanwhile too."""
    after = 0
    while True:
        with parts.store.read() as reader:
            found = reader.switches.waiting(change, after, _LOOKED_AT)
        if not found:
            return
        after = found[-1][0]
        usable = [recording for _, recording in found if recording in kept]
        for i in range(0, len(usable), _AT_ONCE):
            yield usable[i : i + _AT_ONCE]


def _heard(target: Parts, recordings: Sequence[str]) -> dict[str, Embedding | str]:
    """Return what the target makes of kept recordings: an embedding, or why there is none."""
    embedder, kept = target.embedder, target.kept_audio

    def hear(recording: str) -> Embedding | str:
        try:
            found = embedder.utterance(kept.source(recording)).embedding
        except AudioError as error:
            return error.message
        too_short = f"{kept.path(recording)}: too little speech for {target.config.model}"
        return too_short if found is None else found

    with ThreadPoolExecutor(target.workers, initializer=runtime.step_back) as pool:
        return dict(zip(recordings, pool.map(hear, recordings), strict=True))


def _add(writer: Writer, change: ModelChange, vectors: Mapping[str, Embedding]) -> None:
    """Give every sample of these recordings its like in the new space.

    Whoever was removed, or changed hands, since it was heard is no longer among them.  What was
    measured on the original recording stays as it was measured.
    """
    lacking = writer.switches.lacking(change, list(vectors))
    lacking.sort(key=lambda sample: sample.speaker_id)
    for speaker_id, theirs in itertools.groupby(lacking, lambda sample: sample.speaker_id):
        new = [_like(sample, vectors[sample.pcm_sha256]) for sample in theirs]
        writer.samples.add(speaker_id, next(iter(vectors.values())).space, new)


def _like(sample: Sample, embedding: Embedding) -> NewSample:
    heard = Utterance(sample.source_name, sample.pcm_sha256, sample.quality, embedding)
    return NewSample(heard, sample.overrides, sample.label, sample.created_at)


def progress(
    parts: Parts, reader: Reader, change: ModelChange, unusable: Mapping[str, str]
) -> Migration:
    """Return how far a change is, and who is left behind as things are."""
    kept, floor_s = parts.kept_audio.recordings(), parts.config.enrollment.min_speech_s
    counts = dict.fromkeys(("speakers", "recordings", "prepared", "waiting"), 0)
    partly, behind = list[str](), list[str]()
    rows = reader.switches.brought_over(change)
    for (_, name), group in itertools.groupby(rows, lambda row: (row.speaker_id, row.name)):
        theirs = list(group)
        lacking = [row for row in theirs if not row.done]
        waiting = [r for r in lacking if r.pcm_sha256 in kept and r.pcm_sha256 not in unusable]
        reached_s = theirs[0].has_s + sum(row.net_speech_s for row in waiting)
        # A hair less: the two sums are not in one order.
        if reached_s < min(floor_s, theirs[0].had_s) - 1e-6 or not reached_s:
            behind.append(name)
        elif len(waiting) < len(lacking):
            partly.append(name)
        counts["speakers"] += 1
        counts["recordings"] += len(theirs)
        counts["prepared"] += len(theirs) - len(lacking)
        counts["waiting"] += len(waiting)
    return Migration(
        change=change,
        from_model=reader.spaces.model_of(change.from_space),
        to_model=reader.spaces.model_of(change.to_space),
        partly=tuple(partly),
        behind=tuple(behind),
        unusable=tuple(unusable.values()),
        **counts,
    )


def require_open(reader: Reader, change: ModelChange | None = None) -> ModelChange:
    """Return the change that is being prepared; raises ChangeRefused if it is not, or another."""
    changes = reader.switches.list()
    if not changes or changes[-1].switched_at is not None or change not in {None, changes[-1]}:
        raise ChangeRefused(
            "no change of the model is being prepared (any more)",
            hint="Begin one: `voiceid migrate --to MODEL`.",
        )
    return changes[-1]


def remove_some(
    parts: Parts, some: Callable[[Writer], list[Sample]], last: Callable[[Writer], Any]
) -> int:
    """Remove samples, some in each transaction, and do the last thing in the last; count them."""
    n_removed = 0
    while True:
        with parts.store.write() as writer:
            gone = some(writer)
            if not gone:
                last(writer)
                break
            writer.samples.remove(gone)
        n_removed += len(gone)
    parts.each_index(lambda index, reader: index.sync(reader))
    return n_removed
