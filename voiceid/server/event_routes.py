"""Live decisions, as Server-Sent Events."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse
from starlette.requests import Request

from voiceid.client import VoiceID
from voiceid.domain import Decision
from voiceid.errors import VoiceIDError
from voiceid.server.callers import Caller, Reading, reached_speaker, require_still_known
from voiceid.server.decision_feeds import DecisionFeed
from voiceid.server.service_parts import parts_of
from voiceid.server.shown import outline

ROUTES = APIRouter(tags=["events"])

_HEARTBEAT_S = 15.0
"""The time without a decision before a comment: proxies and browsers close silent streams."""
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def _feed(request: Request, caller: Reading) -> AsyncIterator[DecisionFeed]:
    del caller  # a caller without the scope takes no place
    with parts_of(request).feeds.open() as feed:
        yield feed


@ROUTES.get("/events", response_class=StreamingResponse, include_in_schema=False)  # endless
async def events(
    request: Request, caller: Reading, feed: Annotated[DecisionFeed, Depends(_feed)]
) -> StreamingResponse:
    """Send the decisions of this process as they are made, as Server-Sent Events.

    Each is an event ``decision``; ``lost`` gives the number that was dropped because the client
    read too slowly.
    """
    sent = _sent(feed, parts_of(request).vid, caller)
    return StreamingResponse(sent, media_type="text/event-stream", headers=_HEADERS)


async def _sent(feed: DecisionFeed, vid: VoiceID, caller: Caller) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    last, checked = 0, time.monotonic()
    async for item in feed.each(_HEARTBEAT_S):
        if time.monotonic() - checked >= _HEARTBEAT_S:
            checked = time.monotonic()
            try:
                await to_thread.run_sync(require_still_known, caller, vid)
            except VoiceIDError:  # the next connection is refused with the reason
                return
        if item is None:
            yield ": nothing was decided\n\n"
            continue
        number, made_at, decision = item
        if number > last + 1:
            yield _event("lost", {"decisions": number - last - 1})
        last = number
        facts = await to_thread.run_sync(_facts, vid, decision, caller)
        if facts is not None:
            yield _event("decision", {"time": made_at.isoformat(), "decision": facts})


def _event(kind: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


def _facts(vid: VoiceID, decision: Decision, caller: Caller) -> dict[str, Any] | None:
    """Return the JSON of a decision; only an outline if it was outside the caller's groups.

    None: it concerns no member of these groups.
    """
    if not caller.groups or decision.group in caller.groups:
        return decision.to_dict()
    if decision.speaker is None:
        return None
    try:
        speaker = reached_speaker(vid, decision.speaker.name, caller)
    except VoiceIDError:  # of other groups; or removed, or renamed, meanwhile
        return None
    return outline(decision, speaker.name)
