"""``voiceid index``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import branch, leaf
from voiceid.cli.text import table

if TYPE_CHECKING:
    from voiceid.index.base import IndexStatus


@branch("index", examples=["voiceid index status"])
def command() -> None:
    """Show and rebuild the search index, a cache of the database."""


@leaf("status", examples=["voiceid index status"], group=command)
def status_command(console: Console) -> None:
    """Show, for each embedding space, the content of the index file and whether it is current.

    An outdated index needs no action: the next search updates it.
    """
    with open_voiceid(console) as vid:
        _tell(vid.index.status(), console)


@leaf("rebuild", examples=["voiceid index rebuild"], group=command)
def rebuild_command(console: Console) -> None:
    """Rebuild every index file from the database.

    With `replay.check`, kept recordings also get their missing fingerprints.
    """
    with open_voiceid(console) as vid:
        _tell(vid.index.rebuild(), console)


@leaf("seal", examples=["voiceid index seal"], group=command)
def seal_command(console: Console) -> int:
    """Write the due index files of large galleries, at a low priority.

    Commands that change a gallery start this in the background.
    """
    with open_voiceid(console) as vid:
        return exit_codes.DONE if vid.index.seal() else exit_codes.INTERNAL


def _tell(statuses: Sequence[IndexStatus], console: Console) -> None:
    rows = [dataclasses.asdict(status) for status in statuses]
    header = [key.replace("_", " ") for key in (rows[0] if rows else ())]
    none = "no speaker is enrolled, so there is no index"
    console.answers(rows, table(header, [list(row.values()) for row in rows]), none)
