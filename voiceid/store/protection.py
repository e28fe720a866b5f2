"""The content of the rows of a protected gallery; an unprotected gallery has plain rows.

In a sealed gallery each speaker has a key.  It seals, each with its place as context:

    speakers.name      name, metadata and consents, in base64; bound to name_key, expires_at,
                       disabled_at, consent_until, and to the speaker's groups
    samples.vector     the recording's hash, the vector as it is, source name and label; bound to
                       the embedding space, and to hash, speech, quality, overrides and date
    centroids.vector   the rotated vector; bound to the space and to the totals beside it (on
                       PostgreSQL it is rotated alone: pgvector compares it)

    fingerprints.words the words; bound to the other columns

The key is bound to the speaker's id, so no row or part of a row can be moved to another speaker.
Names and recordings are found by keyed hashes, in ``name_key`` and ``pcm_sha256``.  A key of the
gallery seals the texts of jobs and of kept answers, and one column of each calibration, adaptation,
caller's key and code, which is bound to the other columns.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Protocol, Self

import numpy as np
from sqlalchemy import Connection, Select, func, insert, literal_column, select

from voiceid.domain import Float32Array
from voiceid.errors import StoreError
from voiceid.protection import Key, KeyRing, SealBroken, Vault
from voiceid.store.stored_rows import GROUP_SEPARATOR
from voiceid.store.tables import memberships, speaker_keys, speakers
from voiceid.store.value_list import is_listed, listed

_HASH_BYTES = 32
_UNWRAPPED = 5000
"""Keys that are in memory at once: those of a batch of rows, and few MB."""
_TEXTS = {"name": "", "metadata": "{}", "consents": "[]"}
"""A speaker's columns that are sealed together in the first, and the others' content then."""
_BOUND = ("name_key", "expires_at", "disabled_at", "consent_until")
_SEPARATOR: Any = literal_column(f"'{GROUP_SEPARATOR}'")
"""Not a parameter: SQLAlchemy would put it into the statement again for each decision."""
GROUPS = (
    select(func.aggregate_strings(memberships.c.group_name, _SEPARATOR))
    .where(memberships.c.speaker_id == speakers.c.id)
    .scalar_subquery()
    .label("groups")
)
NAMED = (speakers.c.name, *(speakers.c[name] for name in _BOUND), GROUPS)
"""The columns that are needed to read a name, beside the speaker's id."""


class HasState(Protocol):
    """A snapshot, which has the row of ``protection``."""

    @property
    def state(self) -> Any:
        """See `Snapshot.state`."""


