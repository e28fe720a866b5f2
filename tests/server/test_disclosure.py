"""Where things are on the host of the service is shown to who may read, and to no other caller."""

from __future__ import annotations

import json
import logging
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from console_reading import sign_in
from running_service import Served, served
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from voiceid import VoiceID


@pytest.fixture
def door(gallery: VoiceID) -> Iterator[Served]:
    with served(gallery, compat=["azure", "xiaozhi"]) as running:
        yield running


@contextmanager
def open_to_all(path: Path) -> Iterator[None]:
    mode = path.stat().st_mode
    path.chmod(mode | stat.S_IWOTH)
    try:
        yield
    finally:
        path.chmod(mode)


def require_plain(text: str, code: str, logged: str, home: Path) -> None:
    """Hold what a caller was sent to plain words, the code, and a reference that the log has."""
    assert str(home) not in text, text
    assert code in text
    hint = text.partition("search for ")[2]
    reference = hint[:8]
    assert len(reference) == 8
    line = next(line for line in logged.splitlines() if reference in line)
    assert code in line
    assert str(home) in line


@pytest.mark.parametrize(("below", "code"), [("data", "StoreError"), ("", "ConfigError")])
def test_an_error_names_no_place_of_the_host_to_who_may_not_read(
    door: Served,
    clips: Path,
    tmp_path: Path,
    below: str,
    code: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, logger="voiceid")
    wav = (clips / "alice-3.wav").read_bytes()
    keys = door.vid.keys
    key, reading, admin = (
        keys.create(name, scopes).text
        for name, scopes in (
            ("door", ["verify", "identify", "enroll"]),
            ("reading", ["verify", "read"]),
            ("admin", ["admin"]),
        )
    )
    file = {"file": ("a.wav", wav)}
    azure = {"Ocp-Apim-Subscription-Key": key}
    with open_to_all(tmp_path / below), door.client(key) as client, door.client() as browser:
        sign_in(browser, key)
        answers = [
            client.post("/v1/verify?speaker=alice", content=wav),
            client.post("/v1/identify", content=wav),
            client.post("/voiceprint/identify", data={"speaker_ids": "alice"}, files=file),
            httpx.post(
                f"{door.url}/speaker/identification/v2.0/text-independent"
                "/profiles/identifySingleSpeaker?profileIds=00000000-0000-0000-0000-000000000001",
                headers=azure,
                content=wav,
                trust_env=False,
            ),
        ]
        job = client.post("/v1/diarize", files={"audio": ("a.wav", wav)}).json()
        while (job := client.get(f"/v1/jobs/{job['id']}").json())["state"] in {"queued", "running"}:
            time.sleep(0.1)
        with connect(
            door.url.replace("http", "ws") + "/v1/listen",
            additional_headers={"X-API-Key": key},
            proxy=None,
        ) as socket:
            socket.send(json.dumps({"format": "pcm_s16le", "rate": 16000, "channels": 1}))
            said = list[str]()
            with suppress(ConnectionClosedError):
                socket.send(wav[44:])
                socket.send(json.dumps({"type": "CloseStream"}))
                said += map(str, socket)
        for name in (reading, admin):
            with door.client(name) as seeing:
                full = seeing.post("/v1/verify?speaker=alice", content=wav).json()
                assert str(tmp_path / below) in full["detail"]
    for answer in answers[:2]:
        require_plain(answer.text, code, caplog.text, tmp_path)
    for text in (*(one.text for one in answers), json.dumps(job), *said):
        assert str(tmp_path) not in text, text
