"""Calibrating a `VoiceID` on recordings whose speakers are known."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from voiceid.app.numbering import numbered
from voiceid.app.observed import changes, fitted
from voiceid.app.parts import Parts
from voiceid.decision.calibration import StoredCalibration
from voiceid.errors import ChangeRefused
from voiceid.observability import Change

if TYPE_CHECKING:  # only who calibrates waits for it
    from voiceid.evaluation import Protocol
    from voiceid.store.reader import Reader


class Calibrating:
    """From scores to log-likelihood ratios, and to the threshold for a target."""

    _parts: Parts

    @changes(Change.CALIBRATE, fitted)
    def calibrate(
        self,
        protocol: Protocol,
        *,
        cache: str | os.PathLike[str],
        source: str,
        target_fmr: float | None = None,
        use: bool = True,
        tell: Callable[[int, int], None] | None = None,
    ) -> StoredCalibration:
        """Fit a calibration on recordings whose speakers are known, and keep it.

        Parameters
        ----------
        protocol : Protocol
            Which comparisons it is fitted on.
        cache : path
            Folder of what was heard before.
        source : str
            What to call the recordings.
        target_fmr : float, optional
            False match rate, 0 to 0.5, that decisions aim at from now on, unless the settings
            or a call say another.
        use : bool
            Whether decisions in this embedding space are made with it from now on.
        tell : callable, optional
            Is told how many recordings are heard, of how many.

        Raises
        ------
        FitRefused
            Too few speakers or trials, for a calibration or for the target.
        TrialsInvalid, ModelError, StoreError, ConfigError
        """
        from voiceid.app.hearing import heard_and_told  # noqa: PLC0415 - only who fits waits
        from voiceid.evaluation.fitting import fit  # noqa: PLC0415
        from voiceid.evaluation.report import speakers_of  # noqa: PLC0415
        from voiceid.evaluation.scoring import adapted, score  # noqa: PLC0415

        parts = self._parts.in_use
        aim = parts.verifying_rule(target_fmr).aim.rate  # a door that it would lock is refused
        heard = heard_and_told(parts, protocol.recordings, cache, tell)
        back_end = parts.back_end(parts.card_rule)
        if back_end.transform is not None:
            heard = adapted(heard, back_end.transform, back_end.space)
        scored = score(protocol, heard, back_end.rule)
        speakers = speakers_of(protocol, scored.trials)
        found = fit(scored.scores, scored.target, scored.given, speakers, target_fmr=aim)
        with parts.store.write() as writer:
            number = writer.add_calibration(
                back_end.space, found.calibration, found.held_out, source, target_fmr
            )
            if use:
                writer.use_calibration(back_end.space.id, number)
            return _numbered(writer, number)

    def calibrations(self) -> list[StoredCalibration]:
        """Return all calibrations, of all embedding spaces, oldest first; raises StoreError."""
        with self._parts.store.read() as reader:
            return reader.calibrations()

    def calibration(self, number: int) -> StoredCalibration:
        """Return a calibration; raises FitNotFound, StoreError."""
        with self._parts.store.read() as reader:
            return _numbered(reader, number)

    @changes(Change.USE_CALIBRATION, fitted)
    def use_calibration(self, number: int | None) -> StoredCalibration | None:
        """Let a calibration decide in its embedding space, or none in the space in use.

        Raises
        ------
        FitNotFound, StoreError
        """
        parts = self._parts.in_use
        with parts.store.write() as writer:
            back_end = parts.back_ends.in_use(writer, parts.card_rule)
            space_id = back_end.space.id if number is None else _numbered(writer, number).space_id
            writer.use_calibration(space_id, number)
            return None if number is None else _numbered(writer, number)

    @changes(Change.REMOVE_CALIBRATION, fitted)
    def remove_calibration(self, number: int) -> StoredCalibration:
        """Remove a calibration that is not in use, and return what it was.

        Raises
        ------
        FitNotFound, StoreError
        ChangeRefused
            It is in use: thresholds would change without a word.
        """
        with self._parts.store.write() as writer:
            found = _numbered(writer, number)
            if found.in_use:
                raise ChangeRefused(
                    f"calibration {number} decides in {found.space_id}",
                    hint="Use another first: `voiceid calibrations use N`, or `use none`.",
                )
            writer.remove_calibrations([number])
        return found


def _numbered(reader: Reader, number: int) -> StoredCalibration:
    return numbered(reader.calibrations(), number, "calibration", "voiceid calibrations list")
