"""What a `VoiceID` can be asked about voices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from voiceid import runtime
from voiceid.app.parts import Parts
from voiceid.audio import AudioSource
from voiceid.domain import Decision, Embedding, Utterance
from voiceid.embedder import or_error
from voiceid.errors import AudioError, NotEnoughSpeech
from voiceid.verification import compare


class Questions:
    """Who is speaking, is it this speaker, are two clips of one voice."""

    _parts: Parts

    def identify(
        self,
        source: AudioSource,
        *,
        top: int = 5,
        threshold: float | None = None,
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
        threshold, margin : float, optional
            Cosines that replace those of the configuration and the model's card.
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
        return self._identifier(top, threshold, margin, group)(source)

    def identify_all(
        self,
        sources: Iterable[AudioSource],
        *,
        top: int = 5,
        threshold: float | None = None,
        margin: float | None = None,
        group: str | None = None,
    ) -> Iterator[Decision | AudioError]:
        """Yield, in order, the decision about each clip or the error that it gave.

        Clips are worked on by as many threads as ``runtime.workers`` says.  See
        :meth:`identify` for the parameters, and for the errors that end it.
        """
        ask = self._identifier(top, threshold, margin, group)
        return runtime.in_order(or_error(ask), sources, self._parts.workers)

    def _identifier(
        self, top: int, threshold: float | None, margin: float | None, group: str | None
    ) -> Callable[[AudioSource], Decision]:
        rule = self._parts.rule.with_flags(threshold, margin)
        verifier = self._parts.verifier

        def ask(source: AudioSource) -> Decision:
            return verifier.identify(source, top=top, rule=rule, group=group)

        return ask

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
        return self._asker(name, threshold)(source)

    def verify_all(
        self, name: str, sources: Iterable[AudioSource], *, threshold: float | None = None
    ) -> Iterator[Decision | AudioError]:
        """Yield, in order, the decision about each clip or the error that it gave.

        See :meth:`verify` and :meth:`identify_all`.
        """
        ask = self._asker(name, threshold)
        return runtime.in_order(or_error(ask), sources, self._parts.workers)

    def _asker(self, name: str, threshold: float | None) -> Callable[[AudioSource], Decision]:
        rule = self._parts.rule.with_flags(threshold, None)
        verifier = self._parts.verifier

        def ask(source: AudioSource) -> Decision:
            return verifier.verify(name, source, rule=rule)

        return ask

    def compare(
        self, a: AudioSource, b: AudioSource, *, threshold: float | None = None
    ) -> Decision:
        """Decide whether two clips are of one voice.  Needs no database."""
        rule = self._parts.rule.with_flags(threshold, None)
        return compare(self._parts.embedder, a, b, rule=rule)

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
                f" and an embedding needs {self._parts.config.quality.min_net_speech_s:g} s",
                hint="Record a longer clip, closer to the microphone.",
            )
        return utterance.embedding
