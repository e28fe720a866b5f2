"""The models: cards and files, and the switch of a gallery from one model to another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from voiceid.audio import AudioSource
from voiceid.domain import EmbeddingSpace, Utterance
from voiceid.errors import AudioError, ModelError
from voiceid.models.cards import ModelCard, Quantized
from voiceid.models.fetch import Progress
from voiceid.models.status import InstalledModel, ModelStatus, VerifyResult
from voiceid.session import Session

if TYPE_CHECKING:  # each loads when it is needed
    from voiceid.evaluation.comparison import Comparison
    from voiceid.models.add import Addition
    from voiceid.resources.switch import Switch

_LONGEST_S = 10
"""Of each recording: ranges settle long before, and what is measured is kept in memory."""


class Models:
    """The models of this installation, and the one in use."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def card(self) -> ModelCard:
        """The card of the encoder in use; raises ModelUnknown.

        A database of another schema is not asked.
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
        """Return the status of every model that there is a card for, by name."""
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
        """Fetch, build, test and install a model; see `ModelStore.pull`."""
        return self._session.models.pull(name, source=source, force=force, progress=progress)

    def add(self, file: Path, said: Addition, progress: Progress | None = None) -> ModelCard:
        """Make a network from a file a model like any other; see `ModelStore.add`."""
        return self._session.models.add(file, said, progress)

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
                hint="`voiceid models list` shows the encoders that there are.",
            )
        # An encoder hears the speech of a recording; which encoder finds it does not matter.
        embedder = self._session.speaker_model(name).embedder
        clips = [embedder.speech(source)[: _LONGEST_S * 16_000] for source in sources]
        usable = [clip for clip in clips if len(clip) >= embedder.min_samples]
        return models.quantize(name, usable, new_name, progress)

    def compare(self, a: str, b: str, paths: Sequence[str]) -> Comparison:
        """Hear files with two encoders in turn; return how fast, large, alike and good they are.

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
        return self._session.loaded_model.hear(source)

    def hear_all(self, sources: Iterable[AudioSource]) -> Iterator[Utterance | AudioError]:
        """Yield, in order, the utterance of each clip or the error that it gave."""
        return self._session.loaded_model.embedder.utterances(sources)

    def _quantize_as_carded(self, name: str, new_name: str) -> ModelCard:
        """Install the INT8 form whose card has the ranges."""
        models = self._session.models
        card = models.cards.get(new_name)
        if card is None or not isinstance(card.source, Quantized) or card.source.base != name:
            raise ModelError(
                f"the ranges of {name} were not measured for a model {new_name}",
                hint=f"Give recordings of many people: `voiceid models quantize {name} AUDIO...`.",
            )
        models.ensure(new_name, self._session.progress)
        return card
