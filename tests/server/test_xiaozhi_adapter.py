"""xiaozhi-esp32-server against the adapter: its requests, as its sources write them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_service import Served, served

from voiceid import VoiceID
from voiceid.domain import SpeakerDetails


@pytest.fixture
def xiaozhi(gallery: VoiceID) -> Iterator[Served]:
    with served(gallery, compat=["xiaozhi"]) as running:
        yield running


def send(client: httpx.Client, url: str, clips: Path, name: str, **fields: Any) -> httpx.Response:
    files = {"file": ("audio.wav", (clips / f"{name}.wav").read_bytes(), "audio/wav")}
    return client.post(f"/voiceprint/{url}", data=fields, files=files)


def test_a_voice_is_registered_identified_and_deleted(xiaozhi: Served, clips: Path) -> None:
    key = xiaozhi.vid.keys.create("xiaozhi", ["admin"]).text
    with xiaozhi.client(key) as client:
        assert client.get("/voiceprint/health", params={"key": key}).json() == {
            "status": "healthy",
            "total_voiceprints": 2,
        }
        done = send(client, "register", clips, "carol-1", speaker_id="9f3c")
        assert (done.status_code, "2.2 s of net speech" in done.json()["detail"]) == (400, True)
        assert xiaozhi.vid.speakers.count() == 2
        done = send(client, "register", clips, "alice-4", speaker_id="alice")
        assert (done.status_code, done.json()["success"]) == (200, True)
        found = send(client, "identify", clips, "alice-3", speaker_ids="Alice, nobody,bob").json()
        assert found["speaker_id"] == "Alice"
        llr = xiaozhi.vid.identify(clips / "alice-3.wav", among=["alice", "bob"]).llr
        assert found["score"] == pytest.approx(1 / (1 + math.exp(-llr)), abs=1e-6)
        unknown = {"speaker_id": "", "score": 0.0}
        assert (
            send(client, "identify", clips, "stranger", speaker_ids="alice,bob").json() == unknown
        )
        assert send(client, "identify", clips, "alice-3", speaker_ids="bob").json() == unknown
        gone = client.delete("/voiceprint/alice")
        assert (gone.status_code, gone.json()["success"]) == (200, True)
        assert client.delete("/voiceprint/alice").status_code == 404
        assert send(client, "identify", clips, "alice-3", speaker_ids="alice,bob").json() == unknown


def test_an_id_with_a_slash_can_be_deleted(xiaozhi: Served) -> None:
    xiaozhi.vid.speakers.rename("bob", "room/bob")
    with xiaozhi.client() as client:
        gone = client.delete("/voiceprint/room%2Fbob")
    assert (gone.status_code, gone.json()["msg"]) == (200, "deleted: room/bob")


@pytest.mark.parametrize(
    ("url", "name", "fields"),
    [
        ("register", "bob-3", {}),
        ("register", "bob-3", {"speaker_id": " "}),
        ("register", "bob-3", {"speaker_id": "alice"}),
        ("register", "bob-3", {"speaker_id": "someone"}),
        ("identify", "bob-3", {}),
        ("identify", "bob-3", {"speaker_ids": " , "}),
    ],
)
def test_what_cannot_be_done_says_why_in_detail(
    xiaozhi: Served, clips: Path, url: str, name: str, fields: dict[str, str]
) -> None:
    with xiaozhi.client() as client:
        answer = send(client, url, clips, name, **fields)
    assert (answer.status_code, answer.json().keys()) == (400, {"detail"})
    assert answer.json()["detail"]


def test_keys_scopes_and_groups_hold_as_in_v1(xiaozhi: Served, clips: Path) -> None:
    vid = xiaozhi.vid
    vid.speakers.edit("alice", SpeakerDetails(("lobby",)))
    key = vid.keys.create("door", ["identify", "enroll"], groups=["lobby"]).text
    with xiaozhi.client() as client:
        assert send(client, "identify", clips, "bob-3", speaker_ids="bob").status_code == 401
        assert client.get("/voiceprint/health", params={"key": "wrong"}).status_code == 401
        alive = client.get("/voiceprint/health", params={"key": key})
        assert (alive.status_code, alive.json()) == (200, {"status": "healthy"})
    with xiaozhi.client(key) as client:
        own = send(client, "identify", clips, "alice-3", speaker_ids="alice,bob").json()
        assert own == {"speaker_id": "alice", "score": 1.0}
        other = send(client, "identify", clips, "bob-3", speaker_ids="alice,bob").json()
        assert other == {"speaker_id": "", "score": 0.0}
        assert client.delete("/voiceprint/alice").status_code == 403
        assert send(client, "register", clips, "bob-3", speaker_id="bob").status_code == 404
        refused = send(client, "register", clips, "bob-3", speaker_id="carol")
        assert (refused.status_code, "bob" in refused.text) == (400, False)
