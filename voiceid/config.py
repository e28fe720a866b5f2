"""config.yaml + VOICEID_* + flags -> one frozen, checked `Config`.

The file is that of the home (`voiceid.home`).  A flag wins over the environment, the
environment over the file, the file over the default.  Unknown keys are errors, and all problems
are reported at once.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voiceid.audio import AudioOptions
from voiceid.decision.aims import Aim
from voiceid.domain import (
    AttemptLimits,
    DatabaseUrl,
    PrivacyOptions,
    ReplayOptions,
    RetentionRules,
    ServiceLimits,
)
from voiceid.domain.audit_chain import AuditOptions
from voiceid.enrollment import EnrollmentLimits
from voiceid.errors import ConfigError
from voiceid.home import ENV_PREFIX, absolute, current_folder, find_home
from voiceid.index.base import IndexOptions
from voiceid.models.providers import EngineOptions
from voiceid.protection import KeySource
from voiceid.settings import SETTINGS, aim_of, deciding
from voiceid.settings_text import from_environment, from_file
from voiceid.shipped import shipped
from voiceid.speech.quality import QualityLimits
from voiceid.speech.speaker_model import HearingOptions
from voiceid.speech.vad import SpeechOptions

CONFIG_NAME = "config.yaml"
KEY_NAME = "gallery.key"

_SHOWN_CHARS = 80

_SECRET = {"database_url"}
"""Settings that may hold a password: errors do not repeat their values."""


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting, checked.

    Parameters
    ----------
    home : Path
        The folder that relative paths start from.
    model : str
        Name of the encoder's card.
    data, models : Path
        Absolute: the database and the index; the built models.
    database_url : DatabaseUrl or None
        The PostgreSQL database of the gallery; None: a SQLite file in ``data``.
    offline : bool
        Never download.
    countermeasure : str or None
        Name of the model that finds attacks; None: no such model.
    audio, speech, quality, enrollment
        The options of the layers of these names.
    aim : Aim
        ``decision``: a target rate or a threshold, and the margin.
    groups : mapping of str to Aim
        The policy of each group, used instead of ``aim``.
    attempts : AttemptLimits
        How many attempts of named callers may fail.
    privacy_key : KeySource
        The place of a protected gallery's key.
    requires_key : bool
        Whether the settings name the key: then an unprotected gallery is refused.
    replay : ReplayOptions
        Whether recordings that were heard before are accepted.
    audit : AuditOptions
        The events that are recorded in the database, and the settings that affect decisions.
    privacy : PrivacyOptions
        How long speakers are stored.
    index : IndexOptions
        How galleries are searched.
    runtime : EngineOptions
        Threads and execution providers of one inference.
    workers : int or None
        Files embedded at once; None: as many as the container's CPU limit allows.
    server : ServiceLimits
        The load limits of a process of `voiceid serve`.
    log_format : str
        For the command line: ``off``, ``human`` or ``json`` events on standard error.
    log_file : Path or None
        For the command line: the file that gets events as JSON; below ``data``, unless a flag
        or the environment gave an absolute path.
    sources : mapping of str to str
        Where each setting came from: ``default``, the file, the variable, or ``flag``.
    unread_file : Path or None
        A ``config.yaml`` that a user may expect to be read, but is not: in the current folder, if
        no home was named; or in, beside or above the data folder of a call.
    """

    home: Path
    model: str
    data: Path
    database_url: DatabaseUrl | None
    models: Path
    offline: bool
    countermeasure: str | None
    audio: AudioOptions
    speech: SpeechOptions
    quality: QualityLimits
    enrollment: EnrollmentLimits
    aim: Aim
    groups: Mapping[str, Aim]
    attempts: AttemptLimits
    privacy_key: KeySource
    requires_key: bool
    replay: ReplayOptions
    audit: AuditOptions
    privacy: PrivacyOptions
    index: IndexOptions
    runtime: EngineOptions
    workers: int | None
    server: ServiceLimits
    log_format: str
    log_file: Path | None
    sources: Mapping[str, str]
    unread_file: Path | None

    @property
    def file(self) -> Path:
        """The ``config.yaml`` of the home; it may not exist."""
        return self.home / CONFIG_NAME

    @property
    def file_text(self) -> str:
        """The ``config.yaml`` that was read, or that none exists, and where."""
        return str(self.file) if os.path.isfile(self.file) else f"none: there is no {self.file}"

    def hearing(self, channel: str | int | None = None) -> HearingOptions:
        """Return the options of hearing: those of the settings, or with another channel."""
        audio = self.audio if channel is None else replace(self.audio, channel=channel)
        return HearingOptions(
            audio, self.speech, self.quality, self.runtime, self.workers, self.countermeasure
        )


def _unread(home: Path, data: Path, *, home_named: bool, data_named: bool) -> Path | None:
    """Return the value of `Config.unread_file`."""
    near = [] if home_named else [current_folder()]
    near += [data, *data.parents[:2]] if data_named else []
    read, files = home / CONFIG_NAME, [folder / CONFIG_NAME for folder in near]
    return next((file for file in files if file != read and os.path.isfile(file)), None)


