"""An open gallery: its settings, database, indexes and observer, and the only way to change it."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from voiceid.audio import KeptAudio
from voiceid.config import Config
from voiceid.domain import DatabaseUrl, Decision
from voiceid.enrollment.admission import require_consents
from voiceid.erasure import Erasure
from voiceid.errors import ConfigError, ModelError, SpaceMismatch, StoreError, VoiceIDError
from voiceid.index.base import Gallery, Tier
from voiceid.index.gallery import GalleryIndex
from voiceid.index.server_gallery import ServerGallery
from voiceid.model_in_use import GalleryParts, ModelInUse
from voiceid.models.cards import load_cards, own_cards_folder, shipped_cards_folder
from voiceid.models.fetch import Progress
from voiceid.models.install import ModelStore
from voiceid.observability import ChangeKind, Observer
from voiceid.observability.observer import elapsed_ms
from voiceid.protection import KeyRing, Vault
from voiceid.speech.speaker_model import DETECTOR, SpeakerModel
from voiceid.verification import Policy

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Store
    from voiceid.store.change import Change
    from voiceid.store.reader import Reader

DATABASE_NAME, INDEX_NAME = "voiceid.sqlite3", "index"
_SYNCED_AFTER = 64
"""Changes that the index files may lag behind; searches apply each change themselves."""
_IMPORTED_FROM = str(Path(__file__).parents[1])
_PROGRAM = "import sys; sys.path.append(sys.argv.pop(1)); import voiceid.cli; voiceid.cli.program()"
"""Runs this package; ``-m`` would search the current folder first, which any user may control."""

T = TypeVar("T")


class Session:
    """An open gallery.  Safe to share among threads.

    ``notify`` receives sentences about long work and omissions, ``progress`` the progress of
    downloads.
    """

    def __init__(
        self, config: Config, notify: Callable[[str], None], progress: Progress | None = None
    ) -> None:
        self.config, self.notify, self.progress = config, notify, progress
        self.observer = Observer(partial(hides_names, self))
        self.listeners: dict[object, Callable[[Decision], None]] = {}
        self._store: Store | None = None
        self._galleries: dict[str, Gallery] = {}
        self._models_in_use: dict[str, ModelInUse] = {}
        self._latest: ModelInUse | None = None
        self.keys = KeyRing(config.privacy_key, is_required=config.requires_key)
        self._changes_behind = 0
        self._lock = threading.RLock()
        if config.unread_file is not None:
            notify(
                f"{config.unread_file} is not read: it is not in the home, {config.home};"
                f" to use it, set its folder as the home: --home {config.unread_file.parent}"
            )

    # The database and the files beside it

    @property
    def database(self) -> Path | DatabaseUrl:
        """The place of the gallery: a file in the data folder, or a database on a server."""
        return self.config.database_url or self.config.data / DATABASE_NAME

    @property
    def has_database(self) -> bool:
        """Whether there is a database: always for a server; a file may not exist yet."""
        if self._store is None and isinstance(path := self.database, Path):
            with contextlib.suppress(OSError):  # no permission to look: the store reports it
                return path.exists()
        return True

    @property
    def store(self) -> Store:
        """The database; created or upgraded at the first use."""
        with self._lock:
            if self._store is None:
                from voiceid.store import Store  # noqa: PLC0415 - it loads while the models do

                self._store = Store.open(self.database, keys=self.keys, audit=self.config.audit)
                for sentence in (*self._store.removed, *self._store.record_settings()):
                    self.notify(sentence)
            return self._store

    @property
    def kept_audio(self) -> KeptAudio:
        """The stored recordings beside the database."""
        return KeptAudio(self.config.data / "audio", self._sealing)

    def _sealing(self) -> Vault | None:
        return self.store.sealing() if self.has_database else None

    @property
    def index_folder(self) -> Path:
        """The folder of the index files, caches of the database."""
        return self.config.data / INDEX_NAME

    def gallery(self, space_id: str, dim: int) -> Gallery:
        """Return the index of an embedding space."""
        with self._lock:
            if space_id not in self._galleries:
                self._galleries[space_id] = self._make_gallery(space_id, dim)
            return self._galleries[space_id]

    def _make_gallery(self, space_id: str, dim: int) -> Gallery:
        options = self.config.index
        if isinstance(self.database, DatabaseUrl):
            return ServerGallery(space_id, dim, str(self.database), self.store.write, options)
        path = self.index_folder / f"{space_id}.index"
        return GalleryIndex(space_id, dim, path, options, self._start_sealing, self._sealing)

    def _start_sealing(self) -> None:
        """Start a background process that seals the index files that are due."""
        from voiceid.index import sealer  # noqa: PLC0415 - for large galleries alone

        home, data, options = self.config.home, self.config.data, self.config.index
        where = ["--home", str(home), "--data", str(data)]
        settings = {"KIND": options.kind, "MAX_MISS_RATE": str(options.max_miss_rate)}
        sealer.start(
            [sys.executable, "-P", "-c", _PROGRAM, _IMPORTED_FROM, *where, "index", "seal"],
            self.index_folder,
            {f"VOICEID_INDEX__{key}": value for key, value in settings.items()},
        )

    def each_index(self, act: Callable[[Gallery, Reader], T], only: str | None = None) -> list[T]:
        """Call a function with the index of every embedding space, or of one."""
        with self.store.read() as reader:
            return [
                act(self.gallery(space_id, dim), reader)
                for space_id, dim in reader.spaces.dims().items()
                if only in {None, space_id}
            ]

    def sync_indexes(self) -> None:
        """Bring the index files up to date with the database; a file that fails follows later."""
        self._changes_behind = 0

        def sync(index: Gallery, reader: Reader) -> None:
            index.sync(reader)
            status = index.status(reader)
            if status.kind == Tier.EXACT and status.state != "current" and status.enrolled:
                index.size(reader)  # it loads the index, and brings it to the reader's revision
            index.save()

        with contextlib.suppress(StoreError):
            self.each_index(sync)

    def disconnect(self) -> None:
        """Close the connections to the database; new ones are made when they are needed."""
        with self._lock:
            if self._store is not None:
                self._store.close()

    # The only way to change the database

    @contextmanager
    def change(self, kind: ChangeKind | str, *, large: bool = False) -> Iterator[Change]:
        """Make one change of the database: complete, in order, with all its consequences.

        It waits for its turn, commits at the end with its rows of the audit chain, or changes
        nothing.  After the commit, in this order: erased data is removed from the index files, the
        kept audio and the log; the events are logged and counted.  After a ``large`` change, of a
        whole gallery, the log is emptied and the index files are updated at once.

        Raises ErasureIncomplete if the change was made, but some erased data remains.
        """
        from voiceid.store.change import Change  # noqa: PLC0415 - as above

        with self.recorded(kind, in_chain=True) as record:
            with self.store.write() as writer:
                change = Change(writer)
                yield change
                if kind != ChangeKind.PREPARE_SWITCH:  # it copies earlier enrolments
                    require_consents(self.config.enrollment, writer)
                effects = writer.effects
                writer.audit.changed(kind, change.events, moved=effects.moved)
                erases = effects.erased or writer.erasures.pending() is not None
            self._changes_behind += bool(effects.touched)
            try:
                if erases:
                    parts = (self.store, self.gallery, self.index_folder, self.kept_audio)
                    Erasure(*parts).complete(effects.erased_vectors)  # this empties the log too
                if large:
                    with contextlib.suppress(StoreError):  # the change itself is on the disk
                        if not erases:
                            self.store.erase_remains()
                        seal_indexes(self, lost=True, wait=erases)
                if large or self._changes_behind >= _SYNCED_AFTER:
                    self.sync_indexes()
            finally:  # the change is made, even if erased data remains
                for facts in change.events:
                    record(**facts)

    @contextmanager
    def recorded(
        self, kind: ChangeKind | str, *, in_chain: bool = False
    ) -> Iterator[Callable[..., None]]:
        """Record, log and count an action that is not one transaction, or its error.

        The yielded callable records an event of this kind with its facts.  An export is recorded
        before other users may read its file.  ``in_chain``: the event is already in the audit
        chain.
        """
        started = time.perf_counter()

        def record(change: ChangeKind | str = kind, **facts: object) -> None:
            if not in_chain and self.has_database:
                for sentence in self.store.append_event(change, facts):
                    self.notify(sentence)
            self.observer.changed(ChangeKind(change), **{"elapsed_ms": elapsed_ms(started)} | facts)

        with self.observer.failures(kind):
            yield record

    # The model in use

    @cached_property
    def models(self) -> ModelStore:
        """The store of models."""

        def changed(name: str, kind: ChangeKind) -> None:
            with self._lock:  # the next question loads it again
                if name == self.config.countermeasure:  # every model uses it
                    self._models_in_use.clear()
                    self._latest = None
                if self._models_in_use.pop(name, None) is self._latest:
                    self._latest = None
            if self.has_database:
                try:
                    for sentence in self.store.append_event(kind, {"model": name}):
                        self.notify(sentence)
                except VoiceIDError as error:  # the model is changed, even if the database fails
                    self.notify(f"{kind} {name} is not in the audit chain: {error.message}")
            self.observer.changed(kind, model=name)

        folder, offline = self.config.models, self.config.offline
        cards = load_cards(shipped_cards_folder(), folder, own_cards_folder(folder))
        return ModelStore(folder, cards, offline=offline, changed=changed)

    def speaker_model(self, name: str, *, channel: str | int | None = None) -> SpeakerModel:
        """Return a model with the options of the settings, or with another channel."""
        options = self.config.hearing(channel)
        counters = self.observer.counters
        return SpeakerModel(name, self.models, options, counters, self.notify, self.progress)

    @property
    def named_model(self) -> ModelInUse:
        """The model that the settings name."""
        return self._model(self.config.model)

    @property
    def model(self) -> ModelInUse:
        """The model that the gallery uses, by the current state of the database.

        Raises SpaceMismatch if this installation cannot make embeddings in its space.
        """
        self._latest = by_settings = self.named_model
        if self.has_database:
            with self.store.read() as reader:
                current = reader.spaces.current(by_settings.space.id)
                is_named = current == by_settings.space.id
                name = self.config.model if is_named else reader.spaces.model_of(current)
            self._latest = self._model(name)
            if self._latest.space.id != current:
                with self.store.read() as reader:
                    fitted = current in reader.spaces.of_encoder(self._latest.space)
                hint = "Use the model and the speech settings that the gallery was switched to."
                if fitted:
                    how = f"`voiceid models switch prepare {name} --model {name}`"
                    hint = f"{name} was fitted since: {how}, then `commit` with the same --model."
                raise SpaceMismatch(
                    f"the gallery uses {current}, but {name} makes {self._latest.space.id} here",
                    hint=hint,
                )
        return self._latest

    @property
    def loaded_model(self) -> ModelInUse:
        """The model in use, with its networks in memory."""
        if self._latest is None and self.named_model.speaker_model.is_installed:
            # The database opens while the models load: each takes half of the start.
            with ThreadPoolExecutor(1) as pool:

                def opened() -> ModelInUse:
                    with contextlib.suppress(VoiceIDError):
                        self._sealing()
                    return self.model

                opening = pool.submit(opened)
                with contextlib.suppress(VoiceIDError):  # most likely this model is in use
                    _ = self.named_model.embedder
                return opening.result()
        return self.model

    def ask(self, question: Callable[[ModelInUse], T]) -> T:
        """Return the result of a question to the model in use; ask again if it was switched."""
        model = self._latest or self.model
        try:
            return question(model)
        except SpaceMismatch:
            now = self.model
            if now is model:
                raise
            return question(now)

    def _model(self, name: str) -> ModelInUse:
        with self._lock:
            if name not in self._models_in_use:
                speaker_model = self.speaker_model(name)
                policy = self.policy_of(speaker_model)
                self._models_in_use[name] = ModelInUse(speaker_model, policy, self._parts)
            return self._models_in_use[name]

    def policy_of(self, speaker_model: SpeakerModel) -> Policy:
        """Return the policy of a model, before the database is read."""
        config, space = self.config, speaker_model.space
        own = space if speaker_model.card.name == config.model else self.named_model.space
        return Policy(space, speaker_model.card.rule, config.aim, config.groups, own.id)

    @cached_property
    def _parts(self) -> GalleryParts:
        return GalleryParts(
            store=lambda: self.store,
            has_database=lambda: self.has_database,
            gallery_of=lambda space: self.gallery(space.id, space.dim),
            door=self.change,
            kept_audio=self.kept_audio,
            limits=self.config.enrollment,
            replay=self.config.replay,
            searched=self.observer.counters.searched,
        )

    def close(self) -> None:
        """Close the database, if it was opened; the object must not be used afterwards."""
        with self._lock:
            if self._store is not None:
                if self._changes_behind:
                    self.sync_indexes()
                self._store.close()
                self._store = None


def hides_names(session: Session) -> bool:
    """Whether files beside the database, such as a log, may not name speakers."""
    try:
        return session.has_database and session.store.sealing() is not None
    except StoreError:
        return True


def seal_indexes(session: Session, *, lost: bool = False, wait: bool = True) -> bool:
    """Write the index files of large galleries that are due; return False if one fails.

    ``lost``: only files that the next search would wait for; ``wait``: for another sealing process.
    """
    from voiceid.index import sealer  # noqa: PLC0415 - for large galleries alone

    galleries: list[GalleryIndex] = []

    def note(index: Gallery, reader: Reader) -> None:
        if isinstance(index, GalleryIndex) and index.is_due(reader, lost=lost):
            galleries.append(index)

    session.each_index(note)
    work = (session.index_folder, galleries, session.store.read)
    return not galleries or sealer.seal_due(*work, wait=wait)


def trusted_paths(config: Config) -> dict[Path, type[VoiceIDError]]:
    """Return the paths that affect who is accepted, each with the error if all may write to it."""
    database, index = config.data / DATABASE_NAME, config.data / INDEX_NAME
    models = config.models
    of_models = [models, own_cards_folder(models)]
    certificates = [] if config.audio.ca_file is None else [Path(config.audio.ca_file)]
    for name in filter(None, (config.model, DETECTOR, config.countermeasure)):
        of_models += [models / f"{name}{end}" for end in (".onnx", ".json", ".toml")]
        of_models.append(own_cards_folder(models) / f"{name}.toml")
    return {
        **dict.fromkeys([config.data, database, Path(f"{database}-wal"), index], StoreError),
        **dict.fromkeys(of_models, ModelError),
        **dict.fromkeys([config.home, config.file, *certificates], ConfigError),
    }
