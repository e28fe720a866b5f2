"""Evaluating a `VoiceID` on recordings whose speakers are known, and the folder it fills."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from voiceid.app.parts import Parts
from voiceid.errors import ConfigError, ExtraMissing
from voiceid.whole_files import whole_file

if TYPE_CHECKING:  # only who evaluates waits for it
    from voiceid.evaluation import Evaluation, Protocol


class Evaluating:
    """What errors the model in use makes."""

    _parts: Parts

    def evaluate(
        self,
        protocol: Protocol,
        *,
        cache: str | os.PathLike[str],
        tell: Callable[[int, int], None] | None = None,
    ) -> Evaluation:
        """Hear the recordings of a protocol, score its trials, and count the errors.

        Parameters
        ----------
        protocol : Protocol
            Which comparisons are made.
        cache : path
            Folder of what was heard before; a run that was killed goes on from it.
        tell : callable, optional
            Is told how many recordings are heard, of how many.

        Raises
        ------
        TrialsInvalid
            Nothing is left to compare.
        ModelError, ConfigError
        """
        from voiceid.evaluation import EmbeddingCache, evaluate  # noqa: PLC0415 - as above

        parts = self._parts
        kept = EmbeddingCache(Path(cache), parts.space)
        rule = parts.back_end(parts.verifying_rule()).rule
        return evaluate(protocol, parts.embedder, kept, rule, tell or _silent)


def write_report(found: Evaluation, folder: Path, title: str) -> bool:
    """Fill a folder with ``report.json``, ``report.html``, ``scores.txt`` and pictures.

    Each file is put in place whole.  Return whether there are pictures: they need libraries
    that voiceid itself does not.

    Raises
    ------
    ConfigError
        The folder cannot be written to.
    """
    from voiceid.evaluation.page import page  # noqa: PLC0415 - as above

    pictures: Mapping[str, tuple[str, bytes]] = {}
    with contextlib.suppress(ExtraMissing):
        pictures = _pictures(found)
    titled = dict(pictures.values())
    files = {
        "report.json": json.dumps(found.to_dict(), indent=1, allow_nan=False).encode() + b"\n",
        "report.html": page(found, titled, title).encode(),
        "scores.txt": _scores(found).encode(),
        **{name: png for name, (_, png) in pictures.items()},
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            with whole_file(folder / name) as file:
                file.write(data)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written to: {error.strerror}", hint="Name another --output."
        ) from error
    return bool(pictures)


def _scores(found: Evaluation) -> str:
    """Return ``model probe score target`` lines, as the tools of the field take them."""
    models, recordings = found.protocol.models, found.protocol.recordings
    scored = found.scored
    lines = [
        f"{models[m].name} {recordings[p].name} {score:.6f} {'target' if same else 'nontarget'}"
        for (m, p), score, same in zip(
            scored.trials.tolist(), scored.scores.tolist(), scored.target.tolist(), strict=True
        )
    ]
    return "\n".join(lines) + "\n"


def _pictures(found: Evaluation) -> dict[str, tuple[str, bytes]]:
    """Return what each picture shows and its PNG, by file name; raises ExtraMissing."""
    from voiceid import metrics, pictures  # noqa: PLC0415 - matplotlib, and only when it is there
    from voiceid.evaluation.search import searches  # noqa: PLC0415 - as above

    scored = found.scored
    same, other = scored.scores[scored.target], scored.scores[~scored.target]
    used = scored.thresholds[~np.isnan(scored.thresholds)]
    marks = {}
    if used.size:
        low, high = float(used.min()), float(used.max())
        marks = {"threshold": low} if low == high else {"lowest": low, "highest": high}
    made = {
        "det.png": (
            "Detection error trade-off",
            pictures.png(pictures.det({found.space.model: (same, other)}, marks)),
        ),
        "scores.png": (
            "Scores of genuine and impostor trials",
            pictures.png(pictures.score_histograms(same, other, marks)),
        ),
    }
    search = searches(scored, found.speakers) if found.identification is not None else None
    if search is not None:
        curve = metrics.identification_curve(search)
        open_set = pictures.open_set(curve.thresholds, curve.fpir, curve.fnir, marks)
        ranks = metrics.identification_rates_by_rank(search, min(10, len(found.protocol.models)))
        made["open_set.png"] = ("Identification: FPIR and FNIR", pictures.png(open_set))
        made["cmc.png"] = (
            "Identification by rank",
            pictures.png(pictures.cmc({found.space.model: ranks})),
        )
    return made


def _silent(done: int, total: int) -> None:
    del done, total
