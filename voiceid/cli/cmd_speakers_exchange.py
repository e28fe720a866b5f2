"""``voiceid speakers export`` and ``import``."""

from __future__ import annotations

from pathlib import Path

import click

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.options import SpeakerName, common_options
from voiceid.cli.session import open_voiceid
from voiceid.cli.text import counted
from voiceid.cli.tree import Command


@click.command(
    "export",
    cls=Command,
    short_help="Write speakers to a file that another gallery can import.",
    example="voiceid speakers export staff.jsonl alice bob",
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("names", metavar="[NAME...]", nargs=-1, type=SpeakerName())
@common_options
@click.pass_obj
def export_command(console: Console, file: Path, names: tuple[str, ...]) -> int:
    """Write speakers, without NAME everybody, to a new file that another gallery can import.

    It holds embeddings, quality, provenance and the embedding space in use, in text; see
    docs/gallery.md.  It is made for its owner alone, and is not encrypted.
    """
    with open_voiceid(console) as vid:
        done = vid.export_speakers(file, names)
        left_out = 0 if names else len(vid.speakers()) - done.speakers
    if console.settings.as_json:
        console.json({"file": str(file), "speakers": done.speakers, "samples": done.samples})
    else:
        samples = counted(done.samples, "sample")
        console.result(f"exported  {counted(done.speakers, 'speaker')}, {samples} to {file}")
    if left_out:
        number = counted(left_out, "speaker")
        console.warn(f"{number} left out: without samples in the embedding space in use")
    return exit_codes.DONE


@click.command(
    "import",
    cls=Command,
    short_help="Add the speakers of an exported file.",
    example="voiceid speakers import staff.jsonl",
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--append", is_flag=True, help="Add what is missing to speakers that are there.")
@common_options
@click.pass_obj
def import_command(console: Console, file: Path, *, append: bool) -> int:
    """Add the speakers of an exported file: all of them, or nothing is changed.

    The file must be whole, and of the embedding space in use (exit codes 55 and 38).  Who
    is enrolled already is refused (42), or with --append gets the samples that are missing.
    """
    with open_voiceid(console) as vid:
        done = vid.import_speakers(file, append=append)
    if console.settings.as_json:
        console.json({"file": str(file), "new_speakers": done.speakers, "samples": done.samples})
    else:
        samples = counted(done.samples, "sample")
        console.result(f"imported  {counted(done.speakers, 'new speaker')}, {samples} from {file}")
    return exit_codes.DONE
