"""config.yaml + VOICEID_* + flags -> one frozen, checked `Config`.

The home is the folder that relative paths start from: ``$VOICEID_HOME``, else the current
folder when it holds a ``config.yaml``, else the platform's user data folder.  A flag wins
over the environment, the environment over the file, the file over the default.  Unknown
keys are errors, and all problems are reported at once: a misspelt target must not be
taken for the default.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import platformdirs
import yaml

from voiceid.audio import AudioOptions
from voiceid.decision.aims import Aim, SetThreshold, rate_of, threshold_by_hand
from voiceid.domain import DatabaseUrl, tag
from voiceid.enrollment import EnrollmentLimits
from voiceid.errors import ConfigError, SpeakerDetailInvalid
from voiceid.index.base import IndexOptions
from voiceid.models.providers import PROVIDERS, EngineOptions
from voiceid.shipped import shipped
from voiceid.speech.quality import QualityLimits
from voiceid.speech.speaker_model import HearingOptions
from voiceid.speech.vad import SpeechOptions

ENV_PREFIX = "VOICEID_"
"""``VOICEID_DECISION__MARGIN=0.1`` sets ``decision.margin``."""

_NOT_SETTINGS = {"VOICEID_HOME", "VOICEID_DATABASE"}

_SECRET = {"database_url"}
"""Settings that may hold a password: what was given is not repeated in an error."""

_LEAST_RATE = 1e-9
"""No corpus supports a lower one."""

Parser = Callable[[object], Any]


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, checked.

    Parameters
    ----------
    home : Path
        The folder that relative paths started from.
    model : str
        Name of the encoder's card.
    data, models : Path
        Absolute: the database and the index; the built models.
    database_url : DatabaseUrl or None
        The PostgreSQL database that keeps the gallery; None: a SQLite file in ``data``.
    offline : bool
        Never download.
    audio, speech, quality, enrollment
        The options of the layers of these names.
    aim : Aim
        ``decision``: a target rate or a threshold, and the margin.
    groups : mapping of str to Aim
        What decides where a group is named, in place of ``aim``.
    index : IndexOptions
        How galleries are searched.
    runtime : EngineOptions
        Threads and execution providers of one inference.
    workers : int or None
        Files embedded at once; None: what the container's CPU limit grants.
    log_format : str
        Of the command line: ``off``, ``human`` or ``json`` events on standard error.
    log_file : Path or None
        Of the command line: where events are appended as JSON.
    sources : mapping of str to str
        Where each setting came from: ``default``, the file, the variable, or ``flag``.
    """

    home: Path
    model: str
    data: Path
    database_url: DatabaseUrl | None
    models: Path
    offline: bool
    audio: AudioOptions
    speech: SpeechOptions
    quality: QualityLimits
    enrollment: EnrollmentLimits
    aim: Aim
    groups: Mapping[str, Aim]
    index: IndexOptions
    runtime: EngineOptions
    workers: int | None
    log_format: str
    log_file: Path | None
    sources: Mapping[str, str]

    def hearing(self, channel: str | int | None = None) -> HearingOptions:
        """Return how recordings are heard: by the settings, or by another channel of them."""
        audio = self.audio if channel is None else replace(self.audio, channel=channel)
        return HearingOptions(audio, self.speech, self.quality, self.runtime, self.workers)


def find_home(home: str | os.PathLike[str] | None = None) -> Path:
    """Return the absolute home folder (see the top of this module); it may not exist yet."""
    if home is not None:
        return Path(home).absolute()
    if named := os.environ.get(ENV_PREFIX + "HOME"):
        return Path(named).absolute()
    here = Path.cwd()
    if (here / "config.yaml").is_file():
        return here
    return Path(platformdirs.user_data_dir("voiceid", appauthor=False))


