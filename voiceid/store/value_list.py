"""Conditions on many values, in one statement however many there are."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import ARRAY, Column, ColumnElement, Connection, Text, any_, bindparam, func, select


def in_list(
    connection: Connection, column: Column[Any], values: Collection[int] | Collection[str]
) -> ColumnElement[bool]:
    """Return the condition that a column has one of some values, which are one parameter.

    SQLite takes no array: there it is a list in JSON.  An IN with a parameter for each value has
    to be parsed again for each number of them, and their number has a limit.
    """
    if connection.dialect.name == "sqlite":
        listed = func.json_each(json.dumps(list(values), ensure_ascii=False))
        return column.in_(select(listed.table_valued("value").c.value))
    array = bindparam(None, list(values), ARRAY(column.type), unique=True)
    return column == any_(array)


def text_rows(connection: Connection, values: Collection[str]) -> ColumnElement[str]:
    """Return a column of a table of some texts, which are one parameter."""
    if connection.dialect.name == "sqlite":
        listed = func.json_each(json.dumps(list(values), ensure_ascii=False))
        return listed.table_valued("value").c.value
    array = bindparam(None, list(values), ARRAY(Text), unique=True)
    return func.unnest(array).table_valued("value").render_derived().c.value
