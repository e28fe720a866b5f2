"""``voiceid speakers export`` and ``import``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

import click

from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import FILE, SPEAKER_NAME, Real, consent_options, leaf, signed_by_option
from voiceid.cli.passphrases import PROMPT, passphrase_at, passphrase_option
from voiceid.cli.streams import is_terminal
from voiceid.cli.text import counted
from voiceid.errors import SpeakerNameInvalid, SpeakerNotFound


@leaf(
    "export",
    short_help="Write speakers to a file that another gallery can import.",
    examples=[
        "voiceid speakers export staff.jsonl alice bob",
        "voiceid speakers export staff.sealed --passphrase prompt",
    ],
)
@click.argument("file", type=FILE)
@click.argument("names", metavar="[NAME...]", nargs=-1, type=SPEAKER_NAME)
@passphrase_option("Seal the file with the passphrase from")
@click.option("--plain", is_flag=True, help="Write a plain file even if the gallery is sealed.")
def export_command(
    console: Console, file: Path, names: tuple[str, ...], *, passphrase: str | None, plain: bool
) -> None:
    """Write speakers (without NAME: all) to a new file that another gallery can import.

    It has embeddings, quality, provenance and the embedding space in use, as text; see
    docs/gallery.md.  It is private and signed.  With --passphrase it is sealed; a sealed gallery
    requires --passphrase or --plain.
    """
    if plain and passphrase is not None:
        raise click.UsageError("Give only one of --plain and --passphrase.")
    with open_voiceid(console) as vid:
        if names:
            with contextlib.suppress(SpeakerNotFound, SpeakerNameInvalid):
                vid.speakers.get(str(file))
                raise click.UsageError(f"FILE comes first, then NAME; {file} is a speaker.")
        secret = passphrase_at(passphrase, is_new=True)
        done = vid.speakers.export(file, names, passphrase=secret, plain=plain)
        left_out = 0 if names else vid.speakers.count() - done.speakers
    samples = counted(done.samples, "sample")
    console.answer(
        {"file": str(file), "speakers": done.speakers, "samples": done.samples},
        f"exported  {counted(done.speakers, 'speaker')}, {samples} to {file}",
    )
    if left_out:
        number = counted(left_out, "speaker")
        console.warn(f"{number} left out: no samples in the embedding space in use")


@leaf(
    "import",
    short_help="Add the speakers of an exported file, or of other embeddings.",
    examples=["voiceid speakers import staff.jsonl"],
)
@click.argument("file", type=FILE)
@click.option("--append", is_flag=True, help="Add missing samples to enrolled speakers.")
@click.option(
    "--trust",
    is_flag=True,
    help="Skip the checks of voices, and trust the file's telephone flags; this is recorded.",
)
@passphrase_option("Open the sealed file with the passphrase from")
@signed_by_option
@click.option(
    "--ids",
    type=FILE,
    metavar="LIST",
    help="The speakers of the rows of vectors.npy; .txt, .csv or .jsonl.",
)
@click.option("--space", metavar="ID", help="The embedding space of the embeddings.")
@click.option(
    "--net-speech-s",
    type=Real(0.0, min_open=True),
    metavar="S",
    help="Seconds of speech behind each embedding.",
)
@click.option("--label", metavar="LABEL", help="Where the speech was recorded, e.g. phone.")
@click.option(
    "--group",
    "groups",
    multiple=True,
    metavar="GROUP",
    help="Put every new speaker into a group; may be repeated.",
)
@consent_options
def import_command(
    console: Console,
    /,
    file: Path,
    *,
    append: bool,
    trust: bool,
    passphrase: str | None,
    signed_by: str | None,
    **facts: Any,
) -> None:
    """Add the speakers of an exported file: all of them or, on an error, none.

    The file must be complete, signed by this gallery or by --signed-by, and of the embedding space
    in use (exit codes 55, 76 and 38).  A speaker who is enrolled already is refused (42), or with
    --append gets the missing samples.  The voices are checked as at an enrolment; --trust skips
    that, for files that you made yourself.

    FILE may also have embeddings from another program: vectors.npy with --ids, or a Parquet table.
    --space and --net-speech-s give values that the file lacks; see docs/gallery.md.
    """
    # Imported here: it loads the engines, which the help does not need.
    from voiceid.exchange import is_embedding_file, is_sealed  # noqa: PLC0415

    stated = {key: value for key, value in facts.items() if value}
    with open_voiceid(console) as vid:
        if is_embedding_file(file):
            if passphrase or signed_by:
                raise click.UsageError(f"{file} has embeddings; it is not sealed or signed.")
            done = vid.speakers.import_embeddings(file, append=append, trust=trust, **stated)
        elif stated:
            names = {"consents": "consent", "groups": "group"}
            options = ", ".join("--" + names.get(k, k).replace("_", "-") for k in stated)
            raise click.UsageError(f"{file} is not a file of embeddings; {options} cannot be used.")
        else:
            if passphrase is None and is_sealed(file) and is_terminal(sys.stdin):
                passphrase = PROMPT
            secret = passphrase_at(passphrase)
            done = vid.speakers.import_file(
                file, append=append, trust=trust, passphrase=secret, signed_by=signed_by
            )
    samples = counted(done.samples, "sample")
    if done.expired:
        number = counted(done.expired, "new speaker")
        console.warn(f"{number} already expired: never accepted (speakers list)")
    console.answer(
        {
            "file": str(file),
            "new_speakers": done.speakers,
            "samples": done.samples,
            "expired": done.expired,
        },
        f"imported  {counted(done.speakers, 'new speaker')}, {samples} from {file}",
    )
