"""Options and arguments that several commands share."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from voiceid.cli.console import Console
from voiceid.cli.tree import AudioOption, Command, CommonOption, Group

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


class Rate(click.ParamType[float]):
    """An error rate to aim at, above 0 and at most one half: 0.005, 1/200 or 0.5%."""

    name = "rate"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the rate as a fraction."""
        from voiceid.decision.aims import rate_of  # noqa: PLC0415 - loads numpy

        try:
            return rate_of(value)
        except ValueError as error:
            self.fail(f"{value!r} is {error}.", param, ctx)


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
    kind = {"cls": CommonOption, **kwargs}
    return click.option(*names, expose_value=False, callback=_remember, help=text, **kind)


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
_VERBOSE = _common(
    "-v", "--verbose", is_flag=True, text="Say which config.yaml is read; show tracebacks."
)
_NO_COLOR = _common("--no-color", is_flag=True, text="No colours; so does NO_COLOR.")
_LOG = _common(
    "--log",
    type=click.Choice(["off", "human", "json"]),
    metavar="off|human|json",
    text="Write an event for each decision and change to standard error.",
)
_CHANNEL = _common(
    "--channel",
    cls=AudioOption,
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
    """Add the common options and those of commands that hear audio."""
    with_channel: F = _CHANNEL(function)
    return common_options(with_channel)


def leaf(
    name: str, *, group: click.Group | None = None, audio: bool = False, **kwargs: Any
) -> Callable[[Callable[..., int]], Command]:
    """Make a function a command, of a group if one is given, with the common options.

    Parameters
    ----------
    name : str
    group : click.Group, optional
    audio : bool
        Whether it hears audio.
    **kwargs : object
        See `Command`.
    """
    options = audio_options if audio else common_options

    def made(function: Callable[..., int]) -> Command:
        command = click.command(name, cls=Command, **kwargs)(options(click.pass_obj(function)))
        if group is not None:
            group.add_command(command)
        return command

    return made


def branch(
    name: str, *, audio: bool = False, **kwargs: Any
) -> Callable[[Callable[..., None]], Group]:
    """Make a function a group of commands, with the common options; see `leaf`."""
    options = audio_options if audio else common_options
    return lambda function: click.group(name, cls=Group, **kwargs)(options(function))


target_fmr_option = click.option(
    "--target-fmr",
    type=Rate(),
    metavar="RATE",
    help="How often another voice may match: 0.001, 1/1000 or 0.1% (default: the settings, else"
    " 0.001).",
)
"""``--target-fmr RATE``."""

threshold_option = click.option(
    "--threshold",
    type=Real(-1.0, 1.0),
    metavar="COSINE",
    help="Accept from this score on, -1 to 1, in place of an error rate.",
)
"""``--threshold COSINE``."""


def refuse_both(threshold: float | None, rate: float | None, option: str) -> None:
    """Raise click.UsageError when both a threshold and a rate were given."""
    if threshold is not None and rate is not None:
        raise click.UsageError(f"--threshold and {option} cannot both decide; give one of them.")


yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
"""``--yes``, of what cannot be undone."""


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
