"""Entity tags: the state of a speaker that a caller saw (RFC 9110, 8.8.3 and 13)."""

from __future__ import annotations

import hashlib
import json
from http import HTTPStatus

from fastapi import Response
from fastapi.responses import JSONResponse
from starlette.requests import Request

from voiceid.domain import Speaker
from voiceid.server.problems import Problem


def etag(speaker: Speaker) -> str:
    """Return the tag of a speaker's shown state."""
    shown = json.dumps(speaker.to_dict(), sort_keys=True).encode()
    return f'"{hashlib.sha256(shown).hexdigest()[:32]}"'


def tagged(speaker: Speaker, request: Request) -> Response:
    """Return a speaker as an answer, without a body if the caller has this state already."""
    tag = etag(speaker)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if request.method == "GET" and {"*", tag} & set(_tags(request, "if-none-match")):
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    return JSONResponse(speaker.to_dict(), headers=headers)


def require_seen(request: Request, speaker: Speaker) -> None:
    """Raise Problem if a request expects another state of a speaker."""
    seen = _tags(request, "if-match")
    if seen and not {"*", etag(speaker)} & set(seen):
        raise Problem(
            HTTPStatus.PRECONDITION_FAILED,
            "SpeakerChanged",
            f"{speaker.name!r} was changed since the ETag in If-Match; nothing was done",
            hint="Read the speaker again, then repeat the request if it still applies.",
        )


def _tags(request: Request, name: str) -> list[str]:
    """Return the tags of a header; weak ones, which a cache makes, count as strong."""
    header = ",".join(request.headers.getlist(name))
    return [tag.strip().removeprefix("W/") for tag in header.split(",") if tag.strip()]
