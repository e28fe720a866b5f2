"""Clients that send too much, too slowly, or go away: each is bounded, the others are served."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import pytest
from running_service import Served, served
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from voiceid.domain import ServiceLimits
from voiceid.server.bodies import BoundedBodies

LIMITS = ServiceLimits(max_body_bytes=400_000, max_waiting=1, stall_timeout_s=0.5)
HEAD = "POST /v1/identify HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\n"


@pytest.fixture(scope="module")
def narrow(shared: Served) -> Iterator[Served]:
    """A service with one place at work and one that waits."""
    with served(shared.vid, LIMITS, workers=1) as running:
        yield running


def connection(service: Served) -> socket.socket:
    parts = urlsplit(service.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=30)


def answer_to(service: Served, *blocks: bytes) -> bytes:
    with connection(service) as open_:
        for block in blocks:
            open_.sendall(block)
        return open_.recv(65_536)


def is_alive(service: Served) -> bool:
    with service.client() as client:
        return client.get("/healthz").status_code == HTTPStatus.OK


@pytest.mark.parametrize("sent", ["", "POST /v1/ident", HEAD, "GET /healthz HTTP/1.1\r\nHost: l"])
def test_a_head_that_never_ends_is_given_up(narrow: Served, sent: str) -> None:
    with connection(narrow) as open_:
        open_.sendall(sent.encode())
        assert open_.recv(1024) == b""  # closed
    assert is_alive(narrow)


def test_a_second_request_that_stalls_in_its_head_is_given_up_too(narrow: Served) -> None:
    with connection(narrow) as open_:
        open_.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b'{"status":"ok"}' in open_.recv(65_536)
        open_.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        assert open_.recv(1024) == b""


def test_a_body_that_stops_arriving_is_given_up_and_said_to_be(narrow: Served) -> None:
    found = answer_to(narrow, f"{HEAD}Content-Length: 1000\r\n\r\nRIFF".encode())
    assert b"408" in found.splitlines()[0]
    assert b"BodyStalled" in found


def test_a_body_that_drips_is_given_up_and_said_to_be(narrow: Served) -> None:
    with connection(narrow) as open_:
        open_.sendall(f"{HEAD}Content-Length: 99999\r\n\r\nRIFF".encode())
        open_.settimeout(0.05)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            open_.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                found = open_.recv(65_536)
                break
        else:
            pytest.fail("it is waited for")
    assert b"408" in found.splitlines()[0]
    assert b"BodyStalled" in found


def test_a_body_that_drips_on_after_the_answer_keeps_no_connection(narrow: Served) -> None:
    with connection(narrow) as open_:
        open_.sendall(b"POST /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\n\r\n")
        assert b"404" in open_.recv(65_536).splitlines()[0]
        open_.settimeout(0.1)
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                open_.sendall(b"x")
                said = open_.recv(1024)
            except TimeoutError:
                continue
            except ConnectionError:
                return
            assert said == b""
            return
    pytest.fail("it is open")


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(narrow: Served) -> None:
    found = answer_to(narrow, f"{HEAD}Content-Length: 99999999999\r\n\r\n".encode())
    assert b"413" in found.splitlines()[0]


def test_an_endless_body_is_refused_when_it_is_too_large(narrow: Served) -> None:
    block = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    head = f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode()
    assert b"413" in answer_to(narrow, head, *[block] * 7).splitlines()[0]


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=x"],
)
def test_a_form_that_is_none_is_refused(narrow: Served, content_type: str) -> None:
    with narrow.client() as client:
        found = client.post(
            "/v1/identify", content=b"--y\r\n\r\n\r\n", headers={"content-type": content_type}
        )
    assert found.status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
    assert found.headers["content-type"] == "application/problem+json"


def test_more_parts_than_are_needed_are_refused(narrow: Served) -> None:
    files = [("audio", ("a.wav", b"RIFF"))] * 40
    with narrow.client() as client:
        found = client.post("/v1/identify", files=files)
    assert found.status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}


def test_a_full_service_refuses_at_once_and_what_it_answers_is_right(
    narrow: Served, clips: Path
) -> None:
    data = (clips / "bob-3.wav").read_bytes()

    def ask(_: int) -> tuple[int, str, str]:
        with narrow.client() as client:
            found = client.post("/v1/identify", files={"audio": ("b.wav", data)})
        facts = found.json()
        retry = found.headers.get("retry-after", "")
        return found.status_code, retry, str((facts.get("speaker") or {}).get("name"))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(16)))
    assert {name for status, _, name in answers if status == 200} == {"bob"}
    refused = [retry for status, retry, _ in answers if status == 503]
    assert refused
    assert all(int(retry) >= 1 for retry in refused)
    assert {status for status, *_ in answers} == {200, 503}


def test_a_client_that_goes_away_frees_its_place(narrow: Served, clips: Path) -> None:
    data = (clips / "bob-3.wav").read_bytes()
    head = f"{HEAD}Content-Length: {len(data)}\r\n\r\n".encode()
    for _ in range(6):
        with connection(narrow) as open_:
            open_.sendall(head + data)
    with narrow.client() as client:
        until = time.monotonic() + 30
        while time.monotonic() < until:
            found = client.post("/v1/identify", files={"audio": ("b.wav", data)})
            if found.status_code == HTTPStatus.OK:
                break
            time.sleep(0.1)
    assert found.json()["speaker"]["name"] == "bob"


def test_a_client_that_goes_away_within_its_body_is_no_fault_of_the_service(narrow: Served) -> None:
    sent: list[Message] = []
    messages = iter(
        [{"type": "http.request", "body": b"RIFF", "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        sent.append(message)

    async def read(scope: Scope, receive: Receive, _: Send) -> None:
        await Request(scope, receive).body()

    scope = {"type": "http", "method": "POST", "path": "/v1/identify", "headers": []}
    anyio.run(BoundedBodies(read, LIMITS, narrow.parts.places), scope, receive, send)
    assert sent == []
