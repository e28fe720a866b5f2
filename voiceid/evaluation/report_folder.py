"""The folder that an evaluation fills: figures, a page, scores and pictures."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from voiceid.errors import ConfigError, ExtraMissing
from voiceid.evaluation.evaluate import Evaluation
from voiceid.whole_files import whole_file


def write_report(evaluation: Evaluation, folder: Path, title: str) -> bool:
    """Fill a folder with ``report.json``, ``report.html``, ``scores.txt`` and pictures.

    Each file is moved into place whole.  Return whether there are pictures: they need libraries
    that voiceid itself does not need.

    Raises `ConfigError`: the folder cannot be written to.
    """
    from voiceid.evaluation.page import page  # noqa: PLC0415 - only needed to evaluate

    pictures: Mapping[str, tuple[str, bytes]] = {}
    with contextlib.suppress(ExtraMissing):
        from voiceid.evaluation.charts import charts  # noqa: PLC0415 - needs matplotlib

        pictures = charts(evaluation)
    titled = dict(picture for name, picture in pictures.items() if name.endswith(".png"))
    files = {
        "report.json": json.dumps(evaluation.to_dict(), indent=1, allow_nan=False).encode() + b"\n",
        "report.html": page(evaluation, titled, title).encode(),
        "scores.txt": _scores(evaluation).encode(),
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


def _scores(evaluation: Evaluation) -> str:
    """Return ``model probe score target`` lines, as the tools of the field take them."""
    models, recordings = evaluation.protocol.models, evaluation.protocol.recordings
    scored = evaluation.judged.scored
    lines = [
        f"{models[m].name} {recordings[p].name} {score:.6f} {'target' if same else 'nontarget'}"
        for (m, p), score, same in zip(
            scored.trials.tolist(), scored.scores.tolist(), scored.target.tolist(), strict=True
        )
    ]
    return "\n".join(lines) + "\n"
