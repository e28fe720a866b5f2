"""The keys of the service, and the number of requests with each."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, exists, insert, select, update

from voiceid.domain import ApiKey, Scope
from voiceid.errors import ApiKeyInvalid, ApiKeyNotFound, SpeakerDetailInvalid
from voiceid.store import stored_rows
from voiceid.store.bound_rows import bound_row, plain_row
from voiceid.store.snapshot import Rows
from voiceid.store.tables import api_keys, key_uses

_DAMAGE = (ApiKeyInvalid, SpeakerDetailInvalid, ValueError, TypeError)
_ANY = select(exists().select_from(api_keys))
_BY_ID = select(api_keys).where(api_keys.c.id == bindparam("id"))
"""Built once: one of the two is asked with every request."""


class ApiKeys(Rows):
    """Reads keys."""

    def any(self) -> bool:
        """Whether there is a key, expired or not."""
        return bool(self._connection.execute(_ANY).scalar())

    def list(self) -> list[ApiKey]:
        """Return the keys, oldest first."""
        query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
        return [self._key(row) for row in self._connection.execute(query).all()]

    def get(self, key_id: str) -> ApiKey:
        """Return the key with that id; raises ApiKeyNotFound."""
        key_and_hash = self.with_hash(key_id)
        if key_and_hash is None:
            raise ApiKeyNotFound(f"there is no key {key_id!r:.40}")
        return key_and_hash[0]

    def with_hash(self, key_id: str) -> tuple[ApiKey, str] | None:
        """Return the key with that id and the SHA-256 of its secret, or None."""
        row = self._connection.execute(_BY_ID, {"id": key_id}).first()
        return None if row is None else (self._key(row), str(row.secret_sha256))

    def _key(self, row: Row[Any]) -> ApiKey:
        return _key(plain_row(self._protection, api_keys, row))


class ApiKeyWriter(ApiKeys):
    """Changes keys, and counts their uses."""

    def add(self, key: ApiKey, secret_sha256: str) -> None:
        """Add a key."""
        expires_at = None if key.expires_at is None else key.expires_at.isoformat()
        values = {
            "id": key.id,
            "name": key.name,
            "secret_sha256": secret_sha256,
            "scopes": json.dumps(key.scopes),
            "groups": json.dumps(key.groups),
            "networks": json.dumps(key.networks),
            "requests_per_minute": key.requests_per_minute,
            "created_at": key.created_at.isoformat(),
            "expires_at": expires_at,
        }
        stored = bound_row(self._protection, api_keys, values)
        self._connection.execute(insert(api_keys).values(**stored))

    def remove(self, key_id: str) -> None:
        """Remove a key."""
        self._connection.execute(delete(api_keys).where(api_keys.c.id == key_id))

    def use(self, key: ApiKey, now: datetime) -> bool:
        """Count a request of this minute; False: the key has reached its limit."""
        minute = int(now.timestamp()) // 60
        of_key = key_uses.c.key_id == key.id
        self._connection.execute(delete(key_uses).where(of_key, key_uses.c.minute < minute))
        of_now = of_key & (key_uses.c.minute == minute)
        n_requests = self._connection.execute(select(key_uses.c.n_requests).where(of_now)).scalar()
        if n_requests is None:
            query = insert(key_uses).values(key_id=key.id, minute=minute, n_requests=1)
            self._connection.execute(query)
        elif key.requests_per_minute is not None and n_requests >= key.requests_per_minute:
            return False
        else:
            more = update(key_uses).where(of_now).values(n_requests=n_requests + 1)
            self._connection.execute(more)
        return True


def _key(row: Any) -> ApiKey:
    try:
        expires_at = None if row.expires_at is None else stored_rows.moment_of(row.expires_at)
        return ApiKey(
            id=row.id,
            name=row.name,
            scopes=tuple(Scope(scope) for scope in json.loads(row.scopes)),
            groups=tuple(json.loads(row.groups)),
            networks=tuple(json.loads(row.networks)),
            requests_per_minute=row.requests_per_minute,
            created_at=stored_rows.moment_of(row.created_at),
            expires_at=expires_at,
        )
    except _DAMAGE as error:
        raise stored_rows.damaged_row(f"the key {row.id}", "Remove this key.") from error
