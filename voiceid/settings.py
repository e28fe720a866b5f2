"""Every setting: its default, and the parser that checks and reads its value.

A parser raises ValueError or TypeError with a message that continues "KEY is VALUE,".
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

from voiceid.audio import AudioOptions
from voiceid.audio.headerless import ENDINGS, FORMATS
from voiceid.decision.aims import Aim, SetThreshold, rate_of, threshold_by_hand
from voiceid.domain import (
    AttemptLimits,
    DatabaseUrl,
    PrivacyOptions,
    ReplayOptions,
    RetentionRules,
    ServiceLimits,
    Solo,
    tag,
)
from voiceid.domain.audit_chain import AuditOptions
from voiceid.enrollment import EnrollmentLimits
from voiceid.errors import ConfigError, SpeakerDetailInvalid
from voiceid.index.base import IndexOptions
from voiceid.models.providers import PROVIDERS
from voiceid.protection import KeySource
from voiceid.speech.quality import QualityLimits
from voiceid.speech.vad import SpeechOptions

Parser = Callable[[object], Any]
_MOST_DAYS = 36_525
"""A hundred years."""
_LEAST_RATE = 1e-9
"""No corpus supports a lower rate."""


def number(low: float, high: float = math.inf) -> Parser:
    """Return a parser of numbers in a range."""

    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError("not a number")
        if not low <= value <= high or math.isinf(value):  # NaN is in no range
            limit = f"from {low:g} to {high:g}" if math.isfinite(high) else f"{low:g} or more"
            raise ValueError(f"not {limit}")
        return float(value)

    return parse


def whole(low: int, high: int | None = None) -> Parser:
    """Return a parser of whole numbers in a range."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError("not a whole number")
        if value < low:
            raise ValueError(f"less than {low}")
        if high is not None and value > high:
            raise ValueError(f"more than {high}")
        return value

    return parse


def rate(value: object) -> float:
    """Return an error rate."""
    parsed = rate_of(value)
    if parsed < _LEAST_RATE:
        raise ValueError(f"less than {_LEAST_RATE:g}")
    return parsed


def threshold(value: object) -> object:
    """Return a checked cosine, or cosines by seconds of net speech."""
    return _by_hand(value, "the settings") and value


def _by_hand(value: object, source: str) -> SetThreshold | None:
    try:
        return None if value is None else threshold_by_hand(value, source)
    except ConfigError as error:
        form = "a cosine from 0.1 to 1, or cosines by rising seconds of speech, {2: 0.6, 4: 0.5}"
        raise ValueError(f"a threshold is {form}") from error


def aim_of(level: Mapping[str, Any], source: str) -> Aim:
    """Return the aim in a level of the settings; raises ConfigError, ValueError."""
    return Aim(
        target_fmr=level.get("target_fmr"),
        target_fpir=level.get("target_fpir"),
        threshold=_by_hand(level.get("threshold"), source),
        margin=level.get("margin"),
        allow_replayed=level.get("allow_replayed"),
        solo=level.get("solo"),
    )


def groups(value: object) -> Mapping[str, Aim]:
    """Return the policy of each group."""
    if not isinstance(value, dict):
        raise TypeError("not a mapping, as in {vault: {target_fmr: 1/10000}}")
    groups = {}
    for name, level in value.items():
        if not isinstance(level, dict):
            raise TypeError(f"and {name!r} has no settings of its own")
        if unknown := sorted(map(str, level.keys() - POLICY.keys())):
            raise ValueError(f"and {name!r} has {unknown[0]}, which is not {', '.join(POLICY)}")
        try:
            key = tag("group", str(name))
            groups[key] = aim_of({k: POLICY[k](v) for k, v in level.items()}, f"group {key}")
        except (ValueError, TypeError, ConfigError, SpeakerDetailInvalid) as error:
            raise ValueError(f"in {name!r}: {error}") from error
    if len(groups) < len(value):
        raise ValueError("and a group is set twice")
    return groups


def text(value: object) -> str:
    """Return a text that is not empty, and valid as a file name."""
    if not isinstance(value, str | os.PathLike) or not str(value) or "\0" in str(value):
        raise TypeError("not a text")
    return str(value)


def retention(value: object) -> Mapping[str, int | None]:
    """Return how long speakers are stored: the fields of `RetentionRules`."""
    names = [field.name for field in fields(RetentionRules)]
    if not isinstance(value, dict):
        raise TypeError("not a mapping, as in {max_age_days: 1095}")
    if unknown := sorted(map(str, value.keys() - set(names))):
        raise ValueError(f"and {unknown[0]} is not {', '.join(names)}")
    days = {}
    for name, n_days in value.items():
        try:
            days[name] = optional(whole(1, _MOST_DAYS))(n_days)
        except (ValueError, TypeError) as error:
            raise ValueError(f"and {name} is {error}") from error
    return days


def flag(value: object) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise TypeError("not true or false")
    return value


def channel(value: object) -> str | int:
    """Return the name or the number of a channel."""
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if value in {"mix", "left", "right"} and isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("not mix, left, right or a channel number")


def headerless_format(value: object) -> str:
    """Return the name of a format without a header."""
    if value not in ENDINGS:
        raise ValueError(f"not one of {', '.join(FORMATS)}")
    return str(value)


def one_of(*choices: str) -> Parser:
    """Return a parser that accepts one of a few texts."""

    def parse(value: object) -> object:
        if value is False and "off" in choices:  # YAML reads a bare `off` as false
            return "off"
        if value not in choices:
            raise ValueError(f"not one of {', '.join(choices)}")
        return value

    return parse


