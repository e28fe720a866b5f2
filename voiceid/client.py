"""`VoiceID`: a client of one gallery, with methods for questions and collections of stored data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self, Unpack, overload

from voiceid.audio import AudioSource, LiveSourceName
from voiceid.config import Config, load_config
from voiceid.domain import (
    Candidate,
    Consent,
    Decision,
    Diarization,
    EmbeddedClip,
    Embedding,
    EnrollmentReport,
    SpeakerDetails,
    Task,
)
from voiceid.enrollment import Mode, Part, Person, sources_of
from voiceid.errors import AudioError
from voiceid.models.fetch import Progress
from voiceid.observability import ChangeKind
from voiceid.questions import Questions
from voiceid.resources.collection import Collection
from voiceid.session import Session
from voiceid.verification import Search, calls
from voiceid.verification.calls import Cosines, IdentifyKeywords, ListenKeywords, VerifyKeywords

if TYPE_CHECKING:  # each loads at its first use
    from voiceid.diarization import LinkedVoices
    from voiceid.listening import Listener, LiveStream
    from voiceid.resources.adaptations import Adaptations
    from voiceid.resources.attempts import Attempts
    from voiceid.resources.audit import Audit
    from voiceid.resources.calibrations import Calibrations
    from voiceid.resources.challenges import Challenges
    from voiceid.resources.database import Database
    from voiceid.resources.events import Events
    from voiceid.resources.index import Index
    from voiceid.resources.keys import Keys
    from voiceid.resources.models import Models
    from voiceid.resources.privacy import Privacy
    from voiceid.resources.samples import Samples
    from voiceid.resources.speakers import Speakers


class VoiceID:
    """A gallery of enrolled voices, and the questions about it.  Safe to share among threads.

    Create one per process with :meth:`open`, after a fork (docs/program.md).
    """

    speakers: Collection[Speakers] = Collection()
    """The enrolled speakers."""
    samples: Collection[Samples] = Collection()
    """The enrolled utterances."""
    calibrations: Collection[Calibrations] = Collection()
    """The calibrations, and the error rates that they and the model's card give."""
    adaptations: Collection[Adaptations] = Collection()
    """The adaptations to this site."""
    models: Collection[Models] = Collection()
    """The models, and the switch from one to another."""
    database: Collection[Database] = Collection()
    """The database as a whole."""
    index: Collection[Index] = Collection()
    """The search index, a cache of the database."""
    keys: Collection[Keys] = Collection()
    """The keys to the service."""
    privacy: Collection[Privacy] = Collection()
    """The rights of the people whose voices are stored, and how long they are stored."""
    challenges: Collection[Challenges] = Collection()
    """Spoken codes: the enrolled words of speakers, and the requested codes."""
    attempts: Collection[Attempts] = Collection()
    """Failed attempts to be accepted, and the locks that they cause."""
    audit: Collection[Audit] = Collection()
    """The record of changes and decisions in the database, as a chain of hashes."""
    events: Collection[Events] = Collection()
    """Decisions as they happen, counters, and the examination."""

    def __init__(
        self,
        config: Config,
        *,
        notify: Callable[[str], None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._session = Session(config, notify or (lambda _: None), progress)
        self._questions = Questions(self._session)

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
        """Open a gallery; its data folder is created at the first write.

        Parameters
        ----------
        data : path, optional
            Folder of the database and the index; by default from the configuration.  A
            ``config.yaml`` beside it is not read: pass its folder as ``home`` for that.
        home : path, optional
            The folder of ``config.yaml``; by default ``$VOICEID_HOME``, the checkout of voiceid
            if it runs from there and in there, or the user's data folder.
        overrides : mapping, optional
            Settings by dotted key, e.g. ``{"model": "ge2e", "decision.target_fmr": 0.01}``.
        notify, progress : callable, optional
            Receive messages on long work and omissions, and ``(stage, done_bytes, total_bytes)``.

        Raises ConfigError, which names all settings that are unknown or out of range.
        """
        config = load_config(home, {**(overrides or {}), **({"data": data} if data else {})})
        return cls(config, notify=notify, progress=progress)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database.  The object must not be used afterwards."""
        self._session.close()

    def warm_up(self) -> None:
        """Load models and database, for a fast first answer; raises ModelError, StoreError."""
        self._questions.warm_up()

    def identify(  # noqa: PLR0913 - the options of a question, by keyword
        self,
        source: AudioSource | EmbeddedClip,
        *,
        top: int = 5,
        target_fpir: float | None = None,
        threshold: Cosines | None = None,
        margin: float | None = None,
        group: str | None = None,
        allow_replayed: bool | None = None,
        solo: str | None = None,
        among: Sequence[str] | None = None,
        purpose: str | None = None,
    ) -> Decision:
        """Decide who is speaking in a clip, if any enrolled speaker is.

        Parameters
        ----------
        source : AudioSource or EmbeddedClip
            A path, bytes, a binary file object, ``(samples, rate_hz)``, or ``"-"``; or an
            embedding that was already made, for which no model is loaded.
        top : int
            The most candidates in the decision, best first.
        target_fpir : float, optional
            False positive identification rate, 0 to 0.5: how often a person who is not enrolled
            may be accepted as one who is.  The threshold rises with the gallery to keep the rate.
        threshold : float or mapping, optional
            A cosine, 0.1 to 1, instead of a rate; or cosines by seconds of net speech.
        margin : float, optional
            Least lead over the runner-up, 0 to 2, in cosine.
        group : str, optional
            Search only the members of this group, with the group's policy.
        allow_replayed : bool, optional
            Accept a recording that is itself enrolled, sample by sample equal: for tests.
        solo : str, optional
            If several people speak in an accepted clip: ``require`` (default) makes the decision
            inconclusive, ``warn`` warns, ``off`` does not check.
        among : sequence of str, optional
            Names of the only speakers to compare; an unknown name is ignored.
        purpose : str, optional
            Accept only speakers with a consent for it in force, e.g. ``door``.

        The decision is ``accepted``; ``rejected`` (unknown, an empty gallery, a speaker who is
        expired, disabled or without consent, a recording that is enrolled); or ``inconclusive``
        (too little speech, a runner-up within the margin, or several voices).

        Raises AudioError, ModelError, StoreError, ConfigError, SpeakerDetailInvalid.
        """
        how = (top, group, target_fpir, threshold, margin, allow_replayed, solo)
        search = calls.search_of(*how, among=among, purpose=purpose)
        return self._questions.identify(source, search)

    def identify_all(
        self, sources: Iterable[AudioSource | EmbeddedClip], **search: Unpack[IdentifyKeywords]
    ) -> Iterator[Decision | AudioError]:
        """Yield, in order, the decision about each clip or its `AudioError`.

        Keywords: see :meth:`identify`.  It uses ``runtime.workers`` threads; other errors end it.
        """
        ask = partial(self._questions.identify, search=calls.search_of(**search))
        return self._questions.each(Task.IDENTIFY, ask, sources)

    def verify(  # noqa: PLR0913 - see `identify`
        self,
        name: str,
        source: AudioSource,
        *,
        target_fmr: float | None = None,
        threshold: Cosines | None = None,
        group: str | None = None,
        allow_replayed: bool | None = None,
        solo: str | None = None,
        caller: str | None = None,
        blind: bool = False,
        purpose: str | None = None,
        challenge: str | None = None,
    ) -> Decision:
        """Decide whether a clip is the voice of the enrolled speaker called ``name``.

        Parameters
        ----------
        target_fmr : float, optional
            False match rate, 0 to 0.5: how often another voice may be accepted.  It replaces the
            rate of the group, the settings, the calibration, or 0.001.
        group : str, optional
            The speaker must be a member of it; its policy is used.
        caller : str, optional
            The asking device or person, e.g. a door: failures of the name and of the caller are
            counted, and lock (docs/attempts.md).
        blind : bool
            The caller may learn nothing of other speakers: an unknown name is rejected like a
            wrong voice, in the same time, and no decision has a score.
        challenge : str, optional
            The id of a code of ``challenges.new``, which can be used once: the clip must say it.
        source, threshold, allow_replayed, solo, purpose : see :meth:`identify`

        Raises LockedOut; SpeakerNotFound, SpaceMismatch: no speaker of that name is enrolled, in
        the group, or with this model and settings; AudioError, ModelError, StoreError, ConfigError.
        """
        how = (target_fmr, threshold, group, allow_replayed, solo, blind, purpose, challenge)
        return self._questions.verify(source, calls.claim_of(name, *how), caller)

    def verify_all(
        self,
        name: str,
        sources: Iterable[AudioSource],
        *,
        caller: str | None = None,
        **how: Unpack[VerifyKeywords],
    ) -> Iterator[Decision | AudioError]:
        """See :meth:`identify_all`; with a ``caller`` the clips are heard one by one."""
        ask = partial(self._questions.verify, claim=calls.claim_of(name, **how), caller=caller)
        return self._questions.each(Task.VERIFY, ask, sources, at_once=caller is None)

    def compare(
        self,
        a: AudioSource,
        b: AudioSource,
        *,
        target_fmr: float | None = None,
        threshold: Cosines | None = None,
        solo: str | None = None,
    ) -> Decision:
        """Decide whether two clips are the same voice, with a calibration if any; see `verify`."""
        return self._questions.compare(a, b, calls.aim_of(target_fmr, threshold, solo=solo))

    def search(
        self, clip: EmbeddedClip, *, k: int = 5, group: str | None = None
    ) -> tuple[Candidate, ...]:
        """Return the ``k`` nearest speakers to an embedding, best first: no decision, no event.

        No model is loaded.  Raises SpaceMismatch, StoreError, ConfigError, SpeakerDetailInvalid.
        """
        return self._questions.search(clip, Search(top=k, group=calls.group_of(group)))

    def diarize(  # noqa: PLR0913 - see `identify`
        self,
        source: AudioSource,
        *,
        speakers: int | tuple[int, int] | None = None,
        names: bool | LinkedVoices = True,
        group: str | None = None,
        target_fmr: float | None = None,
        target_fpir: float | None = None,
        threshold: Cosines | None = None,
        purpose: str | None = None,
        progress: Callable[[str, float, float | None], None] | None = None,
    ) -> Diarization:
        """Find who speaks when in a recording of several people.

        Parameters
        ----------
        speakers : int or (int, int), optional
            The number of people who speak, or the least and the most.
        names : bool or LinkedVoices
            Identify each voice; unknown ones are ``unknown-1``, ..., or named as in linked results.
        group, target_fmr, target_fpir, threshold, purpose : see :meth:`identify`
        progress : callable, optional
            Receives ``(stage, done_s, total_s)``: ``hear``, then ``name``; the total may be None.

        Raises AudioError, ModelError, StoreError, ConfigError, SpeakerDetailInvalid.
        """
        search = calls.naming_of(group, target_fmr, target_fpir, threshold, purpose)
        return self._questions.diarize(source, search, names, speakers, progress)

    @overload
    def listen(self, **how: Unpack[ListenKeywords]) -> Listener: ...
    @overload
    def listen(self, source: LiveSourceName, **how: Unpack[ListenKeywords]) -> LiveStream: ...
    def listen(
        self, source: LiveSourceName | None = None, **how: Unpack[ListenKeywords]
    ) -> Listener | LiveStream:
        """Recognize live speech: return an iterator of events, which is also asynchronous.

        Parameters
        ----------
        source : str, path or binary file object, optional
            ``mic``, ``mic:NAME``; an address of rtsp, http, udp or tcp; ``-``; a path; a file
            object.  Without a source, return a `Listener` that you feed with samples.
        how
            ``speaker``: verify this speaker, else identify; ``caller``, ``blind``: as in
            :meth:`verify`; ``challenge``: accept only spoken codes; ``silence_s``, 0.2 to 10:
            the end of a turn; the options of both.  A rate is per turn, a threshold per check.

        Raises ModelError, StoreError, ConfigError, SpeakerNotFound, SpeakerDetailInvalid.
        """
        from voiceid.live_questions import LiveQuestions  # noqa: PLC0415 - only for this

        return LiveQuestions(self._session, self._questions, self.challenges).listen(source, how)

    def embed(self, source: AudioSource, *, raw: bool = False) -> Embedding:
        """Return the embedding of the speech in a clip; ``raw``: the encoder's own output.

        Raises AudioError, ModelError, and NotEnoughSpeech for silence, noise or a clip too short.
        """
        return self._questions.embed(source, raw=raw)

    def enroll(  # noqa: PLR0913 - the options of an enrolment, by keyword
        self,
        name: str,
        sources: AudioSource | Sequence[AudioSource],
        *,
        label: str = "",
        details: SpeakerDetails | None = None,
        mode: Mode = "append",
        force: bool = False,
        dry_run: bool = False,
        part: Part | None = None,
        consent: Consent | None = None,
    ) -> EnrollmentReport:
        """Enrol clips, one utterance each, as the voice of ``name``.

        Parameters
        ----------
        name : str
            A new speaker or an enrolled one; ``Alice`` and ``alice`` are the same name.
        sources : AudioSource or sequence of AudioSource
            The recordings; 10 s of net speech or more in all is good.
        label : str
            Where all of the clips were recorded, e.g. ``phone``.
        details : SpeakerDetails, optional
            Groups, metadata, expiry: facts about the speaker beside the voice.
        mode : str
            ``append``: add to the existing samples; ``replace``: replace them; ``collect``: add to
            them, also if there is too little speech in all: the speaker is then disabled until a
            later recording makes it enough.
        force : bool
            Override problems that are judgements: another voice, already enrolled, clipped.
        dry_run : bool
            Check everything, but write nothing.
        part : (float, float) or str, optional
            Start and end seconds in the only recording; or the name of a voice that `diarize`
            finds there; or ``solo``: in each recording, the voice that speaks most.
        consent : Consent, optional
            What the person agreed to; the same as in ``details``.

        Raises EnrollmentRefused, whose ``report`` has the problems; SpeakerNameInvalid,
        SpeakerDetailInvalid, ModelError, StoreError, ConfigError.  Then nothing was changed.
        """
        clips = sources_of(sources)
        labels = (label,) * len(clips) if label else ()
        facts, added = details or SpeakerDetails(), () if consent is None else (consent,)
        facts = replace(facts, consents=(*facts.consents, *added))
        person = Person(name, clips, labels, facts, part)
        with self._session.observer.failures(ChangeKind.ENROLL):
            return self._session.ask(
                lambda model: model.enroller.enroll(person, mode, force=force, dry_run=dry_run)
            )

    def enroll_all(
        self, people: Sequence[Person], *, force: bool = False, dry_run: bool = False
    ) -> Iterator[EnrollmentReport]:
        """Enrol many people; yield the report of each, in order, as soon as it is on the disk.

        Unlike :meth:`enroll` this leaves out clips that cannot be used, and skips clips that are
        already enrolled.  Any other problem refuses only that person, as the report says.
        """
        from voiceid.enrollment.bulk import enroll_all  # noqa: PLC0415 - only for lists

        return enroll_all(self._session.model.enroller, people, force=force, dry_run=dry_run)
