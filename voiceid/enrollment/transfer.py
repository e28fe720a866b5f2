"""Speakers from one embedding space to another: by their kept audio, or by their embeddings.

A space in which the embeddings of the same encoder are compensated needs no audio: what it holds
is a function of the embeddings as the encoder made them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from voiceid.audio import KeptAudio
from voiceid.decision.compensation import Compensation
from voiceid.domain import (
    Embedding,
    EmbeddingSpace,
    ModelSwitch,
    NewSample,
    Sample,
    SwitchStatus,
    Utterance,
)
from voiceid.errors import AudioError, ChangeRefused
from voiceid.models import runtime
from voiceid.observability import ChangeKind
from voiceid.speech.speaker_model import SpeakerModel

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader, Store, Writer
    from voiceid.store.change import Door

_LOOKED_AT = 1000
"""Samples that are read at once."""
_AT_ONCE = 16
"""Recordings whose embeddings are written in one transaction: some milliseconds."""

Tell: TypeAlias = Callable[[int, int], None]
"""Receives how many recordings are heard, of how many."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Brings samples over to another model."""

    store: Store
    door: Door
    kept: KeptAudio
    min_speech_s: float  # net, that a speaker needs in all

    def prepare(
        self, model: SpeakerModel, change: ModelSwitch, tell: Tell | None
    ) -> dict[str, str]:
        """Hear what is kept and waits with a model; return what gave nothing, and why."""
        if change.from_space == model.space.raw.id and model.compensation is not None:
            self._compensate(model.space, model.compensation, change)
            return {}
        recordings, unusable, done = self.kept.recordings(), dict[str, str](), 0
        with self.store.read() as reader:
            total = self.progress(reader, change, {}).waiting
        for batch in self._waiting(change, recordings):
            heard = self._heard(model, batch)
            unusable |= {sha: why for sha, why in heard.items() if isinstance(why, str)}
            vectors = {sha: what for sha, what in heard.items() if isinstance(what, Embedding)}
            if vectors:
                with self.door(ChangeKind.PREPARE_SWITCH) as opened:
                    require_open(opened.writer, change)
                    _add(opened.writer, change, vectors)
            done += len(batch)
            if tell is not None:
                tell(min(done, total), total)
        return unusable

    def progress(
        self, reader: Reader, change: ModelSwitch, unusable: Mapping[str, str]
    ) -> SwitchStatus:
        """Return how far a switch is, and who is left behind as things are."""
        kept, hash_of = self.kept.recordings(), self.kept.stored_hash
        counts = dict.fromkeys(("speakers", "recordings", "prepared", "waiting"), 0)
        partly, behind = list[str](), list[str]()
        rows = reader.switches.brought_over(change)
        for (_, name), group in itertools.groupby(rows, lambda row: (row.speaker_id, row.name)):
            samples = list(group)
            lacking = [row for row in samples if not row.done]
            waiting = [
                r for r in lacking if hash_of(r.pcm_sha256) in kept and r.pcm_sha256 not in unusable
            ]
            reached_s = samples[0].has_s + sum(row.net_speech_s for row in waiting)
            # A hair less: the two sums are not in one order.
            if reached_s < min(self.min_speech_s, samples[0].had_s) - 1e-6 or not reached_s:
                behind.append(name)
            elif len(waiting) < len(lacking):
                partly.append(name)
            counts["speakers"] += 1
            counts["recordings"] += len(samples)
            counts["prepared"] += len(samples) - len(lacking)
            counts["waiting"] += len(waiting)
        return SwitchStatus(
            change=change,
            from_model=reader.spaces.model_of(change.from_space),
            to_model=reader.spaces.model_of(change.to_space),
            partly=tuple(partly),
            behind=tuple(behind),
            unusable=tuple(unusable.values()),
            **counts,
        )

    def _compensate(
        self, space: EmbeddingSpace, compensation: Compensation, change: ModelSwitch
    ) -> None:
        """Bring every sample over that the new space lacks, without hearing it again."""
        for batch in self._waiting(change, None):
            with self.door(ChangeKind.PREPARE_SWITCH) as opened:
                require_open(opened.writer, change)
                vectors = {
                    sample.pcm_sha256: compensation.embedding(sample.vector, space)
                    for sample in opened.writer.switches.lacking(change, batch)
                }
                if vectors:
                    _add(opened.writer, change, vectors)

    def _waiting(self, change: ModelSwitch, kept: Collection[str] | None) -> Iterator[list[str]]:
        """Yield recordings that the new space lacks, of those kept, or of all where it is None.

        Also those that are added meanwhile.
        """
        after = 0
        while True:
            with self.store.read() as reader:
                waiting = reader.switches.waiting(change, after, _LOOKED_AT)
            if not waiting:
                return
            after = waiting[-1][0]
            usable = [r for _, r in waiting if kept is None or self.kept.stored_hash(r) in kept]
            for start in range(0, len(usable), _AT_ONCE):
                yield usable[start : start + _AT_ONCE]

    def _heard(self, model: SpeakerModel, recordings: Sequence[str]) -> dict[str, Embedding | str]:
        """Return what a model makes of kept recordings: an embedding, or why there is none."""
        embedder = model.embedder

        def hear(recording: str) -> Embedding | str:
            try:
                embedding = embedder.utterance(self.kept.source(recording)).embedding
            except AudioError as error:
                return error.message
            too_short = f"{self.kept.path(recording)}: too little speech for {embedder.space.model}"
            return too_short if embedding is None else embedding

        with ThreadPoolExecutor(model.workers, initializer=runtime.step_back) as pool:
            return dict(zip(recordings, pool.map(hear, recordings), strict=True))


def require_open(reader: Reader, change: ModelSwitch | None = None) -> ModelSwitch:
    """Return the switch that is being prepared; raises ChangeRefused if it is not, or another."""
    changes = reader.switches.list()
    if not changes or changes[-1].switched_at is not None or change not in {None, changes[-1]}:
        raise ChangeRefused(
            "no switch of the model is being prepared (any more)",
            hint="Begin one: `voiceid models switch prepare MODEL`.",
        )
    return changes[-1]


def _add(writer: Writer, change: ModelSwitch, vectors: Mapping[str, Embedding]) -> None:
    """Give every sample of these recordings its copy in the new space.

    A sample that was removed or moved since it was heard is not among them.  What was measured on
    the original stays.
    """
    lacking = writer.switches.lacking(change, list(vectors))
    lacking.sort(key=lambda sample: sample.speaker_id)
    space = next(iter(vectors.values())).space
    for speaker_id, samples in itertools.groupby(lacking, lambda sample: sample.speaker_id):
        copies = [_copy(sample, vectors[sample.pcm_sha256]) for sample in samples]
        writer.samples.add(speaker_id, space, copies)


def _copy(sample: Sample, embedding: Embedding) -> NewSample:
    quality = replace(sample.quality, telephone=embedding.telephone)
    heard = Utterance(sample.source_name, sample.pcm_sha256, quality, embedding)
    return NewSample(heard, sample.overrides, sample.label, sample.created_at)
