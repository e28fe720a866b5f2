"""``voiceid keys``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from voiceid.cli.asking import asks_first, confirm
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import COUNT, branch, leaf
from voiceid.cli.text import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from voiceid.domain import ApiKey


@branch(
    "keys",
    examples=["voiceid keys create door --scope identify,verify --group lobby"],
    lazy={"Commands": {"gallery": "Encrypt the gallery, and manage its key."}},
    modules="voiceid.cli.cmd_keys_",
)
def command() -> None:
    """Create, list and remove keys of the service; manage the key of the gallery."""


@leaf(
    "create",
    examples=[
        "voiceid keys create door --scope identify,verify --group lobby --expires 90d",
        "voiceid keys create console --scope admin --address 10.0.0.0/8",
    ],
    group=command,
)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    metavar="SCOPES",
    required=True,
    help="Its rights: identify, verify, enroll, read or admin; several with commas.",
)
@click.option("--group", "groups", metavar="GROUP", multiple=True, help="Reach only this group.")
@click.option(
    "--address",
    "networks",
    metavar="NETWORK",
    multiple=True,
    help="Accept the key only from this address or network, e.g. 10.0.0.0/8.",
)
@click.option(
    "--rate", "requests_per_minute", type=COUNT, help="At most this many requests a minute."
)
@click.option("--expires", metavar="WHEN", help="A date, a time, or days from now, e.g. 90d.")
def create_command(
    console: Console, *, name: str, scopes: str, expires: str | None, **limits: Any
) -> None:
    """Create a key and show it once: only its hash is stored.

    As soon as there is a key, the service requires one from every caller.
    """
    from voiceid.domain import expiry  # noqa: PLC0415 - loads numpy

    with open_voiceid(console) as vid:
        until = None if expires is None else expiry(expires)
        parts = [scope.strip() for scope in scopes.split(",")]
        new_key = vid.keys.create(name, parts, expires_at=until, **limits)
    console.note("the key is shown only this once")
    console.answer({**new_key.key.to_dict(), "key": new_key.text}, new_key.text)


@leaf("list", examples=["voiceid keys list --json"], group=command)
def list_command(console: Console) -> None:
    """List the keys, oldest first, without their secrets."""
    with open_voiceid(console) as vid:
        keys = vid.keys.list()
    none = "there are no keys: the service only answers this host"
    console.answers([key.to_dict() for key in keys], _table(keys), none)


@leaf("remove", examples=["voiceid keys remove 3f9a1c27b04e --yes"], group=command)
@click.argument("key_id", metavar="ID")
@asks_first
def remove_command(console: Console, key_id: str) -> None:
    """Remove a key; it is refused from now on."""
    with open_voiceid(console) as vid:
        confirm(console, f"Remove the key {key_id}?")
        key = vid.keys.remove(key_id)
    if key is None:
        console.answer({"removed": {"id": key_id}}, f"removed  {key_id}")
    else:
        console.answer({"removed": key.to_dict()}, f"removed  {key.id}, {key.name}")


def _table(keys: Sequence[ApiKey]) -> str:
    rows = [
        [
            key.id,
            key.name,
            ",".join(key.scopes),
            ",".join(key.groups) or "all",
            ",".join(key.networks) or "all",
            key.requests_per_minute,
            "never" if key.expires_at is None else key.expires_at.isoformat(timespec="minutes"),
        ]
        for key in keys
    ]
    return table(["id", "name", "scopes", "groups", "addresses", "a minute", "expires"], rows)
