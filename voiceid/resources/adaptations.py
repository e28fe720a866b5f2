"""The adaptations of a gallery: transforms learned from labelled recordings."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from voiceid.decision.adaptation import StoredAdaptation, adapted_space, gain_of
from voiceid.decision.aims import Aim
from voiceid.decision.calibration import StoredCalibration
from voiceid.decision.transforms import AdaptationRefused
from voiceid.domain import Float32Array, QualityReport, Utterance
from voiceid.errors import FitRefused
from voiceid.observability import ChangeKind
from voiceid.resources.collection import OfSession
from voiceid.resources.samples import Samples

if TYPE_CHECKING:  # only adapting waits for it
    from voiceid.decision.choice import Choice
    from voiceid.evaluation.fitting import Fit
    from voiceid.evaluation.protocol import Recording

_MORE = "Add recordings: more speakers, several recordings of each, on several days."


@dataclass(frozen=True, slots=True)
class Adapted:
    """The result of an adaptation.

    Parameters
    ----------
    adopted : bool
        Whether it is used from now on: it separates held-out speakers better.
    reason : str
        Why, or why not.
    measured : mapping
        Results of every candidate with held-out speakers.
    adaptation : StoredAdaptation or None
        None unless it was adopted.
    calibration : StoredCalibration or None
        Of the adapted space, fitted on scores of held-out speakers.
    """

    adopted: bool
    reason: str
    measured: dict[str, Any]
    adaptation: StoredAdaptation | None = None
    calibration: StoredCalibration | None = None

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
    """Embeddings (n, dim) of known speakers, and the facts of each.

    ``owners``: the ids of enrolled samples, with those of their speakers.
    """

    vectors: Float32Array
    speakers: list[str]
    sessions: list[str] | None
    qualities: list[QualityReport]
    owners: Mapping[int, int] = field(default_factory=dict)


class Adaptations(OfSession):
    """Transforms of the embeddings to a site's microphones, lines and acoustics."""

    def list(self) -> Sequence[StoredAdaptation]:
        """Return the adaptations of all embedding spaces, oldest first; raises StoreError."""
        with self._session.store.read() as reader:
            return reader.adaptations.list()

    def fit(
        self,
        recordings: Sequence[Recording] | None = None,
        *,
        cache: str | os.PathLike[str] | None,
        source: str,
        target_fmr: float | None = None,
        dry_run: bool = False,
        tell: Callable[[int, int], None] | None = None,
    ) -> Adapted:
        """Learn a transform from known speakers, and use it if it helps other speakers.

        It is adopted only if it separates held-out speakers better, by more than chance.  Every
        enrolled speaker gets a centroid in the adapted space, and a calibration is fitted there;
        the samples do not change, so that the adaptation can be reverted: :meth:`use`.

        Parameters
        ----------
        recordings : sequence of Recording, optional
            Of known speakers, as of a manifest; the enrolled samples when omitted.
        cache : path or None
            Folder of cached embeddings.
        source : str
            Name of the recordings.
        target_fmr : float, optional
            See `Calibrations.fit`.
        dry_run : bool
            Measure only.
        tell : callable, optional
            Receives the numbers of heard recordings and of all.

        Raises
        ------
        FitRefused
            Too few speakers or samples to learn from, to measure with, or to calibrate on.
        ModelError, StoreError, ConfigError
        """
        with self._session.recorded(ChangeKind.ADAPT):
            # 1. Hear the speakers, or read the enrolled samples.
            if recordings is None:
                labelled = self._enrolled()
            else:
                labelled = self._heard(recordings, cache, tell)
            # 2. Choose the transform that helps held-out speakers.
            choice = _choose(labelled, source)
            measured = gain_of(choice)
            if dry_run or not choice.adopted:
                return Adapted(choice.adopted, choice.reason, measured)
            # 3. Calibrate on scores of held-out speakers.
            aim = self._session.model.back_end(Aim(target_fmr=target_fmr)).rule.aim.rate
            fit = _calibration(choice, labelled.qualities, aim)
            # 4. Store both, and use them.
            return self._adopted(choice, fit, labelled.owners, source, target_fmr)

    def use(self, number: int | None) -> StoredAdaptation | None:
        """Use an adaptation in its embedding space, or none in the space in use.

        Raises FitNotFound, StoreError.
        """
        space_id = self._session.model.space.id
        with self._session.change(ChangeKind.USE_ADAPTATION) as change:
            adaptations = change.writer.adaptations
            if number is None:
                adaptations.use(space_id, None)
                change.record()
                return None
            adaptations.use(adaptations.get(number).space_id, number)
            adaptation = adaptations.get(number)
            change.record(number=number, space=adaptation.space_id)
            return adaptation

    def remove(self, number: int) -> StoredAdaptation:
        """Remove an adaptation that is not in use, its centroids and its calibrations.

        Raises FitNotFound, StoreError, and ChangeRefused when it is in use.
        """
        with self._session.change(ChangeKind.REMOVE_ADAPTATION) as change:
            adaptation = change.writer.adaptations.get_unused(number)
            change.writer.adaptations.remove(adaptation)
            change.record(number=number, space=adaptation.space_id)
            return adaptation

    def learn_again(self) -> None:
        """Remove adaptations learned from removed speakers; learn the one in use again from others.

        If that is refused, or separates no better, decisions are made without an adaptation.
        Raises StoreError, ModelError, ConfigError.
        """
        for old in self._of_gone():
            target = self._target_of(old)
            if old.in_use and old.space_id == self._session.model.space.id:
                with contextlib.suppress(FitRefused):
                    self.fit(cache=None, source=old.source, target_fmr=target)
            with self._session.change(ChangeKind.REMOVE_ADAPTATION) as change:
                adaptations = change.writer.adaptations
                if adaptations.get(old.id).in_use:
                    adaptations.use(old.space_id, None)
                adaptations.remove(adaptations.get_unused(old.id))
                change.record(number=old.id, space=old.space_id)
            self._session.notify(
                f"adaptation {old.id} was removed: speakers that it was learned from are gone"
            )

    def _of_gone(self) -> Sequence[StoredAdaptation]:
        """Return the adaptations that were learned from a speaker who is no longer enrolled."""
        with self._session.store.read() as reader:
            learned, enrolled = reader.learned.all(), set(reader.speakers.ids())
            return [
                adaptation
                for adaptation in reader.adaptations.list()
                if not enrolled.issuperset(learned.get(("adaptation", adaptation.id), ()))
            ]

    def _target_of(self, adaptation: StoredAdaptation) -> float | None:
        """Return the target rate of the calibration in use with an adaptation."""
        with self._session.store.read() as reader:
            fits = reader.calibrations.list(adaptation.adapted_id)
            return next((fit.target_fmr for fit in fits if fit.in_use), None)

    def _adopted(
        self,
        choice: Choice,
        fit: Fit,
        owners: Mapping[int, int],
        source: str,
        target_fmr: float | None,
    ) -> Adapted:
        base, measured = self._session.model.space, gain_of(choice)
        space = adapted_space(base, choice.transform)
        with self._session.change(ChangeKind.ADAPT) as change:
            if not change.writer.samples.are_owned(owners):  # a receipt may have been given since
                raise FitRefused(
                    "speakers or samples were removed or moved while the adaptation was learned",
                    hint="Nothing was changed. Learn it again.",
                )
            adaptations, calibrations = change.writer.adaptations, change.writer.calibrations
            numbers = {stored.adapted_id: stored.id for stored in adaptations.list(base.id)}
            number = numbers.get(space.id)
            if number is None:
                number = adaptations.add(base, choice.transform, measured, source)
            calibration = calibrations.add(space, fit.calibration, fit.held_out, source, target_fmr)
            change.writer.learned.put("adaptation", number, owners.values())
            change.writer.learned.put("calibration", calibration, owners.values())
            calibrations.use(space.id, calibration)
            adaptations.use(base.id, number)
            change.record(number=number, space=base.id)
            stored_fits = adaptations.get(number), calibrations.get(calibration)
            return Adapted(choice.adopted, choice.reason, measured, *stored_fits)

    def _heard(
        self,
        recordings: Sequence[Recording],
        cache: str | os.PathLike[str] | None,
        tell: Callable[[int, int], None] | None,
    ) -> _Labelled:
        from voiceid.evaluation.scoring import hear_all  # noqa: PLC0415 - only adapting waits

        session = self._session
        recordings = [recording for recording in recordings if not recording.attack]
        heard = hear_all(recordings, session.model.embedder, cache, session.notify, tell)
        rows = [
            (recording, utterance.embedding.vector, utterance.quality)
            for recording, utterance in zip(recordings, heard, strict=True)
            if isinstance(utterance, Utterance) and utterance.embedding is not None
        ]
        has_sessions = all(recording.session for recording, _, _ in rows)
        return _Labelled(
            np.array([vector for _, vector, _ in rows], dtype=np.float32),
            [recording.speaker for recording, _, _ in rows],
            [f"{r.speaker} {r.session}" for r, _, _ in rows] if has_sessions else None,
            [quality for _, _, quality in rows],
        )

    def _enrolled(self) -> _Labelled:
        enrolled = Samples(self._session).by_speaker()
        rows = [(speaker, sample) for speaker, samples in enrolled for sample in samples]
        return _Labelled(
            np.array([sample.vector for _, sample in rows], dtype=np.float32),
            [speaker.name for speaker, _ in rows],
            None,
            [sample.quality for _, sample in rows],
            {sample.id: sample.speaker_id for _, sample in rows},
        )


def _choose(labelled: _Labelled, source: str) -> Choice:
    from voiceid.decision.choice import choose  # noqa: PLC0415 - only adapting waits

    if not labelled.speakers:
        raise FitRefused(f"nothing can be learned from {source}: there are no samples", hint=_MORE)
    try:
        return choose(labelled.vectors, labelled.speakers, labelled.sessions)
    except AdaptationRefused as error:
        raise FitRefused(f"nothing can be learned from {source}: {error}", hint=_MORE) from error


def _calibration(choice: Choice, qualities: Sequence[QualityReport], target_fmr: float) -> Fit:
    """Fit a calibration on scores of transforms that were learned without both speakers."""
    from voiceid.evaluation.fitting import fit  # noqa: PLC0415 - as above
    from voiceid.evaluation.scoring import conditions_of  # noqa: PLC0415

    trials = choice.trials
    pairs = np.stack([trials.enrolment, trials.probe], axis=1).astype(np.int64)
    enrolled = [[qualities[i] for i in run] for run in trials.enrolments]
    conditions = conditions_of(enrolled, list(qualities), pairs)
    speakers = trials.speakers.astype(np.int64)
    return fit(choice.scores_after, trials.genuine, conditions, speakers, target_fmr=target_fmr)
