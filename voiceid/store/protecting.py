"""Changing how a gallery is protected, in one transaction.

All changes among plain, rotated and sealed galleries, and to another secret rotation, work alike:
each row is opened by the old protection and stored by the new one.  Ids stay.  Every point of the
change feed gets another token, so that no older index counts as current.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Table, bindparam, delete, insert, select, update

from voiceid.domain import speaker_key
from voiceid.protection import Key, Kind, Vault, key_id_of
from voiceid.protection.ciphers import KEY_BYTES
from voiceid.protection.vault import wrapped_secrets
from voiceid.store.audit_table import counter_mac, opened_content, row_mac, sealed_content
from voiceid.store.backup_table import PATH_PLACE
from voiceid.store.bound_rows import SEALED, bound_row, plain_row
from voiceid.store.change_feed import random_token
from voiceid.store.fingerprint_table import plain_words, stored_row
from voiceid.store.job_table import job_place
from voiceid.store.protection import GROUPS, Protection, values_of
from voiceid.store.similar_names import keep_looks
from voiceid.store.snapshot import Snapshot
from voiceid.store.spoken_table import SpokenWordsTable, sealed_words
from voiceid.store.tables import (
    attempts,
    audit_events,
    audit_head,
    backups,
    centroids,
    challenges,
    changes,
    fingerprints,
    jobs,
    kept_answers,
    name_looks,
    protection,
    samples,
    speaker_keys,
    speakers,
    spoken_words,
)
from voiceid.store.value_list import in_list

_AT_ONCE = 2000
_JOB_TEXTS = ("request", "result", "pictures")


class ProtectionWriter:
    """Changes the protection of a gallery; each method returns the vault that opens it then."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._effects, self._keys, self._snapshot = snapshot.effects, snapshot.key_ring, snapshot
        self._connection: Connection = snapshot.connection
        self._was = snapshot.protection

    def protect(self, kind: Kind, key: Key) -> Vault:
        """Protect a gallery that is plain or has another protection."""
        if self._was.row is None:
            self._was.vault = None  # protecting it satisfies a required key
        now, gallery_id = self._effects.now, os.urandom(8).hex()
        times = dict.fromkeys(("protected_at", "renewed_at", "key_changed_at"), now)
        vault = self._made(gallery_id, kind, key, os.urandom(2 * KEY_BYTES))
        self._put(vault, key, times)
        self._bring_over(vault)
        return vault

    def note_remains(self) -> None:
        """Record that index files, kept audio and the log hold data to erase."""
        self._effects.erase(())

    def renew(self) -> Vault:
        """Rotate all vectors by another secret rotation; raises GalleryKeyMissing."""
        vault, row = self._opened()
        key = self._keys.key(row.key_id)
        secrets = os.urandom(KEY_BYTES) + vault.secrets[KEY_BYTES:]
        renewed = self._made(vault.gallery_id, vault.kind, key, secrets)
        self._put(renewed, key, self._times(row) | {"renewed_at": self._effects.now})
        self._bring_over(renewed)
        return renewed

    def change_key(self, key: Key) -> Vault:
        """Seal the secrets, and the keys of all speakers, by another key of the gallery."""
        vault, row = self._opened()
        changed = self._made(vault.gallery_id, vault.kind, key, vault.secrets)
        self._put(changed, key, self._times(row) | {"key_changed_at": self._effects.now})
        now = Protection.by(self._connection, self._keys, changed)
        for rows in self._batches(speaker_keys, speaker_keys.c.speaker_id):
            self._was.load(row.speaker_id for row in rows)
            keys: dict[int, Key | None] = {id_: self._was.key(id_) for id_, _ in rows}
            self._delete(speaker_keys, speaker_keys.c.speaker_id, list(keys))
            now.keep(keys)
        self._effects.protection = now
        return changed

    def end(self) -> None:
        """Make a protected gallery plain."""
        self._opened()
        self._bring_over(None)
        self._connection.execute(delete(speaker_keys))
        self._connection.execute(delete(protection))

    def _opened(self) -> tuple[Vault, Any]:
        vault = self._was.vault
        if vault is None:
            raise ValueError("the gallery is not protected")
        return vault, self._was.row

    def _made(self, gallery_id: str, kind: Kind, key: Key, secrets: bytes) -> Vault:
        return Vault(gallery_id, kind, key, wrapped_secrets(key, gallery_id, kind, secrets))

    def _put(self, vault: Vault, key: Key, times: dict[str, str]) -> None:
        self._connection.execute(delete(protection))
        values = {
            "gallery_id": vault.gallery_id,
            "kind": vault.kind.value,
            "key_id": key_id_of(key),
            "secrets": wrapped_secrets(key, vault.gallery_id, vault.kind, vault.secrets),
        }
        self._connection.execute(insert(protection).values(**values, **times))

    def _times(self, row: Any) -> dict[str, str]:
        return {name: getattr(row, name) for name in values_of(row) if name.endswith("_at")}

    def _bring_over(self, vault: Vault | None) -> None:
        now = Protection.by(self._connection, self._keys, vault)
        self.note_remains()
        self._speakers(now)
        recordings = {"": ""}  # from the old stored hashes of recordings to the new ones
        for rows in self._batches(samples, samples.c.id):
            plain = [dict(values_of(row)) for row in self._was.samples(rows)]
            stored = [now.stored_sample(row) for row in plain]
            recordings |= {a.pcm_sha256: b["pcm_sha256"] for a, b in zip(rows, stored, strict=True)}
            self._replace(samples, stored)
        for rows in self._batches(centroids, centroids.c.id):
            plain = self._was.centroids.plain(rows)
            self._replace(centroids, [now.centroids.stored(row) for row in plain])
        self._fingerprints(now, recordings)
        self._words(now)
        for table in SEALED:
            self._bound_rows(now, table)
        self._texts(now)
        self._events(now)
        self._effects.protection = now
        self._connection.execute(update(changes).values(token=random_token(self._connection)))

    def _speakers(self, now: Protection) -> None:
        self._connection.execute(delete(name_looks))
        found_by: dict[str, str] = {}  # from the old stored keys of names to the new ones
        for rows in self._batches(speakers, speakers.c.id, GROUPS):
            keys: dict[int, Key | None] = dict.fromkeys(row.id for row in rows)
            self._was.load(keys)
            if now.sealing is not None:
                keys = {id_: self._key(id_) for id_ in keys}
            self._delete(speaker_keys, speaker_keys.c.speaker_id, list(keys))
            now.keep(keys)
            plain_rows = self._was.named(rows)
            keep_looks(self._connection, now, {row.id: row.name for row in plain_rows})
            changed = []
            for row in plain_rows:
                name_key = found_by[row.name_key] = now.name_key(speaker_key(row.name))
                facts = {**values_of(row), "name_key": name_key}
                stored = now.speaker_columns(keys[row.id], facts)
                changed.append({"id": row.id, "name_key": name_key, **stored})
            self._change(speakers, changed)
        self._attempts(now, found_by)

    def _key(self, speaker_id: int) -> Key:
        return Key.new() if self._was.sealing is None else self._was.key(speaker_id)

    def _attempts(self, now: Protection, found_by: dict[str, str]) -> None:
        """Convert failed attempts; forget those under a sealed name that no speaker has."""
        query = select(attempts.c.name_key).distinct()
        for name_key in self._connection.execute(query).scalars().all():
            its = attempts.c.name_key == name_key
            if name_key in found_by:
                self._set(attempts, its, name_key=found_by[name_key])
            elif self._was.sealing is None:
                self._set(attempts, its, name_key=now.name_key(name_key))
            else:
                self._connection.execute(delete(attempts).where(its))

    def _fingerprints(self, now: Protection, recordings: dict[str, str]) -> None:
        """Convert fingerprints; their recordings are those of samples."""
        for rows in self._batches(fingerprints, fingerprints.c.id):
            stored = []
            for row in rows:
                plain = {**values_of(row), "pcm_sha256": recordings[row.pcm_sha256]}
                stored.append(stored_row(now, plain, plain_words(self._was, row)))
            self._replace(fingerprints, stored)

    def _words(self, now: Protection) -> None:
        """Convert the words of speakers; forget the codes that wait for an answer."""
        self._connection.execute(delete(challenges))
        was, columns = SpokenWordsTable(self._snapshot), spoken_words.c
        for rows in self._batches(spoken_words, columns.speaker_id):
            for row in rows:
                plain = was.opened(row.speaker_id, row.content)
                content = sealed_words(now, row.speaker_id, plain)
                self._set(spoken_words, columns.speaker_id == row.speaker_id, content=content)

    def _bound_rows(self, now: Protection, table: Table) -> None:
        for row in self._connection.execute(select(table)).all():
            plain = values_of(plain_row(self._was, table, row))
            stored = bound_row(now, table, plain)
            self._set(table, table.c.id == row.id, **{SEALED[table]: stored[SEALED[table]]})

    def _texts(self, now: Protection) -> None:
        for row in self._connection.execute(select(jobs)).all():
            places = {name: job_place(name, row) for name in _JOB_TEXTS}
            texts = {name: self._was.text(getattr(row, name), *at) for name, at in places.items()}
            stored = {name: now.stored_text(texts[name], *at) for name, at in places.items()}
            self._set(jobs, jobs.c.id == row.id, **stored)
        for row in self._connection.execute(select(backups)).all():
            at = (PATH_PLACE, row.id)
            path = now.stored_text(self._was.text(row.path, *at), *at)
            self._set(backups, backups.c.id == row.id, path=path)
        for row in self._connection.execute(select(kept_answers)).all():
            place = ("kept answer", row.caller, row.key_sha256)
            its = kept_answers.c.key_sha256 == row.key_sha256
            its &= kept_answers.c.caller == row.caller
            answer = now.stored_text(self._was.text(row.answer, *place), *place)
            self._set(kept_answers, its, answer=answer)

    def _events(self, now: Protection) -> None:
        """Convert the content and the seals of audit events; their hashes stay."""
        columns, vault = audit_events.c, now.vault
        setting = update(audit_events).where(columns.number == bindparam("of_number"))
        setting = setting.values(content=bindparam("stored"), mac=bindparam("sealed_by"))
        for rows in self._batches(audit_events, columns.number):
            values = []
            for row in rows:
                content = opened_content(self._was, row)
                if content is not None:
                    owner = row.speaker_id if row.speaker_id in now.wrapped else None
                    content = sealed_content(now, row.number, owner, content)
                mac = row_mac(vault, row.hash)
                values.append({"of_number": row.number, "stored": content, "sealed_by": mac})
            self._connection.execute(setting, values)
        head = self._connection.execute(select(audit_head)).first()
        if head is not None:
            mac = counter_mac(vault, head.number, head.hash)
            self._connection.execute(update(audit_head).values(mac=mac))

    def _batches(self, table: Table, key: Any, *more: Any) -> Iterator[Sequence[Any]]:
        after = 0
        while True:
            query = select(table, *more).where(key > after).order_by(key).limit(_AT_ONCE)
            rows = self._connection.execute(query).all()
            if not rows:
                return
            yield rows
            after = values_of(rows[-1])[key.name]

    def _replace(self, table: Table, rows: list[dict[str, Any]]) -> None:
        """Delete rows and insert others with the same ids: samples cannot be updated."""
        self._delete(table, table.c.id, [row["id"] for row in rows])
        self._connection.execute(insert(table), rows)

    def _change(self, table: Table, rows: list[dict[str, Any]]) -> None:
        """Change columns of rows, each found by its id, in one statement."""
        names = rows[0].keys() - {"id"}
        setting = update(table).where(table.c.id == bindparam("of_id"))
        setting = setting.values({name: bindparam(f"of_{name}") for name in names})
        values = [{f"of_{name}": value for name, value in row.items()} for row in rows]
        self._connection.execute(setting, values)

    def _delete(self, table: Table, key: Any, values: list[int]) -> None:
        self._connection.execute(delete(table).where(in_list(self._connection, key, values)))

    def _set(self, table: Table, condition: Any, **values: Any) -> None:
        self._connection.execute(update(table).where(condition).values(**values))
