"""Which names pass for one that is enrolled; no name is looked at that does not begin like it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, exists, select

from voiceid.domain import speaker_key
from voiceid.domain.look_alikes import alternatives, skeletons
from voiceid.store.tables import speakers
from voiceid.store.value_list import in_list, text_rows

_LAST = "\U0010ffff"
"""Sorts after every character of a name."""
_ONE_BY_ONE = 100
"""Names that are looked up; with more, all names of the gallery are read once."""


def look_alikes(
    connection: Connection, names: Sequence[str], instead_of: str = ""
) -> dict[str, str]:
    """Return those of some new names that look like another, enrolled or among them, with it.

    The enrolled name ``instead_of`` counts as free.
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
    if len(names) <= _ONE_BY_ONE:
        enrolled = ((name, _enrolled(connection, speaker_key(name), free)) for name in names)
        return found | {name: other for name, other in enrolled if other is not None}
    query = select(speakers.c.name_key, speakers.c.name).execution_options(yield_per=10_000)
    for key, name in connection.execute(query):
        for look in skeletons(key):
            if seen.get(look, key) != key:
                found[shown[seen[look]]] = name
    return found


def _enrolled(connection: Connection, key: str, free: str) -> str | None:
    """Return the enrolled name that looks like another name's key, if there is one."""
    begun = [""]
    for characters in alternatives(key):
        longer = [start + character for start in begun for character in characters]
        start = text_rows(connection, longer)
        at = speakers.c.name_key
        query = select(start).where(exists().where(at >= start, at < start + _LAST))
        begun = list(connection.execute(query).scalars())
        if not begun:
            return None
    alike = set(begun) - {key, free}
    query = select(speakers.c.name).where(in_list(connection, speakers.c.name_key, alike))
    return connection.execute(query.limit(1)).scalar()
