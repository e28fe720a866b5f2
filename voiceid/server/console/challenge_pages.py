"""Pages of spoken codes: teaching the words, and creating a code."""

from __future__ import annotations

from functools import partial

from anyio import to_thread
from fastapi import APIRouter
from starlette.responses import Response

from voiceid.domain import Scope
from voiceid.domain.code_words import DIGITS, MAX_ROUNDS, MIN_ROUNDS
from voiceid.server.callers import reached_speaker
from voiceid.server.challenge_routes import new_code
from voiceid.server.console.visits import Adding, Asking, Fields, PageRoute, Sent, written
from voiceid.server.request_clips import received

ROUTES = APIRouter(route_class=PageRoute, include_in_schema=False)


class WordsFields(Fields):
    """The fields of the rounds of words."""

    name: str
    words: str = ""


@ROUTES.get("/words")
async def ask_words(visit: Adding, name: str = "") -> Response:
    """Ask for rounds of words."""
    return visit.page("words.html", name=name, words=DIGITS, taught=None)


@ROUTES.post("/words")
async def teach_words(visit: Adding) -> Response:
    """Learn how a speaker says the words of codes."""
    async with received(visit.request, WordsFields, (MIN_ROUNDS, MAX_ROUNDS)) as (rounds, fields):
        visit.require_token(fields.token)
        await to_thread.run_sync(reached_speaker, visit.vid, fields.name, visit.person)
        words = tuple(fields.words.split()) or DIGITS
        enroll = partial(visit.vid.challenges.enroll, fields.name, rounds, words=words)
        taught = await visit.parts.places.run(visit.request, enroll)
    return visit.page(
        "words.html", part="_words.html", name=fields.name, words=words, taught=taught
    )


@ROUTES.post("/code")
def ask_code(visit: Asking, fields: Sent) -> Response:
    """Create a code, and ask for its answer."""
    visit.person.require(Scope.VERIFY)
    code = new_code(visit.vid, written(fields, "speaker"), 6, visit.person)
    return visit.page("code.html", code=code, group=written(fields, "group"))
