"""``voiceid --version``: the versions of the program, its schema, and the models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceid import __version__
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.text import fields
from voiceid.shipped import SCHEMA_HEAD

if TYPE_CHECKING:
    from voiceid.models.status import ModelStatus


def tell_version(console: Console) -> None:
    """Print the versions, first those that need no settings."""
    if not console.settings.as_json:
        console.result(f"voiceid {__version__}\nschema {SCHEMA_HEAD}")
    with open_voiceid(console) as vid:
        models = vid.models.list()
    console.answer(
        {"voiceid": __version__, "schema": SCHEMA_HEAD, "models": [_facts(s) for s in models]},
        fields({f"model {status.name}": _text(status) for status in models}),
    )


def _facts(status: ModelStatus) -> dict[str, object]:
    return {
        "name": status.name,
        "origin": status.card.origin,
        "checkpoint_sha256": status.card.checkpoint_sha256,
        "installed": status.installed,
    }


def _text(status: ModelStatus) -> str:
    state = "installed" if status.installed else "not installed"
    return f"{status.card.origin}, sha256 {status.card.checkpoint_sha256[:12]}, {state}"
