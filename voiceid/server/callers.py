"""Callers and their rights: known by a key or, while no keys exist, by being on this host."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlsplit

from anyio import to_thread
from fastapi import Depends, Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.requests import HTTPConnection

from voiceid.client import VoiceID
from voiceid.domain import ApiKey, Scope, Speaker, tag
from voiceid.domain.audit_chain import ACTOR
from voiceid.errors import AccessDenied
from voiceid.server.problems import Problem, denied
from voiceid.server.reach import is_reached, other_group, unreached
from voiceid.server.service_parts import parts_of
from voiceid.server.session_cookies import session_text

_BEARER = HTTPBearer(auto_error=False, description="A key of `voiceid keys create`.")
_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same key.")
_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}
_OF_PROXIES = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request.

    - `key`: None if no keys exist and the caller is on this host.
    - `address`: the IP address, from the connection or a trusted proxy.
    """

    key: ApiKey | None
    address: str

    @property
    def name(self) -> str:
        """The name for attempts and kept answers: of the key and the address."""
        return self.address if self.key is None else f"{self.key.id} at {self.address}"

    @property
    def key_id(self) -> str | None:
        """The key's id, under which jobs are kept; None without a key."""
        return None if self.key is None else self.key.id

    def may(self, scope: Scope) -> bool:
        """Whether the caller has a scope."""
        return self.key is None or self.key.allows(scope)

    def require(self, scope: Scope) -> None:
        """Raise Problem if the caller does not have a scope."""
        if not self.may(scope):
            raise denied(f"the key does not have the scope {scope}", "Use a key that has it.")

    @property
    def groups(self) -> tuple[str, ...]:
        """The only groups that the caller reaches; empty: all speakers."""
        return () if self.key is None else self.key.groups

    def reaches(self, speaker: Speaker) -> bool:
        """Whether the caller reaches a speaker: speakers of other groups are hidden."""
        return is_reached(speaker, self.groups)

    def group(self, requested: str | None) -> str | None:
        """Return the group of a question: the requested one, or the caller's only group."""
        name = None if requested is None else tag("group", requested)
        if not self.groups or name in self.groups:
            return name
        if name is None and len(self.groups) == 1:
            return self.groups[0]
        raise other_group(self.groups)


def reached_speaker(vid: VoiceID, name: str, caller: Caller) -> Speaker:
    """Return a speaker that the caller reaches; raises SpeakerNotFound.

    For a speaker of other groups the message is the one for a name that is not enrolled.
    """
    speaker = vid.speakers.get(name)
    if not caller.reaches(speaker):
        raise unreached(name)
    return speaker


def require_local(connection: HTTPConnection, address: str) -> None:
    """Raise Problem unless a caller without a key is on this host and is not a web page.

    A page in a browser on this host may send requests here: it is detected by its own name as the
    host (by DNS rebinding) or as the origin.
    """
    headers = connection.headers
    host = urlsplit(f"//{headers.get('host', '')}").hostname
    origin = headers.get("origin")
    if not is_loopback(address) or any(name in headers for name in _OF_PROXIES):
        reason = "the request comes from another host"
    elif host not in _LOCAL_NAMES:
        reason = f"the request is for the host {host!r}"
    elif origin is not None and urlsplit(origin).netloc != headers["host"]:
        reason = f"the request comes from a web page of {origin!r:.80}"
    else:
        return
    raise Problem(
        HTTPStatus.UNAUTHORIZED,
        "AccessDenied",
        f"there are no keys, so only this host is answered, and {reason}",
        hint="Create a key: `voiceid keys create`.",
    )


def is_loopback(address: str) -> bool:
    """Whether an IP address is a loopback address of this host."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


def key_text(headers: Mapping[str, str]) -> str | None:
    """Return the text of the key in the headers of a request, or None."""
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and text.strip():
        return text.strip()
    return headers.get("x-api-key")


async def known_caller(connection: HTTPConnection, vid: VoiceID, text: str | None) -> Caller:
    """Return the sender of a request with a key, or without one.

    Raises AccessDenied, StoreError, and Problem for a key that is used too often.
    """
    address = "" if connection.client is None else connection.client.host

    def known() -> Caller:
        if text is None:
            if vid.keys.any():
                raise Problem(
                    HTTPStatus.UNAUTHORIZED,
                    "AccessDenied",
                    "the request has no key",
                    hint="Send it as `Authorization: Bearer KEY`, or as `X-API-Key: KEY`.",
                )
            require_local(connection, address)
            return Caller(None, address)
        return _using(vid, vid.keys.check(text, address), address)

    return _acting(connection, await to_thread.run_sync(known, limiter=parts_of(connection).doors))


def _acting(connection: HTTPConnection, caller: Caller) -> Caller:
    """Record the changes and questions of this request as the caller's."""
    ACTOR.set(caller.name)
    connection.state.caller = caller
    return caller


def require_still_known(caller: Caller, vid: VoiceID) -> None:
    """Raise AccessDenied if a caller of a long request would no longer be answered."""
    if caller.key is not None:
        vid.keys.require(caller.key)
    elif vid.keys.any():
        raise AccessDenied("a key is required now: keys were created", hint="Use a key.")


async def caller_of(connection: HTTPConnection) -> Caller:
    """Return the sender of a request; it is looked up once per request."""
    caller: Caller | None = getattr(connection.state, "caller", None)
    if caller is None:
        vid, text = parts_of(connection).vid, key_text(connection.headers)
        session = session_text(connection)
        if text is None and session and connection.scope.get("method") == "GET":
            caller = await session_caller(connection, vid, session)  # a page of the console
        else:
            caller = await known_caller(connection, vid, text)
    return _acting(connection, caller)


async def session_caller(connection: HTTPConnection, vid: VoiceID, session: str) -> Caller:
    """Return the caller of a session that was started with a key; raises as `known_caller`."""
    address = "" if connection.client is None else connection.client.host

    def known() -> Caller:
        return _using(vid, vid.keys.check_session(session, address), address)

    return _acting(connection, await to_thread.run_sync(known, limiter=parts_of(connection).doors))


def _using(vid: VoiceID, key: ApiKey, address: str) -> Caller:
    if not vid.keys.use(key):
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "RateExceeded",
            f"the key may be used {key.requests_per_minute} times a minute",
            hint="Try again in the next minute.",
            retry_after_s=60,
        )
    return Caller(key, address)


def _asking(scope: Scope | None) -> Any:
    """Return the dependency of a route: a caller who has a scope, or any known caller."""

    async def allowed(
        connection: HTTPConnection,
        _bearer: Annotated[Any, Security(_BEARER)],
        _header: Annotated[Any, Security(_HEADER)],
    ) -> Caller:
        caller = await caller_of(connection)
        if scope is not None:
            caller.require(scope)
        return caller

    return Depends(allowed)


Asking = Annotated[Caller, _asking(None)]
Identifying = Annotated[Caller, _asking(Scope.IDENTIFY)]
Verifying = Annotated[Caller, _asking(Scope.VERIFY)]
Enrolling = Annotated[Caller, _asking(Scope.ENROLL)]
Reading = Annotated[Caller, _asking(Scope.READ)]
Admin = Annotated[Caller, _asking(Scope.ADMIN)]
