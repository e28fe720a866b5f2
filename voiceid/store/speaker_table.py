"""Speakers, their details and groups."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    text,
    update,
)

from voiceid.domain import (
    Consent,
    Speaker,
    SpeakerDetails,
    SpeakerRef,
    Standing,
    is_consented,
    is_expired,
    speaker_key,
    speaker_name,
)
from voiceid.errors import ChangeRefused, SpeakerExists, SpeakerNameInvalid, SpeakerNotFound
from voiceid.store import stored_rows
from voiceid.store.audit_table import AuditWriter
from voiceid.store.protection import GROUPS, NAMED
from voiceid.store.similar_names import keep_looks, look_alikes, passes_for_another
from voiceid.store.snapshot import Rows
from voiceid.store.spoken_table import SpokenWordsWriter
from voiceid.store.tables import (
    SPEAKER_IDS,
    adaptations,
    attempts,
    centroids,
    challenges,
    fingerprints,
    memberships,
    samples,
    speakers,
)
from voiceid.store.value_list import in_list

NOT_RECORDED = "not recorded"
"""The text version of a withdrawn consent that was never recorded."""
_NONE = SpeakerDetails()
_PAGE = 2000
"""Speakers read at once: a few megabytes with their samples."""
# An adapted space is not another enrolment: its centroids come from the same samples.
_ENROLLED = (centroids.c.speaker_id == speakers.c.id) & ~centroids.c.space_id.in_(
    select(adaptations.c.adapted_id)
)
_SPEAKERS = (
    select(speakers, GROUPS, centroids.c.space_id, centroids.c.n_samples, centroids.c.net_speech_s)
    .select_from(speakers.outerjoin(centroids, _ENROLLED))
    .order_by(speakers.c.name_key, speakers.c.id, centroids.c.space_id)
)
"""One row per speaker and space; the totals are stored with the centroids."""
_BY_KEY = _SPEAKERS.where(speakers.c.name_key == bindparam("name_key"))
"""Built once: it is asked with every verification."""


class Speakers(Rows):
    """Reads speakers."""

    def find(self, name: str) -> Speaker | None:
        """Return the speaker of that name, or None; raises SpeakerNameInvalid."""
        return next(iter(self._read(_BY_KEY, name_key=self._key(name))), None)

    def get(self, name: str) -> Speaker:
        """Return the speaker of that name; raises SpeakerNotFound, SpeakerNameInvalid."""
        if (speaker := self.find(name)) is None:
            raise SpeakerNotFound(f"no speaker called {speaker_name(name)!r} is enrolled")
        return speaker

    def of_ids(self, ids: Collection[int]) -> list[Speaker]:
        """Return the speakers with these ids, by name."""
        return self._read(_SPEAKERS.where(in_list(self._connection, speakers.c.id, ids)))

    def ids(self, *, only_enabled: bool = False) -> list[int]:
        """Return the ids of all speakers, or of those not disabled, the oldest first."""
        query = select(speakers.c.id).where(speakers.c.disabled_at.is_(None) | (not only_enabled))
        return list(self._connection.scalars(query.order_by(speakers.c.id)))

    def all(self) -> list[Speaker]:
        """Return all speakers, by name; see :meth:`pages` for a gallery of any size."""
        return sorted((s for page in self.pages() for s in page), key=lambda s: speaker_key(s.name))

    def pages(self) -> Iterator[list[Speaker]]:
        """Yield all speakers by their stored keys, which may be damaged, two thousand at a time."""
        page = self.page(limit=_PAGE)
        while page:
            yield page
            last = select(speakers.c.name_key).where(speakers.c.id == page[-1].id)
            page = self.page(None, _PAGE, speakers.c.name_key > last.scalar_subquery())

    def page(self, after: str | None = None, limit: int = _PAGE, *later: Any) -> list[Speaker]:
        """Return the next ``limit`` speakers by name: the first, or the first after a name."""
        after_name = () if after is None else (speakers.c.name_key > self._key(after),)
        query = select(speakers.c.id).where(*after_name, *later).order_by(speakers.c.name_key)
        return self._read(_SPEAKERS.where(speakers.c.id.in_(query.limit(limit))))

    def count(self) -> int:
        """Return how many speakers there are, with samples or without."""
        return int(self._connection.scalar(select(func.count()).select_from(speakers)) or 0)

    def expired(self, now: datetime) -> list[Speaker]:
        """Return the expired speakers, by name, also disabled ones."""
        dated = self._read(_SPEAKERS.where(speakers.c.expires_at.is_not(None)))
        return [s for s in dated if is_expired(s.expires_at, now)]

    def unconsented(self, ids: Collection[int], now: datetime) -> list[str]:
        """Return the names of speakers, among some, without a consent in force."""
        query = select(speakers.c.id, speakers.c.consents, *NAMED)
        query = query.where(in_list(self._connection, speakers.c.id, ids)).order_by(speakers.c.id)
        return [
            str(row.name)
            for row in self._named(query)
            for consents in [stored_rows.consents(row.consents)]
            if not consents or not is_consented(consents, now)
        ]

    def standings(self, now: datetime) -> dict[Standing, int]:
        """Return how many speakers have each standing at a moment in UTC."""
        standing = case(
            (speakers.c.disabled_at.is_not(None), Standing.DISABLED.value),
            (speakers.c.expires_at <= now.isoformat(), Standing.EXPIRED.value),
            (speakers.c.consent_until <= now.isoformat(), Standing.NO_CONSENT.value),
            else_=Standing.ACTIVE.value,
        ).label("standing")
        query = select(standing, func.count()).group_by(text("standing"))
        counts = {str(name): int(count) for name, count in self._connection.execute(query)}
        return {standing: counts.get(standing.value, 0) for standing in Standing}

    def group_sizes(self) -> dict[str, int]:
        """Return how many members each group has, by the names of the groups."""
        return stored_rows.counts(self._connection, memberships.c.group_name)

    def holders(self, keys: Sequence[str]) -> dict[str, SpeakerRef]:
        """Return the speaker of each name, by the name's key; free names are left out."""
        stored = {self._protection.name_key(key): key for key in keys}
        rows = self._by_stored_key(list(stored))
        return {stored[row.name_key]: SpeakerRef(row.id, row.name) for row in rows}

    def names_by_stored_key(self, stored: Sequence[str]) -> dict[str, str]:
        """Return the name of each speaker, by the stored key of the name."""
        return {row.name_key: row.name for row in self._by_stored_key(stored)}

    def _by_stored_key(self, stored: Sequence[str]) -> list[Any]:
        query = select(speakers.c.id, *NAMED)
        return self._named(query.where(in_list(self._connection, speakers.c.name_key, stored)))

    def look_alikes(self, names: Sequence[str]) -> dict[str, str]:
        """Return the new names that look like another name, enrolled or new, each with that name.

        Raises SpeakerNameInvalid.
        """
        return look_alikes(self._connection, self._protection, names)

    def require_distinct(
        self, names: Sequence[str], *, instead_of: str = "", since: tuple[int, str] | None = None
    ) -> None:
        """Raise SpeakerExists when new names look like others, except like ``instead_of``.

        With ``since``, an earlier `newest`, only speakers who changed after it need be checked.
        """
        alike = look_alikes(self._connection, self._protection, names, instead_of, since)
        for name, other in alike.items():
            raise SpeakerExists(
                f"the name {speaker_name(name)!r} looks like {other!r} in other letters",
                hint="Choose another name for one of the two, or use --force (import: --trust).",
            )

    def newest(self) -> tuple[int, str]:
        """Return the highest speaker id, or 0, and the time of the last change of a speaker."""
        query = select(func.max(speakers.c.id), func.max(speakers.c.updated_at))
        newest_id, changed_at = self._connection.execute(query).one()
        return int(newest_id or 0), str(changed_at or "")

    def misnamed(self, ids: Collection[int]) -> dict[int, str]:
        """Return the speakers with a name that does not fit the lookup key, in sentences by id."""
        query = select(speakers.c.id, *NAMED).where(in_list(self._connection, speakers.c.id, ids))
        return {
            row.id: f"speaker {row.id} has the name {row.name!r} but the key {row.name_key!r}"
            for row in self._named(query)
            if not self._is_key(row.name_key, row.name)
        }

    def _key(self, name: str) -> str:
        """Return the stored lookup key of a name; raises SpeakerNameInvalid."""
        return self._protection.name_key(speaker_key(name))

    def _named(self, query: Select[Any], **asked: str) -> list[Any]:
        return self._protection.named(self._connection.execute(query, asked).all())

    def _is_key(self, key: object, name: object) -> bool:
        try:
            return isinstance(name, str) and self._key(name) == key
        except SpeakerNameInvalid:
            return False

    def _read(self, query: Select[Any], **asked: str) -> list[Speaker]:
        by_speaker = itertools.groupby(self._named(query, **asked), lambda row: row.id)
        return [stored_rows.speaker(list(rows)) for _, rows in by_speaker]


