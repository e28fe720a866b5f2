"""Adapting a `VoiceID` to a site: a back end learned from recordings whose speakers are known."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from voiceid.app.numbering import numbered
from voiceid.app.observed import changes, fitted
from voiceid.app.parts import Parts
from voiceid.decision.adaptation import StoredAdaptation, adapted_space, gain_of
from voiceid.decision.calibration import StoredCalibration
from voiceid.decision.transforms import AdaptationRefused
from voiceid.domain import Float32Array, QualityReport, Utterance
from voiceid.errors import ChangeRefused, FitRefused
from voiceid.observability import Change

if TYPE_CHECKING:  # only who adapts waits for it
    from voiceid.decision.choice import Choice
    from voiceid.evaluation.protocol import Recording
    from voiceid.store.reader import Reader


_MORE = "Add recordings: of more speakers, several of each, of several days."


@dataclass(frozen=True, slots=True)
class Adapted:
    """What came of an adaptation.

    Parameters
    ----------
    adopted : bool
        Whether decisions are made by it from now on: held-out speakers were told apart better.
    reason : str
        Why, or why not.
    measured : mapping
        What every candidate came to with speakers whom it had not seen.
    adaptation : StoredAdaptation or None
        None unless it was adopted.
    calibration : StoredCalibration or None
        Of the adapted space, fitted on scores of held-out speakers.
    """

    adopted: bool
    reason: str
    measured: dict[str, Any]
    adaptation: StoredAdaptation | None
    calibration: StoredCalibration | None

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON."""
        return {
            "adopted": self.adopted,
            "reason": self.reason,
            "held_out": self.measured,
            "adaptation": None if self.adaptation is None else self.adaptation.to_dict(),
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Labelled:
    """Embeddings (n, dim) of known speakers, and what is known of each."""

    vectors: Float32Array
    speakers: list[str]
    sessions: list[str] | None
    qualities: list[QualityReport]


def _adapted(made: Adapted, *_: object, **__: object) -> list[dict[str, Any]]:
    return [] if made.adaptation is None else fitted(made.adaptation)


class Adapting:
    """A transform of the embeddings to what a site's microphones, lines and rooms do."""

    _parts: Parts

    @changes(Change.ADAPT, _adapted)
    def adapt(
        self,
        recordings: Sequence[Recording] | None = None,
        *,
        cache: str | os.PathLike[str],
        source: str,
        target_fmr: float | None = None,
        dry_run: bool = False,
        tell: Callable[[int, int], None] | None = None,
    ) -> Adapted:
        """Learn a transform from known speakers, and decide by it if it helps others.

        It is adopted only if speakers whom it has not seen are told apart better, by more than
        chance.  Everybody enrolled gets a centroid in the adapted space, and a calibration is
        fitted there; what was enrolled stays as it is, so that all of it can be taken back:
        :meth:`use_adaptation`.

        Parameters
        ----------
        recordings : sequence of Recording, optional
            Of known speakers, as of a manifest; the samples that are enrolled when omitted.
        cache : path
            Folder of what was heard before.
        source : str
            What to call the recordings.
        target_fmr : float, optional
            See :meth:`calibrate`.
        dry_run : bool
            Measure only.
        tell : callable, optional
            Is told how many recordings are heard, of how many.

        Raises
        ------
        FitRefused
            Too few speakers or samples to learn from, to measure with, or to calibrate on.
        ModelError, StoreError, ConfigError
        """
        from voiceid.decision.choice import choose  # noqa: PLC0415 - only who adapts waits

        parts = self._parts.in_use
        found = self._enrolled() if recordings is None else self._heard(recordings, cache, tell)
        if not found.speakers:
            raise FitRefused(
                f"nothing can be learned from {source}: there are no samples", hint=_MORE
            )
        try:
            choice = choose(found.vectors, found.speakers, found.sessions)
        except AdaptationRefused as error:
            raise FitRefused(
                f"nothing can be learned from {source}: {error}",
                hint=_MORE,
            ) from error
        measured = gain_of(choice)
        if dry_run or not choice.adopted:
            return Adapted(choice.adopted, choice.reason, measured, None, None)
        aim = parts.verifying_rule(target_fmr).aim.rate
        fitted = _calibration(choice, found.qualities, aim)
        space = adapted_space(parts.space, choice.transform)
        with parts.store.write() as writer:
            known = {one.adapted_id: one for one in writer.adaptations(parts.space.id)}
            number = (
                known[space.id].id
                if space.id in known
                else writer.add_adaptation(parts.space, choice.transform, measured, source)
            )
            calibration = writer.add_calibration(
                space, fitted.calibration, fitted.held_out, source, target_fmr
            )
            writer.use_calibration(space.id, calibration)
            writer.use_adaptation(parts.space.id, number)
            used = numbered(
                writer.calibrations(), calibration, "calibration", "voiceid calibrations list"
            )
            return Adapted(choice.adopted, choice.reason, measured, _numbered(writer, number), used)

    def adaptations(self) -> list[StoredAdaptation]:
        """Return all adaptations, of all embedding spaces, oldest first; raises StoreError."""
        with self._parts.store.read() as reader:
            return reader.adaptations()

    @changes(Change.USE_ADAPTATION, fitted)
    def use_adaptation(self, number: int | None) -> StoredAdaptation | None:
        """Decide by an adaptation of its embedding space, or by none in the space of the model.

        Raises
        ------
        FitNotFound, StoreError
        """
        here = self._parts.in_use.space.id
        with self._parts.store.write() as writer:
            space_id = here if number is None else _numbered(writer, number).space_id
            writer.use_adaptation(space_id, number)
            return None if number is None else _numbered(writer, number)

    @changes(Change.REMOVE_ADAPTATION, fitted)
    def remove_adaptation(self, number: int) -> StoredAdaptation:
        """Remove an adaptation that is not in use, with its calibrations; return what it was.

        Raises
        ------
        FitNotFound, StoreError
        ChangeRefused
            It is in use.
        """
        with self._parts.store.write() as writer:
            found = _numbered(writer, number)
            if found.in_use:
                raise ChangeRefused(
                    f"adaptation {number} decides in {found.space_id}",
                    hint="Use another first: `voiceid adaptations use N`, or `use none`.",
                )
            writer.remove_adaptation(found)
        return found

    def _heard(
        self,
        recordings: Sequence[Recording],
        cache: str | os.PathLike[str],
        tell: Callable[[int, int], None] | None,
    ) -> _Labelled:
        from voiceid.app.hearing import heard_and_told  # noqa: PLC0415 - only who adapts waits

        rows = [
            (recording, one.embedding.vector, one.quality)
            for recording, one in zip(
                recordings, heard_and_told(self._parts.in_use, recordings, cache, tell), strict=True
            )
            if isinstance(one, Utterance) and one.embedding is not None
        ]
        named = all(recording.session for recording, _, _ in rows)
        return _Labelled(
            np.array([vector for _, vector, _ in rows], dtype=np.float32),
            [recording.speaker for recording, _, _ in rows],
            [f"{r.speaker} {r.session}" for r, _, _ in rows] if named else None,
            [quality for _, _, quality in rows],
        )

    def _enrolled(self) -> _Labelled:
        space_id = self._parts.in_use.space.id
        with self._parts.store.read() as reader:
            rows = [
                (speaker.name, sample)
                for page in reader.pages()
                for samples in [reader.samples_of([speaker.id for speaker in page], space_id)]
                for speaker in page
                for sample in samples[speaker.id]
            ]
        return _Labelled(
            np.array([sample.vector for _, sample in rows], dtype=np.float32),
            [name for name, _ in rows],
            None,
            [sample.quality for _, sample in rows],
        )


def _calibration(choice: Choice, qualities: Sequence[QualityReport], target_fmr: float) -> Any:
    """Fit a calibration on scores by transforms that had seen neither speaker."""
    from voiceid.evaluation.fitting import fit  # noqa: PLC0415 - as above
    from voiceid.evaluation.scoring import conditions_of  # noqa: PLC0415

    trials = choice.trials
    pairs = np.stack([trials.enrolment, trials.probe], axis=1).astype(np.int64)
    enrolled = [[qualities[i] for i in run] for run in trials.enrolments]
    given = conditions_of(enrolled, list(qualities), pairs)
    speakers = trials.speakers.astype(np.int64)
    return fit(choice.scores_after, trials.genuine, given, speakers, target_fmr=target_fmr)


def _numbered(reader: Reader, number: int) -> StoredAdaptation:
    return numbered(reader.adaptations(), number, "adaptation", "voiceid adaptations list")
