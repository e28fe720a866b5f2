"""Evaluating a `VoiceID` on recordings whose speakers are known, and the folder it fills."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from voiceid.app.parts import Parts
from voiceid.errors import ConfigError, ExtraMissing
from voiceid.whole_files import whole_file

if TYPE_CHECKING:  # only who evaluates waits for it
    from voiceid.evaluation import EmbeddingCache, Evaluation, Protocol
    from voiceid.evaluation.search import IndexLoss
    from voiceid.evaluation.system import System


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
        from voiceid.app.hearing import silent  # noqa: PLC0415 - as above
        from voiceid.evaluation import EmbeddingCache, evaluate  # noqa: PLC0415

        parts = self._parts.in_use
        system = _system(parts, EmbeddingCache(Path(cache), parts.space))
        return evaluate(protocol, system, tell or silent)


def _system(parts: Parts, cache: EmbeddingCache) -> System:
    """Return what is in use now."""
    from voiceid.evaluation.system import System  # noqa: PLC0415 - as above

    back_end = parts.back_end(parts.verifying_rule())
    return System(
        embedder=parts.embedder,
        cache=cache,
        space=back_end.space,
        transform=back_end.transform,
        cohort=back_end.cohort,
        rival=parts.newest_cohort(back_end) if parts.has_database else None,
        verifying=back_end.rule,
        identifying=parts.back_end(parts.identifying_rule()).rule,
        index_loss=_index_loss(parts, back_end.space.id),
    )


def _index_loss(parts: Parts, space_id: str) -> IndexLoss | None:
    """Return whom the index of a space loses; None where that is nobody."""
    from voiceid.evaluation.search import IndexLoss  # noqa: PLC0415 - as above

    if not parts.has_database:
        return None
    for found in parts.each_index(lambda i, reader: i.status(reader), [space_id]):
        if found.miss_rate is not None and found.miss_rate_upper is not None:
            return IndexLoss(found.miss_rate, found.miss_rate_upper)
    return None


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
        from voiceid.evaluation.charts import charts  # noqa: PLC0415 - needs matplotlib

        pictures = charts(found)
    titled = dict(picture for name, picture in pictures.items() if name.endswith(".png"))
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
    scored = found.judged.scored
    lines = [
        f"{models[m].name} {recordings[p].name} {score:.6f} {'target' if same else 'nontarget'}"
        for (m, p), score, same in zip(
            scored.trials.tolist(), scored.scores.tolist(), scored.target.tolist(), strict=True
        )
    ]
    return "\n".join(lines) + "\n"
