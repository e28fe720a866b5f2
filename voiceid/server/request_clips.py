"""The recordings and the options of a request, in all allowed formats.

A recording is the body itself, a part ``audio`` of a form, or base64 in JSON under ``audio``: a
text, a list of texts, or an object by name.  Options are the query, fields of the form, or members
beside ``audio`` in JSON.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, BinaryIO, TypeVar, cast, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import HTTPConnection, Request

from voiceid.listing import json_in
from voiceid.server.problems import invalid, invalid_values, keeping

_IN_MEMORY = 1 << 20
"""A larger recording, in bytes, is stored in a temporary file."""
_FIELD_BYTES = 1 << 16
_MAX_FIELDS = 40
_ONE_VALUE = ("host", "authorization", "x-api-key", "content-type", "idempotency-key")


class Options(BaseModel):
    """The values of a request, beside its recordings; an unknown name is an error."""

    model_config = ConfigDict(extra="forbid")


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]
"""One or more texts: in a query or a form the name may be repeated."""


OptionsT = TypeVar("OptionsT", bound=Options)


class _Clip(io.BufferedReader):
    """A recording of a request: a file with the name that the caller gave it."""

    name = ""

    def __init__(self, name: str | None, file: BinaryIO) -> None:
        super().__init__(cast("io.RawIOBase", file))
        self.name = name or "audio"


@asynccontextmanager
async def received(
    request: Request, kind: type[OptionsT], clips: tuple[int, int], part: str = "audio"
) -> AsyncIterator[tuple[list[BinaryIO], OptionsT]]:
    """Receive the recordings (between ``clips[0]`` and ``clips[1]``) and the options.

    ``part`` is the form's name for a recording.

    Raises Problem for another number of recordings or invalid options.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    values: dict[str, Any] = named(request.query_params.multi_items())
    recordings: list[BinaryIO] = []
    async with AsyncExitStack() as stack:
        if media_type == "multipart/form-data":
            with keeping():
                form = await request.form(
                    max_files=clips[1] + 1, max_fields=_MAX_FIELDS, max_part_size=_FIELD_BYTES
                )
            stack.push_async_callback(form.close)
            recordings, fields = await _of_form(form, part)
            values = _joined(values, fields)
        elif media_type == "application/json":
            recordings, fields = _of_json(await request.body())
            values = _joined(values, fields)
        else:
            name = values.pop("filename", "")
            body = await spooled(request)
            if body is not None:
                recordings.append(_Clip(str(name) or part, body))
        for clip in recordings:
            stack.callback(clip.close)
        _require_count(len(recordings), clips, part)
        yield recordings, options_of(kind, values)


def options_of(kind: type[OptionsT], values: Mapping[str, Any]) -> OptionsT:
    """Return the options of a request; raises Problem if they are invalid."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise invalid_values(error.errors()) from error


async def spooled(request: Request) -> BinaryIO | None:
    """Return the body as a file at its start, or None if it is empty; raises Problem."""
    file = SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - the clip closes it
    try:
        with keeping():
            async for block in request.stream():
                file.write(block)
        if not file.tell():
            file.close()
            return None
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return cast("BinaryIO", file)


async def _of_form(form: FormData, called: str) -> tuple[list[BinaryIO], dict[str, Any]]:
    clips, fields = list[BinaryIO](), list[tuple[str, str]]()
    for name, part in form.multi_items():
        if not isinstance(part, UploadFile):
            fields.append((name, part))
        elif not part.filename and not part.size:
            continue  # a form field without a chosen file
        elif name == called:
            clips.append(_Clip(part.filename, part.file))
        elif name == "manifest":
            fields.append((name, _text(await part.read())))
        else:
            raise invalid(f"the form has a file {name!r:.40}", f"Name each recording `{called}`.")
    return clips, named(fields)


def named(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return texts by name; a repeated name has a list."""
    by_name: dict[str, Any] = {}
    for name, text in pairs:
        by_name.setdefault(name, []).append(text)
    return {name: texts[0] if len(texts) == 1 else texts for name, texts in by_name.items()}


async def require_once(connection: HTTPConnection) -> None:
    """Raise Problem if a header, the query or JSON gives a single value twice.

    Also if the query of a GET or DELETE has an unknown name.  This holds for every route; routes
    with recordings check their bodies in `received`.
    """
    route, query = connection.scope["route"], connection.query_params
    for name in _ONE_VALUE:
        if len(connection.headers.getlist(name)) > 1:
            raise invalid(f"the header {name} is given twice", "Give it once.")
    names = [field.alias for field in route.dependant.query_params]
    if connection.scope.get("method") in {"GET", "DELETE"} and (unknown := set(query) - set(names)):
        hint = f"There are: {', '.join(names)}." if names else "This request takes none."
        raise invalid(f"there is no option {min(unknown)!r:.40}", hint)
    for field in route.dependant.query_params:
        n_given = len(query.getlist(field.alias))
        if n_given > 1 and get_origin(field.field_info.annotation) is not list:
            raise invalid(f"{field.alias} is given twice", "Give it once.")
    if isinstance(connection, Request) and route.body_field and (body := await connection.body()):
        _fields_of(body)


def _joined(query: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    for name in query.keys() & body.keys():
        raise invalid(f"{name!r:.40} is in the address and in the body", "Give it once.")
    return query | body


def _fields_of(body: bytes) -> dict[str, Any]:
    try:
        fields = json_in(body)
    except ValueError as error:
        raise invalid(f"the body is not JSON: {error}", "Send valid JSON.") from error
    if not isinstance(fields, dict):
        raise invalid("the body is not a JSON object", 'Send {"audio": "..."}.')
    return fields


def _of_json(body: bytes) -> tuple[list[BinaryIO], dict[str, Any]]:
    fields = _fields_of(body)
    audio = fields.pop("audio", [])
    if not isinstance(audio, dict):
        texts = audio if isinstance(audio, list) else [audio]
        audio = dict(enumerate(texts))
    clips: list[BinaryIO] = []
    for name, text in audio.items():
        try:
            data = base64.b64decode(text, validate=True)
        except (TypeError, ValueError, binascii.Error) as error:
            raise invalid("`audio` is not base64", "Encode the bytes of the file.") from error
        clips.append(_Clip(name if isinstance(name, str) else None, io.BytesIO(data)))
    return clips, fields


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise invalid("the manifest is not text in UTF-8", "Send CSV or JSON Lines.") from error


def _require_count(count: int, allowed: tuple[int, int], part: str) -> None:
    least, most = allowed
    if not least <= count <= most:
        counts = f"{least}" if least == most else f"{least} to {most}"
        noun = "recordings" if part == "audio" else "files"
        raise invalid(
            f"the request has {count} {noun}, but must have {counts}",
            f"Send {noun} as the body, as files of a form called `{part}` (-F {part}=@FILE), or as"
            " base64 in JSON under `audio`.",
        )