class SpeakerWriter(Speakers):
    """Changes speakers."""

    def add(self, name: str, created_at: datetime | None = None) -> Speaker:
        """Add a speaker without samples; raises SpeakerExists, SpeakerNameInvalid."""
        now = datetime.fromisoformat(self._effects.now)
        created_at = created_at or now
        shown, key = speaker_name(name), self._key(name)
        secret = self._protection.new_key()
        stored = self._protection.speaker_columns(secret, {"name": shown, "name_key": key})
        values = (stored["name"], key, created_at.isoformat(), self._effects.now)
        columns = ("name", "name_key", "created_at", "updated_at")
        free = ~exists().where(speakers.c.name_key == key)
        new = select(*map(literal, values)).where(free)
        id_ = self._connection.execute(
            insert(speakers).from_select(columns, new).returning(speakers.c.id)
        ).scalar()
        if id_ is None:
            raise self._taken(name)
        self._protection.keep({id_: secret})
        keep_looks(self._connection, self._protection, {id_: shown})
        self._effects.stamped([id_])
        self._effects.new_speakers.add(id_)
        return Speaker(id_, shown, created_at, now, 0, 0.0, ())

    def rename(self, speaker: Speaker, new_name: str, *, force: bool = False) -> None:
        """Give a speaker, as read in this change, another name.

        Raises SpeakerExists, also for a name that looks like another unless ``force`` is set, and
        SpeakerNameInvalid.  Failed attempts move too: a rename ends no lock.  Codes are erased.
        """
        own, other = speakers.c.id == speaker.id, speakers.alias("other")
        key, was = self._key(new_name), self._key(speaker.name)
        taken = exists().where(other.c.name_key == key, other.c.id != speaker.id)
        refused: ColumnElement[bool] = taken
        if not force:
            names = (new_name, speaker.name)
            refused |= passes_for_another(self._connection, self._protection, *names)
        values: dict[str, object] = {"name": speaker_name(new_name), "name_key": key}
        values["updated_at"] = self._effects.now
        if self._protection.sealing is not None:
            values |= self._resealed(speaker.id, {"name": values["name"], "name_key": key})
        query = update(speakers).where(own, speakers.c.name_key == was, ~refused).values(**values)
        failed, asked = (exists().where(t.c.name_key == was) for t in (attempts, challenges))
        if (row := self._connection.execute(query.returning(failed | asked)).first()) is None:
            if not force:
                self.require_distinct([new_name], instead_of=speaker.name)
            raise self._taken(new_name)
        for its in (update(attempts).values(name_key=key), delete(challenges)) if row[0] else ():
            self._connection.execute(its.where(its.table.c.name_key == was))
        keep_looks(self._connection, self._protection, {speaker.id: new_name})

    def edit(self, speaker_id: int, details: SpeakerDetails) -> None:
        """Change a speaker's details as ``details`` says."""
        if details.changes_nothing:
            return
        values: dict[str, object] = {"updated_at": self._effects.now}
        if details.groups or details.metadata or details.consents or details.enabled:
            [speaker] = self._read(_SPEAKERS.where(speakers.c.id == speaker_id))
        if details.enabled and not details.consents:
            _require_consented(speaker)
        if details.groups or details.metadata or details.consents:
            joined = details.joined(speaker.groups, speaker.metadata, speaker.consents)
            values["metadata"] = json.dumps(dict(joined.metadata))
            if details.consents:
                values |= _consented(joined.consents, self._effects.now)
        if details.expires_at is not None or details.never_expires:
            at = details.expires_at
            values["expires_at"] = None if at is None else at.isoformat()
        if details.enabled is not None:
            since = func.coalesce(speakers.c.disabled_at, self._effects.now)
            values["disabled_at"] = None if details.enabled else since
        self._set(speaker_id, values, details)
        if details.groups or details.not_groups:
            self._edit_groups(speaker_id, details)

    def _resealed(
        self, speaker_id: int, changed: Mapping[str, object], groups: SpeakerDetails = _NONE
    ) -> dict[str, object]:
        """Return the new values of the columns that are sealed together when one changes.

        They are bound to the speaker's groups, which change as ``groups`` says.
        """
        columns = select(speakers.c.id, speakers.c.metadata, speakers.c.consents, *NAMED)
        rows = self._named(columns.where(speakers.c.id == speaker_id))
        if not rows:  # removed meanwhile: nothing will be changed
            return {}
        [row] = rows
        before = (row.groups or "").split(stored_rows.GROUP_SEPARATOR)
        kept = [g for g in before if g and g not in {*groups.groups, *groups.not_groups}]
        joined = stored_rows.GROUP_SEPARATOR.join([*kept, *groups.groups])
        now = vars(row) | changed | {"groups": joined}
        if now["disabled_at"] is not None:  # the new value is an SQL expression
            now["disabled_at"] = row.disabled_at or self._effects.now
        stored = self._protection.speaker_columns(self._protection.key(speaker_id), now)
        return {**stored, "disabled_at": now["disabled_at"]}

    def withdraw(self, speaker: Speaker, by: str) -> None:
        """Withdraw every consent, and disable the speaker."""
        now = datetime.fromisoformat(self._effects.now)
        consents = speaker.consents or (Consent(NOT_RECORDED, recorded_by=by, recorded_at=now),)
        ended = (
            c if c.withdrawn_at else replace(c, withdrawn_at=now, withdrawn_by=by) for c in consents
        )
        self._set(speaker.id, _consented(ended, self._effects.now))
        self.edit(speaker.id, SpeakerDetails(enabled=False))

    def _set(
        self, speaker_id: int, values: dict[str, object], groups: SpeakerDetails = _NONE
    ) -> None:
        if self._protection.sealing is not None:
            values |= self._resealed(speaker_id, values, groups)
        query = update(speakers).where(speakers.c.id == speaker_id)
        self._connection.execute(query.values(**values))
        self._effects.stamped([speaker_id])

    def _edit_groups(self, speaker_id: int, details: SpeakerDetails) -> None:
        is_named = memberships.c.group_name.in_([*details.groups, *details.not_groups])
        of_speaker = memberships.c.speaker_id == speaker_id
        self._connection.execute(delete(memberships).where(of_speaker, is_named))
        if joined := [{"group_name": g, "speaker_id": speaker_id} for g in details.groups]:
            self._connection.execute(insert(memberships), joined)
        # Indexes keep groups, and follow the feed.
        theirs = centroids.c.speaker_id == speaker_id
        query = select(centroids.c.id, centroids.c.space_id).where(theirs)
        self._effects.changed((row.id, row.space_id) for row in self._connection.execute(query))

    def remove(self, speaker_id: int) -> None:
        """Erase a speaker with all samples, centroids and words, and the attempts under the name.

        The speaker's key is deleted with the row (ON DELETE CASCADE): after the commit nothing that
        it sealed can be opened, even if bytes are left somewhere.
        """
        key = select(speakers.c.name_key).where(speakers.c.id == speaker_id).scalar_subquery()
        self._connection.execute(delete(attempts).where(attempts.c.name_key == key))
        SpokenWordsWriter(self._snapshot).remove(speaker_id)
        self._effects.forget()
        for erased in (samples.c.vector, fingerprints.c.words):
            query = delete(erased.table).where(erased.table.c.speaker_id == speaker_id)
            self._effects.erase(self._connection.scalars(query.returning(erased)).all())
        its = centroids.c.speaker_id == speaker_id
        gone = delete(centroids).where(its).returning(centroids.c.id, centroids.c.space_id)
        self._effects.changed([(row.id, row.space_id) for row in self._connection.execute(gone)])
        query = delete(speakers).where(speakers.c.id == speaker_id)
        if not self._connection.execute(query).rowcount:  # no speaker row: nothing cascades
            for id_ in SPEAKER_IDS:
                self._connection.execute(delete(id_.table).where(id_ == speaker_id))
        AuditWriter(self._snapshot).erase(speaker_id)

    def purge(self, now: datetime) -> list[Speaker]:
        """Erase the expired speakers, and the remains of earlier erasures."""
        self._effects.erase(())
        for speaker in (expired := self.expired(now)):
            self.remove(speaker.id)
        return expired

    def _taken(self, name: str) -> SpeakerExists | SpeakerNotFound:
        if (holder := self.find(name)) is None:
            return SpeakerNotFound("the speaker to change is no longer enrolled")
        return SpeakerExists(
            f"the name {speaker_name(name)!r} is taken by the speaker {holder.name!r}",
            hint="Choose another name, or remove that speaker first.",
        )


def _consented(consents: Iterable[Consent], now: str) -> dict[str, object]:
    stored, end = stored_rows.consent_columns(consents, now)
    return {"consents": stored, "consent_until": end}


def _require_consented(speaker: Speaker) -> None:
    """Raise ChangeRefused for enabling a speaker who withdrew the consent."""
    if speaker.withdrawn_at is not None:
        raise ChangeRefused(
            f"{speaker.name} withdrew the consent, and stays disabled",
            hint="Record a new consent first: `voiceid speakers edit NAME --consent VERSION`.",
        )
