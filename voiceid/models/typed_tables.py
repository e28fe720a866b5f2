"""Dataclasses from tables of TOML: every key known, present and of its type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from voiceid.errors import ConfigError

T = TypeVar("T")


def built(kind: type[T], table: object, where: str) -> T:
    """Return the dataclass of a table; raises ConfigError, which names the table."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} must be a table")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    required = {n for n, f in known.items() if f.default is MISSING}
    if unknown := sorted(set(table) - set(known)):
        raise ConfigError(f"{where}: unknown key {', '.join(unknown)}")
    if missing := sorted(required - set(table)):
        raise ConfigError(f"{where}: missing key {', '.join(missing)}")
    return kind(
        **{
            key: _typed(value, str(known[key].type), f"{where}.{key}")
            for key, value in table.items()
        }
    )


def _typed(value: Any, annotation: str, where: str) -> Any:
    kind = annotation.removeprefix("tuple[").removesuffix(", ...]")
    if kind not in {"str", "int", "float"}:
        return value  # of a table, which was checked when it was built
    if kind != annotation and isinstance(value, list):
        return tuple(_typed(item, kind, where) for item in value)
    if kind == annotation == "float" and type(value) in {int, float}:
        try:
            return float(value)
        except OverflowError as error:
            raise ConfigError(f"{where} is far too large") from error
    if kind == annotation == type(value).__name__:
        return value
    raise ConfigError(f"{where} must be of type {annotation}")
