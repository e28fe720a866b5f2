"""The settings in a file and in the environment, as YAML and unchecked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from voiceid.foreign_files import SETTINGS_FILE, content
from voiceid.home import ENV_PREFIX
from voiceid.settings import SETTINGS

_NOTSETTINGS = {"VOICEID_HOME", "VOICEID_DATABASE"}

_FAULTS = (
    *(OSError, yaml.YAMLError, ValueError, RecursionError),
    *(ArithmeticError, AttributeError, LookupError, TypeError),
)
"""The errors of PyYAML; ValueError for 2001-13-45, AttributeError for ``!!timestamp x``."""


def from_file(path: Path, problems: list[str]) -> Iterator[tuple[str, object, str]]:
    """Yield name, value and source of each setting in a file; add its problems to ``problems``."""
    try:
        document = _parsed(content(path, SETTINGS_FILE))
    except FileNotFoundError:
        return
    except _FAULTS as error:
        problems.append(f"{path}: cannot be read: {_said(error)}")
        return
    if document is None:
        return
    if not isinstance(document, dict):
        problems.append(f"{path}: the settings must be `key: value` lines")
        return
    settings: dict[str, object] = {}
    for key, value in document.items():
        if isinstance(value, dict) and key not in SETTINGS:
            section = {f"{key}.{inner}": v for inner, v in value.items()}
        else:
            section = {str(key): value} if value is not None or key in SETTINGS else {}
        problems += [f"{path}: {name} is set twice" for name in settings.keys() & section]
        settings |= section
    yield from ((name, value, str(path)) for name, value in settings.items())


def from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, object, str]]:
    """Yield name, value and source of each setting in environment variables."""
    for name, text in sorted(environ.items()):
        if name.startswith(ENV_PREFIX) and name not in _NOTSETTINGS:
            key = name.removeprefix(ENV_PREFIX).lower().replace("__", ".")
            try:
                value = _parsed(text)
            except _FAULTS:
                value = text
            yield key, value, name


def _parsed(text: bytes | str) -> object:
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _said(error: Exception) -> str:
    """Return the fault and its place, in one line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())


class _Loader(yaml.SafeLoader):
    """Reads YAML without aliases, which can expand some hundred bytes to gigabytes.

    A repeated key is an error, as in the YAML specification: the first value would be lost.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None,
                None,
                "aliases (*name) are not supported: write the value itself",
                self.peek_event().start_mark,  # type: ignore[no-untyped-call]
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep)
        left = set(mapping)
        for key, _ in node.value:
            try:
                left.remove(self.construct_object(key))
            except KeyError:
                why, mark = f"{key.value!r} is set twice", key.start_mark
                raise yaml.constructor.ConstructorError(None, None, why, mark) from None
        return mapping
