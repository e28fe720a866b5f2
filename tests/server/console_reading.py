"""What the tests of the console read in its pages."""

from __future__ import annotations

import re
from typing import Any

import httpx


def token(page: httpx.Response) -> str:
    found = re.search(r'name="token" value="([0-9a-f]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def send(client: httpx.Client, path: str, **fields: Any) -> httpx.Response:
    """Open a page, and send its form."""
    return client.post(path, data={"token": token(client.get(path)), **fields})


def sign_in(client: httpx.Client, key: str) -> None:
    assert send(client, "/sign-in", key=key).status_code == 303
