"""Shared parts of the adapters: the library's answers for programs with another protocol.

The rules are those of /v1: the same keys, scopes, places and groups, and the same limits on what a
caller may see.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, BinaryIO

from fastapi import Depends
from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from voiceid.domain import Decision, EnrollmentReport, Reason, Scope, SpeakerDetails
from voiceid.enrollment import Mode
from voiceid.errors import EnrollmentRefused
from voiceid.server.callers import Caller, known_caller, reached_speaker
from voiceid.server.disclosure import problem_for
from voiceid.server.problems import ERRORS, Problem
from voiceid.server.reach import require_reached
from voiceid.server.service_parts import Handle, parts_of
from voiceid.server.shown import shown_refusal

_BY_SCORE = {Reason.MATCH, Reason.BELOW_THRESHOLD, Reason.UNKNOWN}
"""Reasons that follow from the score; with the others something else prevents an acceptance."""

KeyOf = Callable[[HTTPConnection], str | None]


class AdapterRoute(APIRoute):
    """A route that answers problems in the form that its callers know."""

    @staticmethod
    def answered(problem: Problem) -> Response:
        """Return a problem as an answer."""
        raise NotImplementedError

    def get_route_handler(self) -> Handle:
        """Return the function that answers a request."""
        return partial(self._answer, super().get_route_handler())

    async def _answer(self, handle: Handle, request: Request) -> Response:
        try:
            return await handle(request)
        except ERRORS as error:
            return self.answered(problem_for(request, error))


def asking(scope: Scope | None, key_of: KeyOf, *, hears: bool = False) -> Any:
    """Return the dependency of a route: a caller with a key that has a scope.

    A route that ``hears`` is refused while no place is free, before any other work.
    """

    async def caller_of(connection: HTTPConnection) -> Caller:
        if hears:
            parts_of(connection).places.require_room()
        caller = await known_caller(connection, parts_of(connection).vid, key_of(connection))
        if scope is not None:
            caller.require(scope)
        return caller

    return Depends(caller_of)


async def verified(request: Request, caller: Caller, name: str, clip: BinaryIO) -> Decision:
    """Decide whether a clip is the voice of one speaker, as `POST /v1/verify`; failures count."""
    parts, group = parts_of(request), caller.group(request.query_params.get("group"))
    blind = not caller.may(Scope.READ)
    ask = partial(parts.vid.verify, name, clip, group=group, caller=caller.name, blind=blind)
    return await parts.places.run(request, ask)


async def identified(
    request: Request, caller: Caller, names: Sequence[str], clip: BinaryIO
) -> Decision:
    """Decide which of the named speakers is speaking, if any, as `POST /v1/identify` does."""
    parts, group = parts_of(request), caller.group(request.query_params.get("group"))
    ask = partial(parts.vid.identify, clip, group=group, among=names)
    return await parts.places.run(request, ask)


async def enrolled(
    request: Request, caller: Caller, name: str, clip: BinaryIO, mode: Mode = "append"
) -> EnrollmentReport:
    """Enrol one more recording, as `POST /v1/speakers/NAME/samples` does.

    ``mode`` is ``append`` (also for a new speaker) or ``collect`` (for a speaker added before).
    """
    parts = parts_of(request)

    def enroll() -> EnrollmentReport:
        if mode == "collect":
            reached_speaker(parts.vid, name, caller)
        else:
            require_reached(parts.vid, name, caller.groups)
        return parts.vid.enroll(name, clip, details=SpeakerDetails(caller.groups), mode=mode)

    try:
        return await parts.places.run(request, enroll)
    except EnrollmentRefused as error:
        raise shown_refusal(error, caller, name) from error


def likeness(decision: Decision, caller: Caller) -> float:
    """Return a decision as a score from 0 to 1, for protocols that have one.

    A caller without the scope ``read`` only sees the outcome, as 1 or 0: with a score, voices could
    be tried until they fit.  It is 0 too if something other than the score prevents an acceptance.
    """
    if not caller.may(Scope.READ):
        return float(decision.accepted)
    return probability(decision.llr) if is_by_score(decision) else 0.0


def is_by_score(decision: Decision) -> bool:
    """Whether the decision follows from the score, not, e.g., from a disabled speaker."""
    return decision.reason in _BY_SCORE


def probability(llr: float | None) -> float:
    """Return the probability, 0 to 1, of an LLR if both hypotheses are equally likely beforehand.

    It is the logistic function of the LLR; 0 without an LLR, after too little speech.
    """
    return 0.0 if llr is None else round((1.0 + math.tanh(llr / 2.0)) / 2.0, 6)
