"""The keys of the service."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from voiceid.domain import ApiKey, Scope, is_expired
from voiceid.errors import AccessDenied, ApiKeyNotFound, StoreError
from voiceid.observability import ChangeKind
from voiceid.resources.collection import OfSession
from voiceid.resources.gallery_key import GalleryKey
from voiceid.resources.signing_secret import signing_secret

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store.reader import Reader

_PREFIX = "vid"
"""A prefix by which keys that were published by mistake can be found."""
_ID_BYTES, _SECRET_BYTES = 6, 32
"""The secret has 256 bits: it cannot be guessed, so a fast hash is enough."""
_APART = timedelta(minutes=1)
"""How much the clocks of two hosts may differ: each writes events."""
_WRONG = "the key is unknown, or not valid for this address"


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A new key, and its text, which is shown only once."""

    key: ApiKey
    text: str


class Keys(OfSession):
    """The keys of the service's callers.  Only hashes of their secrets are stored."""

    @cached_property
    def gallery(self) -> GalleryKey:
        """The key of the gallery itself."""
        return GalleryKey(self._session)

    def create(
        self,
        name: str,
        scopes: Sequence[Scope | str],
        *,
        groups: Sequence[str] = (),
        networks: Sequence[str] = (),
        requests_per_minute: int | None = None,
        expires_at: datetime | None = None,
    ) -> NewApiKey:
        """Create a key; for the parameters see `ApiKey`.  Its text cannot be read again.

        Raises ApiKeyInvalid, SpeakerDetailInvalid, StoreError.
        """
        now = datetime.now(UTC)
        key = ApiKey(
            id=secrets.token_hex(_ID_BYTES),
            name=name,
            scopes=tuple(scopes),  # type: ignore[arg-type]  # `ApiKey` refuses others
            groups=tuple(groups),
            networks=tuple(networks),
            requests_per_minute=requests_per_minute,
            created_at=now,
            expires_at=expires_at,
        )
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        with self._session.change(ChangeKind.CREATE_KEY) as change:
            change.writer.keys.add(key, _sha256(secret))
            change.record(key=key.id)
        return NewApiKey(key, f"{_PREFIX}_{key.id}_{secret}")

    def list(self) -> Sequence[ApiKey]:
        """Return the keys, oldest first."""
        with self._session.store.read() as reader:
            return reader.keys.list()

    def require(self, key: ApiKey) -> None:
        """Raise AccessDenied for a key that was removed or has expired since its check."""
        with self._session.store.read() as reader:
            if reader.keys.with_hash(key.id) is None:
                raise AccessDenied("the key was removed", hint="Use another key.")
            _require_before(reader, key.expires_at)

    def any(self) -> bool:
        """Whether there is a key, expired or not: then the service requires one."""
        if not self._session.has_database:
            return False
        with self._session.store.read() as reader:
            return reader.keys.any()

    def get(self, key_id: str) -> ApiKey:
        """Return the key with that id; raises ApiKeyNotFound."""
        with self._session.store.read() as reader:
            return reader.keys.get(key_id)

    def remove(self, key_id: str) -> ApiKey | None:
        """Remove a key; it is refused from now on.  Return it, or None if its row is damaged.

        Raises ApiKeyNotFound.
        """
        key = None
        with self._session.change(ChangeKind.REMOVE_KEY) as change:
            with contextlib.suppress(StoreError):
                key = change.writer.keys.get(key_id)
            change.writer.keys.remove(key_id)
            change.record(key=key_id)
        return key

    def check(self, text: str, address: str) -> ApiKey:
        """Return the key of a text from an IP address; raises AccessDenied.

        The time does not depend on how much of the secret is right.
        """
        prefix, _, id_and_secret = text.partition("_")
        key_id, _, secret = id_and_secret.partition("_")
        with self._session.store.read() as reader:
            stored = reader.keys.with_hash(key_id)
            expected = _sha256("") if stored is None else stored[1]
            same = hmac.compare_digest(_sha256(secret).encode(), expected.encode())
            is_right = same and bool(secret)
            if stored is None or prefix != _PREFIX or not is_right:
                raise AccessDenied(_WRONG, hint="Create a key: `voiceid keys create`.")
            return _usable(reader, stored[0], address)

    def start_session(self, key: ApiKey, until: datetime) -> str:
        """Return a session text for a key until a time, so that a browser need not store the key.

        It is signed with a secret of the data folder, and with the hash that is kept of the key's
        secret; it is kept nowhere, and ends with the key.  Raises ApiKeyNotFound, ConfigError.
        """
        with self._session.store.read() as reader:
            stored = reader.keys.with_hash(key.id)
        if stored is None:
            raise ApiKeyNotFound(f"there is no key {key.id!r:.40}")
        signed = f"{key.id}.{int(until.timestamp())}"
        return f"{signed}.{self._signature(stored[1], signed)}"

    def check_session(self, text: str, address: str) -> ApiKey:
        """Return the key of a session text from `start_session`.

        Raises AccessDenied, ConfigError.
        """
        signed, _, signature = text.rpartition(".")
        key_id, _, until = signed.partition(".")
        with self._session.store.read() as reader:
            stored = reader.keys.with_hash(key_id)
            expected = self._signature(_sha256("") if stored is None else stored[1], signed)
            is_right = hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))
            if stored is None or not is_right or int(until) <= datetime.now(UTC).timestamp():
                raise AccessDenied("the session has ended", hint="Sign in again with a key.")
            return _usable(reader, stored[0], address, datetime.fromtimestamp(int(until), UTC))

    def _signature(self, secret_sha256: str, signed: str) -> str:
        secret = signing_secret(self._session.config.data) + secret_sha256.encode()
        message = f"voiceid session {signed}".encode("utf-8", "surrogatepass")
        return hmac.new(secret, message, hashlib.sha256).hexdigest()

    def use(self, key: ApiKey) -> bool:
        """Count a request with a key; False: the key has reached its limit for this minute."""
        if key.requests_per_minute is None:
            return True
        with self._session.store.write(synced=False) as writer:  # it counts for a minute
            return writer.keys.use(key, datetime.now(UTC))


def _usable(reader: Reader, key: ApiKey, address: str, until: datetime | None = None) -> ApiKey:
    if not key.is_taken_from(address):
        raise AccessDenied(_WRONG, hint="Use a key that is valid for this address.")
    _require_before(reader, key.expires_at or until)
    return key


def _require_before(reader: Reader, end: datetime | None) -> None:
    """Raise AccessDenied after the end of a key, and if the clock cannot tell: it was set back."""
    now = datetime.now(UTC)
    if is_expired(end, now):
        raise AccessDenied("the key has expired", hint="Create another: `voiceid keys create`.")
    if end and (last := reader.audit.last_at()) and now < last - _APART:
        raise AccessDenied(
            "the clock is earlier than the newest event of the record, so no expiry can be judged",
            hint="Set the clock of the service.",
        )


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
