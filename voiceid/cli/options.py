"""Options and arguments that several commands share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from voiceid.cli.console import Console
from voiceid.cli.tree import CommonOption

F = TypeVar("F", bound=Callable[..., Any])
_Decorator = Callable[[F], F]


class Real(click.FloatRange):
    """A finite number in a range: ``FloatRange`` alone lets NaN through."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Rate(Real):
    """An error rate to aim at: above 0, at most one half."""

    def __init__(self) -> None:
        super().__init__(0.0, 0.5, min_open=True)


class NumberOrNone(click.ParamType[int | None]):
    """The number of something, or ``none``."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Return the number, or None."""
        text = str(value)
        if text == "none":
            return None
        if not (text.isascii() and text.isdecimal()):
            self.fail(f"{text!r} is neither a number nor none.", param, ctx)
        return int(text)


class Channel(click.ParamType[str]):
    """``mix``, ``left``, ``right`` or a channel's number counted from 0."""

    name = "channel"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the channel as the configuration takes it."""
        text = str(value)
        if text not in {"mix", "left", "right"} and not (text.isascii() and text.isdecimal()):
            self.fail(f"{text!r} is not mix, left, right or a channel's number.", param, ctx)
        return text


class SpeakerName(click.ParamType[str]):
    """A speaker's name, whatever the locale.

    Under a locale without UTF-8 the bytes of a name arrive as lone surrogates; they are read
    as the UTF-8 that they are.  (File names stay as they came: they are bytes in disguise.)
    """

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; one that is no UTF-8 is left to the check of names."""
        del param, ctx
        try:
            return os.fsencode(value).decode("utf-8")
        except UnicodeError:
            return str(value)


class Metadata(click.ParamType[tuple[str, str]]):
    """``KEY=VALUE``."""

    name = "metadata"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the key and the value."""
        if isinstance(value, tuple):
            return value
        key, sign, text = str(value).partition("=")
        if not sign or not key.strip():
            self.fail(f"{value!r} is not KEY=VALUE.", param, ctx)
        return key.strip(), text.strip()


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    # The group and the command both have the option: only what was given counts, and the
    # command's own, which comes later, wins.
    if value is not None and value is not False and param.name is not None:
        settings = ctx.find_object(Console)
        if settings is None:
            raise TypeError("the command line was started without a console")
        setattr(settings.settings, param.name, value)


def _common(*names: str, text: str, **kwargs: Any) -> _Decorator[Any]:
    return click.option(
        *names, cls=CommonOption, expose_value=False, callback=_remember, help=text, **kwargs
    )


_JSON = _common(
    "--json", "as_json", is_flag=True, text="Print one JSON object per result, one a line."
)
_MODEL = _common(
    "--model", metavar="NAME", text="Encoder to use; `voiceid models list` shows them."
)
_DATA = _common("--data", metavar="DIR", text="Folder of the database and the index.")
_HOME = _common("--home", metavar="DIR", text="Folder of config.yaml, which paths start from.")
_OFFLINE = _common("--offline", is_flag=True, text="Never download a model.")
_QUIET = _common("-q", "--quiet", is_flag=True, text="No notices, warnings or progress.")
_VERBOSE = _common("-v", "--verbose", is_flag=True, text="Show the traceback of an error.")
_NO_COLOR = _common("--no-color", is_flag=True, text="No colours; so does NO_COLOR.")
_LOG = _common(
    "--log",
    type=click.Choice(["off", "human", "json"]),
    metavar="off|human|json",
    text="Write an event for each decision and change to standard error.",
)
_CHANNEL = _common(
    "--channel",
    type=Channel(),
    metavar="mix|left|right|N",
    text="Channel of the audio to listen to (default: mix).",
)


def common_options(function: F) -> F:
    """Add the options of every command, which are kept in the console's settings."""
    for option in (_NO_COLOR, _VERBOSE, _QUIET, _LOG, _OFFLINE, _HOME, _DATA, _MODEL, _JSON):
        function = option(function)
    return function


def audio_options(function: F) -> F:
    """Add the common options and those of commands that read audio."""
    with_channel: F = _CHANNEL(function)
    return common_options(with_channel)


target_fmr_option = click.option(
    "--target-fmr",
    type=Rate(),
    metavar="RATE",
    help="How often another voice may match, e.g. 1e-3 (default: the settings, else 0.001).",
)
"""``--target-fmr RATE``."""


def details_options(function: F) -> F:
    """Add the options that say what is to be known of a speaker beside the voice."""
    for option in (
        click.option(
            "--expires",
            metavar="WHEN",
            help="Last day on which the speaker is accepted: 2027-01-31, or a time (UTC).",
        ),
        click.option(
            "--meta",
            type=Metadata(),
            multiple=True,
            metavar="KEY=VALUE",
            help="Keep this with the speaker; may be given often.",
        ),
        click.option(
            "--group",
            "groups",
            multiple=True,
            metavar="GROUP",
            help="Put the speaker into a group; may be given often.",
        ),
    ):
        function = option(function)
    return function


audio_argument = click.argument("audio", metavar="AUDIO")
"""One clip: a file, or ``-`` for standard input."""

audio_arguments = click.argument("audio", metavar="AUDIO...", nargs=-1, required=True)
"""Clips: files, folders, patterns, or ``-`` for standard input."""

name_argument = click.argument("name", metavar="NAME", type=SpeakerName())
"""One speaker, enrolled or to be."""
