"""Options and arguments that several commands share."""

from __future__ import annotations

import functools
import inspect
import math
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from voiceid.cli.console import Console
from voiceid.cli.tree import AudioOption, Command, CommonOption, Group

if TYPE_CHECKING:
    from voiceid.domain import Consent, SpeakerDetails

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Real(click.FloatRange):
    """A finite number in a range: ``FloatRange`` alone lets NaN through."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class Parsed(click.ParamType[T]):
    """A value that a function parses; its ValueError says what the value is not."""

    def __init__(self, name: str, read: Callable[[Any], T]) -> None:
        self.name, self._read = name, read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """Return the parsed value."""
        try:
            return self._read(value)
        except ValueError as error:
            self.fail(f"{value!r} is {error}.", param, ctx)


def _rate(value: Any, *, as_limit: bool = False) -> float:
    from voiceid.decision.aims import rate_of  # noqa: PLC0415 - loads numpy

    return rate_of(value, as_limit=as_limit)


def _number_or_none(value: Any) -> int | None:
    if value == "none":
        return None
    if not (value.isascii() and value.isdecimal()):
        raise ValueError("neither a number nor none")
    return int(value)


def _setting(key: str, value: Any) -> Any:
    from voiceid.settings import SETTINGS  # noqa: PLC0415 - loads numpy

    return SETTINGS[key][1](value)


def _speaker_name(value: Any) -> str:
    """Return a name, whatever the locale.

    Under a locale without UTF-8 the bytes of a name arrive as lone surrogates; they are decoded
    as UTF-8.  The check of names handles a name that is not UTF-8.
    """
    try:
        return os.fsencode(value).decode("utf-8")
    except UnicodeError:
        return str(value)


def _metadata(value: Any) -> tuple[str, str]:
    if isinstance(value, tuple):
        return value
    key, sign, text = str(value).partition("=")
    if not sign or not key.strip():
        raise ValueError("not KEY=VALUE")
    return key.strip(), text.strip()


def _called(metavar: str, kind: T) -> T:
    """Set the name of a value in the help of options; errors keep the type's own name."""
    kind.get_metavar = (  # type: ignore[attr-defined]
        lambda param, **_: metavar if isinstance(param, click.Option) else None
    )
    return kind


FILE = _called("FILE", click.Path(path_type=Path))
READABLE_FILE = _called("FILE", click.Path(path_type=Path, exists=True, dir_okay=False))
FOLDER = _called("DIR", click.Path(path_type=Path, file_okay=False))
COUNT = _called("N", click.IntRange(min=1))
"""A whole number from 1 on."""
RATE = Parsed("rate", _rate)
"""A target error rate: 0.005, 1/200 or 0.5%."""
RATE_LIMIT = Parsed("rate", functools.partial(_rate, as_limit=True))
"""The limit of a measured error rate, 0 to 1, in the same notation."""
NUMBER_OR_NONE = Parsed("number", _number_or_none)
"""The number of something, or ``none``."""
SPEAKER_NAME = Parsed("name", _speaker_name)
"""The name of a speaker."""


