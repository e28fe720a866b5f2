"""The recordings and the options of a request, in each of the ways in which they may come.

A recording comes as the body itself, as a part of a form called ``audio``, or as base64 in JSON
under ``audio``: a text, a list of them, or an object by name; options as the query, as fields of
the form, or beside ``audio`` in JSON.
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
"""Bytes of a recording beyond which it is kept in a temporary file."""
_FIELD_BYTES = 1 << 16
_MAX_FIELDS = 40
_ONE_VALUE = ("host", "authorization", "x-api-key", "content-type", "idempotency-key")


class Options(BaseModel):
    """What can be said of a request beside its recordings; an unknown name is an error."""

    model_config = ConfigDict(extra="forbid")


def _several(given: object) -> object:
    return [given] if isinstance(given, str) else given


Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]
"""Several texts, or one: in a query or a form the name may come several times."""


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
    """Receive the recordings, the fewest and the most that there may be, and the options.

    ``part`` is what a form calls a recording.

    Raises Problem: there are others, or the options cannot be.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    given: dict[str, Any] = named(request.query_params.multi_items())
    found: list[BinaryIO] = []
    async with AsyncExitStack() as held:
        if media_type == "multipart/form-data":
            with keeping():
                form = await request.form(
                    max_files=clips[1] + 1, max_fields=_MAX_FIELDS, max_part_size=_FIELD_BYTES
                )
            held.push_async_callback(form.close)
            found, fields = await _of_form(form, part)
            given = _joined(given, fields)
        elif media_type == "application/json":
            found, fields = _of_json(await request.body())
            given = _joined(given, fields)
        else:
            name = given.pop("filename", "")
            body = await spooled(request)
            if body is not None:
                found.append(_Clip(str(name) or part, body))
        for clip in found:
            held.callback(clip.close)
        _require_count(len(found), clips, part)
        yield found, options_of(kind, given)


def options_of(kind: type[OptionsT], given: Mapping[str, Any]) -> OptionsT:
    """Return the options of a request; raises Problem: they cannot be."""
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        raise invalid_values(error.errors()) from error


async def spooled(request: Request) -> BinaryIO | None:
    """Return the body as a file at its start, or None where it is empty; raises Problem."""
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
            continue  # a field of a page in which no file was chosen
        elif name == called:
            clips.append(_Clip(part.filename, part.file))
        elif name == "manifest":
            fields.append((name, _text(await part.read())))
        else:
            raise invalid(f"the form has a file {name!r:.40}", f"Call each recording `{called}`.")
    return clips, named(fields)


def named(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Return texts by name; a name that comes several times has a list."""
    found: dict[str, Any] = {}
    for name, text in pairs:
        found.setdefault(name, []).append(text)
    return {name: texts[0] if len(texts) == 1 else texts for name, texts in found.items()}


async def require_once(connection: HTTPConnection) -> None:
    """Raise Problem: a header, the query or JSON gives a value twice, of which one would count.

    So it does where that of a GET or a DELETE gives one that is not known.  For every route:
    those that take recordings say what is in their bodies by `received`.
    """
    route, asked = connection.scope["route"], connection.query_params
    for name in _ONE_VALUE:
        if len(connection.headers.getlist(name)) > 1:
            raise invalid(f"the header {name} is given twice", "Give it once.")
    known = [field.alias for field in route.dependant.query_params]
    if connection.scope.get("method") in {"GET", "DELETE"} and (other := set(asked) - set(known)):
        hint = f"There are: {', '.join(known)}." if known else "This request takes none."
        raise invalid(f"there is no option {min(other)!r:.40}", hint)
    for field in route.dependant.query_params:
        n_given = len(asked.getlist(field.alias))
        if n_given > 1 and get_origin(field.field_info.annotation) is not list:
            raise invalid(f"{field.alias} is given twice", "Give it once.")
    if isinstance(connection, Request) and route.body_field and (body := await connection.body()):
        _fields_of(body)


def _joined(query: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    for name in query.keys() & body.keys():
        raise invalid(f"{name!r:.40} stands in the address and in the body", "Give it once.")
    return query | body


def _fields_of(body: bytes) -> dict[str, Any]:
    try:
        given = json_in(body)
    except ValueError as error:
        raise invalid(f"the body is not JSON: {error}", "Check how it is written.") from error
    if not isinstance(given, dict):
        raise invalid("the body is not a JSON object", 'Send {"audio": "..."}.')
    return given


def _of_json(body: bytes) -> tuple[list[BinaryIO], dict[str, Any]]:
    given = _fields_of(body)
    audio = given.pop("audio", [])
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
    return clips, given


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise invalid("the manifest is not text in UTF-8", "Send CSV or JSON Lines.") from error


def _require_count(count: int, wanted: tuple[int, int], part: str) -> None:
    least, most = wanted
    if not least <= count <= most:
        counts = f"{least}" if least == most else f"{least} to {most}"
        what = "recordings" if part == "audio" else "files"
        raise invalid(
            f"the request has {count} {what}, and takes {counts}",
            f"Send {what} as the body, as files of a form called `{part}` (-F {part}=@FILE), or as"
            " base64 in JSON under `audio`.",
        )
