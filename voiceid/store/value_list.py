"""Conditions on any number of values, in one statement."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import ARRAY, Column, ColumnElement, Connection, Text, any_, bindparam, func, select


def in_list(
    connection: Connection, column: Column[Any], values: Collection[int] | Collection[str]
) -> ColumnElement[bool]:
    """Return the condition that a column has one of some values, passed as one parameter.

    SQLite has no arrays: there the values are a list in JSON.  An IN with a parameter for each
    value must be parsed again for each number of values, and that number has a limit.
    """
    return is_listed(connection.dialect.name, column, None, listed(connection, values))


def is_listed(
    dialect: str, column: Column[Any], name: str | None, value: object = None
) -> ColumnElement[bool]:
    """Return the same with a parameter of a name, whose value, of `listed`, may come later."""
    if dialect == "sqlite":
        texts = func.json_each(bindparam(name, value, Text, unique=name is None))
        return column.in_(select(texts.table_valued("value").c.value))
    return column == any_(bindparam(name, value, ARRAY(column.type), unique=name is None))


def listed(connection: Connection, values: Collection[int] | Collection[str]) -> object:
    """Return values as one parameter."""
    if connection.dialect.name == "sqlite":
        return json.dumps(list(values), ensure_ascii=False)
    return list(values)


def text_rows(connection: Connection, values: Collection[str]) -> ColumnElement[str]:
    """Return a column with some texts as rows, passed as one parameter."""
    given = listed(connection, values)
    if connection.dialect.name == "sqlite":
        return func.json_each(given).table_valued("value").c.value
    array = bindparam(None, given, ARRAY(Text), unique=True)
    return func.unnest(array).table_valued("value").render_derived().c.value
