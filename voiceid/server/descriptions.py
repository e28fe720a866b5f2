"""OpenAPI: the parameters and answers of each request, with real answers as examples.

`examples.json` has answers of a real service, by operation; tests/server/test_openapi.py writes
them, and compares them with present answers.  Schemas are derived from them: every field that was
seen, its type, and null if a field of that name may be None in the library.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from voiceid import domain
from voiceid.server.problems import MEDIA_TYPE, Problem, problem_document
from voiceid.server.request_clips import Options

_EXAMPLES = Path(__file__).with_name("examples.json")
_JSON = "application/json"
_MAPS = {"metadata", "standing", "groups", "min_dcf", "act_dcf", "reasons", "points"}
"""Objects whose keys are data."""
_FACTS = "facts"
"""An object with arbitrary content."""
_TEXT = {"type": "string", "contentEncoding": "base64", "description": "A recording in base64."}
_BINARY = {"type": "string", "format": "binary", "description": "A recording, in any format."}
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}, "maxItems": 2}
_SHOWN = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAgD4AAAB9AAACABAAZGF0YQAAAAA="
"""The head of a WAV file in base64."""


def takes_audio(
    options: type[Options], most: int = 1, *, names: str | None = None
) -> dict[str, Any]:
    """Return the additions to the description of an operation that hears recordings.

    - `most`: the limit; ``names``: an example of a name, if names tell the speakers.
    """
    schema = options.model_json_schema()
    fields, required = schema["properties"], schema.get("required", [])
    in_json: dict[str, Any] = _TEXT if most == 1 else {"type": "array", "items": _TEXT}
    if names is not None:
        in_json = {"type": "object", "additionalProperties": _TEXT}
    in_form = _BINARY if most == 1 else {"type": "array", "items": _BINARY}
    shown: Any = _SHOWN if most == 1 else [_SHOWN] * 2
    example = {"audio": shown if names is None else {names: _SHOWN}}
    content = {
        "multipart/form-data": _body(in_form, fields, required),
        _JSON: {
            **_body(in_json, fields, required),
            "example": {**example, **dict.fromkeys(required, "alice")},
        },
    }
    if names is None:
        content["application/octet-stream"] = {"schema": _BINARY}
        content["audio/*"] = {"schema": _BINARY}
    return {"parameters": _in_query(fields), "requestBody": {"required": True, "content": content}}


def takes_files(options: type[Options], part: str) -> dict[str, Any]:
    """Return the additions to the description of an operation that takes files in a form."""
    fields = options.model_json_schema()["properties"]
    in_form = {"type": "object", "properties": {part: _FILES, **fields}, "required": [part]}
    content = {
        "multipart/form-data": {"schema": {**in_form, "additionalProperties": False}},
        "application/octet-stream": {"schema": _BINARY},
    }
    return {"parameters": _in_query(fields), "requestBody": {"required": True, "content": content}}


def _in_query(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema["description"],
            "schema": schema,
        }
        for name, schema in fields.items()
    ]


def _body(audio: Any, fields: Mapping[str, Any], required: Sequence[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"audio": audio, **fields}}
    return {"schema": {**schema, "required": ["audio", *required], "additionalProperties": False}}


def describe(app: FastAPI) -> None:
    """Make an application serve the complete description."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _described(app: FastAPI) -> dict[str, Any]:
    document: dict[str, Any] = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = problem_document(
        Problem(HTTPStatus.NOT_FOUND, "SpeakerNotFound", "no speaker called 'zoe' is enrolled")
    )
    schemas["Problem"] = {
        **schema_of([problem]),
        "description": "The problem, and what to do (RFC 9457).",
    }
    refers = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": problem}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = {
                "description": "A problem, with a hint what to do.",
                "content": {MEDIA_TYPE: refers},
            }
            _add_examples(operation)
            _add_headers(operation, method, path)
    return document


def _add_examples(operation: dict[str, Any]) -> None:
    example = examples().get(operation["operationId"], {})
    for status, answers in example.get("answers", {}).items():
        phrase = HTTPStatus(int(status)).phrase
        response = operation["responses"].setdefault(status, {"description": phrase})
        named = {f"answer {i}": {"value": answer} for i, answer in enumerate(answers, start=1)}
        response["content"] = {_JSON: {"schema": schema_of(answers), "examples": named}}
    if "request" in example:
        operation["requestBody"]["content"][_JSON]["example"] = example["request"]


def _add_headers(operation: dict[str, Any], method: str, path: str) -> None:
    parameters = operation.setdefault("parameters", [])
    is_question = operation["tags"][0] in {"questions", "health"}
    if method != "get" and not is_question:
        parameters.append(_header("Idempotency-Key", _ONCE, minLength=1, maxLength=255))
    if path.startswith("/v1/speakers/") and method != "get":
        parameters.append(_header("If-Match", "The ETag of the speaker that the caller saw."))
    if operation["operationId"] == "show_speaker":
        parameters.append(_header("If-None-Match", "The ETag of the state that the caller saw."))
        operation["responses"]["304"] = {"description": "The speaker has not changed."}
    for status, name in (("202", "Location"), ("200", "ETag")):
        if status == "202" or operation["operationId"] in {"show_speaker", "edit_speaker"}:
            response = operation["responses"].get(status, {})
            response["headers"] = {name: {"schema": {"type": "string"}}}


_ONCE = "The request runs once for each key within 24 hours; a repeat gets the same answer."


def _header(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": description,
        "schema": {"type": "string", **schema},
    }


@cache
def examples() -> dict[str, Any]:
    """Return the answers of a real service, by operation and status."""
    by_operation: dict[str, Any] = json.loads(_EXAMPLES.read_text(encoding="utf-8"))
    return by_operation


def schema_of(values: Sequence[Any], name: str = "") -> dict[str, Any]:
    """Return a JSON schema for values and others like them."""
    seen = [value for value in values if value is not None]
    types = {_type(value) for value in seen}
    if not types:
        return {}
    if len(types) > 1:
        return {"anyOf": [schema_of([v for v in seen if _type(v) == t]) for t in sorted(types)]}
    [kind] = types
    schema: dict[str, Any] = {"type": kind}
    if kind == "object":
        schema |= _object(seen, name)
    elif kind == "array":
        schema["items"] = schema_of([item for value in seen for item in value], name)
    if len(seen) < len(values) or name in _nullable():
        schema["type"] = [kind, "null"]
    return schema


def _object(seen: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    if name == _FACTS:
        return {}
    if name in _MAPS:
        return {"additionalProperties": schema_of([v for value in seen for v in value.values()])}
    keys = dict.fromkeys(key for value in seen for key in value)
    fields = {key: schema_of([v[key] for v in seen if key in v], key) for key in keys}
    return {"properties": fields, "required": [k for k in keys if all(k in v for v in seen)]}


def _type(value: object) -> str:
    kinds: Iterable[tuple[type | tuple[type, ...], str]] = (
        (bool, "boolean"),
        ((int, float), "number"),
        (str, "string"),
        (dict, "object"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "array")


@cache
def _nullable() -> frozenset[str]:
    """Return the names of fields that may be None in any value of the library."""
    classes = [value for value in vars(domain).values() if dataclasses.is_dataclass(value)]
    fields = (field for kind in classes for field in dataclasses.fields(kind))
    return frozenset(field.name for field in fields if "None" in str(field.type))
