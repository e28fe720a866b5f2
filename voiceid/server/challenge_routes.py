"""Spoken codes: the words of a speaker, and new codes."""

from __future__ import annotations

from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request

from voiceid.client import VoiceID
from voiceid.domain import Scope
from voiceid.domain.code_words import CODE_LENGTHS, DIGITS, MAX_ROUNDS, MIN_ROUNDS, Challenge
from voiceid.server.callers import Admin, Caller, Enrolling, Verifying, reached_speaker
from voiceid.server.descriptions import takes_audio
from voiceid.server.name_paths import NAME
from voiceid.server.repeats import OnceRoute
from voiceid.server.request_clips import Options, Texts, received
from voiceid.server.service_parts import Vid, parts_of

ROUTES = APIRouter(prefix="/challenges", tags=["challenges"], route_class=OnceRoute)


class NewChallenge(Options):
    """The speaker and the length of a new code."""

    speaker: str = Field(description="The name that is claimed.")
    length: int = Field(6, ge=CODE_LENGTHS[0], le=CODE_LENGTHS[1], description="Words in the code.")


class WordOptions(Options):
    """The options of the rounds of words."""

    words: Texts = Field(DIGITS, description="The words, in the spoken order.")


@ROUTES.post("")
def ask_for_code(vid: Vid, new: NewChallenge, caller: Verifying) -> dict[str, Any]:
    """Create a random code, which the speaker must say within 30 s, once, to this caller."""
    return new_code(vid, new.speaker, new.length, caller).to_dict()


def new_code(vid: VoiceID, speaker: str, length: int, caller: Caller) -> Challenge:
    """Return a code for a speaker, to be answered by the same caller."""
    blind = not caller.may(Scope.READ)
    if not blind:
        reached_speaker(vid, speaker, caller)
    return vid.challenges.new(
        speaker, length=length, caller=caller.name, blind=blind, groups=caller.groups
    )


@ROUTES.put(f"/words/{NAME}", openapi_extra=takes_audio(WordOptions, MAX_ROUNDS))
async def enroll_words(request: Request, name: str, caller: Enrolling) -> dict[str, Any]:
    """Learn how a speaker says the words of codes; each round has all words in order."""
    parts = parts_of(request)
    async with received(request, WordOptions, (MIN_ROUNDS, MAX_ROUNDS)) as (rounds, options):
        await to_thread.run_sync(reached_speaker, parts.vid, name, caller)
        enroll = partial(parts.vid.challenges.enroll, name, rounds, words=options.words)
        return (await parts.places.run(request, enroll)).to_dict()


@ROUTES.delete(f"/words/{NAME}")
def forget_words(vid: Vid, name: str, _: Admin) -> dict[str, Any]:
    """Erase the words of a speaker; the speaker stays enrolled."""
    vid.challenges.forget(name)
    return {"forgotten": name}
