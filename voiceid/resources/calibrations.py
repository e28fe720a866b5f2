"""The calibrations of a gallery, and the error rates of its decisions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voiceid.decision.agreement import thresholds_among
from voiceid.decision.aims import SetThreshold
from voiceid.decision.calibration import StoredCalibration
from voiceid.domain import QualityReport, Threshold
from voiceid.observability import ChangeKind
from voiceid.resources.collection import OfSession

if TYPE_CHECKING:  # only calibrating waits for it
    from voiceid.evaluation import Evaluation, Protocol
    from voiceid.evaluation.fitting import RateRow

Tell = Callable[[int, int], None]
"""Receives the numbers of heard recordings and of all."""


@dataclass(frozen=True, slots=True)
class CalibrationFit:
    """A fitted calibration, and its errors beside those of the thresholds without it.

    Parameters
    ----------
    calibration : StoredCalibration
        It decides nothing before :meth:`Calibrations.use`.
    rates : tuple of RateRow
        On the held-out trials: of the model's card, of what decides today, and of the
        calibration for each rate.  At most one of them decides once it is used.
    held_out_llrs : (ndarray, ndarray)
        Float64: of the genuine (n,) and the impostor (m,) held-out trials.
    """

    calibration: StoredCalibration
    rates: tuple[RateRow, ...]
    held_out_llrs: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] = field(
        repr=False, compare=False
    )

    @property
    def least_fmr(self) -> float:
        """The lowest false match rate that the calibration supports, 0 to 1."""
        return self.calibration.calibration.least_fmr

    def to_dict(self) -> dict[str, Any]:
        """Return the public JSON."""
        facts = {"least_fmr": self.least_fmr, "rates": [asdict(row) for row in self.rates]}
        return {**self.calibration.to_dict(), **facts}


class Calibrations(OfSession):
    """From scores to log-likelihood ratios, and to the threshold for a target rate."""

    def list(self) -> Sequence[StoredCalibration]:
        """Return the calibrations of all embedding spaces, oldest first; raises StoreError."""
        with self._session.store.read() as reader:
            return reader.calibrations.list()

    def get(self, number: int) -> StoredCalibration:
        """Return a calibration; raises FitNotFound, StoreError."""
        with self._session.store.read() as reader:
            return reader.calibrations.get(number)

    def fit(
        self,
        protocol: Protocol,
        *,
        cache: str | os.PathLike[str] | None,
        source: str,
        target_fmr: float | None = None,
        tell: Tell | None = None,
    ) -> CalibrationFit:
        """Fit a calibration on labelled recordings, and store it.

        It decides nothing before :meth:`use`.

        Parameters
        ----------
        protocol : Protocol
            Which comparisons it is fitted on.
        cache : path or None
            Folder of cached embeddings; None: nothing is written.
        source : str
            Name of the recordings.
        target_fmr : float, optional
            False match rate, 0 to 0.5, that decisions aim at with it, unless a call, a group or
            the settings ask for another.  The trials must support it.  A rate that they do not
            support, and that was not asked for here, stays with the model's card.
        tell : callable, optional
            Receives how many recordings are heard, of how many.

        Raises
        ------
        FitRefused
            Too few speakers or trials, for a calibration or for the target.
        TrialsInvalid, ModelError, StoreError, ConfigError
        """
        from voiceid.evaluation import fitting, scoring  # noqa: PLC0415 - only who fits waits
        from voiceid.evaluation.report import speakers_of  # noqa: PLC0415

        session = self._session
        with session.recorded(ChangeKind.CALIBRATE):
            model = session.model
            heard = scoring.hear_all(
                protocol.recordings, model.embedder, cache, session.notify, tell
            )
            back_end = model.back_end()
            if back_end.transform is not None:
                heard = scoring.adapted(heard, back_end.transform, back_end.space)
            scored = scoring.score(protocol, heard, back_end.rule)
            card = back_end.rule.with_calibration(None)
            fitted = fitting.fit(
                scored.scores,
                scored.target,
                scored.conditions,
                speakers_of(protocol, scored.trials),
                target_fmr=target_fmr or card.aim.rate,
                required=target_fmr is not None or not card.points,
            )
            with session.change(ChangeKind.CALIBRATE) as change:
                calibrations = change.writer.calibrations
                number = calibrations.add(
                    back_end.space, fitted.calibration, fitted.held_out, source, target_fmr
                )
                change.writer.learned.put(
                    "calibration", number, ()
                )  # of recordings, not of speakers here
                change.record(number=number, space=back_end.space.id)
                stored = calibrations.get(number)
            after = back_end.rule.with_calibration(stored)
            before = {f"card {card.model}": replace(card, criterion=after.aim)}
            if isinstance(after.criterion, SetThreshold):
                before[after.criterion.source] = after
            elif back_end.rule.calibration is not None:
                before[f"calibration {back_end.rule.calibration.id}, in use"] = back_end.rule
            rows = fitting.rate_rows(fitted, scored, f"calibration {number}", before, after)
            same = scored.target[fitted.rows]
            return CalibrationFit(stored, tuple(rows), (fitted.llrs[same], fitted.llrs[~same]))

    def use(self, number: int | None) -> StoredCalibration | None:
        """Use a calibration in its embedding space, or none in the space in use.

        Raises FitNotFound, StoreError.
        """
        model = self._session.model
        with self._session.change(ChangeKind.USE_CALIBRATION) as change:
            calibrations = change.writer.calibrations
            if number is None:
                calibrations.use(model.policy.read(change.writer).space.id, None)
                change.record()
                return None
            calibrations.use(calibrations.get(number).space_id, number)
            calibration = calibrations.get(number)
            change.record(number=number, space=calibration.space_id)
            return calibration

    def remove(self, number: int) -> StoredCalibration:
        """Remove a calibration that is not in use, and return it.

        Raises FitNotFound, StoreError, and ChangeRefused when it is in use: thresholds would change
        without notice.
        """
        with self._session.change(ChangeKind.REMOVE_CALIBRATION) as change:
            calibration = change.writer.calibrations.get_unused(number)
            change.writer.calibrations.remove(number)
            change.record(number=number, space=calibration.space_id)
            return calibration

    def thresholds(self, qualities: Sequence[QualityReport]) -> Sequence[Threshold]:
        """Return every threshold that decides a comparison of two clips of these, lowest first.

        They depend on the amount of speech and the lines of the clips.  Each is listed once; the
        list is empty if there is too little speech for any.
        """
        return thresholds_among(qualities, self._session.model.back_end().rule)

    def evaluate(
        self, protocol: Protocol, *, cache: str | os.PathLike[str] | None, tell: Tell | None = None
    ) -> Evaluation:
        """Hear the recordings of a protocol, score its trials, and count the errors.

        ``cache`` is the folder of cached embeddings; a killed run continues from it.
        None: nothing is written.
        ``tell`` receives the numbers of heard recordings and of all.

        Raises
        ------
        TrialsInvalid
            Nothing is left to compare.
        ModelError, ConfigError
        """
        from voiceid.evaluation import EmbeddingCache, evaluate  # noqa: PLC0415 - only who evaluates
        from voiceid.evaluation.search import IndexLoss  # noqa: PLC0415
        from voiceid.evaluation.system import System  # noqa: PLC0415

        session, model = self._session, self._session.model
        back_end = model.back_end()
        statuses = []
        if session.has_database:
            statuses = session.each_index(lambda i, reader: i.status(reader), back_end.space.id)
        system = System(
            embedder=model.embedder,
            cache=EmbeddingCache(cache, model.space),
            space=back_end.space,
            transform=back_end.transform,
            verifying=back_end.rule,
            identifying=model.back_end(per_search=True).rule,
            index_loss=IndexLoss.of(statuses),
            countermeasure=model.speaker_model.countermeasure,
        )
        return evaluate(protocol, system, tell or (lambda *_: None))
