"""Azure Speaker Recognition, text-independent: v2.0 and 2021-09-05.

Written after its published OpenAPI files, which api-evangelist/microsoft-azure keeps on GitHub as
``openapi/speaker-verification-api-openapi-original.yml`` and
``openapi/speaker-identification-api-openapi-original.yml``.

A profile is a speaker whose name is a GUID.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from voiceid.client import VoiceID
from voiceid.domain import (
    Candidate,
    Decision,
    Reason,
    Sample,
    Scope,
    Speaker,
    SpeakerDetails,
    Standing,
)
from voiceid.errors import SpaceMismatch, SpeakerNotFound
from voiceid.server.adapter_parts import (
    AdapterRoute,
    asking,
    enrolled,
    identified,
    is_by_score,
    likeness,
    probability,
    verified,
)
from voiceid.server.callers import Caller, key_text, reached_speaker
from voiceid.server.problems import Problem, headers_of, invalid_values
from voiceid.server.request_clips import Options, received
from voiceid.server.service_parts import Vid, parts_of

_GUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_NOBODY = str(uuid.UUID(int=0))
_MOST_CANDIDATES = 50
_RANKED = 5
_STATUS = {
    HTTPStatus.UNPROCESSABLE_ENTITY: HTTPStatus.BAD_REQUEST,
    HTTPStatus.CONFLICT: HTTPStatus.BAD_REQUEST,  # in their protocol 409 means: send it again
}
_CODES = {
    HTTPStatus.BAD_REQUEST: "InvalidRequest",
    HTTPStatus.TOO_MANY_REQUESTS: "RateLimit",
    HTTPStatus.INTERNAL_SERVER_ERROR: "InternalServerError",
}
"""Values of `error.code` that differ from the name of the status."""


class _Route(AdapterRoute):
    @staticmethod
    def answered(problem: Problem) -> Response:
        status = _STATUS.get(problem.status, problem.status)
        code = _CODES.get(status, "".join(word.capitalize() for word in status.name.split("_")))
        headers = {**headers_of(problem), "x-ms-error-code": code}
        shape = {"error": {"code": code, "message": problem.detail}}
        return JSONResponse(shape, status.value, headers)


_V2 = "/speaker/{kind}/v2.0/text-independent/profiles"
_2021 = "/speaker-recognition/{kind}/text-independent/profiles"


async def _require_kind(kind: Literal["verification", "identification"]) -> None:
    """Accept both kinds of profiles: there is no difference here."""
    del kind


ROUTES = APIRouter(route_class=_Route, dependencies=[Depends(_require_kind)])


class _Locale(BaseModel):
    locale: str = Field(pattern=r"^[a-zA-Z]{2}-?[a-zA-Z]{2}$")


class _Audio(Options):
    model_config = ConfigDict(extra="ignore")


class _Candidates(_Audio):
    profile_ids: str = Field(alias="profileIds")


def _key(connection: HTTPConnection) -> str | None:
    return connection.headers.get("ocp-apim-subscription-key") or key_text(connection.headers)


_Enrolling = Annotated[Caller, asking(Scope.ENROLL, _key)]
_Reading = Annotated[Caller, asking(Scope.READ, _key)]
_Admin = Annotated[Caller, asking(Scope.ADMIN, _key)]


@ROUTES.post(_V2)
@ROUTES.post(_2021)
async def create(request: Request, caller: _Enrolling) -> Response:
    """Create a profile without an enrolled voice."""
    locale, vid = _locale(await request.body()), parts_of(request).vid
    details = SpeakerDetails(groups=caller.groups, metadata={"locale": locale})
    speaker = await to_thread.run_sync(vid.speakers.add, str(uuid.uuid4()), details)
    headers = {"Location": f"{request.url.replace(query='')}/{speaker.name}"}
    return JSONResponse(_profile(vid, speaker, ()), HTTPStatus.CREATED, headers)


def _locale(body: bytes) -> str:
    """Return the locale for a profile; JSON may have apostrophes, as on Azure's own page."""
    text = body.decode(errors="replace")
    for written in (text, text.replace("'", '"')):
        try:
            return _Locale.model_validate(json.loads(written)).locale
        except ValidationError as error:
            raise invalid_values(error.errors()) from error
        except (ValueError, RecursionError):
            continue
    raise Problem(HTTPStatus.BAD_REQUEST, "RequestInvalid", "Invalid JSON format.")


