"""`VoiceID`: the facade, and the only place where objects are built.

    with VoiceID.open("data") as vid:
        vid.enroll("alice", ["a1.wav", "a2.wav", "a3.wav"])
        decision = vid.identify("door.mp3")
        if decision.accepted and decision.speaker.name == "alice":
            ...

Parts are built when first asked for: listing speakers opens no model, embedding a clip
opens no database.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from voiceid import runtime
from voiceid.audio import AudioSource
from voiceid.config import Config, load_config
from voiceid.domain import (
    Decision,
    Embedding,
    EmbeddingSpace,
    EnrollmentReport,
    Sample,
    Speaker,
    Threshold,
    Utterance,
)
from voiceid.embedder import Embedder
from voiceid.encoder import Encoder
from voiceid.enrollment import Checks, Enroller, Mode
from voiceid.errors import ModelUnknown, NotEnoughSpeech
from voiceid.index.gallery import GalleryIndex, IndexStatus
from voiceid.registry import ModelCard, load_cards, shipped_cards_folder
from voiceid.scoring import DecisionRule
from voiceid.store import Store, StoreOptions
from voiceid.store.migrate import SchemaStatus
from voiceid.store.repository import Reader
from voiceid.vad import open_detector
from voiceid.verification import Verifier, compare
from voiceid.zoo import ModelStore, Progress

VAD_MODEL = "silero-vad"
DATABASE_NAME = "voiceid.sqlite3"

T = TypeVar("T")


class VoiceID:
    """Enrolled voices, and the questions that can be asked of them.

    One object serves a whole process; its methods may be called from any number of threads
    at once.  Build it with :meth:`open`.
    """

    def __init__(
        self,
        config: Config,
        *,
        notify: Callable[[str], None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.config = config
        self._notify = notify or (lambda _: None)
        self._progress = progress
        self._parts: dict[str, Any] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        data: str | os.PathLike[str] | None = None,
        *,
        home: str | os.PathLike[str] | None = None,
        overrides: Mapping[str, object] | None = None,
        notify: Callable[[str], None] | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Open the gallery in a data folder; it is made when something is first written.

        Parameters
        ----------
        data : path, optional
            Folder of the database and the index; from the configuration when omitted.
        home : path, optional
            Where ``config.yaml`` and the models are; see :func:`voiceid.config.find_home`.
        overrides : mapping, optional
            Settings by dotted key, e.g. ``{"model": "ge2e", "decision.threshold": 0.6}``.
        notify : callable, optional
            Is told, in a sentence, of what takes long: a model that is fetched.
        progress : callable, optional
            Is told how far a download is: ``progress(stage, done_bytes, total_bytes)``.

        Raises
        ------
        ConfigError
        """
        config = load_config(home, {**(overrides or {}), **({"data": data} if data else {})})
        return cls(config, notify=notify, progress=progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database.  The object must not be used afterwards."""
        if (store := self._parts.pop("store", None)) is not None:
            store.close()

    # --- questions ------------------------------------------------------------------

    def identify(
        self,
        source: AudioSource,
        *,
        top: int = 5,
        threshold: float | None = None,
        margin: float | None = None,
    ) -> Decision:
        """Decide who is speaking in a clip, if anybody who is enrolled is.

        Parameters
        ----------
        source : AudioSource
            A path, bytes, a binary file object, ``(samples, rate_hz)``, or ``"-"``.
        top : int
            At most so many candidates in the decision, best first.
        threshold, margin : float, optional
            Cosines that replace those of the configuration and the model's card.

        Returns
        -------
        Decision
            ``accepted``; ``rejected`` (unknown, or nobody is enrolled); or
            ``inconclusive`` (too little speech, or a runner-up within the margin).

        Raises
        ------
        AudioError, ModelError, StoreError, ConfigError
            Nobody was accepted.
        """
        rule = self._rule.with_flags(threshold, margin)
        return self._verifier.identify(source, top=top, rule=rule)

    def verify(self, name: str, source: AudioSource, *, threshold: float | None = None) -> Decision:
        """Decide whether a clip is the voice of the enrolled speaker called ``name``.

        Raises
        ------
        SpeakerNotFound
            Nobody of that name is enrolled.
        SpaceMismatch
            The speaker is enrolled, but with another model or other speech settings.
        AudioError, ModelError, StoreError, ConfigError
            Nobody was accepted.
        """
        return self._verifier.verify(name, source, rule=self._rule.with_flags(threshold, None))

    def compare(
        self, a: AudioSource, b: AudioSource, *, threshold: float | None = None
    ) -> Decision:
        """Decide whether two clips are of one voice.  Needs no database."""
        return compare(self._embedder, a, b, rule=self._rule.with_flags(threshold, None))

    def utterance(self, source: AudioSource) -> Utterance:
        """Decode a clip, measure its quality and embed its speech, if there is enough."""
        return self._embedder.utterance(source)

    def embed(self, source: AudioSource) -> Embedding:
        """Return the embedding of the speech in a clip.

        Raises
        ------
        NotEnoughSpeech
            Silence, noise, or too short: there is no vector for it.
        """
        utterance = self._embedder.utterance(source)
        if utterance.embedding is None:
            raise NotEnoughSpeech(
                f"{utterance.name} has {utterance.quality.net_speech_s:.2f} s of net speech,"
                f" and an embedding needs {self.config.quality.min_net_speech_s:g} s",
                hint="Record a longer clip, closer to the microphone.",
            )
        return utterance.embedding

    # --- speakers -------------------------------------------------------------------

    def enroll(
        self,
        name: str,
        sources: Sequence[AudioSource],
        *,
        mode: Mode = "append",
        force: bool = False,
        dry_run: bool = False,
    ) -> EnrollmentReport:
        """Enrol clips, one utterance each, as the voice of ``name``.

        See :meth:`voiceid.enrollment.Enroller.enroll` for the parameters.

        Raises
        ------
        EnrollmentRefused
            Something speaks against it; its ``report`` has every problem, nothing changed.
        """
        return self._enroller.enroll(name, sources, mode=mode, force=force, dry_run=dry_run)

    def speakers(self) -> list[Speaker]:
        """Return everybody who is enrolled, by name."""
        with self._store.read() as reader:
            return reader.speakers()

    def speaker(self, name: str) -> Speaker:
        """Return the speaker called ``name``; raises SpeakerNotFound."""
        with self._store.read() as reader:
            return reader.speaker(name)

    def samples(self, name: str) -> list[Sample]:
        """Return the enrolled utterances of a speaker; raises SpeakerNotFound."""
        with self._store.read() as reader:
            return reader.samples(reader.speaker(name).id)

    def rename(self, name: str, new_name: str) -> Speaker:
        """Give a speaker another name; raises SpeakerNotFound or SpeakerExists."""
        with self._store.write() as writer:
            writer.rename_speaker(writer.speaker(name).id, new_name)
            return writer.speaker(new_name)

    def remove(self, name: str) -> Speaker:
        """Erase a speaker: rows, vectors, and their copies in the index files."""
        with self._store.write() as writer:
            speaker = writer.speaker(name)
            writer.remove_speaker(speaker.id)
        self._store.erase_remains()
        self._each_index(lambda index, reader: index.sync(reader), speaker.spaces)
        return speaker

    # --- the parts that can be looked after -----------------------------------------

    @property
    def models(self) -> ModelStore:
        """The models: list, pull, verify, remove."""

        def build() -> ModelStore:
            cards = load_cards(shipped_cards_folder(), self.config.models)
            return ModelStore(self.config.models, cards, offline=self.config.offline)

        return self._part("models", build)

    @property
    def card(self) -> ModelCard:
        """The card of the encoder in use; raises ModelUnknown."""
        card = self.models.card(self.config.model)
        if card.kind != "encoder":
            raise ModelUnknown(f"{card.name} is a {card.kind} model, not an encoder")
        return card

    @property
    def space(self) -> EmbeddingSpace:
        """The embedding space of the model and the speech settings in use."""
        vad = self.models.card(VAD_MODEL)
        speech = f"{vad.name} {vad.source.member_sha256[:16]} {self.config.speech.describe()}"
        return self.card.space(speech)

    def db_status(self) -> SchemaStatus:
        """Return the schema revision of the database and what this program expects."""
        from voiceid.store import migrate  # noqa: PLC0415 - the maintenance path only

        return migrate.status(self.database)

    def db_upgrade(self) -> SchemaStatus:
        """Bring the database to this program's schema; raises SchemaTooNew."""
        from voiceid.store import migrate  # noqa: PLC0415 - the maintenance path only

        migrate.upgrade(self.database)
        return migrate.status(self.database)

    def index_status(self) -> list[IndexStatus]:
        """Compare the index file of each embedding space with the database."""
        return self._each_index(lambda index, reader: index.status(reader))

    def index_rebuild(self) -> list[IndexStatus]:
        """Make each index file anew from the database."""
        self._each_index(lambda index, reader: index.rebuild(reader))
        return self.index_status()

    @property
    def database(self) -> Path:
        """The database file."""
        return self.config.data / DATABASE_NAME

    # --- building -------------------------------------------------------------------

    def _part(self, name: str, build: Callable[[], T]) -> T:
        """Return a part, built once by whichever thread asks first."""
        with self._lock:
            lock = self._locks.setdefault(name, threading.RLock())
        with lock:
            if name not in self._parts:
                self._parts[name] = build()
            part: T = self._parts[name]
            return part

    @property
    def _store(self) -> Store:
        return self._part("store", lambda: Store.open(self.database, StoreOptions()))

    @property
    def _embedder(self) -> Embedder:
        def build() -> Embedder:
            config = self.config
            for name in (self.card.name, VAD_MODEL):
                self._ensure(name)
            model = self.models.installed(self.card.name)
            encoder = Encoder.open(model.path, model.sha256, self.space, config.threads)
            detector = open_detector(
                self.models.installed(VAD_MODEL), config.speech, config.threads
            )
            workers = config.workers or runtime.cpu_limit()
            return Embedder(encoder, detector, config.audio, config.quality, workers)

        return self._part("embedder", build)

    def _ensure(self, model: str) -> None:
        if not self.models.is_installed(model) and not self.config.offline:
            self._notify(f"the model {model} is not installed yet; fetching it")
        self.models.ensure(model, self._progress)

    @property
    def _rule(self) -> DecisionRule:
        rule, config = self._card_rule, self.config
        if config.threshold is not None:
            source = f"config ({config.sources['decision.threshold']})"
            rule = replace(rule, fixed=Threshold(config.threshold, source))
        return rule if config.margin is None else replace(rule, margin=config.margin)

    @property
    def _card_rule(self) -> DecisionRule:
        card = self.card
        return DecisionRule(card.name, card.operating_points, card.narrowband_points, card.margin)

    def _gallery(self, space_id: str, dim: int) -> GalleryIndex:
        return self._part(
            f"gallery {space_id}",
            lambda: GalleryIndex(
                space_id,
                dim,
                self.config.index_kind,
                self.config.data / "index" / f"{space_id}.index",
            ),
        )

    @property
    def _verifier(self) -> Verifier:
        def build() -> Verifier:
            # The database opens while the models load: each is half of a process's start.
            with ThreadPoolExecutor(1) as pool:
                opening = pool.submit(lambda: self._store)
                embedder = self._embedder
                store = opening.result()
            space = embedder.space
            return Verifier(embedder, store, self._gallery(space.id, space.dim))

        return self._part("verifier", build)

    @property
    def _enroller(self) -> Enroller:
        def build() -> Enroller:
            embedder, rule = self._embedder, self._card_rule
            gallery = self._gallery(embedder.space.id, embedder.space.dim)
            # An enrolment is judged by what was measured for the model; a threshold that
            # somebody set for a door takes its place only where nothing was measured.
            if not rule.points:
                rule = self._rule
            checks = Checks(embedder.space.id, gallery, rule, self.config.enrollment)
            return Enroller(embedder, self._store, checks)

        return self._part("enroller", build)

    def _each_index(
        self, act: Callable[[GalleryIndex, Reader], T], only: Sequence[str] | None = None
    ) -> list[T]:
        """Do something with the index of every embedding space, or of those named."""
        with self._store.read() as reader:
            return [
                act(self._gallery(space_id, dim), reader)
                for space_id, dim in reader.spaces().items()
                if only is None or space_id in only
            ]
