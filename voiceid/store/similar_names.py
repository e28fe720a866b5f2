"""Which names pass for one that is enrolled.

No name is looked at that does not begin like it; but where names are sealed, each is.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Integer, cast, exists, func, literal, select

from voiceid.domain import speaker_key
from voiceid.domain.look_alikes import alternatives, skeletons
from voiceid.store.protection import NAMED, Protection
from voiceid.store.tables import speakers
from voiceid.store.value_list import text_rows

_LAST = "\U0010ffff"
"""Sorts after every character of a name."""
_PLACE = 4
"""Digits of a character's place in a name."""
_ONE_BY_ONE = 100
"""Names that are looked up; with more, or where names are sealed, all are read once."""


def look_alikes(
    connection: Connection,
    protection: Protection,
    names: Sequence[str],
    instead_of: str = "",
    since: tuple[int, str] | None = None,
) -> dict[str, str]:
    """Return those of some new names that look like another, enrolled or among them, with it.

    The enrolled name ``instead_of`` counts as free.  With ``since``, speakers who did not change
    after that point may be left out; see `Speakers.newest`.
    """
    free = speaker_key(instead_of) if instead_of else ""
    found, shown, seen = dict[str, str](), dict[str, str](), dict[str, str]()
    for name in names:
        key = speaker_key(name)
        shown.setdefault(key, name)
        for look in skeletons(key):
            other = seen.setdefault(look, key)
            if other != key:
                found[name] = shown[other]
    if len(names) <= _ONE_BY_ONE and protection.sealing is None:
        enrolled = ((name, _enrolled(connection, speaker_key(name), free)) for name in names)
        return found | {name: other for name, other in enrolled if other is not None}
    query = select(speakers.c.id, *NAMED).execution_options(yield_per=10_000)
    if since is not None:
        query = query.where((speakers.c.id > since[0]) | (speakers.c.updated_at > since[1]))
    for rows in connection.execute(query).partitions():
        for name in (row.name for row in protection.named(rows)):
            key = speaker_key(name)
            for look in skeletons(key) if key != free else ():
                if seen.get(look, key) != key:
                    found[shown[seen[look]]] = name
    return found


def _enrolled(connection: Connection, key: str, free: str) -> str | None:
    """Return the enrolled name that looks like another name's key, if there is one.

    One statement walks the keys of the gallery a character at a time, by what they begin with.
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
    at = speakers.c.name_key
    is_begun = exists().where(at >= longer, at < longer + _LAST)
    begun = begun.union_all(select(longer, begun.c.n + 1).where(at_its_place, is_begun))
    query = select(speakers.c.name).join(begun, at == begun.c.start)
    query = query.where(begun.c.n == n_letters, at.not_in([key, free]))
    return connection.execute(query.limit(1)).scalar()
