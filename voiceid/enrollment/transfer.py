"""Conversion of speakers to another embedding space: from stored audio, or from embeddings.

A space with compensated embeddings of the same encoder needs no audio: its embeddings are a
function of the encoder's embeddings.
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
"""Recordings whose embeddings are written in one transaction, of some milliseconds."""

Tell: TypeAlias = Callable[[int, int], None]
"""Receives the number of heard recordings, and of all."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Converts samples to another model."""

    store: Store
    door: Door
    kept: KeptAudio
    min_speech_s: float  # net speech that a speaker needs in all

    def prepare(
        self, model: SpeakerModel, change: ModelSwitch, tell: Tell | None
    ) -> dict[str, str]:
        """Hear the waiting recordings with a model; return the unusable ones, and why."""
        if change.from_space == model.space.raw.id and model.compensation is not None:
            self._compensate(model.space, model.compensation, change)
            return {}
        recordings, unusable, done = self.kept.recordings(), dict[str, str](), 0
        with self.store.read() as reader:
            total = self.progress(reader, change, {}).waiting
        for batch in self._waiting(change, recordings):
            heard = self._heard(model, batch)
            unusable |= {sha: why for sha, why in heard.items() if isinstance(why, str)}
            vectors = {sha: value for sha, value in heard.items() if isinstance(value, Embedding)}
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
        """Return the progress of a switch, and the speakers it would leave behind now."""
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
            # Allow for rounding: the two sums are added in different orders.
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
        """Convert every sample that the new space lacks, without hearing it again."""
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
        """Yield recordings that the new space lacks, among those with audio, or all if it is None.

        Recordings that are added meanwhile are included.
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
        """Return a model's results for stored recordings: an embedding, or why there is none."""
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
    """Return the switch in preparation; raises ChangeRefused if there is none, or another."""
    changes = reader.switches.list()
    if not changes or changes[-1].switched_at is not None or change not in {None, changes[-1]}:
        raise ChangeRefused(
            "no switch of the model is being prepared (any more)",
            hint="Begin one: `voiceid models switch prepare MODEL`.",
        )
    return changes[-1]


def _add(writer: Writer, change: ModelSwitch, vectors: Mapping[str, Embedding]) -> None:
    """Add a copy of every sample of these recordings to the new space.

    A sample that was removed or moved since it was heard gets none.  The measurements of the
    original stay.
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
