"""A speaker model: its card, its embedding space, and the embedder, loaded when it is needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from voiceid.audio import AudioOptions
from voiceid.decision.compensation import Compensation
from voiceid.domain import EmbeddingSpace, Float32Array
from voiceid.errors import ModelUnknown, SpaceMismatch
from voiceid.models import runtime
from voiceid.models.cards import ModelCard
from voiceid.models.fetch import Progress
from voiceid.models.install import ModelStore
from voiceid.models.providers import EngineOptions
from voiceid.observability import Counters
from voiceid.speech.embedder import Embedder
from voiceid.speech.encoder import Encoder
from voiceid.speech.quality import QualityLimits
from voiceid.speech.vad import LittleSpeech, SpeechOptions, open_detector

if TYPE_CHECKING:
    from voiceid.speech.countermeasure import Countermeasure
    from voiceid.speech.second_opinion import SecondOpinion
    from voiceid.speech.segmenter import Segmenter
    from voiceid.speech.turns import Voices

DETECTOR = "silero-vad"
"""The card of the speech detector."""

SECOND = "segmentation"
"""The card of the segmentation model, which also finds speech that the detector misses."""


Brought: TypeAlias = Callable[[Float32Array], Float32Array]
"""Maps unit vectors (..., dim) of one space to another."""


@dataclass(frozen=True, slots=True)
class HearingOptions:
    """Options for making embeddings of recordings.

    - `audio`, `speech`, `quality`, `engine`: the options of the parts.
    - `workers`: recordings that are processed at once; None: as many as the CPU limit allows.
    - `countermeasure`: name of the model that finds attacks; None: attacks are not checked.
    """

    audio: AudioOptions
    speech: SpeechOptions
    quality: QualityLimits
    engine: EngineOptions
    workers: int | None = None
    countermeasure: str | None = None


class SpeakerModel:
    """One encoder with the speech detector before it.  Safe to share among threads.

    - `name`: the name of the encoder's card.
    - `counters`: count the recordings and their stages.
    - `notify`: receives a sentence before work that takes long.

    Raises `ModelUnknown`: no card has that name, or it is not an encoder.
    """

    def __init__(
        self,
        name: str,
        models: ModelStore,
        options: HearingOptions,
        counters: Counters,
        notify: Callable[[str], None],
        progress: Progress | None = None,
    ) -> None:
        self.card: ModelCard = models.card(name)
        if self.card.kind != "encoder":
            raise ModelUnknown(f"{name} is a {self.card.kind} model, not an encoder")
        self._models, self._options, self._counters = models, options, counters
        self._notify, self._progress = notify, progress
        self._loading, self._asking = threading.Lock(), threading.Lock()

    @cached_property
    def space(self) -> EmbeddingSpace:
        """The embedding space of the encoder and the speech settings."""
        detector = self._models.card(DETECTOR)
        speech = self._options.speech.describe()
        return self.card.space(f"{detector.name} {detector.checkpoint_sha256[:16]} {speech}")

    @cached_property
    def compensation(self) -> Compensation | None:
        """The compensation of the encoder's embeddings; raises ModelError."""
        return self.card.compensation()

    def brought(self, space_id: str, dim: int) -> Brought:
        """Return the function that maps embeddings of another space to this model's space.

        The other space is this one, or that of the encoder without compensation.  Raises
        SpaceMismatch for all others, ModelError.
        """
        if dim == self.space.dim and space_id == self.space.id:
            return lambda vectors: vectors
        if dim == self.space.dim and space_id == self.space.raw.id and self.compensation:
            return self.compensation.apply
        raise SpaceMismatch(
            f"vectors of {dim} dimensions in {space_id} cannot be compared with {self.space.id},"
            f" which has {self.space.dim}",
            hint="Use one model and one set of speech settings on both sides.",
        )

    @property
    def workers(self) -> int:
        """Recordings that are processed at once."""
        return self._options.workers or runtime.cpu_limit()

    @property
    def is_installed(self) -> bool:
        """Whether the encoder is on the disk."""
        return self._models.is_installed(self.card.name)

    @property
    def embedder(self) -> Embedder:
        """The way from audio to a vector; missing models are fetched first."""
        with self._loading:
            return self._loaded

    @cached_property
    def _loaded(self) -> Embedder:
        self._fetch_missing()
        started = time.perf_counter()
        options, artefact = self._options, self._models.installed(self.card.name)
        encoder = Encoder.open(
            artefact.path,
            artefact.sha256,
            self.space,
            options.engine,
            self.card.rule,
            self.compensation,
        )
        installed = self._models.installed(DETECTOR)
        little = LittleSpeech(options.quality.min_net_speech_s, self._second_opinion)
        detector = open_detector(installed, options.speech, options.engine, little)
        self._counters.loaded(time.perf_counter() - started)
        heard = self._counters.heard
        return Embedder(encoder, detector, options.audio, options.quality, self.workers, heard)

    def _fetch_missing(self) -> None:
        """Fetch missing models; the second opinion only together with another one.

        So a home of an older voiceid works as before, and does not wait for a download.
        """
        needed = [self.card.name, DETECTOR]
        if not all(map(self._models.is_installed, needed)) and not self._models.offline:
            needed.append(SECOND)
        for name in needed:
            if not self._models.is_installed(name) and not self._models.offline:
                self._notify(f"the model {name} is not installed yet; fetching it")
            self._models.ensure(name, self._progress)

    def load(self) -> None:
        """Load all installed models that an answer may need; raises ModelError."""
        _ = self.embedder
        if self._models.is_installed(SECOND):
            _ = self.segmenter
        if self.countermeasure is not None:
            _ = self.countermeasure().threshold

    def voices(self) -> Voices:
        """Return the detector of several voices; raises ModelError."""
        from voiceid.speech.turns import Voices  # noqa: PLC0415 - loads the engine

        return Voices(self.embedder.encoder, lambda: self.segmenter, self._overlap)

    @cached_property
    def _overlap(self) -> Float32Array | None:
        return self.card.overlap()

    @property
    def countermeasure(self) -> Callable[[], Countermeasure] | None:
        """The function that loads the countermeasure of the settings; None if they name none."""
        return None if self._options.countermeasure is None else self._examining

    def _examining(self) -> Countermeasure:
        with self._asking:
            return self._countermeasure

    @cached_property
    def _countermeasure(self) -> Countermeasure:
        return self.countermeasure_of(str(self._options.countermeasure))

    def countermeasure_of(self, name: str) -> Countermeasure:
        """Load a countermeasure; raises ModelError."""
        from voiceid.speech.countermeasure import Countermeasure  # noqa: PLC0415 - seldom there

        card = self._models.card(name)
        return Countermeasure.open(card, self._models.installed(name), self._options.engine)

    @property
    def segmenter(self) -> Segmenter:
        """The segmentation model; fetched first if it is missing.  Raises ModelError."""
        with self._asking:
            return self._segmenter

    @cached_property
    def _segmenter(self) -> Segmenter:
        from voiceid.speech.segmenter import Segmenter  # noqa: PLC0415 - loads the engine

        if not self._models.is_installed(SECOND) and not self._models.offline:
            self._notify(f"the model {SECOND} is not installed yet; fetching it")
        self._models.ensure(SECOND, self._progress)
        return Segmenter.open(self._models.installed(SECOND), self._options.engine)

    def _second_opinion(self) -> SecondOpinion | None:
        with self._asking:
            return self._second

    @cached_property
    def _second(self) -> SecondOpinion | None:
        from voiceid.speech.second_opinion import SecondOpinion  # noqa: PLC0415 - seldom needed

        if not self._models.is_installed(SECOND):
            self._notify(
                f"{DETECTOR} found little speech in a recording that is loud enough for some, and"
                f" the model {SECOND}, which hears shouted speech, is not installed:"
                f" `voiceid models pull {SECOND}`"
            )
            return None
        return SecondOpinion(self._segmenter)
