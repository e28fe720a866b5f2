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
    """Show the numbers of the gallery: speakers, samples, groups, sizes, and what decides.

    Each process counts its own decisions and latencies: see a server's own (docs/observing.md).
    """
    if prometheus and console.settings.as_json:
        raise click.UsageError("Choose one of --json and --prometheus.")
    with open_voiceid(console) as vid:
        stats = vid.events.gallery()
    if prometheus:
        console.binary(stats.to_prometheus().encode())
    else:
        console.answer(stats.to_dict(), _text(stats))


def _text(stats: GalleryStats) -> str:
    def counts(of: dict[str, int]) -> str:
        return ", ".join(f"{name} {count}" for name, count in of.items()) or "-"

    text = fields(
        {
            "model": stats.model,
            "schema": stats.schema,
            "revision": stats.revision,
            "speakers": counts({"all": stats.speakers, **stats.standing}),
            "groups": counts(dict(stats.groups)),
            "database": megabytes(stats.database_bytes),
        }
    )
    numbers = ["speakers", "samples", "calibration", "adaptation", "size"]
    rows = [
        [
            space.space,
            *(space.in_use, space.speakers, space.samples, space.calibration, space.adaptation),
            space.index_state,
            megabytes(space.index_bytes),
        ]
        for space in stats.spaces
    ]
    header = ["space", "in use", *numbers[:4], "index", "size"]
    return f"{text}\n\n{table(header, rows, right=set(numbers))}" if rows else text