def load_config(
    home: str | os.PathLike[str] | None = None,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Read, merge and check all settings.

    Parameters
    ----------
    home : path, optional
        See :func:`find_home`.
    flags : mapping, optional
        Dotted keys to values; they win.  None as a value means "not given".
    environ : mapping, optional
        ``os.environ`` when omitted.

    Raises
    ------
    ConfigError
        With every problem found, one a line, each with its source and key.
    """
    folder = find_home(home)
    problems: list[str] = []
    values = {key: default for key, (default, _) in _SETTINGS.items()}
    sources = dict.fromkeys(_SETTINGS, "default")
    given = [
        *_from_file(folder / "config.yaml", problems),
        *_from_environment(os.environ if environ is None else environ),
        *((k, v, "flag") for k, v in (flags or {}).items() if v is not None),
    ]
    for key, value, source in given:
        if key not in _SETTINGS:
            close = difflib.get_close_matches(key, _SETTINGS, n=1)
            guess = f"; did you mean {close[0]}?" if close else ""
            problems.append(f"{source}: unknown setting {key}{guess}")
            continue
        try:
            values[key] = _SETTINGS[key][1](value)
            sources[key] = source
        except (ValueError, TypeError) as error:
            shown = "a text" if key in _SECRET else repr(value)
            problems.append(f"{source}: {key} is {shown}, {error}")
    try:
        _aim({k.removeprefix("decision."): v for k, v in values.items() if "decision." in k}, "")
    except ConfigError as error:
        problems.append(f"decision: {error.message}")
    if problems:
        raise ConfigError(
            "the configuration is not usable:\n  " + "\n  ".join(problems),
            hint="Fix the lines that are named; config.yaml in the project shows every setting.",
        )
    return _compose(folder, values, sources)


def write_default_config(folder: Path, *, force: bool = False) -> Path:
    """Write ``config.yaml`` with every setting, its default and its meaning; return its path.

    Raises
    ------
    ConfigError
        There is one already and ``force`` is off, or the folder cannot be written to.
    """
    path = folder.absolute() / "config.yaml"
    text = shipped("config.yaml").read_bytes()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("wb" if force else "xb") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(
            f"{path} is there already; it was left as it is",
            hint="Edit it, or put the defaults in its place with --force.",
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", hint="Choose another folder: --home."
        ) from error
    return path


def _compose(folder: Path, values: Mapping[str, Any], sources: Mapping[str, str]) -> Config:
    def section(name: str) -> dict[str, Any]:
        prefix = name + "."
        return {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}

    def path(key: str) -> Path:
        # A flag is relative to where it was typed, a setting to the home.
        base = Path.cwd() if sources[key] == "flag" else folder
        return base / Path(values[key]).expanduser()

    return Config(
        home=folder,
        model=values["model"],
        data=path("data"),
        database_url=values["database_url"],
        models=path("models"),
        offline=values["offline"],
        audio=AudioOptions(**section("audio")),
        speech=SpeechOptions(**section("speech")),
        quality=QualityLimits(**section("quality")),
        enrollment=EnrollmentLimits(**section("enrollment")),
        aim=_aim(section("decision"), "the settings"),
        groups=values["groups"],
        index=IndexOptions(**section("index")),
        runtime=EngineOptions(values["runtime.threads"], tuple(values["runtime.providers"])),
        workers=values["runtime.workers"],
        log_format=values["log.format"],
        log_file=path("log.file") if values["log.file"] is not None else None,
        sources=sources,
    )


def _from_file(path: Path, problems: list[str]) -> Iterator[tuple[str, object, str]]:
    try:
        document = yaml.safe_load(path.read_bytes())
    except FileNotFoundError:
        return
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"{path}: cannot be read: {' '.join(str(error).split())}")
        return
    if document is None:
        return
    if not isinstance(document, dict):
        problems.append(f"{path}: the settings must be `key: value` lines")
        return
    for key, value in document.items():
        if isinstance(value, dict) and key not in _SETTINGS:
            yield from ((f"{key}.{inner}", v, str(path)) for inner, v in value.items())
        elif value is not None or key in _SETTINGS:
            yield str(key), value, str(path)


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    for name, text in sorted(environ.items()):
        if name.startswith(ENV_PREFIX) and name not in _NOT_SETTINGS:
            key = name.removeprefix(ENV_PREFIX).lower().replace("__", ".")
            try:
                value = yaml.safe_load(text)
            except yaml.YAMLError:
                value = text
            yield key, value, name


def _number(low: float, high: float = math.inf) -> Parser:
    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError("not a number")
        if not low <= value <= high or math.isinf(value):  # NaN is in no range
            limit = f"from {low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
            raise ValueError(f"not {limit}")
        return float(value)

    return parse


def _whole(low: int) -> Parser:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError("not a whole number")
        if value < low:
            raise ValueError(f"less than {low}")
        return value

    return parse


def _rate(value: object) -> float:
    rate = rate_of(value)
    if rate < _LEAST_RATE:
        raise ValueError(f"less than {_LEAST_RATE:g}")
    return rate


def _threshold(value: object) -> object:
    return _by_hand(value, "the settings") and value


def _by_hand(value: object, source: str) -> SetThreshold | None:
    try:
        return None if value is None else threshold_by_hand(value, source)
    except ConfigError as error:
        raise ValueError(error.message) from error


def _aim(given: Mapping[str, Any], source: str) -> Aim:
    """Return what a level of the settings asks for; raises ConfigError, ValueError."""
    return Aim(
        target_fmr=given.get("target_fmr"),
        target_fpir=given.get("target_fpir"),
        threshold=_by_hand(given.get("threshold"), source),
        margin=given.get("margin"),
    )


def _groups(value: object) -> Mapping[str, Aim]:
    if not isinstance(value, dict):
        raise TypeError("not a mapping, as in {vault: {target_fmr: 1/10000}}")
    groups = {}
    for name, given in value.items():
        if not isinstance(given, dict):
            raise TypeError(f"and {name!r} has no settings of its own")
        if unknown := sorted(map(str, given.keys() - _POLICY.keys())):
            raise ValueError(f"and {name!r} has {unknown[0]}, which is not {', '.join(_POLICY)}")
        try:
            key = tag("group", str(name))
            groups[key] = _aim({k: _POLICY[k](v) for k, v in given.items()}, f"group {key}")
        except (ValueError, TypeError, ConfigError, SpeakerDetailInvalid) as error:
            raise ValueError(f"in {name!r}: {error}") from error
    return groups


def _text(value: object) -> str:
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise TypeError("not a text")
    return str(value)


def _database_url(value: object) -> DatabaseUrl:
    return DatabaseUrl(_text(value))


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


def _channel(value: object) -> str | int:
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if value in {"mix", "left", "right"} and isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("not mix, left, right or a channel's number")


def _one_of(*choices: str) -> Parser:
    def parse(value: object) -> object:
        if value not in choices:
            raise ValueError(f"not one of {', '.join(choices)}")
        return value

    return parse


def _providers(value: object) -> list[str]:
    known = ", ".join(PROVIDERS)
    if not isinstance(value, list) or not value:
        raise TypeError(f"not a list of {known}, as in [cuda, cpu]")
    for name in value:
        if name not in PROVIDERS:
            raise ValueError(f"and {name!r} is not one of {known}")
    return value


def _log_format(value: object) -> object:
    # YAML takes a bare `off` for false.
    return _one_of("off", "human", "json")("off" if value is False else value)


def _optional(parser: Parser) -> Parser:
    return lambda value: None if value is None else parser(value)


_POLICY: Mapping[str, Parser] = {
    "target_fmr": _rate,
    "target_fpir": _rate,
    "threshold": _threshold,
    "margin": _number(0.0, 2.0),
}
"""What decides: in the settings, under ``decision``, and for each of ``groups``."""

_SETTINGS: Mapping[str, tuple[object, Parser]] = {
    "model": ("campplus", _text),
    "data": ("data", _text),
    "database_url": (None, _optional(_database_url)),
    "models": ("models", _text),
    "offline": (False, _flag),
    "audio.channel": ("mix", _channel),
    "audio.max_duration_s": (AudioOptions().max_duration_s, _number(1.0)),
    "audio.max_bytes": (AudioOptions().max_bytes, _whole(1)),
    "speech.threshold": (SpeechOptions().threshold, _number(0.01, 0.99)),
    "speech.pad_ms": (SpeechOptions().pad_ms, _whole(0)),
    "speech.max_speech_s": (SpeechOptions().max_speech_s, _number(1.0)),
    "quality.min_net_speech_s": (QualityLimits().min_net_speech_s, _number(0.1)),
    "quality.max_clipped_fraction": (QualityLimits().max_clipped_fraction, _number(0.0, 1.0)),
    "quality.min_snr_db": (QualityLimits().min_snr_db, _number(-100.0, 200.0)),
    "quality.min_bandwidth_hz": (QualityLimits().min_bandwidth_hz, _number(0.0, 8000.0)),
    "enrollment.min_speech_s": (EnrollmentLimits().min_speech_s, _number(0.0)),
    "enrollment.keep_audio": (EnrollmentLimits().keep_audio, _flag),
    **{f"decision.{key}": (None, _optional(parser)) for key, parser in _POLICY.items()},
    "groups": ({}, _groups),
    "index.kind": (IndexOptions().kind, _one_of(*IndexOptions.KINDS)),
    "index.max_miss_rate": (IndexOptions().max_miss_rate, _number(0.0, 1.0)),
    "runtime.threads": (1, _whole(1)),
    "runtime.providers": (["cpu"], _providers),
    "runtime.workers": (None, _optional(_whole(1))),
    "log.format": ("off", _log_format),
    "log.file": (None, _optional(_text)),
}
"""Every setting: its default, and what checks and reads a value."""
