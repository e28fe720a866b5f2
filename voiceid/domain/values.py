"""The public JSON of frozen values."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

_DIGITS: Mapping[str, int | None] = {
    **dict.fromkeys(("score", "margin", "agreement", "clipped_fraction"), 6),
    "llr": 4,
    **dict.fromkeys(("duration_s", "net_speech_s", "judged_speech_s", "missing_speech_s"), 3),
    **dict.fromkeys(("start_s", "end_s", "speech_s", "alone_s"), 2),
    **dict.fromkeys(("snr_db", "level_dbfs", "elapsed_ms", "delay_ms"), 1),
    "at_s": 2,
    "bandwidth_hz": None,
}
"""The digits to which a field is rounded, which are those that mean something."""


class Value:
    """A frozen dataclass whose fields are its public JSON."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON; times in ISO 8601."""
        return json_of(self)


def json_of(value: Any, *left_out: str, **changed: Any) -> dict[str, Any]:
    """Return the fields of a dataclass but some, ready for JSON, with others changed or added."""
    names = [field.name for field in fields(value) if field.name not in left_out]
    facts = {name: _plain(getattr(value, name)) for name in names if name not in changed}
    for name in _DIGITS.keys() & facts.keys():
        if facts[name] is not None:
            facts[name] = round(facts[name], _DIGITS[name])
    facts |= {name: _plain(added) for name, added in changed.items()}
    return {name: facts.pop(name) for name in names} | facts


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key: _plain(held) for key, held in value.items()}
    return [_plain(held) for held in value] if isinstance(value, tuple | list) else value
