"""The keys to the service."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from voiceid.domain import ApiKey, Scope
from voiceid.errors import AccessDenied, ApiKeyNotFound, StoreError
from voiceid.observability import ChangeKind
from voiceid.resources.collection import OfSession
from voiceid.resources.gallery_key import GalleryKey
from voiceid.resources.signing_secret import signing_secret

_PREFIX = "vid"
"""By which a key that was published by mistake is found, and known for one."""
_ID_BYTES, _SECRET_BYTES = 6, 32
"""The secret has 256 bits: it cannot be guessed, and its plain hash need not be slow."""
_WRONG = "the key is not known, or not taken from here"


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key that was made, and its text, which is shown this once."""

    key: ApiKey
    text: str


class Keys(OfSession):
    """Keys by which callers of the service are known.  Of their secrets only hashes are kept."""

    @cached_property
    def gallery(self) -> GalleryKey:
        """The key that the gallery itself is opened with."""
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
        """Make a key; for the parameters see `ApiKey`.  Its text cannot be had again.

        Raises ApiKeyInvalid, SpeakerDetailInvalid, StoreError.
        """
        now = datetime.now(UTC)
        key = ApiKey(
            id=secrets.token_hex(_ID_BYTES),
            name=name,
            scopes=tuple(scopes),  # type: ignore[arg-type]  # what is none is refused
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
        """Raise AccessDenied for a key that was removed, or has expired, since it was checked."""
        with self._session.store.read() as reader:
            found = reader.keys.with_hash(key.id)
        if found is None or key.is_expired(datetime.now(UTC)):
            raise AccessDenied("the key was removed, or has expired", hint="Use another.")

    def any(self) -> bool:
        """Whether there is a key, expired or not: then the service asks for one."""
        if not self._session.has_database:
            return False
        with self._session.store.read() as reader:
            return reader.keys.any()

    def get(self, key_id: str) -> ApiKey:
        """Return the key of that id; raises ApiKeyNotFound."""
        with self._session.store.read() as reader:
            return reader.keys.get(key_id)

    def remove(self, key_id: str) -> ApiKey | None:
        """Remove a key, which is refused from now on; None: what there was of it is damaged.

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
        """Return the key of a text that came from an address of IP; raises AccessDenied.

        The time does not depend on how much of the secret is right.
        """
        prefix, _, rest = text.partition("_")
        key_id, _, secret = rest.partition("_")
        with self._session.store.read() as reader:
            found = reader.keys.with_hash(key_id)
        kept = _sha256("") if found is None else found[1]
        is_right = hmac.compare_digest(_sha256(secret), kept) and bool(secret)
        if found is None or prefix != _PREFIX or not is_right:
            raise AccessDenied(_WRONG, hint="`voiceid keys create` makes one.")
        return _usable(found[0], address)

    def start_session(self, key: ApiKey, until: datetime) -> str:
        """Return a text that stands for a key until then, for a browser that keeps no secret.

        It is signed with a secret of the data folder, and with the hash that is kept of the key's
        secret; it is kept nowhere, and ends with the key.  Raises ApiKeyNotFound, ConfigError.
        """
        with self._session.store.read() as reader:
            found = reader.keys.with_hash(key.id)
        if found is None:
            raise ApiKeyNotFound(f"there is no key {key.id!r:.40}")
        signed = f"{key.id}.{int(until.timestamp())}"
        return f"{signed}.{self._signature(found[1], signed)}"

    def check_session(self, text: str, address: str) -> ApiKey:
        """Return the key for which a text of `start_session` stands.

        Raises AccessDenied, ConfigError.
        """
        signed, _, signature = text.rpartition(".")
        key_id, _, until = signed.partition(".")
        with self._session.store.read() as reader:
            found = reader.keys.with_hash(key_id)
        expected = self._signature(_sha256("") if found is None else found[1], signed)
        is_right = hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))
        if found is None or not is_right or int(until) <= datetime.now(UTC).timestamp():
            raise AccessDenied("the session is over", hint="Sign in again with a key.")
        return _usable(found[0], address)

    def _signature(self, secret_sha256: str, signed: str) -> str:
        secret = signing_secret(self._session.config.data) + secret_sha256.encode()
        said = f"voiceid session {signed}".encode("utf-8", "surrogatepass")
        return hmac.new(secret, said, hashlib.sha256).hexdigest()

    def use(self, key: ApiKey) -> bool:
        """Count a request with a key; False: it has had as many in this minute as it may."""
        if key.requests_per_minute is None:
            return True
        with self._session.store.write(synced=False) as writer:  # it counts for a minute
            return writer.keys.use(key, datetime.now(UTC))


def _usable(key: ApiKey, address: str) -> ApiKey:
    if not key.is_taken_from(address):
        raise AccessDenied(_WRONG, hint="Use a key that is taken from this address.")
    if key.is_expired(datetime.now(UTC)):
        raise AccessDenied("the key has expired", hint="`voiceid keys create` makes another.")
    return key


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