def together(*options: Callable[[Any], Any]) -> Callable[[F], F]:
    """Return a decorator that adds options, which the help lists in this order."""

    def decorated(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorated


def gathered(
    name: str, make: Callable[..., object], *options: Callable[[Any], Any]
) -> Callable[[F], F]:
    """Return a decorator that adds options whose values the function receives as one.

    ``make`` builds that value; its parameters have the names of the options.
    """
    names = inspect.signature(make).parameters

    def decorated(function: F) -> F:
        @functools.wraps(function)
        def receiving(*args: Any, **kwargs: Any) -> Any:
            value = make(**{key: kwargs.pop(key) for key in names})
            return function(*args, **kwargs, **{name: value})

        return cast("F", together(*options)(receiving))

    return decorated


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    # The group and the command both have the option: only given values count, and the
    # command's own, which comes later, wins.
    if value is not None and value is not False and param.name is not None:
        settings = ctx.find_object(Console)
        if settings is None:
            raise TypeError("the command line was started without a console")
        setattr(settings.settings, param.name, value)


def _common(*names: str, text: str, **kwargs: Any) -> Callable[[Any], Any]:
    kind = {"cls": CommonOption, **kwargs}
    return click.option(*names, expose_value=False, callback=_remember, help=text, **kind)


common_options = together(
    _common("--json", "as_json", is_flag=True, text="Print one JSON object per line and result."),
    _common("--model", metavar="NAME", text="Encoder to use; `voiceid models list` lists them."),
    _common("--data", metavar="DIR", text="Folder of the database and the index."),
    _common("--home", metavar="DIR", text="Folder of config.yaml, the base of relative paths."),
    _common("--offline", is_flag=True, text="Never download a model."),
    _common(
        "--log",
        type=click.Choice(["off", "human", "json"]),
        metavar="off|human|json",
        text="Write an event for each decision and change to standard error.",
    ),
    _common("-q", "--quiet", is_flag=True, text="No notices, warnings or progress."),
    _common(
        "-v", "--verbose", is_flag=True, text="Show which config.yaml is read; show tracebacks."
    ),
    _common("--no-color", is_flag=True, text="No colours, as with NO_COLOR."),
)
"""The options of every command, stored in the console's settings."""

_channel_and_track = together(
    _common(
        "--channel",
        cls=AudioOption,
        type=Parsed("channel", functools.partial(_setting, "audio.channel")),
        metavar="mix|left|right|N",
        text="Channel of the audio to listen to (default: mix).",
    ),
    _common(
        "--track",
        cls=AudioOption,
        type=click.IntRange(min=0),
        metavar="N",
        text="Audio track to listen to, counted from 0 (default: the default track).",
    ),
)


def _audio_format(*names: str) -> Callable[[Any], Any]:
    return _common(
        *names,
        "audio_format",
        cls=AudioOption,
        type=Parsed("name", functools.partial(_setting, "audio.format")),
        text="Format of audio without a header: ulaw, alaw, gsm, g722, sln, sln16, vox, ..."
        " (default: the file's suffix).",
    )


audio_options = together(
    common_options, _channel_and_track, _audio_format("--format", "--audio-format")
)
"""The common options and those of commands that hear audio."""


def leaf(
    name: str, *, group: click.Group | None = None, audio: bool = False, **kwargs: Any
) -> Callable[[Callable[..., int | None]], Command]:
    """Make a function a `Command` with the common options, of a group if one is given.

    If a command has its own ``--format``, that of audio is only ``--audio-format``.
    """

    def decorated(function: Callable[..., int | None]) -> Command:
        own = {name for option in getattr(function, "__click_params__", ()) for name in option.opts}
        options = audio_options if audio else common_options
        if audio and "--format" in own:
            options = together(common_options, _channel_and_track, _audio_format("--audio-format"))
        command = click.command(name, cls=Command, **kwargs)(options(click.pass_obj(function)))
        if group is not None:
            group.add_command(command)
        return command

    return decorated


def branch(
    name: str, *, audio: bool = False, **kwargs: Any
) -> Callable[[Callable[..., None]], Group]:
    """Make a function a group of commands, with the common options; see `leaf`."""
    options = audio_options if audio else common_options
    return lambda function: click.group(name, cls=Group, **kwargs)(options(function))


target_fmr_option = click.option(
    "--target-fmr",
    type=RATE,
    help="Target FMR, how often another voice may match: 0.001, 1/1000 or 0.1% (default: the"
    " settings, else 0.001).",
)

target_fpir_option = click.option(
    "--target-fpir",
    type=RATE,
    help="Target FPIR, how often a stranger may be accepted as any enrolled speaker: 0.01, 1/100"
    " or 1%.",
)

margin_option = click.option(
    "--margin",
    type=Real(0.0, 2.0),
    metavar="M",
    help="Least lead over the runner-up, in cosine (default: from the model's card).",
)

threshold_option = click.option(
    "--threshold",
    type=Real(0.1, 1.0),
    metavar="COSINE",
    help="Least accepted score, 0.1 to 1, instead of an error rate.",
)

purpose_option = click.option(
    "--purpose",
    metavar="PURPOSE",
    help="Accept only speakers with a consent in force for this purpose, e.g. door.",
)

allow_replayed_option = click.option(
    "--allow-replayed",
    is_flag=True,
    default=None,
    help="Also accept a recording that is itself enrolled: for tests.",
)

solo_option = click.option(
    "--solo",
    type=click.Choice(["off", "warn", "require"]),
    metavar="off|warn|require",
    help="If several people speak in a clip that would be accepted: require makes it"
    " inconclusive (default), warn warns, off does not check.",
)


def refuse_both(how: Mapping[str, object]) -> None:
    """Raise click.UsageError if both a threshold and a rate are given."""
    for rate in ("target-fmr", "target-fpir"):
        if how["threshold"] is not None and how.get(rate.replace("-", "_")) is not None:
            raise click.UsageError(f"Give only one of --threshold and --{rate}.")


signed_by_option = click.option(
    "--signed-by",
    metavar="KEY",
    help="Public key of the gallery that wrote it (`privacy key` there), or `anybody`.",
)


def _details(
    groups: tuple[str, ...], meta: tuple[tuple[str, str], ...], expires: str | None
) -> SpeakerDetails:
    """Return the details of a speaker; raises SpeakerDetailInvalid."""
    from voiceid.domain import SpeakerDetails, expiry  # noqa: PLC0415 - loads numpy

    keys = [key for key, _ in meta]
    if len(set(keys)) < len(keys):
        raise click.UsageError(f"--meta {max(keys, key=keys.count)} is given twice.")
    end = None if expires is None else expiry(expires)
    console = click.get_current_context().find_object(Console)
    if end is not None and end <= datetime.now(UTC) and console is not None:
        console.warn(f"--expires {expires} is in the past: the speaker is never accepted")
    return SpeakerDetails(groups, metadata=dict(meta), expires_at=end)


details_options = gathered(
    "details",
    _details,
    click.option(
        "--group",
        "groups",
        multiple=True,
        metavar="GROUP",
        help="Put the speaker into a group; may be repeated.",
    ),
    click.option(
        "--meta",
        type=Parsed("key=value", _metadata),
        multiple=True,
        help="Store this with the speaker; may be repeated.",
    ),
    click.option(
        "--expires",
        metavar="WHEN",
        help="Last day on which the speaker is accepted: 2027-01-31, or a time (UTC).",
    ),
)
"""The details of a speaker: ``details``."""


def _consents(
    consent: str | None, purposes: tuple[str, ...], until: str | None, recorded_by: str | None
) -> tuple[Consent, ...]:
    """Return the consents; raises SpeakerDetailInvalid."""
    from voiceid.domain import Consent, expiry  # noqa: PLC0415 - loads numpy

    if consent is None:
        if purposes or until or recorded_by:
            raise click.UsageError("--purpose, --until and --recorded-by need --consent.")
        return ()
    end = None if until is None else expiry(until)
    return (Consent(consent, purposes, end, recorded_by or ""),)


consent_options = gathered(
    "consents",
    _consents,
    click.option(
        "--consent",
        metavar="VERSION",
        help="The version of the text that the person agreed to, e.g. 2026-03.",
    ),
    click.option(
        "--purpose",
        "purposes",
        multiple=True,
        metavar="PURPOSE",
        help="Purpose of the consent, e.g. door; may be repeated.",
    ),
    click.option(
        "--until", metavar="WHEN", help="Last day of the consent: 2027-12-31, or a time (UTC)."
    ),
    click.option(
        "--recorded-by",
        metavar="WHO",
        help="Who recorded the consent (default: the system's user).",
    ),
)
"""The consents of a person: ``consents``."""

audio_arguments = click.argument("audio", metavar="AUDIO...", nargs=-1, required=True)
"""Clips: files, folders, patterns, or ``-`` for standard input."""

name_argument = click.argument("name", metavar="NAME", type=SPEAKER_NAME)
"""The name of one speaker, enrolled or new."""
