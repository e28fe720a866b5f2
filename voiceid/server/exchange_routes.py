"""Export and import of speakers as a file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from anyio import to_thread
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import Field
from starlette.requests import Request

from voiceid.domain import Consent
from voiceid.errors import VoiceIDError
from voiceid.server.callers import Admin
from voiceid.server.consent_fields import ConsentFields
from voiceid.server.descriptions import takes_files
from voiceid.server.problems import problem_of
from voiceid.server.repeats import OnceRoute
from voiceid.server.request_clips import Texts, received
from voiceid.server.service_parts import ServiceParts, parts_of

ROUTES = APIRouter(tags=["exchange"], route_class=OnceRoute)

_BLOCK = 1 << 20
_LINES = "application/x-ndjson"


class Lines(StreamingResponse):
    """A file of JSON Lines."""

    media_type = _LINES


class ImportOptions(ConsentFields):
    """The options of an import; those of embeddings are for files that lack these values."""

    append: bool = Field(default=False, description="Add missing samples to existing speakers.")
    trust: bool = Field(
        default=False, description="Skip checks of voices, and trust the file's telephone flags."
    )
    space: str | None = Field(None, description="The embedding space of the embeddings.")
    net_speech_s: Annotated[float, Field(gt=0.0)] | None = Field(
        None, description="Seconds of speech behind each embedding."
    )
    label: str | None = Field(None, description="Where the speech was recorded, e.g. phone.")
    groups: Texts | None = Field(None, description="Groups of each new speaker.")
    signed_by: str | None = Field(
        None, description="Public key of the gallery that wrote the file, or `anybody`."
    )


@ROUTES.get(
    "/export",
    response_class=Lines,
    responses={
        200: {
            "content": {
                _LINES: {"examples": {"the first line": {"value": '{"format":"voiceid-gallery"}'}}}
            }
        }
    },
)
def export_speakers(
    request: Request,
    _: Admin,
    name: Annotated[list[str], Query(description="A speaker; without it, all.")] = [],  # noqa: B006 - FastAPI copies it
    plain: Annotated[bool, Query(description="Send a sealed gallery unencrypted.")] = False,
) -> StreamingResponse:
    """Send speakers as a file that another gallery can import: embeddings, not encrypted.

    A sealed gallery requires ``plain``; `voiceid speakers export --passphrase` makes a sealed file.
    """
    file = _exported(parts_of(request), name, plain=plain)
    size = os.fstat(file.fileno()).st_size
    headers = {
        "Content-Disposition": 'attachment; filename="speakers.jsonl"',
        "Content-Length": str(size),
        "Cache-Control": "no-store",
    }
    return Lines(_blocks(file), headers=headers)


def _exported(parts: ServiceParts, names: list[str], *, plain: bool) -> BinaryIO:
    """Return the unlinked file: it disappears however the service ends."""
    uploads, folder_id = parts.jobs.uploads, secrets.token_hex(16)
    uploads.keep(folder_id, [])
    try:
        path = uploads.of(folder_id) / "speakers.jsonl"
        parts.vid.speakers.export(path, names, plain=plain)
        return path.open("rb")
    finally:
        uploads.remove(folder_id)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK):
            yield block


@ROUTES.post(
    "/import", status_code=HTTPStatus.CREATED, openapi_extra=takes_files(ImportOptions, "file")
)
async def import_speakers(request: Request, caller: Admin) -> dict[str, Any]:
    """Add the speakers of a file, with the checks of an enrolment: all speakers or none.

    The file comes from ``/v1/export``, signed by this gallery or by ``signed_by``, or has
    embeddings from another program: a Parquet table, or a NumPy array and, as a second file, the
    list that names its rows.  Only the command can import a file sealed with a passphrase.
    """
    parts = parts_of(request)
    async with received(request, ImportOptions, (1, 2), part="file") as (files, options):
        consents = options.consents(caller)
        return await to_thread.run_sync(_imported, parts, files, options, consents)


def _imported(
    parts: ServiceParts,
    files: list[BinaryIO],
    options: ImportOptions,
    consents: tuple[Consent, ...],
) -> dict[str, Any]:
    from voiceid.exchange import is_embedding_file  # noqa: PLC0415 - loads the engines

    uploads, folder_id = parts.jobs.uploads, secrets.token_hex(16)
    paths = [uploads.of(folder_id) / name for name in uploads.keep(folder_id, files)]
    flags: dict[str, Any] = {"append": options.append, "trust": options.trust}
    left_out = {*flags, *ConsentFields.model_fields, "signed_by"}
    details = options.model_dump(exclude=left_out, exclude_none=True)
    if consents:
        details["consents"] = consents
    speakers = parts.vid.speakers
    try:
        if is_embedding_file(paths[0]) or details or paths[1:]:
            ids = paths[1] if paths[1:] else None
            added = speakers.import_embeddings(paths[0], ids=ids, **flags, **details)
        else:
            added = speakers.import_file(paths[0], signed_by=options.signed_by, **flags)
    except VoiceIDError as error:
        problem = problem_of(error)
        problem.detail = _named(problem.detail, paths, files)
        raise problem from error
    finally:
        uploads.remove(folder_id)
    return {"new_speakers": added.speakers, "samples": added.samples, "expired": added.expired}


def _named(text: str, paths: list[Path], files: list[BinaryIO]) -> str:
    """Return a text with the caller's names of the files."""
    for path, file in zip(paths, files, strict=True):
        text = text.replace(str(path), file.name)
    return text
