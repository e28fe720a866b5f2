"""What a `VoiceID` can be asked about voices."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from voiceid.app.parts import Parts
from voiceid.audio import AudioSource
from voiceid.decision.agreement import thresholds_among
from voiceid.decision.embeddings import unit
from voiceid.domain import (
    Candidate,
    Decision,
    Embedding,
    EmbeddingSpace,
    QualityReport,
    Task,
    Threshold,
    Utterance,
    tag,
)
from voiceid.errors import AudioError, NotEnoughSpeech, SpaceMismatch
from voiceid.models import runtime
from voiceid.speech.embedder import or_error
from voiceid.verification import Probe, compare


class Questions:
    """Who is speaking, is it this speaker, are two clips of one voice."""

    _parts: Parts

    def identify(
        self,
        source: AudioSource,
        *,
        top: int = 5,
        target_fpir: float | None = None,
        margin: float | None = None,
        group: str | None = None,
    ) -> Decision:
        """Decide who is speaking in a clip, if anybody who is enrolled is.

        Parameters
        ----------
        source : AudioSource
            A path, bytes, a binary file object, ``(samples, rate_hz)``, or ``"-"``.
        top : int
            At most so many candidates in the decision, best first.
        target_fpir : float, optional
            False positive identification rate, 0 to 0.5: how often somebody who is not enrolled
            may be taken for somebody who is.  The threshold rises with the gallery so that it
            holds.  In place of ``decision.target_fpir`` of the configuration.
        margin : float, optional
            Cosine that replaces that of the configuration and the model's card.
        group : str, optional
            Ask only the members of this group.

        Returns
        -------
        Decision
            ``accepted``; ``rejected`` (unknown, nobody is enrolled, or whoever it is has
            expired or is disabled); or ``inconclusive`` (too little speech, or a runner-up
            within the margin).

        Raises
        ------
        AudioError, ModelError, StoreError, ConfigError, SpeakerDetailInvalid
            Nobody was accepted.
        """
        return self._identifier(top, target_fpir, margin, group)(source)

    def identify_all(
        self,
        sources: Iterable[AudioSource],
        *,
        top: int = 5,
        target_fpir: float | None = None,
        margin: float | None = None,
        group: str | None = None,
    ) -> Iterator[Decision | AudioError]:
        """Yield, in order, the decision about each clip or the error that it gave.

        Clips are worked on by as many threads as ``runtime.workers`` says.  See
        :meth:`identify` for the parameters, and for the errors that end it: all but an
        `AudioError`, which is of one clip.
        """
        ask = self._identifier(top, target_fpir, margin, group)
        return runtime.in_order(or_error(ask), sources, self._parts.workers)

    def _identifier(
        self, top: int, target_fpir: float | None, margin: float | None, group: str | None
    ) -> Callable[[AudioSource], Decision]:
        with self._parts.observer.failures(Task.IDENTIFY):
            _ = self._parts.ready.verifier

        def ask(source: AudioSource) -> Decision:
            return self._told(
                Task.IDENTIFY, lambda: self._parts.asked(lambda parts: identify(parts, source))
            )

        def identify(parts: Parts, source: AudioSource) -> Decision:
            rule = parts.identifying_rule(target_fpir, margin)
            return parts.verifier.identify(source, top=top, rule=rule, group=group)

        return ask

    def identify_embedding(  # noqa: PLR0913 - what can be known of a vector, by keyword
        self,
        vector: npt.ArrayLike,
        space: EmbeddingSpace | str,
        *,
        net_speech_s: float | None = None,
        narrowband: bool = False,
        top: int = 5,
        target_fpir: float | None = None,
        margin: float | None = None,
        group: str | None = None,
    ) -> Decision:
        """Decide whose voice an embedding is that was made elsewhere; loads no model.

        Parameters
        ----------
        vector : (dim,) array of float
            Any length but zero; it is scaled to unit length.
        space : EmbeddingSpace or str
            Where it was embedded, or the id of that space.
        net_speech_s : float, optional
            How much speech is behind it, in seconds.  Thresholds depend on it: without it
            nobody is accepted.
        narrowband : bool
            Whether that speech had a telephone's bandwidth.
        top, target_fpir, margin, group
            See :meth:`identify`.

        Raises
        ------
        SpaceMismatch
            It is of another space than this gallery's, or no vector of it.
        ThresholdUnavailable, StoreError, ConfigError, SpeakerDetailInvalid
            Nobody was accepted.
        """
        started = time.perf_counter()

        def identify(parts: Parts) -> Decision:
            rule = parts.identifying_rule(target_fpir, margin)
            probe = Probe(_embedding(vector, space, parts.space), net_speech_s, narrowband, None)
            asked = None if group is None else tag("group", group)
            return parts.searcher.identify_probe(
                probe, top=top, rule=rule, group=asked, started=started
            )

        return self._told(Task.IDENTIFY, lambda: self._parts.asked(identify))

    def search(
        self,
        vector: npt.ArrayLike,
        space: EmbeddingSpace | str,
        *,
        k: int = 5,
        group: str | None = None,
    ) -> tuple[Candidate, ...]:
        """Return the ``k`` speakers nearest to an embedding, best first; loads no model.

        It decides nothing, and nobody hears of it: for decisions see
        :meth:`identify_embedding`, which takes the same vectors.

        Parameters
        ----------
        vector, space, group
            See :meth:`identify_embedding`.
        k : int
            At least 1; fewer are returned where fewer are enrolled.

        Raises
        ------
        SpaceMismatch, StoreError, ConfigError, SpeakerDetailInvalid
        """
        return self._parts.asked(
            lambda parts: parts.searcher.search(_embedding(vector, space, parts.space), k, group)
        )

    def verify(
        self, name: str, source: AudioSource, *, target_fmr: float | None = None
    ) -> Decision:
        """Decide whether a clip is the voice of the enrolled speaker called ``name``.

        Parameters
        ----------
        name : str
        source : AudioSource
            See :meth:`identify`.
        target_fmr : float, optional
            False match rate, 0 to 0.5: how often another voice may be accepted.  In place of
            that of the configuration, of the calibration, or 0.001.

        Returns
        -------
        Decision
            ``accepted``; ``rejected`` (another voice, or the speaker has expired or is
            disabled); or ``inconclusive`` (too little speech).

        Raises
        ------
        SpeakerNotFound
            Nobody of that name is enrolled.
        SpaceMismatch
            The speaker is enrolled, but with another model or other speech settings.
        AudioError, ModelError, StoreError, ConfigError
            Nobody was accepted.
        """
        return self._asker(name, target_fmr)(source)

    def verify_all(
        self, name: str, sources: Iterable[AudioSource], *, target_fmr: float | None = None
    ) -> Iterator[Decision | AudioError]:
        """Yield, in order, the decision about each clip or the error that it gave.

        See :meth:`verify` and :meth:`identify_all`.
        """
        ask = self._asker(name, target_fmr)
        return runtime.in_order(or_error(ask), sources, self._parts.workers)

    def _asker(self, name: str, target_fmr: float | None) -> Callable[[AudioSource], Decision]:
        with self._parts.observer.failures(Task.VERIFY):
            _ = self._parts.ready.verifier

        def ask(source: AudioSource) -> Decision:
            return self._told(
                Task.VERIFY, lambda: self._parts.asked(lambda parts: verify(parts, source))
            )

        def verify(parts: Parts, source: AudioSource) -> Decision:
            rule = parts.verifying_rule(target_fmr)
            return parts.verifier.verify(name, source, rule=rule)

        return ask

    def compare(
        self, a: AudioSource, b: AudioSource, *, target_fmr: float | None = None
    ) -> Decision:
        """Decide whether two clips are of one voice.

        The database is asked for a calibration, if there is one; nobody needs to be enrolled.

        Parameters
        ----------
        a, b : AudioSource
            See :meth:`identify`.
        target_fmr : float, optional
            See :meth:`verify`.

        Raises
        ------
        AudioError, ModelError, StoreError, ConfigError
            Nobody was accepted.
        """

        def both(parts: Parts) -> Decision:
            back_end = parts.back_end(parts.verifying_rule(target_fmr))
            return compare(parts.embedder, a, b, back_end=back_end)

        return self._told(Task.COMPARE, lambda: self._parts.asked(both))

    def thresholds(self, qualities: Sequence[QualityReport]) -> list[Threshold]:
        """Return every threshold that decides a comparison of two clips of these.

        Parameters
        ----------
        qualities : sequence of QualityReport
            Of the clips: how much speech there is, and its bandwidth, decide which hold.

        Returns
        -------
        list of Threshold
            Each once, the lowest first; none where there is too little speech for any.
        """
        parts = self._parts.in_use
        return thresholds_among(qualities, parts.back_end(parts.verifying_rule()).rule)

    def on_decision(self, callback: Callable[[Decision], None]) -> Callable[[], None]:
        """Have every decision told to ``callback`` before whoever asked gets it.

        It is called in the thread that decided, of which there may be many at once.  What it
        raises reaches whoever asked, in place of the decision: what could not be recorded is
        not acted on.

        Returns
        -------
        callable
            Ends it.
        """
        listeners = self._parts.listeners
        entry = object()
        listeners[entry] = callback
        return lambda: listeners.pop(entry, None) and None

    def _told(self, task: Task, decide: Callable[[], Decision]) -> Decision:
        """Decide, and let everybody know of the decision, or of the error in its place."""
        with self._parts.observer.failures(task):
            decision = decide()
            for callback in list(self._parts.listeners.values()):
                callback(decision)
            self._parts.observer.decided(decision)
        return decision

    def utterance(self, source: AudioSource) -> Utterance:
        """Decode a clip, measure its quality and embed its speech, if there is enough.

        Raises
        ------
        AudioError, ModelError
        """
        return self._parts.ready.embedder.utterance(source)

    def utterances(self, sources: Iterable[AudioSource]) -> Iterator[Utterance | AudioError]:
        """Yield, in order, the utterance of each clip or the error that it gave.

        See :meth:`utterance` and :meth:`identify_all`.
        """
        return self._parts.ready.embedder.utterances(sources)

    def embed(self, source: AudioSource) -> Embedding:
        """Return the embedding of the speech in a clip.

        Raises
        ------
        NotEnoughSpeech
            Silence, noise, or too short: there is no vector for it.
        AudioError, ModelError
        """
        utterance = self._parts.ready.embedder.utterance(source)
        if utterance.embedding is None:
            raise NotEnoughSpeech(
                f"{utterance.name} has {utterance.quality.net_speech_s:.2f} s of net speech,"
                f" and an embedding needs {self._parts.config.quality.min_net_speech_s:g} s",
                hint="Record a longer clip, closer to the microphone.",
            )
        return utterance.embedding


def _embedding(
    vector: npt.ArrayLike, space: EmbeddingSpace | str, here: EmbeddingSpace
) -> Embedding:
    """Return an embedding of the space that is in use, ``here``; raises SpaceMismatch."""
    named = space if isinstance(space, str) else space.id
    try:
        found = np.asarray(vector, dtype=np.float32)
        if named == here.id and found.shape == (here.dim,):
            return Embedding(unit(found), here)
    except (ValueError, TypeError) as error:
        raise SpaceMismatch(
            f"the vector cannot be an embedding: {error}", hint="It takes finite numbers."
        ) from error
    raise SpaceMismatch(
        f"a vector of shape {found.shape} in {named} cannot be compared with {here.id},"
        f" which has {here.dim} dimensions",
        hint="Embed with this model and these speech settings, or choose theirs.",
    )
