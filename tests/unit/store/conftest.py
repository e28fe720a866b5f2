"""The databases of the tests of the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_server import Databases

from voiceid.domain import DatabaseUrl
from voiceid.store import Store


@pytest.fixture
def url(postgres: Databases) -> Iterator[DatabaseUrl]:
    """A database on a server, with the tables."""
    made = postgres.migrated()
    yield made
    postgres.drop(made)


@pytest.fixture
def store(database: Path | DatabaseUrl) -> Iterator[Store]:
    store = Store.open(database)
    yield store
    store.close()