def providers(value: object) -> list[str]:
    """Return names of execution providers."""
    names = ", ".join(PROVIDERS)
    if not isinstance(value, list) or not value:
        raise TypeError(f"not a list of {names}, as in [cuda, cpu]")
    for name in value:
        if name not in PROVIDERS:
            raise ValueError(f"and {name!r} is not one of {names}")
    return value


def optional(parser: Parser) -> Parser:
    """Return a parser that also accepts null."""
    return lambda value: None if value is None else parser(value)


POLICY: Mapping[str, Parser] = {
    "target_fmr": rate,
    "target_fpir": rate,
    "threshold": threshold,
    "margin": number(0.0, 2.0),
    "allow_replayed": flag,
    "solo": lambda value: Solo(one_of(*Solo)(value)),
}
"""The settings of a policy, under ``decision`` and for each of ``groups``."""

SETTINGS: Mapping[str, tuple[object, Parser]] = {
    "model": ("campplus", text),
    "data": ("data", text),
    "database_url": (None, optional(lambda value: DatabaseUrl(text(value)))),
    "models": ("models", text),
    "offline": (False, flag),
    "countermeasure": (None, optional(text)),
    "audio.channel": ("mix", channel),
    "audio.track": (None, optional(whole(0))),
    "audio.format": (None, optional(headerless_format)),
    "audio.max_duration_s": (AudioOptions().max_duration_s, number(1.0)),
    "audio.max_bytes": (AudioOptions().max_bytes, whole(1)),
    "audio.ca_file": (None, optional(text)),
    "speech.threshold": (SpeechOptions().threshold, number(0.01, 0.99)),
    "speech.pad_ms": (SpeechOptions().pad_ms, whole(0)),
    "speech.max_speech_s": (SpeechOptions().max_speech_s, number(1.0)),
    "quality.min_net_speech_s": (QualityLimits().min_net_speech_s, number(0.1)),
    "quality.max_clipped_fraction": (QualityLimits().max_clipped_fraction, number(0.0, 1.0)),
    "quality.min_snr_db": (QualityLimits().min_snr_db, number(-100.0, 200.0)),
    "quality.min_bandwidth_hz": (QualityLimits().min_bandwidth_hz, number(0.0, 8000.0)),
    "enrollment.min_speech_s": (EnrollmentLimits().min_speech_s, number(0.0)),
    "enrollment.keep_audio": (EnrollmentLimits().keep_audio, flag),
    **{f"decision.{key}": (None, optional(parser)) for key, parser in POLICY.items()},
    "groups": ({}, groups),
    "attempts.max_failures": (AttemptLimits().max_failures, whole(1)),
    "attempts.caller_max_failures": (None, optional(whole(1))),
    "attempts.within_s": (AttemptLimits().within_s, number(1.0, 31_536_000.0)),
    "privacy.key": (None, optional(lambda value: KeySource.parse(text(value)))),
    "privacy.require_consent": (EnrollmentLimits().require_consent, flag),
    "privacy.erase_withdrawn_after_days": (
        PrivacyOptions().erase_withdrawn_after_days,
        whole(0, _MOST_DAYS),
    ),
    "privacy.retention": ({}, retention),
    "privacy.run_at_h": (PrivacyOptions().run_at_h, optional(whole(0, 23))),
    "privacy.learn_again": (PrivacyOptions().learn_again, flag),
    "privacy.receipts": (None, optional(text)),
    "replay.check": (ReplayOptions().check, flag),
    "replay.keep_days": (ReplayOptions().keep_days, whole(1, _MOST_DAYS)),
    "audit.record": (AuditOptions().record, one_of("off", "changes", "all")),
    "index.kind": (IndexOptions().kind, one_of(*IndexOptions.KINDS)),
    "index.max_miss_rate": (IndexOptions().max_miss_rate, number(0.0, 1.0)),
    "runtime.threads": (1, whole(1)),
    "runtime.providers": (["cpu"], providers),
    "runtime.workers": (None, optional(whole(1))),
    "server.max_body_bytes": (ServiceLimits().max_body_bytes, whole(1)),
    "server.max_clips": (ServiceLimits().max_clips, whole(1)),
    "server.max_waiting": (ServiceLimits().max_waiting, whole(0)),
    "server.max_wait_s": (ServiceLimits().max_wait_s, number(0.01)),
    "server.max_streams": (ServiceLimits().max_streams, whole(0)),
    "server.max_connections": (ServiceLimits().max_connections, whole(1)),
    "server.max_jobs": (ServiceLimits().max_jobs, whole(0)),
    "server.max_job_clips": (ServiceLimits().max_job_clips, whole(1)),
    "server.job_kept_s": (ServiceLimits().job_kept_s, number(1.0)),
    "server.stall_timeout_s": (ServiceLimits().stall_timeout_s, number(0.1)),
    "log.format": ("off", one_of("off", "human", "json")),
    "log.file": (None, optional(text)),
}
"""Every setting: its default, and its parser."""
_DECIDE_NOTHING = {"data", "database_url", "models", "offline", "runtime", "server", "log"}


def deciding(values: Mapping[str, Any]) -> str:
    """Return the settings that affect decisions, as JSON."""

    def plain(value: object) -> object:
        return asdict(value) if isinstance(value, Aim) else str(value)

    chosen = {k: v for k, v in values.items() if k.partition(".")[0] not in _DECIDE_NOTHING}
    return json.dumps(chosen, sort_keys=True, default=plain)