@ROUTES.get(_V2)
@ROUTES.get(_2021)
def list_profiles(
    request: Request,
    vid: Vid,
    caller: _Reading,
    top: Annotated[int, Query(alias="$top", ge=1, le=500)] = 100,
    maxpagesize: Annotated[int | None, Query(ge=1, le=500)] = None,
    after: Annotated[str | None, Query(alias="$continuationToken")] = None,
) -> dict[str, Any]:
    """List the profiles by id, a page at a time."""
    limit = maxpagesize or top
    speakers = (speaker for page in vid.speakers.pages(after) for speaker in page)
    profiles = (s for s in speakers if _GUID.fullmatch(s.name) and caller.reaches(s))
    page = list(islice(profiles, limit + 1))
    shown = [_profile(vid, speaker, vid.samples.list(speaker.name)) for speaker in page[:limit]]
    is_v2 = request.url.path.startswith("/speaker/")
    answer: dict[str, Any] = {"profiles" if is_v2 else "value": shown}
    if len(page) > limit:
        last = page[limit - 1].name
        url = request.url.include_query_params(**{"$continuationToken": last})
        answer["@nextLink" if is_v2 else "nextLink"] = str(url)
    return answer


@ROUTES.get(_V2 + "/{profile_id}")
@ROUTES.get(_2021 + "/{profile_id}")
def show(vid: Vid, profile_id: str, caller: _Reading) -> dict[str, Any]:
    """Show one profile."""
    return _shown(vid, _name(profile_id), caller)


@ROUTES.delete(_V2 + "/{profile_id}", status_code=HTTPStatus.NO_CONTENT)
@ROUTES.delete(_2021 + "/{profile_id}", status_code=HTTPStatus.NO_CONTENT)
def remove(vid: Vid, profile_id: str, _: _Admin) -> None:
    """Erase a profile."""
    vid.speakers.remove(_name(profile_id))


@ROUTES.post(_V2 + "/{profile_id}/reset", status_code=HTTPStatus.NO_CONTENT)
def reset(vid: Vid, profile_id: str, _: _Admin) -> None:
    """Erase the voice of a profile, and keep its id."""
    _reset(vid, _name(profile_id))


@ROUTES.post(_2021 + "/{profile_id}:reset")
def reset_and_show(vid: Vid, profile_id: str, caller: _Admin) -> dict[str, Any]:
    """Erase the voice of a profile, keep its id, and show it."""
    _reset(vid, _name(profile_id))
    return _shown(vid, _name(profile_id), caller)


def _reset(vid: VoiceID, name: str) -> None:
    samples = vid.samples.list(name)
    speaker = vid.speakers.remove(name)
    is_barred = speaker.disabled_at is not None and not speaker.waits_for_speech(samples)
    details = SpeakerDetails(
        speaker.groups,
        metadata=speaker.metadata,
        expires_at=speaker.expires_at,
        enabled=False if is_barred else None,
        consents=speaker.consents,
    )
    vid.speakers.add(name, details)


@ROUTES.post(_V2 + "/{profile_id}/enrollments", status_code=HTTPStatus.CREATED)
@ROUTES.post(_2021 + "/{profile_id}/enrollments", status_code=HTTPStatus.CREATED)
async def enroll(
    request: Request,
    profile_id: str,
    caller: Annotated[Caller, asking(Scope.ENROLL, _key, hears=True)],
) -> dict[str, Any]:
    """Enrol a recording as the voice of a profile."""
    vid, name = parts_of(request).vid, _name(profile_id)
    async with received(request, _Audio, (1, 1)) as ([clip], _):
        report = await enrolled(request, caller, name, clip, mode="collect")
    profile = await to_thread.run_sync(_shown, vid, name, caller)
    [quality] = [clip.quality for clip in report.clips if clip.quality is not None]
    lengths = {"audioLength": quality.duration_s, "audioSpeechLength": quality.net_speech_s}
    facts = {name: profile[name] for name in profile if name not in _OF_PROFILES_ALONE}
    return facts | _in_seconds(lengths)


_OF_PROFILES_ALONE = {"locale", "createdDateTime", "lastUpdatedDateTime", "modelVersion"}