def load_config(
    home: str | os.PathLike[str] | None = None,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Read, merge and check all settings.

    Parameters
    ----------
    home : path, optional
        See `voiceid.home.find_home`.
    flags : mapping, optional
        Dotted keys to values; they win.  None as a value means "not given".
    environ : mapping, optional
        ``os.environ`` when omitted.

    Raises
    ------
    ConfigError
        With all problems, one per line, each with its source and key.
    """
    folder = find_home(home)
    problems: list[str] = []
    values = {key: default for key, (default, _) in SETTINGS.items()}
    sources = dict.fromkeys(SETTINGS, "default")
    entries = [
        *from_file(folder / CONFIG_NAME, problems),
        *from_environment(os.environ if environ is None else environ),
        *((k, v, "flag") for k, v in (flags or {}).items() if v is not None),
    ]
    for key, value, source in entries:
        if key not in SETTINGS:
            close = difflib.get_close_matches(key, SETTINGS, n=1)
            guess = f"; did you mean {close[0]}?" if close else ""
            problems.append(f"{source}: unknown setting {key}{guess}")
            continue
        try:
            values[key] = SETTINGS[key][1](value)
            sources[key] = source
        except (ValueError, TypeError) as error:
            problems.append(f"{source}: {key} is {_shown(key, value)}, {error}")
    aim = Aim()
    try:
        aim = aim_of(_section(values, "decision"), "the settings")
    except ConfigError as error:
        problems.append(f"decision: {error.message}")
    if problems:
        raise ConfigError(
            "the configuration is not usable:\n  " + "\n  ".join(problems),
            hint="Fix these lines; `voiceid config init` writes a file with every setting.",
        )
    is_home_named = bool(home or os.environ.get(ENV_PREFIX + "HOME"))
    return _compose(folder, is_home_named, values, sources, aim)


def write_default_config(folder: Path, *, force: bool = False) -> Path:
    """Write ``config.yaml`` with every setting, its default and its meaning; return its path."""
    path = folder.absolute() / CONFIG_NAME
    text = shipped("config.yaml").read_bytes()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("wb" if force else "xb") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(
            f"{path} exists already; it was not changed",
            hint="Edit it, or replace it with the defaults with --force.",
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", hint="Choose another folder: --home."
        ) from error
    return path


def _compose(
    folder: Path, home_named: bool, values: Mapping[str, Any], sources: Mapping[str, str], aim: Aim
) -> Config:
    def path(key: str) -> Path:
        # A flag is relative to where it was typed, a setting to the home.
        return absolute(values[key], None if sources[key] == "flag" else folder)

    data, audio = path("data"), _section(values, "audio")
    if audio["ca_file"] is not None:
        audio["ca_file"] = str(path("audio.ca_file"))
    return Config(
        home=folder,
        model=values["model"],
        data=data,
        database_url=values["database_url"],
        models=path("models"),
        offline=values["offline"],
        countermeasure=values["countermeasure"],
        audio=AudioOptions(**audio),
        speech=SpeechOptions(**_section(values, "speech")),
        quality=QualityLimits(**_section(values, "quality")),
        enrollment=EnrollmentLimits(
            **_section(values, "enrollment"),
            require_consent=values["privacy.require_consent"],
            names_track=audio["track"] is not None,
        ),
        aim=aim,
        groups=values["groups"],
        attempts=AttemptLimits(**_section(values, "attempts")),
        privacy_key=_key_source(values["privacy.key"], sources["privacy.key"], folder),
        requires_key=values["privacy.key"] is not None,
        replay=ReplayOptions(**_section(values, "replay")),
        audit=AuditOptions(values["audit.record"], deciding(values)),
        privacy=PrivacyOptions(
            values["privacy.erase_withdrawn_after_days"],
            RetentionRules(**values["privacy.retention"]),
            values["privacy.run_at_h"],
            values["privacy.learn_again"],
            _written("privacy.receipts", values, sources, path, data),
        ),
        index=IndexOptions(**_section(values, "index")),
        runtime=EngineOptions(values["runtime.threads"], tuple(values["runtime.providers"])),
        workers=values["runtime.workers"],
        server=ServiceLimits(**_section(values, "server")),
        log_format=values["log.format"],
        log_file=_written("log.file", values, sources, path, data),
        sources=sources,
        unread_file=_unread(
            folder, data, home_named=home_named, data_named=sources["data"] == "flag"
        ),
    )


def _written(
    name: str,
    values: Mapping[str, Any],
    sources: Mapping[str, str],
    path: Callable[[str], Path],
    data: Path,
) -> Path | None:
    """Return the path of an output: below the data folder, unless the caller gives another.

    Another user may have written the settings file, and it must not make the command write to
    any other file.
    """
    value, source = values[name], sources[name]
    if value is None:
        return None
    file, by_caller = path(name), source == "flag" or source.startswith(ENV_PREFIX)
    if by_caller and Path(value).is_absolute():
        return file
    folder = os.path.realpath(file.parent)  # without links and `..`
    if not Path(folder).is_relative_to(os.path.realpath(data)):
        variable = name.upper().replace(".", "__")
        raise ConfigError(
            f"{source}: {name} is {value!r}, but {file} is not below the data folder {data}",
            hint=f"Choose a path there, or set {ENV_PREFIX}{variable} to an absolute path.",
        )
    return file


def _key_source(key: KeySource | None, source: str, home: Path) -> KeySource:
    """Return the place of the key: by default a file in the home.

    Only the user who runs voiceid may name a command, as with `_written`.
    """
    if key is None:
        return KeySource("file", str(home / KEY_NAME))
    if key.kind == "command" and not (source == "flag" or source.startswith(ENV_PREFIX)):
        raise ConfigError(
            f"{source}: privacy.key is a command, but a settings file may not name a command",
            hint=f"Set {ENV_PREFIX}PRIVACY__KEY, or name a file or the keyring.",
        )
    return KeySource.parse(str(key), home)


def _shown(key: str, value: object) -> str:
    """Return the text of a value for an error."""
    if key in _SECRET:
        return "a text"
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return "a number with thousands of digits"
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


def _section(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the settings of a section, by the rest of their names."""
    prefix = name + "."
    return {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
