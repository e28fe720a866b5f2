"""``voiceid keys gallery``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voiceid.cli.asking import asks_first, confirm
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import branch, leaf
from voiceid.cli.text import fields

if TYPE_CHECKING:
    from voiceid.resources.gallery_key import ProtectionStatus


@branch("gallery", examples=["voiceid keys gallery init", "voiceid keys gallery status"])
def command() -> None:
    """Encrypt the gallery, and manage its key.

    The setting privacy.key says where the key is: file:PATH, env:NAME, keyring:NAME or
    command:PROGRAM.  Without the key the gallery is lost: keep a copy away from the data.  See
    docs/privacy.md.
    """


@leaf("init", examples=["voiceid keys gallery init"], group=command)
@click.option(
    "--rotate-only",
    is_flag=True,
    help="Only rotate the vectors by a secret rotation; names and the rest stay plain.",
)
def init_command(console: Console, *, rotate_only: bool) -> None:
    """Encrypt names, metadata, vectors, clip names, labels and kept recordings.

    If there is no key, one is created where the settings say.  Everything is rewritten in one
    change, while others may read.
    """
    with open_voiceid(console) as vid:
        status = vid.keys.gallery.init("rotated" if rotate_only else "sealed")
    if status.older_copies:
        console.note(
            "these files still have the unencrypted gallery; remove them if they are not"
            f" needed: {', '.join(status.older_copies)}"
        )
    console.note(f"keep a copy of the key in {status.key_source}: without it the gallery is lost")
    _answer(console, status)


@leaf("status", examples=["voiceid keys gallery status --json"], group=command)
def status_command(console: Console) -> None:
    """Show the protection of the gallery, and whether its key is available."""
    with open_voiceid(console) as vid:
        _answer(console, vid.keys.gallery.status())


@leaf("renew", examples=["voiceid keys gallery renew"], group=command)
def renew_command(console: Console) -> None:
    """Make new templates of every speaker, without new recordings.

    All vectors are rotated by another secret rotation; the old ones no longer match.
    """
    with open_voiceid(console) as vid:
        _answer(console, vid.keys.gallery.renew())


@leaf(
    "rotate",
    examples=[
        "voiceid keys gallery rotate",
        "voiceid keys gallery rotate --to file:/etc/voiceid/gallery.key",
    ],
    group=command,
)
@click.option(
    "--to",
    metavar="PLACE",
    help="Where the new key is or will be written: file:PATH, env:NAME, keyring:NAME.",
)
def rotate_command(console: Console, to: str | None) -> None:
    """Change the key of the gallery; others may read meanwhile.

    Older backups can only be opened with the old key.
    """
    with open_voiceid(console) as vid:
        status = vid.keys.gallery.rotate(to)
    if to is not None:
        console.note(f"set privacy.key to {to}: from now on the gallery needs the key there")
    _answer(console, status)


@leaf("off", examples=["voiceid keys gallery off --yes"], group=command)
@asks_first
def off_command(console: Console) -> None:
    """Remove the protection of the gallery."""
    with open_voiceid(console) as vid:
        confirm(console, "Store names, vectors and recordings unencrypted?")
        _answer(console, vid.keys.gallery.off())


def _answer(console: Console, status: ProtectionStatus) -> None:
    shown = {
        "protection": status.kind,
        "key": f"{status.key_id or 'none'} in {status.key_source}"
        + ("" if status.has_key or status.key_id is None else ": it is missing"),
    }
    for name, moment in (
        ("protected", status.protected_at),
        ("templates renewed", status.renewed_at),
        ("key changed", status.key_changed_at),
    ):
        if moment is not None:
            shown[name] = moment.isoformat(timespec="minutes")
    console.answer(status.to_dict(), fields(shown))
