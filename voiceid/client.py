"""`VoiceID`: a client of one gallery.  Its methods answer; its collections are what is stored."""

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

if TYPE_CHECKING:  # each loads when it is first asked for
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
    """Enrolled voices, and the questions that can be asked of them.  Safe to share among threads.

    Build one for a process with :meth:`open`, after it has forked (docs/program.md).
    """

    speakers: Collection[Speakers] = Collection()
    """The enrolled speakers."""
    samples: Collection[Samples] = Collection()
    """The enrolled utterances."""
    calibrations: Collection[Calibrations] = Collection()
    """The calibrations, and the error rates that they and the model's card make."""
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
    """The rights of the people whose voices are kept, and how long they are kept."""
    challenges: Collection[Challenges] = Collection()
    """Spoken codes: the words that speakers taught, and the codes that are asked for."""
    attempts: Collection[Attempts] = Collection()
    """Failed attempts to be accepted, and the locks that they make."""
    audit: Collection[Audit] = Collection()
    """The record in the database of what was done, as a chain of hashes."""
    events: Collection[Events] = Collection()
    """What happened, and how things stand: decisions, counters, the examination."""

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
        """Open a gallery; its data folder is made when something is first written.

        Parameters
        ----------
        data : path, optional
            Folder of the database and the index; of the configuration when omitted.  A
            ``config.yaml`` beside it is not read: name its folder as ``home`` for that.
        home : path, optional
            The folder of ``config.yaml``; else ``$VOICEID_HOME``, the checkout of voiceid that runs
            and is worked in, or the user's data folder.
        overrides : mapping, optional
            Settings by dotted key, e.g. ``{"model": "ge2e", "decision.target_fmr": 0.01}``.
        notify, progress : callable, optional
            Receive what takes long or was left out, and ``(stage, done_bytes, total_bytes)``.

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

    def identify(  # noqa: PLR0913 - what can be said of a question, by keyword
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
            embedding that was made elsewhere, for which no model is loaded.
        top : int
            At most so many candidates in the decision, best first.
        target_fpir : float, optional
            False positive identification rate, 0 to 0.5: how often a person who is not enrolled
            may be taken for one who is.  The threshold rises with the gallery so that it holds.
        threshold : float or mapping, optional
            A cosine, 0.1 to 1, in place of a rate; or cosines by seconds of net speech.
        margin : float, optional
            Least lead over the runner-up, 0 to 2, in cosine.
        group : str, optional
            Ask only the members of this group, by the group's policy.
        allow_replayed : bool, optional
            Accept a recording that is itself enrolled, to the sample: for tests.
        solo : str, optional
            Where several people speak in what would be accepted: ``require`` (default) makes it
            inconclusive, ``warn`` warns, ``off`` does not look.
        among : sequence of str, optional
            Names of the only speakers who are looked at; a name of no speaker is passed over.
        purpose : str, optional
            Accept no speaker without a consent for it in force, e.g. ``door``.

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
        """Yield, in order, the decision about each clip or the `AudioError` that it gave.

        Keywords: see :meth:`identify`.  ``runtime.workers`` threads work.  Other errors end it.
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
            False match rate, 0 to 0.5: how often another voice may be accepted.  In place of
            that of the group, the settings, the calibration, or 0.001.
        group : str, optional
            The speaker must be a member of it, and its policy decides.
        caller : str, optional
            Who asks, e.g. a door: failures of the name and of the caller are counted, and lock
            (docs/attempts.md).
        blind : bool
            Let who asks learn nothing of others: an unknown name is rejected as a voice is, in
            the same time, and no decision has a score.
        challenge : str, optional
            The id of a code of ``challenges.new``, which it uses up: the clip must be that code.
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
        """See :meth:`identify_all`; with a ``caller`` one clip is heard after the other."""
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
        """Decide whether two clips are of one voice, by a calibration if any; see `verify`."""
        return self._questions.compare(a, b, calls.aim_of(target_fmr, threshold, solo=solo))

    def search(
        self, clip: EmbeddedClip, *, k: int = 5, group: str | None = None
    ) -> tuple[Candidate, ...]:
        """Return the ``k`` speakers nearest to an embedding, best first: no decision, no event.

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
        """Say who speaks when in a recording of several people.

        Parameters
        ----------
        speakers : int or (int, int), optional
            How many people speak, or the fewest and the most.
        names : bool or LinkedVoices
            Identify each voice; the others are ``unknown-1``, ..., or called as in others linked.
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
        """Say who speaks while they speak: an iterator of what happens, and an asynchronous one.

        Parameters
        ----------
        source : str, path or binary file object, optional
            ``mic``, ``mic:NAME``; an address of rtsp, http, udp or tcp; ``-``; a path; a file
            object.  Without one, a `Listener` is returned, to which samples are fed.
        how
            ``speaker``: decide whether it is this one, else who; ``caller``, ``blind``: as
            :meth:`verify` has them; ``challenge``: accept spoken codes alone; ``silence_s``, 0.2 to
            10: ends a turn; what these two take.  A rate is a whole turn's, a threshold a look's.

        Raises ModelError, StoreError, ConfigError, SpeakerNotFound, SpeakerDetailInvalid.
        """
        from voiceid.live_questions import LiveQuestions  # noqa: PLC0415 - for this alone

        return LiveQuestions(self._session, self._questions, self.challenges).listen(source, how)

    def embed(self, source: AudioSource, *, raw: bool = False) -> Embedding:
        """Return the embedding of the speech in a clip; ``raw``: as the encoder makes it.

        Raises AudioError, ModelError, and NotEnoughSpeech for silence, noise or a clip too short.
        """
        return self._questions.embed(source, raw=raw)

    def enroll(  # noqa: PLR0913 - what can be said of an enrolment, by keyword
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
            Of a new speaker or an enrolled one; ``Alice`` and ``alice`` are one name.
        sources : AudioSource or sequence of AudioSource
            The recordings; 10 s of net speech or more in all is good.
        label : str
            Where all of the clips were recorded, e.g. ``phone``.
        details : SpeakerDetails, optional
            Groups, metadata, expiry: what is known of the speaker beside the voice.
        mode : str
            ``append``: beside the samples that there are; ``replace``: in their place;
            ``collect``: beside them, also while it is too little speech in all: the speaker is
            disabled then, and enabled with the recording that makes it enough.
        force : bool
            Override the problems that are judgements: another voice, already enrolled, clipped.
        dry_run : bool
            Check everything, write nothing.
        part : (float, float) or str, optional
            Seconds of the one recording; or what a voice in it says alone, as `diarize` calls it;
            or ``solo``: in each recording the voice that speaks most.
        consent : Consent, optional
            What the person agreed to; the same as in ``details``.

        Raises EnrollmentRefused, whose ``report`` says what speaks against it; SpeakerNameInvalid,
        SpeakerDetailInvalid, ModelError, StoreError, ConfigError.  Nothing was changed then.
        """
        clips = sources_of(sources)
        labels = (label,) * len(clips) if label else ()
        known, given = details or SpeakerDetails(), () if consent is None else (consent,)
        known = replace(known, consents=(*known.consents, *given))
        person = Person(name, clips, labels, known, part)
        with self._session.observer.failures(ChangeKind.ENROLL):
            return self._session.ask(
                lambda model: model.enroller.enroll(person, mode, force=force, dry_run=dry_run)
            )

    def enroll_all(
        self, people: Sequence[Person], *, force: bool = False, dry_run: bool = False
    ) -> Iterator[EnrollmentReport]:
        """Enrol many people; yield the report of each, in order, as it is on the disk.

        Unlike :meth:`enroll` this leaves out clips that cannot be used, and takes what is enrolled
        for done.  Any other problem refuses that person alone, as the report says.
        """
        from voiceid.enrollment.bulk import enroll_all  # noqa: PLC0415 - for lists alone

        return enroll_all(self._session.model.enroller, people, force=force, dry_run=dry_run)