class Protection:
    """Converts plain rows to stored rows, and stored rows to plain ones."""

    def __init__(self, connection: Connection, keys: KeyRing, snapshot: HasState | None) -> None:
        self._connection, self._keys, self._snapshot = connection, keys, snapshot
        self.centroids = CentroidRows(self, connection.dialect.name)
        """Converts plain rows of centroids to stored ones, and back."""
        self.wrapped: dict[int, bytes] = {}
        """The keys of speakers that were read, as stored."""
        self._unwrapped: dict[int, Key] = {}

    @classmethod
    def by(cls, connection: Connection, keys: KeyRing, vault: Vault | None) -> Self:
        """Return the protection by a vault, or by none, not the one in the database."""
        instance = cls(connection, keys, None)
        instance.vault = vault  # replaces the cached property
        return instance

    @cached_property
    def row(self) -> Any:
        """The row of ``protection``, or None."""
        state = None if self._snapshot is None else self._snapshot.state
        return None if state is None or state.gallery_id is None else state

    @cached_property
    def vault(self) -> Vault | None:
        """The vault that opens the gallery; None: it is not protected."""
        if self.row is not None:
            return self._keys.vault(self.row)
        if self._keys.is_required:
            raise StoreError(
                "the settings name a key (privacy.key), but the gallery is not protected",
                hint="`voiceid keys gallery init` protects it. If it was protected before, it was"
                " replaced: restore a backup.",
            )
        return None

    @cached_property
    def sealing(self) -> Vault | None:
        """The vault, if it seals rows; else None."""
        return self.vault if self.vault is not None and self.vault.is_sealed else None

    # Lookup hashes of rows

    def name_key(self, key: str) -> str:
        """Return the stored ``name_key`` of a name's key."""
        return key if self.sealing is None else self.sealing.hash("name", key)

    def recording(self, pcm_sha256: str) -> str:
        """Return the stored ``pcm_sha256`` of a recording."""
        if self.sealing is None or not pcm_sha256:
            return pcm_sha256
        return self.sealing.recording(pcm_sha256)

    # Keys of speakers

    def new_key(self) -> Key | None:
        """Return a key for a new speaker; None: rows are not sealed."""
        return None if self.sealing is None else Key.new()

    def keep(self, keys: Mapping[int, Key | None]) -> None:
        """Store the keys of new speakers."""
        if self.sealing is None or not keys:
            return
        rows = [
            {"speaker_id": id_, "wrapped": self.sealing.wrap(id_, key)}
            for id_, key in keys.items()
            if key is not None
        ]
        self._connection.execute(insert(speaker_keys), rows)
        self.wrapped |= {int(str(row["speaker_id"])): bytes(row["wrapped"]) for row in rows}  # type: ignore[call-overload]

    def take(self, rows: Sequence[Any]) -> None:
        """Take the keys of speakers out of rows that were read with their keys."""
        self.wrapped |= {row.speaker_id: row.wrapped for row in rows if row.wrapped is not None}

    def load(self, speaker_ids: Iterable[int]) -> None:
        """Read the keys of speakers in one statement before their rows are opened."""
        if self.sealing is None:
            return
        missing = sorted({id_ for id_ in speaker_ids if id_ not in self.wrapped})
        if missing:
            parameters = {"ids": listed(self._connection, missing)}
            rows = self._connection.execute(_keys_of(self._connection.dialect.name), parameters)
            self.wrapped |= {row.speaker_id: row.wrapped for row in rows}

    def key(self, speaker_id: int) -> Key:
        """Return the key of a speaker of a sealed gallery; raises StoreError."""
        # No key outlives its transaction: one that is destroyed leaves the memory too.
        if (known := self._unwrapped.get(speaker_id)) is not None:
            return known
        if speaker_id not in self.wrapped:
            self.load([speaker_id])
        assert self.sealing is not None  # noqa: S101 - the callers ask; for mypy
        try:
            key = self.sealing.unwrap(speaker_id, self.wrapped[speaker_id])
        except (KeyError, SealBroken) as error:
            raise broken(f"the key of speaker {speaker_id}") from error
        if len(self._unwrapped) >= _UNWRAPPED:
            self._unwrapped.clear()
        self._unwrapped[speaker_id] = key
        return key

    # Speakers

    def speaker_columns(self, key: Key | None, row: Mapping[str, Any]) -> dict[str, str]:
        """Return a speaker's ``name``, ``metadata`` and ``consents`` as stored.

        The row has the name and any other columns; its ``name_key`` is the stored one, and its
        ``groups`` are as `GROUPS` has them.
        """
        texts = {column: str(row.get(column, text)) for column, text in _TEXTS.items()}
        if key is None:
            return texts
        content = json.dumps(list(texts.values())).encode()
        sealed = key.seal(content, "speaker", *_bound(row))
        return {**_TEXTS, "name": base64.b64encode(sealed).decode()}

    def named(self, rows: Sequence[Any], id_: str = "id") -> list[Any]:
        """Return rows with the columns `NAMED` and a speaker's id, with plain names.

        If a row has ``metadata`` or ``consents``, they are plain too.
        """
        if self.sealing is None:
            return list(rows)
        names = rows[0]._fields if rows else ()
        stored = [dict(zip(names, row, strict=True)) for row in rows]
        self.load(values[id_] for values in stored if values[id_] is not None)
        opened: dict[int, dict[str, str]] = {}
        plain_rows = []
        for values in stored:
            speaker_id = values[id_]
            if speaker_id not in opened:
                opened[speaker_id] = self._person(speaker_id, values)
            plain_rows.append(SimpleNamespace(**{**values, **opened[speaker_id]}))
        return plain_rows

    def _person(self, speaker_id: int, row: Mapping[str, Any]) -> dict[str, str]:
        try:
            sealed = base64.b64decode(row["name"], validate=True)
            bound = _bound(row)
            texts = json.loads(self.key(speaker_id).open(sealed, "speaker", *bound))
            return dict(zip(_TEXTS, texts, strict=True))
        except (SealBroken, ValueError, TypeError) as error:
            raise broken(f"speaker {speaker_id}") from error

    # Samples

    def stored_sample(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the stored row of a plain row that `stored_rows.sample_row` made."""
        if self.vault is None:
            return row
        if self.sealing is None:
            return row | {"vector": self.turned_bytes(row["vector"], row["space_id"], back=False)}
        vector: bytes = row["vector"]
        recording = self.recording(row["pcm_sha256"])
        texts = json.dumps([row["source_name"], row["label"]]).encode()
        texts += b" " * (-len(texts) % 4)  # vector columns hold a multiple of four bytes
        sealed = self.key(row["speaker_id"]).seal(
            bytes.fromhex(row["pcm_sha256"]) + len(vector).to_bytes(4, "little") + vector + texts,
            *_sample_context({**row, "pcm_sha256": recording}),
        )
        return row | {"vector": sealed, "pcm_sha256": recording, "source_name": "", "label": ""}

    def samples(self, rows: Sequence[Any]) -> list[Any]:
        """Return the plain rows of stored ones."""
        if self.vault is None:
            return list(rows)
        self.load(row.speaker_id for row in rows)
        return [self._sample(row) for row in rows]

    def digests(self, rows: Sequence[Any]) -> list[str]:
        """Return the SHA-256 of the recordings of stored rows."""
        if self.sealing is None:
            return [row.pcm_sha256 for row in rows]
        return [row.pcm_sha256 for row in self.samples(rows)]

    def _sample(self, row: Any) -> Any:
        values = dict(values_of(row))
        if self.sealing is not None:
            context = _sample_context(values)
            content = self.opened(row.speaker_id, row.vector, *context, subject=f"sample {row.id}")
            start = _HASH_BYTES + 4
            end = start + int.from_bytes(content[_HASH_BYTES:start], "little")
            values["pcm_sha256"] = content[:_HASH_BYTES].hex()
            values["vector"] = content[start:end]
            values["source_name"], values["label"] = json.loads(content[end:])
        else:
            values["vector"] = self.turned_bytes(row.vector, row.space_id, back=True)
        return SimpleNamespace(**values)

    def moved(self, row: Any, to_speaker_id: int) -> dict[str, Any]:
        """Return the stored row of a sample for another speaker; id and date stay."""
        values = dict(values_of(row)) | {"speaker_id": to_speaker_id}
        if self.sealing is not None:
            context = _sample_context(values)
            content = self.opened(row.speaker_id, row.vector, *context, subject=f"sample {row.id}")
            values["vector"] = self.key(to_speaker_id).seal(content, *context)
        return values

    def opened(self, speaker_id: int, stored: bytes, *context: object, subject: str) -> bytes:
        """Return the plain bytes of stored ones; raises StoreError, which names the subject."""
        if self.sealing is None:
            return bytes(stored)
        try:
            return self.key(speaker_id).open(stored, *context)
        except SealBroken as error:
            raise broken(subject) from error

    # Vectors

    def turned(self, vectors: Float32Array, space_id: str, *, back: bool = False) -> Float32Array:
        """Return vectors (..., dim), float32, rotated for storage; ``back``: rotated back."""
        if self.vault is None or not vectors.size:
            return vectors
        matrix = self.vault.rotation(space_id, vectors.shape[-1])
        turned: Float32Array = (vectors @ (matrix.T if back else matrix)).astype(np.float32)
        return turned

    def turned_bytes(self, data: bytes, space_id: str, *, back: bool) -> bytes:
        """Return one stored vector rotated, or rotated ``back``."""
        vector = np.frombuffer(data, dtype="<f4")
        return self.turned(vector, space_id, back=back).astype("<f4").tobytes()

    # Texts of the gallery

    def stored_text(self, text: str | None, *place: str) -> str | None:
        """Return a text as it is stored; its place is a column and the key of a row."""
        if self.sealing is None or text is None:
            return text
        return base64.b64encode(self.sealing.text_key.seal(text.encode(), *place)).decode()

    def text(self, stored: str | None, *place: str, subject: str = "") -> str | None:
        """Return the plain text of a stored one; raises StoreError, which names the subject."""
        if self.sealing is None or stored is None:
            return stored
        try:
            sealed = base64.b64decode(stored, validate=True)
            return self.sealing.text_key.open(sealed, *place).decode()
        except (SealBroken, ValueError) as error:
            raise broken(subject or " ".join(place)) from error


@functools.cache
def _keys_of(dialect: str) -> Select[Any]:
    query = select(speaker_keys.c.speaker_id, speaker_keys.c.wrapped)
    return query.where(is_listed(dialect, speaker_keys.c.speaker_id, "ids"))


def _bound(row: Mapping[str, Any]) -> list[Any]:
    """Return the values that the sealed texts of a speaker are bound to."""
    groups = (row.get("groups") or "").split(GROUP_SEPARATOR)
    return [*map(row.get, _BOUND), *sorted(groups)]


def _sample_context(row: Mapping[str, Any]) -> tuple[object, ...]:
    texts = ("space_id", "pcm_sha256", "quality", "overrides", "created_at")
    return ("sample", *(row[name] for name in texts), float(row["net_speech_s"]))


def stored_bytes(
    protection: Protection, speaker_id: int, content: bytes, *context: object
) -> bytes:
    """Return bytes of a speaker as they are stored: see `Protection.opened`."""
    if protection.sealing is None:
        return content
    return protection.key(speaker_id).seal(content, *context)


def values_of(row: Any) -> Mapping[str, Any]:
    """Return the columns of a stored row or of a plain one."""
    if isinstance(row, SimpleNamespace):
        return vars(row)
    columns: Mapping[str, Any] = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    return columns


def broken(subject: str) -> StoreError:
    """Return the error for content that does not fit its seal."""
    return StoreError(
        f"{subject} in the database was changed or moved, and is not used",
        hint="Restore a backup, and check who may write to the database. `voiceid speakers purge"
        " --damaged` erases speakers who cannot be read.",
    )


class CentroidRows:
    """Rows of centroids; on PostgreSQL their vectors are not sealed: pgvector compares them."""

    def __init__(self, of: Protection, dialect: str) -> None:
        self._of, self._dialect = of, dialect

    def stored(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the stored row of a plain row."""
        if self._of.vault is None:
            return row
        vector = self._of.turned_bytes(row["vector"], row["space_id"], back=False)
        return self.sealed_for(self._dialect, row | {"vector": vector})

    def sealed_for(self, dialect: str, row: dict[str, Any]) -> dict[str, Any]:
        """Return the row that another database stores for an opened row; see `opened`."""
        if self._of.sealing is None or dialect == "postgresql":
            return row
        context = _centroid_context(SimpleNamespace(**row))
        return row | {"vector": self._of.key(row["speaker_id"]).seal(row["vector"], *context)}

    def opened(self, rows: Sequence[Any]) -> list[bytes]:
        """Return the vectors of rows of centroids, opened and still rotated.

        The rows have the speaker's id, the space and the totals.
        """
        if self._of.sealing is None or self._dialect == "postgresql":
            return [row.vector for row in rows]
        self._of.load(row.speaker_id for row in rows)
        return [self._centroid(row) for row in rows]

    def _centroid(self, row: Any) -> bytes:
        try:
            return self._of.key(row.speaker_id).open(row.vector, *_centroid_context(row))
        except (SealBroken, TypeError, ValueError, OverflowError) as error:
            raise broken(f"the centroid of speaker {row.speaker_id}") from error

    def plain(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        """Return the plain rows of complete stored rows."""
        vectors = zip(rows, self.opened(rows), strict=True)
        return [
            {**values_of(row), "vector": self._of.turned_bytes(vector, row.space_id, back=True)}
            for row, vector in vectors
        ]


def _centroid_context(row: Any) -> tuple[object, ...]:
    totals = (int(row.n_samples), float(row.telephone), float(row.net_speech_s))
    return ("centroid", row.space_id, *totals)
