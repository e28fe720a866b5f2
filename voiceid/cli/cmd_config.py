"""``voiceid config``."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import branch, leaf
from voiceid.cli.text import counted, fields, table

if TYPE_CHECKING:
    from voiceid.config import Config


@branch("config", examples=["voiceid config show"], audio=True)
def command() -> None:
    """Show, check and write the settings."""


@leaf("show", examples=["voiceid config show --channel left"], group=command, audio=True)
def show_command(console: Console) -> None:
    """Show every setting, its value, and its source.

    A flag wins over a VOICEID_* variable, which wins over config.yaml, which wins over the
    default.  A model that the gallery was switched away from (`voiceid models switch`) is never
    used: then a notice names the model in use.
    """
    with open_voiceid(console) as vid:
        config, used = console.config, vid.models.card.name
    values = {key: _value(config, key) for key in config.sources}
    settings = {k: {"value": v, "source": config.sources[k]} for k, v in values.items()}
    file = str(config.file) if os.path.isfile(config.file) else None
    rows = [[key, _text(value), config.sources[key]] for key, value in values.items()]
    places = fields({"home": str(config.home), "config.yaml": config.file_text})
    console.answer(
        {"home": str(config.home), "file": file, "settings": settings, "model_in_use": used},
        f"{places}\n\n{table(['setting', 'value', 'source'], rows)}",
    )
    if used != config.model:
        console.note(f"the gallery was switched from {config.model} to {used}, which is used")


@leaf("check", examples=["voiceid config check --home /etc/voiceid"], group=command, audio=True)
def check_command(console: Console) -> None:
    """Check every setting; reports all problems at once, with the exit code 21.

    It also checks that the chosen model is known.
    """
    with open_voiceid(console) as vid:
        card = vid.models.card
        config = console.config
    console.answer(
        {"ok": True, "home": str(config.home), "model": card.name},
        f"ok  {counted(len(config.sources), 'setting')} in {config.home}",
    )


@leaf("init", examples=["voiceid config init"], group=command, audio=True)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def init_command(console: Console, *, force: bool) -> None:
    """Write a config.yaml with every setting, its default and its meaning.

    It is written to the home: --home, else $VOICEID_HOME, else the current checkout of voiceid,
    else the user's data folder.
    """
    console.require_stdout()
    # Imported here: the help does not need it.
    from voiceid.config import write_default_config  # noqa: PLC0415 - loads numpy
    from voiceid.home import find_home  # noqa: PLC0415

    path = write_default_config(find_home(console.settings.home), force=force)
    console.answer({"written": str(path)}, f"wrote  {path}")


_ELSEWHERE = {"privacy.key": "privacy_key", "privacy.require_consent": "enrollment.require_consent"}
"""Settings that have another name in `Config`."""


def _value(config: Config, key: str) -> object:
    """Return the value of a dotted key: in an options object, or one of the config's own."""
    section, _, name = _ELSEWHERE.get(key, key).rpartition(".")
    owner = config.aim if section == "decision" else getattr(config, section, None)
    if section and hasattr(owner, name):
        return _plain(getattr(owner, name))
    own = f"{section}_{name}"  # first: `log.file` is not the settings file
    return _plain(getattr(config, own if hasattr(config, own) else name))


def _plain(value: object) -> object:
    from voiceid.decision.aims import Aim, SetThreshold  # noqa: PLC0415 - loaded by now
    from voiceid.domain import RetentionRules  # noqa: PLC0415

    if isinstance(value, SetThreshold):
        steps = dict(value.steps)
        return steps[0.0] if list(steps) == [0.0] else {f"{s:g}": c for s, c in steps.items()}
    if isinstance(value, Aim | RetentionRules):
        wishes = {wish.name: getattr(value, wish.name) for wish in dataclasses.fields(value)}
        return {name: _plain(wish) for name, wish in wishes.items() if wish is not None}
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _text(value: object) -> str:
    """Return a value as written in config.yaml; ``-`` if it is not set."""
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_text(inner)}' for name, inner in value.items())}}}"
    return "-" if value is None else str(value)
