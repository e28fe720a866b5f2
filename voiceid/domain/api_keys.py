"""The keys to a service, and the rights of each."""

from __future__ import annotations

import enum
import ipaddress
from dataclasses import dataclass
from datetime import datetime

from voiceid.domain.details import has_invisible, tag
from voiceid.domain.values import Value
from voiceid.errors import ApiKeyInvalid

_NAME_MAX_CHARS = 64


class Scope(enum.StrEnum):
    """A right of a caller of the service."""

    IDENTIFY = "identify"
    """Ask who is speaking: identify, diarize, listen."""
    VERIFY = "verify"
    """Ask whether it is a named speaker, and whether two clips are of one voice."""
    ENROLL = "enroll"
    """Enrol new speakers, and add to enrolled ones."""
    READ = "read"
    """See speakers, scores, samples, the size of the gallery and its figures."""
    ADMIN = "admin"
    """Everything."""


@dataclass(frozen=True, slots=True)
class ApiKey(Value):
    """A key to the service, without its secret.

    Parameters
    ----------
    id : str
        The part of the key that is not secret, by which it is found.
    name : str
        Its use: 1 to 64 visible characters.
    scopes : tuple of Scope
    groups : tuple of str
        The only groups of speakers that it reaches; empty: all speakers.
    networks : tuple of str
        The only addresses from which it is accepted, e.g. ``10.0.0.0/8``; empty: all.
    requests_per_minute : int or None
        None: no limit.
    created_at : datetime
        UTC.
    expires_at : datetime or None
        UTC; from then on it is refused.

    Raises ApiKeyInvalid, SpeakerDetailInvalid: a field is not valid.
    """

    id: str
    name: str
    scopes: tuple[Scope, ...]
    groups: tuple[str, ...]
    networks: tuple[str, ...]
    requests_per_minute: int | None
    created_at: datetime
    expires_at: datetime | None

    def __post_init__(self) -> None:
        name = self.name.strip() if isinstance(self.name, str) else ""
        if not 1 <= len(name) <= _NAME_MAX_CHARS or has_invisible(name):
            raise ApiKeyInvalid(
                f"{self.name!r:.80} cannot be the name of a key",
                hint=f"A name has 1 to {_NAME_MAX_CHARS} visible characters.",
            )
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "scopes", _scopes(self.scopes))
        groups = tuple(dict.fromkeys(tag("group", group) for group in self.groups))
        object.__setattr__(self, "groups", groups)
        object.__setattr__(self, "networks", tuple(map(_network, self.networks)))
        if groups and Scope.ADMIN in self.scopes:
            raise ApiKeyInvalid(
                "a key with the scope admin reaches every speaker, so it cannot have groups",
                hint="Leave the groups out, or the scope.",
            )
        if self.requests_per_minute is not None and self.requests_per_minute < 1:
            raise ApiKeyInvalid(
                f"{self.requests_per_minute} requests a minute allow none", hint="Allow 1 or more."
            )

    def allows(self, scope: Scope) -> bool:
        """Whether it has the right of a scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def is_taken_from(self, address: str) -> bool:
        """Whether it is accepted from an IP address; other text is in no network."""
        if not self.networks:
            return True
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        ip = getattr(ip, "ipv4_mapped", None) or ip
        return any(ip in ipaddress.ip_network(network) for network in self.networks)


def _scopes(names: tuple[str, ...]) -> tuple[Scope, ...]:
    if unknown := [scope for scope in names if scope not in set(Scope)]:
        raise ApiKeyInvalid(
            f"{unknown[0]!r:.40} is not a scope", hint=f"Use one of: {', '.join(Scope)}."
        )
    if not names:
        raise ApiKeyInvalid(
            "a key without a scope may do nothing", hint=f"Name some of: {', '.join(Scope)}."
        )
    return tuple(scope for scope in Scope if scope in names)


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ApiKeyInvalid(
            f"{text!r:.60} is not an address or a network: {error}",
            hint="Write 10.1.2.3, 10.0.0.0/8 or 2001:db8::/32.",
        ) from error