@ROUTES.post(_V2 + "/{profile_id}/verify")
@ROUTES.post(_2021 + "/{profile_id}:verify")
async def verify(
    request: Request,
    kind: Literal["verification"],
    profile_id: str,
    caller: Annotated[Caller, asking(Scope.VERIFY, _key, hears=True)],
) -> dict[str, Any]:
    """Decide whether a recording is the voice of a profile."""
    del kind
    async with received(request, _Audio, (1, 1)) as ([clip], _):
        try:
            decision = await verified(request, caller, _name(profile_id), clip)
        except SpaceMismatch as error:
            raise _bad("Profile is not enrolled.") from error
    _require_speech(decision)
    result = "Accept" if decision.accepted else "Reject"
    return {"recognitionResult": result, "score": likeness(decision, caller)}


@ROUTES.post(_V2 + "/identifySingleSpeaker")
@ROUTES.post(_2021 + ":identifySingleSpeaker")
async def identify(
    request: Request,
    kind: Literal["identification"],
    caller: Annotated[Caller, asking(Scope.IDENTIFY, _key, hears=True)],
) -> dict[str, Any]:
    """Decide which of some profiles is speaking; the empty GUID: none of them."""
    del kind
    async with received(request, _Candidates, (1, 1)) as ([clip], options):
        names = [_name(text.strip()) for text in options.profile_ids.split(",")]
        if len(names) > _MOST_CANDIDATES:
            raise _bad(f"{len(names)} profiles are named; the limit is {_MOST_CANDIDATES}.")
        decision = await identified(request, caller, names, clip)
    _require_speech(decision)
    speaker = decision.speaker if decision.accepted else None
    best = {"profileId": _NOBODY, "score": 0.0}
    if speaker is not None:
        best = {"profileId": speaker.name, "score": likeness(decision, caller)}
    return {"identifiedProfile": best, "profilesRanking": _ranking(decision, caller, best)}


def _ranking(decision: Decision, caller: Caller, best: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the nearest profiles; only the identified one to a caller without ``read``."""
    if not caller.may(Scope.READ):
        return [best] if decision.accepted else []
    ranked: Sequence[Candidate] = decision.candidates if is_by_score(decision) else ()
    return [
        {"profileId": candidate.speaker.name, "score": probability(candidate.llr)}
        for candidate in ranked[:_RANKED]
    ]


def _require_speech(decision: Decision) -> None:
    if decision.reason is Reason.NOT_ENOUGH_SPEECH:
        raise _bad("Invalid audio length. The audio has too little speech to decide.")


def _bad(message: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, "RequestInvalid", message)


def _name(profile_id: str) -> str:
    """Return the name of the speaker of a profile."""
    if _GUID.fullmatch(profile_id) is None:
        raise SpeakerNotFound(f"{profile_id!r:.60} is not a profile id: an id is a GUID")
    return str(uuid.UUID(profile_id))


def _shown(vid: VoiceID, name: str, caller: Caller) -> dict[str, Any]:
    return _profile(vid, reached_speaker(vid, name, caller), vid.samples.list(name))


def _profile(vid: VoiceID, speaker: Speaker, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return a profile, with the field names of both versions."""
    missing_s = max(0.0, vid.speakers.min_speech_s - speaker.net_speech_s)
    if speaker.standing() is not Standing.DISABLED and samples:
        missing_s = 0.0  # enrolled under a lower minimum
    lengths = {
        "enrollmentsLength": sum(sample.quality.duration_s or 0.0 for sample in samples),
        "enrollmentsSpeechLength": speaker.net_speech_s,
        "remainingEnrollmentsSpeechLength": missing_s,
    }
    return {
        "profileId": speaker.name,
        "locale": speaker.metadata.get("locale", ""),
        "profileStatus": "Active",
        "enrollmentStatus": "Enrolling" if missing_s else "Enrolled",
        "createdDateTime": _utc(speaker.created_at),
        "lastUpdatedDateTime": _utc(speaker.updated_at),
        "enrollmentsCount": len(samples),
        **_in_seconds(lengths),
        "modelVersion": "",
    }


def _in_seconds(lengths: Mapping[str, float | None]) -> dict[str, float]:
    """Return lengths in seconds, under the names of v2.0 and of 2021-09-05."""
    rounded = {name: round(length or 0.0, 3) for name, length in lengths.items()}
    return rounded | {f"{name}InSec": length for name, length in rounded.items()}


def _utc(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
