"""The parts of a `VoiceID`: built here, once, when they are first asked for.

Listing speakers opens no model.  The settings name a model, and the database may say that another
has taken its place (`voiceid migrate`): whatever hears, answers or enrols is asked of the parts
that are `in_use`.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from voiceid.app.forgetting import forget_audio
from voiceid.audio import AudioSource, KeptAudio
from voiceid.config import Config
from voiceid.decision.normalization import Cohort
from voiceid.decision.rule import DecisionRule, Target
from voiceid.domain import DatabaseUrl, Decision, EmbeddingSpace, Utterance
from voiceid.enrollment import Checks, Enroller
from voiceid.enrollment.curation import Curator
from voiceid.errors import ModelUnknown, SpaceMismatch, VoiceIDError
from voiceid.index.base import Gallery
from voiceid.index.gallery import GalleryIndex
from voiceid.index.pgvector import PgvectorGallery
from voiceid.models import runtime
from voiceid.models.cards import ModelCard, load_cards, own_cards_folder, shipped_cards_folder
from voiceid.models.fetch import Progress
from voiceid.models.install import ModelStore
from voiceid.observability import Change, Observer
from voiceid.speech.embedder import Embedder
from voiceid.speech.encoder import Encoder
from voiceid.speech.vad import open_detector
from voiceid.verification import BackEnd, BackEnds, Verifier

if TYPE_CHECKING:
    from voiceid.store import Store
    from voiceid.store.reader import Reader

VAD_MODEL = "silero-vad"
DATABASE_NAME = "voiceid.sqlite3"

T = TypeVar("T")


class Parts:
    """What a `VoiceID` is made of.  Safe to share among threads.

    Parameters
    ----------
    config : Config
    notify : callable
        Is told, in a sentence, of what takes long.
    progress : Progress or None
        Is told how far a download is.
    """

    def __init__(
        self, config: Config, notify: Callable[[str], None], progress: Progress | None
    ) -> None:
        self.config = config
        self.listeners: dict[object, Callable[[Decision], None]] = {}
        self.observer = Observer()
        self._root = self
        self._latest: Parts | None = None
        self._notify = notify
        self.progress = progress
        self._parts: dict[str, Any] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._lock = threading.Lock()

    def with_model(self, name: str) -> Parts:
        """Return other parts, set up in the same way for another model."""
        return Parts(replace(self.config, model=name), self._notify, self.progress)

    def beside(self, config: Config) -> Parts:
        """Return other parts, over the same database and index."""
        made = Parts(config, self._notify, self.progress)
        made.listeners, made.observer, made._root = self.listeners, self.observer, self._root
        return made

    @property
    def in_use(self) -> Parts:
        """The parts of the model that the gallery uses, as the database says now.

        Raises
        ------
        SpaceMismatch
            It uses one that this installation cannot hear like: nobody is accepted.
        """
        now = self.space.id
        if self.has_database:
            with self.store.read() as reader:
                now = reader.space_in_use(self.space.id)
                model = self.config.model if now == self.space.id else reader.model_of(now)
        self._latest = self if now == self.space.id else self._switched_to(now, model)
        return self._latest

    def _switched_to(self, space_id: str, model: str) -> Parts:
        made = self._part(f"parts {model}", lambda: self.beside(replace(self.config, model=model)))
        if made.space.id != space_id:
            raise SpaceMismatch(
                f"the gallery uses {space_id}, and {model} makes {made.space.id} here",
                hint="Use the model and the speech settings that the gallery was migrated with.",
            )
        return made

    @property
    def ready(self) -> Parts:
        """The parts in use, for whoever needs their models."""
        if self._latest is None and self.models.is_installed(self.card.name):
            # The database opens while the models load: each is half of a process's start.
            with ThreadPoolExecutor(1) as pool:
                opening = pool.submit(lambda: self.in_use)
                with contextlib.suppress(VoiceIDError):  # most likely it is this model
                    _ = self.embedder
                return opening.result()
        return self.in_use

    def asked(self, ask: Callable[[Parts], T]) -> T:
        """Return what ``ask`` does of the parts in use; once more if they are no longer in use."""
        parts = self._latest or self.in_use
        try:
            return ask(parts)
        except SpaceMismatch:
            now = self.in_use
            if now is parts:
                raise
            return ask(now)

    def close(self) -> None:
        """Close the database, if it was opened."""
        if (store := self._parts.pop("store", None)) is not None:
            store.close()

    def let_go(self) -> None:
        """Close the connections to the database; new ones are made when they are needed."""
        if (store := self._parts.get("store")) is not None:
            store.close()

    @property
    def models(self) -> ModelStore:
        """The store of models."""

        def build() -> ModelStore:
            models = self.config.models
            cards = load_cards(shipped_cards_folder(), models, own_cards_folder(models))
            return ModelStore(
                models, cards, offline=self.config.offline, changed=self._model_changed
            )

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
        speech = f"{vad.name} {vad.checkpoint_sha256[:16]} {self.config.speech.describe()}"
        return self.card.space(speech)

    @property
    def database(self) -> Path | DatabaseUrl:
        """Where the gallery is: a file in the data folder, or a database of a server."""
        return self.config.database_url or self.config.data / DATABASE_NAME

    @property
    def has_database(self) -> bool:
        """Whether there may be somebody enrolled: a server is asked, a file may be missing."""
        return isinstance(self.database, DatabaseUrl) or self.database.exists()

    @property
    def index_folder(self) -> Path:
        """The folder of the index files, caches of the database."""
        return self.config.data / "index"

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
    def store(self) -> Store:
        """The database; made or upgraded when it is first asked for."""
        if self._root is not self:
            return self._root.store

        def build() -> Store:
            # Imported here: SQLAlchemy takes as long to load as a model, and can do so meanwhile.
            from voiceid.store import Store  # noqa: PLC0415

            store = Store.open(self.database)
            store.after_erasure = lambda: forget_audio(store, self.kept_audio)
            return store

        return self._part("store", build)

    @property
    def kept_audio(self) -> KeptAudio:
        """The recordings that are kept beside the database."""
        return KeptAudio(self.config.data / "audio")

    @property
    def embedder(self) -> Embedder:
        """The way from audio to a vector; models that are missing are fetched first."""

        def build() -> Embedder:
            config = self.config
            for name in (self.card.name, VAD_MODEL):
                self._ensure(name)
            started = time.perf_counter()
            model = self.models.installed(self.card.name)
            encoder = Encoder.open(model.path, model.sha256, self.space, config.runtime)
            detector = open_detector(
                self.models.installed(VAD_MODEL), config.speech, config.runtime
            )
            counters = self.observer.counters
            counters.loaded(time.perf_counter() - started)
            return Embedder(
                encoder, detector, config.audio, config.quality, self.workers, counters.heard
            )

        return self._part("embedder", build)

    @property
    def workers(self) -> int:
        """Clips that are worked on at once."""
        return self.config.workers or runtime.cpu_limit()

    def notify(self, sentence: str) -> None:
        """Tell what takes long, or was left out."""
        self._notify(sentence)

    def _model_changed(self, name: str, *, installed: bool) -> None:
        change = Change.INSTALL_MODEL if installed else Change.REMOVE_MODEL
        self.observer.changed(change, model=name)

    def _ensure(self, model: str) -> None:
        if not self.models.is_installed(model) and not self.config.offline:
            self._notify(f"the model {model} is not installed yet; fetching it")
        self.models.ensure(model, self.progress)

    def verifying_rule(self, target_fmr: float | None = None) -> DecisionRule:
        """What decides about one speaker: the target of the call, else of the settings."""
        asked = self.config.target_fmr if target_fmr is None else target_fmr
        target = None if asked is None else Target(asked)
        return self.card_rule.with_options(target, self.config.margin)

    def identifying_rule(
        self, target_fpir: float | None = None, margin: float | None = None
    ) -> DecisionRule:
        """What decides among all: the target of the call, else of the settings.

        Without a target FPIR each comparison has the false match rate that a verification has.
        """
        asked = self.config.target_fpir if target_fpir is None else target_fpir
        target = None if asked is None else Target(asked, per_search=True)
        return self.verifying_rule().with_options(target, margin)

    def back_end(self, rule: DecisionRule) -> BackEnd:
        """Return how embeddings are compared now, if there is a database that says it."""
        back_ends = self.back_ends
        if not self.has_database:
            return back_ends.in_use(None, rule)
        with self.store.read() as reader:
            return back_ends.in_use(reader, rule)

    def newest_cohort(self, back_end: BackEnd) -> tuple[int, Cohort] | None:
        """Return the newest cohort of the model's space, in the space in use, and its number."""
        with self.store.read() as reader:
            mine = [one for one in reader.cohorts() if one.space_id == self.space.id]
            vectors = reader.cohort(mine[-1].id, self.space) if mine else None
        if vectors is None:
            return None
        moved = vectors if back_end.transform is None else back_end.transform.apply(vectors)
        return mine[-1].id, Cohort.of(moved)

    @property
    def back_ends(self) -> BackEnds:
        """What finds the adaptation, the calibration and the cohort in use."""
        return self._part("back ends", lambda: BackEnds(self.space))

    @property
    def card_rule(self) -> DecisionRule:
        """What the model's card alone would decide by."""
        card = self.card
        points, floor_dbfs = card.operating_points, card.min_level_dbfs
        return DecisionRule(card.name, points, card.margin, min_level_dbfs=floor_dbfs)

    def gallery(self, space_id: str, dim: int) -> Gallery:
        """Return the index of an embedding space."""

        def build() -> Gallery:
            database, options = self.database, self.config.index
            if isinstance(database, DatabaseUrl):
                budget = options.allowed_miss_rate
                return PgvectorGallery(space_id, dim, str(database), self.store.write, budget)
            path = self.index_folder / f"{space_id}.index"
            return GalleryIndex(space_id, dim, path, options, self._start_sealer)

        return self._root._part(f"gallery {space_id}", build)  # noqa: SLF001 - its own kind

    def _start_sealer(self) -> None:
        """Have a process in the background call `Upkeep.index_seal`."""
        from voiceid.index import sealer  # noqa: PLC0415 - for large galleries alone

        options = self.config.index
        settings = {"KIND": options.kind, "MAX_MISS_RATE": str(options.max_miss_rate)}
        sealer.start(
            [sys.executable, "-m", "voiceid", "--data", str(self.config.data), "index", "seal"],
            self.index_folder,
            {f"VOICEID_INDEX__{key}": value for key, value in settings.items()},
        )

    @property
    def verifier(self) -> Verifier:
        """What answers questions about audio."""

        def build() -> Verifier:
            # The database opens while the models load: each is half of a process's start.
            with ThreadPoolExecutor(1) as pool:
                opening = pool.submit(lambda: self.store)
                _ = self.embedder
                opening.result()
            return self.searcher

        return self._part("verifier", build)

    @property
    def searcher(self) -> Verifier:
        """The verifier, for questions about vectors: no model is loaded for it."""

        def build() -> Verifier:
            return Verifier(
                self._hear,
                self.back_ends,
                self.store,
                lambda space: self.gallery(space.id, space.dim),
                self.observer.counters.searched,
            )

        return self._part("searcher", build)

    def _hear(self, source: AudioSource) -> Utterance:
        return self.embedder.utterance(source)

    @property
    def enrolling_rule(self) -> DecisionRule:
        """What an enrolment is judged by, and who is in the gallery twice.

        That is what was measured for the model, whatever a door aims at; a calibration takes its
        place only where nothing was measured.
        """
        card = self.card_rule
        return card if card.points else self._calibrated(card)

    def _calibrated(self, rule: DecisionRule) -> DecisionRule:
        """Return a rule with the calibration of the model's own space."""
        with self.store.read() as reader:
            return rule.with_calibration(reader.calibration_in_use(self.space.id))

    @property
    def curator(self) -> Curator:
        """What looks after the enrolled."""

        def build() -> Curator:
            space = self.space
            gallery = self.gallery(space.id, space.dim)
            return Curator(space, self.store, gallery, self.enrolling_rule)

        return self._part("curator", build)

    @property
    def enroller(self) -> Enroller:
        """What enrols."""

        def build() -> Enroller:
            embedder = self.embedder
            gallery = self.gallery(embedder.space.id, embedder.space.dim)
            rule, limits = self.enrolling_rule, self.config.enrollment
            checks = Checks(embedder.space.id, gallery, rule, limits)
            return Enroller(embedder, self.store, checks, self.kept_audio)

        return self._part("enroller", build)

    def each_index(
        self, act: Callable[[Gallery, Reader], T], only: Sequence[str] | None = None
    ) -> list[T]:
        """Do something with the index of every embedding space, or of those named."""
        with self.store.read() as reader:
            return [
                act(self.gallery(space_id, dim), reader)
                for space_id, dim in reader.spaces().items()
                if only is None or space_id in only
            ]
