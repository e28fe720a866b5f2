"""``voiceid config``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voiceid.cli import exit_codes
from voiceid.cli.console import Console
from voiceid.cli.opening import open_voiceid
from voiceid.cli.options import audio_options
from voiceid.cli.text import counted, table
from voiceid.cli.tree import Command, Group

if TYPE_CHECKING:
    from voiceid.config import Config


@click.group(
    "config",
    cls=Group,
    short_help="Show, check and write the settings.",
    examples=["voiceid config show"],
)
@audio_options
def command() -> None:
    """Show, check and write the settings."""


@command.command("show", cls=Command, examples=["voiceid config show --channel left"])
@audio_options
@click.pass_obj
def show_command(console: Console) -> int:
    """Show every setting, its value, and where it came from.

    A flag wins over a VOICEID_* variable, which wins over config.yaml, which wins over the
    default.  A model that the gallery was switched away from (`voiceid models switch`) is not used
    whatever names it: then a notice says which one is.
    """
    with open_voiceid(console) as vid:
        config, used = console.config, vid.models.switch.current
    values = {key: _value(config, key) for key in config.sources}
    if console.settings.as_json:
        settings = {k: {"value": v, "source": config.sources[k]} for k, v in values.items()}
        console.json({"home": str(config.home), "settings": settings, "model_in_use": used})
    else:
        rows = [[key, _text(value), config.sources[key]] for key, value in values.items()]
        console.result(f"home  {config.home}\n\n{table(['setting', 'value', 'source'], rows)}")
    if used != config.model:
        console.note(f"the gallery was switched from {config.model} to {used}, which is used")
    return exit_codes.DONE


@command.command("check", cls=Command, examples=["voiceid config check --home /etc/voiceid"])
@audio_options
@click.pass_obj
def check_command(console: Console) -> int:
    """Check every setting; all that is wrong is told at once, and the exit code is 21.

    Whether the model that is chosen is known is checked as well.
    """
    with open_voiceid(console) as vid:
        card = vid.models.card
        config = console.config
    if console.settings.as_json:
        console.json({"ok": True, "home": str(config.home), "model": card.name})
    else:
        console.result(f"ok  {counted(len(config.sources), 'setting')} in {config.home}")
    return exit_codes.DONE


@command.command("init", cls=Command, examples=["voiceid config init"])
@click.option("--force", is_flag=True, help="Put it in place of one that is there.")
@audio_options
@click.pass_obj
def init_command(console: Console, *, force: bool) -> int:
    """Write a config.yaml with every setting, its default and what it means.

    It goes into the folder of --home, or else into this one, which is a home from then on.
    """
    console.require_stdout()
    from voiceid.config import write_default_config  # noqa: PLC0415 - not to show the help

    path = write_default_config(Path(console.settings.home or "."), force=force)
    if console.settings.as_json:
        console.json({"written": str(path)})
    else:
        console.result(f"wrote  {path}")
    return exit_codes.DONE


def _value(config: Config, key: str) -> object:
    """Return the value of a dotted key: in an options object, or one of the config's own."""
    section, _, name = key.rpartition(".")
    owner = getattr(config, section, None) if section else None
    if hasattr(owner, name):
        value = getattr(owner, name)
    else:
        value = getattr(config, name if hasattr(config, name) else f"{section}_{name}")
    if isinstance(value, tuple):
        return list(value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _text(value: object) -> str:
    """Return a value as it stands in config.yaml; ``-`` for what is not set."""
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return "-" if value is None else str(value)
