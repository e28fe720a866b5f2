"""Rows in which a sealed gallery seals one text and binds it to the other columns.

So a calibration, an adaptation, a caller's key or a code that was changed, moved or added by
another program is detected when it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from numbers import Real
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Table

from voiceid.store.protection import Protection, values_of
from voiceid.store.tables import adaptations, api_keys, calibrations, challenges

SEALED = {calibrations: "facts", adaptations: "facts", api_keys: "scopes", challenges: "words"}
"""The sealed column of each table."""


def bound_row(protection: Protection, table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as stored: one text is sealed and bound to all other columns."""
    if protection.sealing is None:
        return dict(row)
    column = SEALED[table]
    return {**row, column: protection.stored_text(row[column], *_beside(table, row, column))}


def plain_row(protection: Protection, table: Table, row: Any) -> Any:
    """Return the row that `bound_row` was given; raises StoreError."""
    if protection.sealing is None:
        return row
    values, column = values_of(row), SEALED[table]
    subject = f"row {values['id']} of {table.name}"
    text = protection.text(values[column], *_beside(table, values, column), subject=subject)
    return SimpleNamespace(**{**values, column: text})


def _beside(table: Table, row: Mapping[str, Any], column: str) -> tuple[str, ...]:
    """Return the place of a text: the other columns of its row, the same on any database."""
    columns = [_as_read(row[c.name]) for c in table.c if c.name != column]
    return ("a row of", table.name, repr(columns))


def _as_read(value: object) -> object:
    """Return a form of a column's value that is the same on every kind of database."""
    if isinstance(value, bytes):
        return hashlib.sha256(value).digest()
    return float(value) if isinstance(value, Real) else value
