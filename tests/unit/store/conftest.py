"""The databases of the tests of the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from voiceid.domain import DatabaseUrl
from voiceid.store import Store


@pytest.fixture
def store(database: Path | DatabaseUrl) -> Iterator[Store]:
    store = Store.open(database)
    yield store
    store.close()
