"""`VoiceID`: the facade, and the only place where objects are built.

with VoiceID.open("data") as vid:
vid.enroll("alice", ["a1.wav", "a2.wav", "a3.wav"])
decision = vid.identify("door.mp3")
if decision.accepted and decision.speaker.name == "alice":
...
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from voiceid import runtime
from voiceid.app.doctor import examine
from voiceid.app.parts import Parts
from voiceid.audio import AudioSource
from voiceid.config import Config, load_config
from voiceid.domain import (
    Decision,
    Embedding,
    EmbeddingSpace,
    EnrollmentReport,
    Finding,
    Sample,
    Speaker,
    Utterance,
)
from voiceid.embedder import or_error
from voiceid.enrollment import Mode, Person, enroll_many
from voiceid.errors import AudioError, NotEnoughSpeech
from voiceid.index.gallery import GalleryIndex, IndexStatus
from voiceid.registry import ModelCard
from voiceid.verification import compare
from voiceid.zoo import ModelStore, Progress

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store.migrate import SchemaStatus
    from voiceid.store.repository import Reader

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
        self._parts = Parts(config, notify or (lambda _: None), progress)

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
        self._parts.close()

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
        rule = self._parts.rule.with_flags(threshold, margin)
        return self._parts.verifier.identify(source, top=top, rule=rule)

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
        return self._parts.verifier.verify(
            name, source, rule=self._parts.rule.with_flags(threshold, None)
        )

    def identify_all(
        self,
        sources: Iterable[AudioSource],
        *,
        top: int = 5,
        threshold: float | None = None,
        margin: float | None = None,
    ) -> Iterator[Decision | AudioError]:
        """Yield, in order, the decision about each clip or the error that it gave.

        Clips are worked on by as many threads as ``runtime.workers`` says.  See
        :meth:`identify` for the parameters, and for the errors that end it.
        """
        rule = self._parts.rule.with_flags(threshold, margin)
        verifier = self._parts.verifier

        def ask(source: AudioSource) -> Decision:
            return verifier.identify(source, top=top, rule=rule)

        return runtime.in_order(or_error(ask), sources, self._parts.workers)

    def verify_all(
        self, name: str, sources: Iterable[AudioSource], *, threshold: float | None = None
    ) -> Iterator[Decision | AudioError]:
        """Yield, in order, the decision about each clip or the error that it gave.

        See :meth:`verify` and :meth:`identify_all`.
        """
        rule = self._parts.rule.with_flags(threshold, None)
        verifier = self._parts.verifier

        def ask(source: AudioSource) -> Decision:
            return verifier.verify(name, source, rule=rule)

        return runtime.in_order(or_error(ask), sources, self._parts.workers)

    def compare(
        self, a: AudioSource, b: AudioSource, *, threshold: float | None = None
    ) -> Decision:
        """Decide whether two clips are of one voice.  Needs no database."""
        return compare(
            self._parts.embedder, a, b, rule=self._parts.rule.with_flags(threshold, None)
        )

    def utterance(self, source: AudioSource) -> Utterance:
        """Decode a clip, measure its quality and embed its speech, if there is enough."""
        return self._parts.embedder.utterance(source)

    def embed(self, source: AudioSource) -> Embedding:
        """Return the embedding of the speech in a clip.

        Raises
        ------
        NotEnoughSpeech
            Silence, noise, or too short: there is no vector for it.
        """
        utterance = self._parts.embedder.utterance(source)
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
        return self._parts.enroller.enroll(name, sources, mode=mode, force=force, dry_run=dry_run)

    def enroll_many(
        self, people: Sequence[Person], *, force: bool = False, dry_run: bool = False
    ) -> Iterator[EnrollmentReport]:
        """Enrol many people; yield the report of each, in order, as it is on the disk.

        Unlike :meth:`enroll` this leaves out the clips that cannot be used, and takes what is
        enrolled already for done; see :func:`voiceid.enrollment.enroll_many`.
        """
        return enroll_many(self._parts.enroller, people, force=force, dry_run=dry_run)

    def speakers(self) -> list[Speaker]:
        """Return everybody who is enrolled, by name."""
        with self._parts.store.read() as reader:
            return reader.speakers()

    def speaker(self, name: str) -> Speaker:
        """Return the speaker called ``name``; raises SpeakerNotFound."""
        with self._parts.store.read() as reader:
            return reader.speaker(name)

    def samples(self, name: str) -> list[Sample]:
        """Return the enrolled utterances of a speaker; raises SpeakerNotFound."""
        with self._parts.store.read() as reader:
            return reader.samples(reader.speaker(name).id)

    def rename(self, name: str, new_name: str) -> Speaker:
        """Give a speaker another name; raises SpeakerNotFound or SpeakerExists."""
        with self._parts.store.write() as writer:
            writer.rename_speaker(writer.speaker(name).id, new_name)
            return writer.speaker(new_name)

    def remove(self, name: str) -> Speaker:
        """Erase a speaker: rows, vectors, and their copies in the index files."""
        with self._parts.store.write() as writer:
            speaker = writer.speaker(name)
            writer.remove_speaker(speaker.id)
        self._each_index(lambda index, reader: index.sync(reader), speaker.spaces)
        return speaker

    # --- the parts that can be looked after -----------------------------------------

    @property
    def models(self) -> ModelStore:
        """The models: list, pull, verify, remove."""
        return self._parts.models

    @property
    def card(self) -> ModelCard:
        """The card of the encoder in use; raises ModelUnknown."""
        return self._parts.card

    @property
    def space(self) -> EmbeddingSpace:
        """The embedding space of the model and the speech settings in use."""
        return self._parts.space

    @property
    def database(self) -> Path:
        """The database file."""
        return self._parts.database

    def examine(self) -> Iterator[Finding]:
        """Yield what an examination of the whole installation finds; nothing is changed."""
        return examine(self._parts)

    def db_status(self) -> SchemaStatus:
        """Return the schema revision of the database and what this program expects."""
        from voiceid.store import migrate  # noqa: PLC0415 - the maintenance path only

        return migrate.status(self._parts.database)

    def db_upgrade(self) -> SchemaStatus:
        """Bring the database to this program's schema; raises SchemaTooNew."""
        from voiceid.store import migrate  # noqa: PLC0415 - the maintenance path only

        migrate.upgrade(self._parts.database)
        return migrate.status(self._parts.database)

    def db_backup(self, target: str | os.PathLike[str]) -> int:
        """Copy the database to a new file while others write; return the size in bytes.

        Raises
        ------
        StoreError
            The file exists or cannot be written, or there is no sound database.
        """
        from voiceid.store import maintenance  # noqa: PLC0415 - the maintenance path only

        return maintenance.backup(self._parts.store, Path(target))

    def db_check(self) -> list[str]:
        """Return everything that is wrong with the database, each in a sentence."""
        from voiceid.store import maintenance  # noqa: PLC0415 - the maintenance path only

        return maintenance.check(self._parts.store)

    def index_status(self) -> list[IndexStatus]:
        """Compare the index file of each embedding space with the database."""
        return self._each_index(lambda index, reader: index.status(reader))

    def index_rebuild(self) -> list[IndexStatus]:
        """Make each index file anew from the database."""
        self._each_index(lambda index, reader: index.rebuild(reader))
        return self.index_status()

    def _each_index(
        self, act: Callable[[GalleryIndex, Reader], T], only: Sequence[str] | None = None
    ) -> list[T]:
        """Do something with the index of every embedding space, or of those named."""
        with self._parts.store.read() as reader:
            return [
                act(self._parts.gallery(space_id, dim), reader)
                for space_id, dim in reader.spaces().items()
                if only is None or space_id in only
            ]
