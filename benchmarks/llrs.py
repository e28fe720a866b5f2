"""The quality of LLRs, as rows of tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmarks import trials
from benchmarks.trials import Voice
from voiceid.decision.calibration import Calibration
from voiceid.evaluation.llrs import Llrs, worth
from voiceid.evaluation.model_fit import ENROLLED

HEADERS = ("genuine", "impostor", "Cllr", "95 %", "minCllr", "Cllr / minCllr", "scale")
"""Cllr and minCllr in bits; a scale below 1 says that the LLRs claim too much."""


def cells(found: Llrs) -> list[object]:
    """Return the cells of `HEADERS`."""
    counts = [found.genuine, found.impostor]
    if found.cllr is None or found.min_cllr is None or found.scale is None:
        return [*counts, "", "", "", "", ""]
    bounds = "" if found.cllr.bounds is None else "{:.3f} to {:.3f}".format(*found.cllr.bounds)
    ratio = f"{found.cllr.value / found.min_cllr:.2f}" if found.min_cllr > 0.0 else ""
    costs = [f"{found.cllr.value:.4f}", bounds, f"{found.min_cllr:.4f}", ratio]
    return [*counts, *costs, f"{found.scale:.2f}"]


def corpus_rows(
    calibration: Calibration, corpora: Mapping[str, Sequence[Voice]]
) -> Iterator[list[object]]:
    """Yield a row for each corpus and size of an enrolment.

    Every run of so many voices of a speaker is enrolled in turn, and compared with all voices of
    other recordings.
    """
    for name, voices in corpora.items():
        heard = [voice for voice in voices if voice.vector is not None]
        for size in ENROLLED:
            usable = [
                v for own in trials.by_speaker(heard).values() if len(own) > size for v in own
            ]
            if not usable:
                continue
            table = trials.compare(trials.enroll_in_turn(usable, size=size), heard)
            llrs = calibration.llrs(table.score, table.conditions)
            found = worth(llrs, table.genuine, table.trials.speakers.astype(np.int64))
            yield [name, size, *cells(found)]
