"""``voiceid stats``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import leaf
from voiceid.cli.text import fields, megabytes, table

if TYPE_CHECKING:
    from voiceid.observability.galleries import GalleryStats


@leaf("stats", examples=["voiceid stats --prometheus > /var/lib/node_exporter/voiceid.prom"])
@click.option("--prometheus", is_flag=True, help="Print the text format of Prometheus.")
def command(console: Console, *, prometheus: bool) -> None:
    """Count what is in the gallery: speakers, samples, groups, sizes, what decides.

    Decisions and latencies are counted by the process that decides: a server counts its own
    (docs/observing.md).
    """
    if prometheus and console.settings.as_json:
        raise click.UsageError("Choose one of --json and --prometheus.")
    with open_voiceid(console) as vid:
        found = vid.events.gallery()
    if prometheus:
        console.binary(found.to_prometheus().encode())
    else:
        console.answer(found.to_dict(), _text(found))


def _text(found: GalleryStats) -> str:
    def counts(of: dict[str, int]) -> str:
        return ", ".join(f"{name} {count}" for name, count in of.items()) or "-"

    text = fields(
        {
            "model": found.model,
            "schema": found.schema,
            "revision": found.revision,
            "speakers": counts({"all": found.speakers, **found.standing}),
            "groups": counts(dict(found.groups)),
            "database": megabytes(found.database_bytes),
        }
    )
    numbers = ["speakers", "samples", "calibration", "adaptation", "size"]
    rows = [
        [
            one.space,
            *(one.in_use, one.speakers, one.samples, one.calibration, one.adaptation),
            one.index_state,
            megabytes(one.index_bytes),
        ]
        for one in found.spaces
    ]
    header = ["space", "in use", *numbers[:4], "index", "size"]
    return f"{text}\n\n{table(header, rows, right=set(numbers))}" if rows else text
