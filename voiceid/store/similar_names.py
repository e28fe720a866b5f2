"""Names that look like an enrolled one.

Only names that begin alike are read.  If names are sealed, ``name_looks`` has keyed hashes of what
each name looks like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    cast,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
)

from voiceid.domain import speaker_key
from voiceid.domain.look_alikes import alternatives, skeletons
from voiceid.store.protection import NAMED, Protection
from voiceid.store.tables import name_looks, speakers
from voiceid.store.value_list import in_list, text_rows

_LAST = "\U0010ffff"
"""Sorts after every character of a name."""
_PLACE = 4
"""Digits of a character's place in a name."""
_ONE_BY_ONE = 100
"""Up to this number, each name is looked up; for more, all enrolled names are read once."""


def look_alikes(
    connection: Connection,
    protection: Protection,
    names: Sequence[str],
    instead_of: str = "",
    since: tuple[int, str] | None = None,
) -> dict[str, str]:
    """Return the new names that look like another name, enrolled or new, each with that name.

    The enrolled name ``instead_of`` counts as free.  With ``since``, speakers who did not change
    after that point may be left out; see `Speakers.newest`.
    """
    free = speaker_key(instead_of) if instead_of else ""
    alike, shown, seen = dict[str, str](), dict[str, str](), dict[str, str]()
    for name in names:
        key = speaker_key(name)
        shown.setdefault(key, name)
        for look in skeletons(key):
            earlier = seen.setdefault(look, key)
            if earlier != key:
                alike[name] = shown[earlier]
    if protection.sealing is not None:
        return alike | _sealed(connection, protection, seen, shown, free)
    if len(names) <= _ONE_BY_ONE:
        queries = ((name, _looking_like(connection, speaker_key(name), free)) for name in names)
        enrolled = ((name, connection.execute(query).scalar()) for name, query in queries)
        return alike | {name: other for name, other in enrolled if other is not None}
    return alike | _among_all(connection, seen, shown, free, since)


def passes_for_another(
    connection: Connection, protection: Protection, name: str, instead_of: str
) -> ColumnElement[bool]:
    """Return the condition that a name looks like another enrolled name; see above."""
    key, free = speaker_key(name), speaker_key(instead_of)
    if protection.sealing is None:
        return _looking_like(connection, key, free).exists()
    looks = [protection.sealing.hash("look", look) for look in skeletons(key)]
    other = speakers.alias("other_look")
    own = [protection.name_key(key), protection.name_key(free)]
    query = select(other.c.id).join(name_looks, name_looks.c.speaker_id == other.c.id)
    return query.where(
        in_list(connection, name_looks.c.look, looks), other.c.name_key.not_in(own)
    ).exists()


def _among_all(
    connection: Connection,
    seen: Mapping[str, str],
    shown: Mapping[str, str],
    free: str,
    since: tuple[int, str] | None,
) -> dict[str, str]:
    """Return the same by reading all enrolled names."""
    alike: dict[str, str] = {}
    query = select(speakers.c.name).execution_options(yield_per=10_000)
    if since is not None:
        query = query.where((speakers.c.id > since[0]) | (speakers.c.updated_at > since[1]))
    for rows in connection.execute(query).partitions():
        for name in (row.name for row in rows):
            key = speaker_key(name)
            for look in skeletons(key) if key != free else ():
                if seen.get(look, key) != key:
                    alike[shown[seen[look]]] = name
    return alike


def keep_looks(connection: Connection, protection: Protection, names: Mapping[int, str]) -> None:
    """Store the looks of speakers' names, by speaker id, if names are sealed."""
    if protection.sealing is None or not names:
        return
    old = in_list(connection, name_looks.c.speaker_id, names.keys())
    connection.execute(delete(name_looks).where(old))
    rows = [
        {"look": protection.sealing.hash("look", look), "speaker_id": id_}
        for id_, name in names.items()
        for look in skeletons(speaker_key(name))
    ]
    connection.execute(insert(name_looks), rows)


def _sealed(
    connection: Connection,
    protection: Protection,
    seen: Mapping[str, str],
    shown: Mapping[str, str],
    free: str,
) -> dict[str, str]:
    """Return the same for sealed names: only names that look alike are opened."""
    assert protection.sealing is not None  # noqa: S101 - the caller asks; for mypy
    keys = {protection.sealing.hash("look", look): key for look, key in seen.items()}
    query = select(name_looks.c.look, speakers.c.id, *NAMED)
    query = query.join_from(name_looks, speakers, speakers.c.id == name_looks.c.speaker_id)
    query = query.where(in_list(connection, name_looks.c.look, keys.keys()))
    rows = protection.named(connection.execute(query).all())
    return {
        shown[keys[row.look]]: row.name
        for row in rows
        if speaker_key(row.name) not in {keys[row.look], free}
    }


def _looking_like(connection: Connection, key: str, free: str) -> Select[Any]:
    """Return the query for an enrolled name that looks like another name's key.

    It walks the keys of the gallery by prefix, one character at a time.
    """
    letters = [
        f"{place:0{_PLACE}d}{letter}"
        for place, alike in enumerate(alternatives(key))
        for letter in alike
    ]
    letter = text_rows(connection, letters)
    n_letters = int(letters[-1][:_PLACE]) + 1
    begun = select(literal("").label("start"), literal(0).label("n")).cte("begun", recursive=True)
    longer = (begun.c.start + func.substr(letter, _PLACE + 1)).label("start")
    at_its_place = cast(func.substr(letter, 1, _PLACE), Integer) == begun.c.n
    walked, other = speakers.alias("walked"), speakers.alias("other_name")
    at = walked.c.name_key
    is_begun = exists().where(at >= longer, at < longer + _LAST)
    begun = begun.union_all(select(longer, begun.c.n + 1).where(at_its_place, is_begun))
    query = select(other.c.name).join(begun, other.c.name_key == begun.c.start)
    query = query.where(begun.c.n == n_letters, other.c.name_key.not_in([key, free]))
    return query.limit(1)
