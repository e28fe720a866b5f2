"""The voiceprint service of xiaozhi-esp32-server (github.com/xinnan-tech/voiceprint-api).

Written after its public sources: the routes, the fields of its forms and its answers.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from voiceid.domain import Scope, speaker_key
from voiceid.server.adapter_parts import AdapterRoute, asking, enrolled, identified, likeness
from voiceid.server.callers import Caller, key_text, reached_speaker
from voiceid.server.problems import Problem, headers_of
from voiceid.server.request_clips import Options, received
from voiceid.server.service_parts import Vid

_PART = "file"
"""The name of a recording in its forms."""
_AS_BAD_REQUEST = {HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.CONFLICT}


class _Route(AdapterRoute):
    @staticmethod
    def answered(problem: Problem) -> Response:
        bad = problem.status in _AS_BAD_REQUEST
        status = HTTPStatus.BAD_REQUEST if bad else problem.status
        return JSONResponse({"detail": problem.detail}, status.value, headers_of(problem))


ROUTES = APIRouter(prefix="/voiceprint", route_class=_Route)


class _Registered(Options):
    speaker_id: str


class _Candidates(Options):
    speaker_ids: str

    @property
    def names(self) -> list[str]:
        """The requested speakers."""
        return [name for part in self.speaker_ids.split(",") if (name := part.strip())]


def _key(connection: HTTPConnection) -> str | None:
    return key_text(connection.headers)


def _key_in_query(connection: HTTPConnection) -> str | None:
    return connection.query_params.get("key") or _key(connection)


@ROUTES.post("/register")
async def register(
    request: Request, caller: Annotated[Caller, asking(Scope.ENROLL, _key, hears=True)]
) -> dict[str, Any]:
    """Enrol a recording: a new speaker, or one more sample of the same voice."""
    async with received(request, _Registered, (1, 1), _PART) as ([clip], options):
        await enrolled(request, caller, options.speaker_id, clip)
    return {"success": True, "msg": f"registered: {options.speaker_id}"}


@ROUTES.post("/identify")
async def identify(
    request: Request, caller: Annotated[Caller, asking(Scope.IDENTIFY, _key, hears=True)]
) -> dict[str, Any]:
    """Decide which of some speakers is speaking; an empty id: none of them."""
    async with received(request, _Candidates, (1, 1), _PART) as ([clip], options):
        if not options.names:
            raise Problem(HTTPStatus.BAD_REQUEST, "RequestInvalid", "speaker_ids names no speaker")
        decision = await identified(request, caller, options.names, clip)
    if not decision.accepted or decision.speaker is None:
        return {"speaker_id": "", "score": 0.0}
    return {
        "speaker_id": _as_asked(decision.speaker.name, options.names),
        "score": likeness(decision, caller),
    }


def _as_asked(name: str, names: list[str]) -> str:
    """Return an id as the caller wrote it: Alice and alice are one speaker."""
    key = speaker_key(name)
    return next(written for written in names if speaker_key(written) == key)


@ROUTES.get("/health")
def health(vid: Vid, caller: Annotated[Caller, asking(None, _key_in_query)]) -> dict[str, Any]:
    """Report that the service lives and, to callers who may read, the number of speakers."""
    answer: dict[str, Any] = {"status": "healthy"}
    if caller.may(Scope.READ) and not caller.groups:
        answer["total_voiceprints"] = vid.speakers.count()
    return answer


@ROUTES.delete("/{speaker_id:name}")
def remove(
    vid: Vid, speaker_id: str, caller: Annotated[Caller, asking(Scope.ADMIN, _key)]
) -> dict[str, Any]:
    """Erase a speaker."""
    reached_speaker(vid, speaker_id, caller)
    vid.speakers.remove(speaker_id)
    return {"success": True, "msg": f"deleted: {speaker_id}"}
