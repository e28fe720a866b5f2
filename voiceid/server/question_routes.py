"""The questions: identify, verify, compare and embed."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BeforeValidator, Field
from starlette.requests import Request

from voiceid.decision.aims import rate_of
from voiceid.domain import Scope
from voiceid.server.callers import Caller, Identifying, Reading, Verifying
from voiceid.server.descriptions import takes_audio
from voiceid.server.request_clips import Options, received
from voiceid.server.service_parts import parts_of
from voiceid.server.shown import shown
from voiceid.verification.calls import Cosines

ROUTES = APIRouter(tags=["questions"])

Rate = Annotated[float, Field(ge=0.0, le=0.5), BeforeValidator(rate_of)]
"""An error rate: 0.001, 1/1000 or 0.1%."""

PURPOSE = "Accept only speakers with a consent in force for this purpose, e.g. door."
_FMR = "How often another voice may be accepted, e.g. 0.001."


class PolicyOptions(Options):
    """Options that replace the settings of decisions, for callers with the scope ``admin``."""

    threshold: Cosines | None = Field(
        None, description="A cosine, 0.1 to 1, instead of a rate; or cosines by seconds of speech."
    )
    allow_replayed: bool | None = Field(
        None, description="Accept a recording that is itself enrolled, bit for bit: for tests."
    )
    solo: str | None = Field(None, description="If several people speak: require, warn or off.")

    def policy(self, caller: Caller) -> dict[str, Any]:
        """Return the options that were set, by keyword; raises Problem without the scope."""
        names = [name for name in self.model_fields_set if name in _POLICY]
        if names:
            caller.require(Scope.ADMIN)
        return {name: getattr(self, name) for name in names}


_POLICY = {"threshold", "allow_replayed", "solo", "target_fmr", "target_fpir", "margin"}


class CompareOptions(PolicyOptions):
    """The options of `compare`."""

    target_fmr: Rate | None = Field(None, description=_FMR)


class VerifyOptions(PolicyOptions):
    """The options of `verify`."""

    speaker: str = Field(description="The claimed name.")
    target_fmr: Rate | None = Field(None, description=_FMR)
    group: str | None = Field(None, description="The speaker must be one of its members.")
    challenge: str | None = Field(
        None, description="The id of a code: the clip must be that code, said by the speaker alone."
    )
    purpose: str | None = Field(None, description=PURPOSE)


class IdentifyOptions(PolicyOptions):
    """The options of `identify`."""

    top: int = Field(5, ge=1, le=1000, description="At most this many candidates, best first.")
    group: str | None = Field(None, description="Compare with its members only.")
    purpose: str | None = Field(None, description=PURPOSE)
    target_fpir: Rate | None = Field(
        None, description="How often a stranger may be accepted as an enrolled speaker, e.g. 0.001."
    )
    margin: float | None = Field(None, description="Least lead over the runner-up, in cosine.")


class EmbedOptions(Options):
    """The options of `embed`."""

    raw: bool = Field(default=False, description="The encoder's raw output.")


@ROUTES.post("/identify", openapi_extra=takes_audio(IdentifyOptions))
async def identify(request: Request, caller: Identifying) -> dict[str, Any]:
    """Decide which enrolled speaker is speaking, if any."""
    parts = parts_of(request)
    async with received(request, IdentifyOptions, (1, 1)) as ([clip], options):
        policy, group = options.policy(caller), caller.group(options.group)
        policy |= {"top": options.top, "purpose": options.purpose}
        ask = partial(parts.vid.identify, clip, group=group, **policy)
        decision = await parts.places.run(request, ask)
    return shown(decision, caller)


@ROUTES.post("/verify", openapi_extra=takes_audio(VerifyOptions))
async def verify(request: Request, caller: Verifying) -> dict[str, Any]:
    """Decide whether a clip is the voice of one speaker."""
    parts = parts_of(request)
    async with received(request, VerifyOptions, (1, 1)) as ([clip], options):
        policy, group = options.policy(caller), caller.group(options.group)
        ask = partial(
            parts.vid.verify,
            options.speaker,
            clip,
            group=group,
            caller=caller.name,
            blind=not caller.may(Scope.READ),
            purpose=options.purpose,
            challenge=options.challenge,
            **policy,
        )
        decision = await parts.places.run(request, ask)
    return shown(decision, caller, claimed=options.speaker)


@ROUTES.post("/compare", openapi_extra=takes_audio(CompareOptions, 2))
async def compare(request: Request, caller: Verifying) -> dict[str, Any]:
    """Decide whether two clips have the same voice."""
    parts = parts_of(request)
    async with received(request, CompareOptions, (2, 2)) as ([a, b], options):
        policy = options.policy(caller)
        policy.pop("allow_replayed", None)  # a comparison has no enrolled recordings
        decision = await parts.places.run(request, partial(parts.vid.compare, a, b, **policy))
    return shown(decision, caller)


@ROUTES.post("/embed", openapi_extra=takes_audio(EmbedOptions))
async def embed(request: Request, _: Reading) -> dict[str, Any]:
    """Return the embedding of the speech in a clip."""
    parts = parts_of(request)
    async with received(request, EmbedOptions, (1, 1)) as ([clip], options):
        ask = partial(parts.vid.embed, clip, raw=options.raw)
        embedding = await parts.places.run(request, ask)
    return {
        "embedding_space": embedding.space.id,
        "telephone": embedding.telephone,
        "vector": embedding.vector.tolist(),
    }
