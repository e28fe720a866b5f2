"""The models: cards and files, and the switch of a gallery from one model to another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from voiceid.audio import AudioSource
from voiceid.decision.rule import percent
from voiceid.domain import EmbeddingSpace, Health, Utterance
from voiceid.errors import AudioError, ChangeRefused, ModelError
from voiceid.models.cards import ModelCard, Quantized
from voiceid.models.fetch import Progress
from voiceid.models.status import InstalledModel, ModelStatus, VerifyResult
from voiceid.observability import ChangeKind
from voiceid.resources.collection import OfSession

if TYPE_CHECKING:  # each loads when it is needed
    from voiceid.evaluation.comparison import Comparison
    from voiceid.evaluation.corpus import ModelFit, Tell
    from voiceid.evaluation.countermeasure_fit import CountermeasureFit
    from voiceid.evaluation.protocol import Recording
    from voiceid.models.add import Addition
    from voiceid.resources.switch import Switch

_LONGEST_S = 10
"""The used part of each recording: ranges settle much earlier, and samples take memory."""


class Models(OfSession):
    """The models of this installation, and the one in use."""

    @property
    def card(self) -> ModelCard:
        """The card of the encoder in use; raises ModelUnknown.

        A database with another schema is ignored.
        """
        from voiceid.resources.examination import model_of  # noqa: PLC0415 - for this alone

        return model_of(self._session).card

    @property
    def space(self) -> EmbeddingSpace:
        """The embedding space of the model and the speech settings in use."""
        from voiceid.resources.examination import model_of  # noqa: PLC0415 - as above

        return model_of(self._session).space

    @cached_property
    def switch(self) -> Switch:
        """The switch from the model in use to another."""
        from voiceid.resources.switch import Switch  # noqa: PLC0415 - loaded when asked for

        return Switch(self._session)

    def list(self) -> Sequence[ModelStatus]:
        """Return the status of every model that has a card, by name."""
        return self._session.models.list()

    def get(self, name: str) -> ModelCard:
        """Return the card of a model; raises ModelUnknown."""
        return self._session.models.card(name)

    def pull(
        self,
        name: str,
        *,
        source: Path | None = None,
        force: bool = False,
        progress: Progress | None = None,
    ) -> InstalledModel:
        """Download, build, test and install a model; see `ModelStore.pull`."""
        return self._session.models.pull(name, source=source, force=force, progress=progress)

    def add(self, file: Path, addition: Addition, progress: Progress | None = None) -> ModelCard:
        """Add a network from a file as a model; see `ModelStore.add`."""
        return self._session.models.add(file, addition, progress)

    def fit(  # noqa: PLR0913 - what can be said of a fit, by keyword
        self,
        name: str,
        recordings: Sequence[Recording],
        *,
        source: str,
        conditions: Sequence[str] = (),
        cache: str | os.PathLike[str] | None = None,
        replace: bool = False,
        tell: Tell | None = None,
    ) -> ModelFit:
        """Make compensation, operating points and LLRs for a model that was added here.

        Every recording is sent through telephones, codecs, noise and rooms.  The compensation is
        learned from half of the speakers, and thresholds and LLRs are fitted to the other half.
        They are stored beside the model's card, and replace earlier ones.

        Parameters
        ----------
        name : str
            Of a model that was added or quantized here.
        recordings : sequence of Recording
            In wideband, of many speakers, several of each.
        source : str
            Name of the recordings.
        conditions : sequence of str, optional
            What they are sent through; without any, all that the models of the program were.
        cache : path, optional
            Folder of cached embeddings; a killed run continues from it.
        replace : bool
            Whether it may replace a compensation whose space has enrolled speakers: then only
            their kept audio can convert them.
        tell : callable, optional
            Receives what is done, with how many recordings, of how many.

        Raises
        ------
        FitRefused
            Too few speakers or comparisons for any rate.  The model is as it was, as after any
            other error.
        ChangeRefused
            Speakers are enrolled with the compensation that is there.
        ModelError, AudioError, StoreError, ConfigError
        """
        from voiceid.evaluation import corpus  # noqa: PLC0415 - only who fits waits

        session = self._session
        recordings = [recording for recording in recordings if not recording.attack]
        with session.recorded(ChangeKind.FIT_MODEL):
            session.models.require_own(name)
            model = session.speaker_model(name)
            if not replace:
                self._require_replaceable(model.space)
            lines = corpus.lines_of(conditions, session.notify)
            progress = tell or (lambda *_: None)
            ear = corpus.Ear(model.embedder.raw, cache, session.notify, progress)
            fit, compensation = corpus.fitted_on(recordings, lines, ear, source)
            session.models.refit(fit.card(model.card), compensation)
            for sentence in self._after_fit(name):
                session.notify(sentence)
            return fit

    def fit_countermeasure(
        self,
        name: str,
        recordings: Sequence[Recording],
        *,
        source: str,
        target_bpcer: float = 0.01,
        tell: Callable[[int, int], None] | None = None,
    ) -> CountermeasureFit:
        """Give a countermeasure a threshold, from bona fide recordings and attacks.

        The threshold is put on its card, in place of the one that is there.

        Parameters
        ----------
        name : str
            Of a model that was added here as a countermeasure.
        recordings : sequence of Recording
            Those of an ``attack`` are attacks.
        source : str
            Name of the recordings.
        target_bpcer : float
            Share of bona fide clips that may be taken for attacks, above 0, to 0.5.
        tell : callable, optional
            Receives how many recordings are heard, of how many.

        Raises
        ------
        FitRefused
            Too few bona fide recordings for the target, no attack, or scores that do not tell them
            apart.
        ModelError, AudioError
        """
        from voiceid.evaluation.countermeasure_fit import fitted  # noqa: PLC0415 - as in `fit`

        session = self._session
        with session.recorded(ChangeKind.FIT_MODEL):
            session.models.require_own(name)
            detector = session.model.speaker_model.countermeasure_of(name)
            hearing = detector, session.model.embedder
            fit = fitted(*hearing, recordings, target_bpcer, source, tell or (lambda *_: None))
            card = replace(session.models.card(name), attack_threshold=fit.threshold)
            session.models.refit(card, None)
            return fit

    def verify(self, name: str) -> VerifyResult:
        """Check a model against its receipt, and run its self-test; see `ModelStore.verify`."""
        return self._session.models.verify(name)

    def remove(self, name: str) -> None:
        """Remove a model; one made here goes with its card.  Raises ModelNotInstalled."""
        self._session.models.remove(name)

    def quantize(self, name: str, sources: Sequence[AudioSource], new_name: str) -> ModelCard:
        """Make the INT8 form of an encoder, and install it as ``new_name``; return its card.

        Parameters
        ----------
        sources : sequence of AudioSource
            Speech of many people, on which the ranges of its values are measured.  Without any,
            ``new_name`` must be a model whose card has them.

        Raises
        ------
        ModelError
            Nothing was installed.
        AudioError
            A recording cannot be read.
        """
        models, progress = self._session.models, self._session.progress
        base = models.card(name)
        if not sources:
            return self._quantize_as_carded(name, new_name)
        if base.kind != "encoder" or isinstance(base.source, Quantized):
            raise ModelError(
                f"{name} is not an encoder in float32, so it cannot be quantized",
                hint="`voiceid models list` shows the encoders.",
            )
        # An encoder hears the speech of a recording; which encoder finds it does not matter.
        embedder = self._session.speaker_model(name).embedder
        clips = [embedder.speech(source)[: _LONGEST_S * 16_000] for source in sources]
        usable = [clip for clip in clips if len(clip) >= embedder.min_samples]
        return models.quantize(name, usable, new_name, progress)

    def compare(self, a: str, b: str, paths: Sequence[str]) -> Comparison:
        """Hear files with two encoders in turn; return speed, size, agreement and error rates.

        The speaker of a file is its folder's name: equal error rates need some.  Raises
        ModelError, AudioError.
        """
        from voiceid.evaluation.comparison import Side, compare_models  # noqa: PLC0415

        session = self._session
        clips = [(Path(path).absolute().parent.name, path) for path in paths]
        models = [session.speaker_model(name) for name in (a, b)]
        a_side, b_side = (Side.of(model, session.models) for model in models)
        return compare_models(a_side, b_side, clips)

    def hear(self, source: AudioSource) -> Utterance:
        """Decode a clip, measure its quality and embed its speech, if there is enough.

        Raises AudioError, ModelError.
        """
        return self._session.loaded_model.embedder.utterance(source)

    def hear_all(self, sources: Iterable[AudioSource]) -> Iterator[Utterance | AudioError]:
        """Yield, in order, the utterance of each clip or the error that it gave."""
        return self._session.loaded_model.embedder.utterances(sources)

    def _require_replaceable(self, space: EmbeddingSpace) -> None:
        """Raise ChangeRefused if speakers are enrolled in a compensated space."""
        if space.id == space.raw.id or not self._session.has_database:
            return
        with self._session.store.read() as reader:
            n_enrolled = reader.centroids.count(space.id)
        if n_enrolled:
            raise ChangeRefused(
                f"this would replace the compensation of {space.id}, in which speakers are"
                f" enrolled ({n_enrolled}): then only their kept audio can convert them",
                hint="Use --replace if their audio is kept, or if they can enrol again.",
            )

    def _after_fit(self, name: str) -> Iterator[str]:
        """Yield the next steps after a fit."""
        from voiceid.resources import examination  # noqa: PLC0415 - for this alone

        session = self._session
        model = session.speaker_model(name)
        rule = session.policy_of(model).card
        if examination.thresholds_of(rule, model.space.id).health is Health.ERROR:
            yield (
                f"the target rate {percent(rule.aim.rate)} was not measured for every amount of"
                f" speech: use {percent(rule.least_fmr)} or above, with --target-fmr"
                f" or in {session.config.file}"
            )
        if not session.has_database:
            return
        is_set = session.config.model == name
        with session.store.read() as reader:
            for waiting in examination.waiting_spaces(reader, model.space):
                n_waiting = reader.centroids.count(waiting)
                yield (
                    f"speakers enrolled in {waiting}, with which {name} is no longer compared:"
                    f" {n_waiting}. {examination.way_over(waiting, model.space, named=is_set)}"
                )

    def _quantize_as_carded(self, name: str, new_name: str) -> ModelCard:
        """Install the INT8 form with the ranges on its card."""
        models = self._session.models
        card = models.cards.get(new_name)
        if card is None or not isinstance(card.source, Quantized) or card.source.base != name:
            raise ModelError(
                f"the ranges of {name} were not measured for a model {new_name}",
                hint=f"Give recordings of many people: `voiceid models quantize {name} AUDIO...`.",
            )
        models.ensure(new_name, self._session.progress)
        return card
