"""Questions over HTTP: the answers of the library, field for field."""

from __future__ import annotations

import base64
import shutil
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from running_service import Served, served

from voiceid import VoiceID
from voiceid.server.application import make_service

TIMES = {"elapsed_ms"}


def wav(clips: Path, name: str) -> bytes:
    return (clips / f"{name}.wav").read_bytes()


def ask(client: httpx.Client, path: str, data: bytes, **query: Any) -> httpx.Response:
    return client.post(path, content=data, params=query, headers={"content-type": "audio/wav"})


def same(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    return {k: v for k, v in found.items() if k not in TIMES} == {
        k: v for k, v in expected.items() if k not in TIMES
    }


@pytest.mark.parametrize("who", ["alice-3", "bob-3", "stranger"])
def test_a_decision_is_that_of_the_library_field_for_field(
    shared: Served, clips: Path, who: str
) -> None:
    with shared.client() as client:
        found = ask(client, "/v1/identify", wav(clips, who))
        claimed = ask(client, "/v1/verify", wav(clips, who), speaker="alice")
    assert same(found.json(), shared.vid.identify(wav(clips, who)).to_dict())
    assert same(claimed.json(), shared.vid.verify("alice", wav(clips, who)).to_dict())


def test_a_recording_may_come_as_the_body_in_a_form_or_in_json(shared: Served, clips: Path) -> None:
    data = wav(clips, "bob-3")
    text = base64.b64encode(data).decode()
    with shared.client() as client:
        answers = [
            ask(client, "/v1/identify", data, top=1),
            client.post("/v1/identify", files={"audio": ("b.wav", data)}, data={"top": 1}),
            client.post("/v1/identify", json={"audio": text, "top": 1}),
        ]
    first, *others = (answer.json() for answer in answers)
    assert first["speaker"]["name"] == "bob"
    assert len(first["candidates"]) == 1
    assert all(same(first, other) for other in others)


def test_an_option_that_is_not_known_is_refused_also_without_a_body(shared: Served) -> None:
    with shared.client() as client:
        listed = client.get("/v1/speakers", params={"name": "alice", "limit": 1})
        removed = client.delete("/v1/speakers/alice", params={"dry_run": "true"})
        assert client.get("/v1/speakers/alice").is_success
    for refused in (listed, removed):
        assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert listed.json()["detail"] == "there is no option 'name'"
    assert listed.json()["hint"] == "There are: after, limit, group."
    assert removed.json()["hint"] == "This request takes none."


def test_an_option_that_is_given_twice_is_refused(shared: Served, clips: Path) -> None:
    data = wav(clips, "bob-3")
    text = base64.b64encode(data).decode()
    twice = f'{{"audio": "{text}", "threshold": 0.9, "threshold": 0.3}}'
    with shared.client() as client:
        for answer in (
            client.post("/v1/identify?threshold=0.9&threshold=0.3", content=data),
            client.post(
                "/v1/identify?threshold=0.9",
                files={"audio": ("b.wav", data)},
                data={"threshold": 0.3},
            ),
            client.post("/v1/identify?threshold=0.9", json={"audio": text, "threshold": 0.3}),
            client.post(
                "/v1/identify", content=twice, headers={"content-type": "application/json"}
            ),
        ):
            assert answer.status_code in {400, 422}, answer.text
            assert "hint" in answer.json(), answer.text
        names = client.post("/v1/verify?speaker=alice&speaker=bob", content=data).json()
    assert names["detail"] == "speaker: Input should be a valid string, and 2 were given"


def test_no_route_takes_one_of_two_values(service: Served, clips: Path) -> None:
    twice, data = b'{"badge": "1", "badge": "2"}', wav(clips, "alice-3")
    json_type = {"content-type": "application/json"}
    with service.client() as client:
        path = "/v1/speakers/alice"
        refused = [
            client.post(f"{path}/samples", content=data, params={"metadata": twice.decode()}),
            client.patch(path, content=b'{"metadata": %b}' % twice, headers=json_type),
            client.patch(path, content=b'{"name": "a", "name": "b"}', headers=json_type),
            client.get("/v1/speakers?limit=1&limit=2"),
            client.get("/v1/export?plain=true&plain=false"),
            *(
                client.get(path, headers=[(name, client.headers.get(name, "a")), (name, "b")])
                for name in ("authorization", "x-api-key", "content-type", "idempotency-key")
            ),
        ]
        assert [one.status_code for one in refused] == [422] * len(refused)
        assert all("twice" in one.json()["detail"] for one in refused), refused
        assert client.get(path).json()["metadata"] == {}
        assert client.get("/v1/export?name=alice&name=bob").status_code == HTTPStatus.OK


def test_two_clips_are_compared_and_one_is_embedded(shared: Served, clips: Path) -> None:
    files = [("audio", (f"{n}.wav", wav(clips, n))) for n in ("alice-1", "alice-3")]
    with shared.client() as client:
        alike = client.post("/v1/compare", files=files).json()
        vector = ask(client, "/v1/embed", wav(clips, "alice-3")).json()
    assert alike["outcome"] == "accepted"
    expected = shared.vid.embed(wav(clips, "alice-3"))
    assert vector["embedding_space"] == expected.space.id
    assert vector["vector"] == pytest.approx(expected.vector.tolist())


@pytest.mark.parametrize(
    ("path", "body", "query", "status", "code"),
    [
        ("/v1/identify", b"not audio", {}, 422, "AudioUnreadable"),
        ("/v1/identify", b"", {}, 422, "RequestInvalid"),
        ("/v1/identify", b"x", {"tpo": 1}, 422, "RequestInvalid"),
        ("/v1/identify", b"x", {"top": 0}, 422, "RequestInvalid"),
        ("/v1/identify", b"x", {"target_fpir": "2"}, 422, "RequestInvalid"),
        ("/v1/verify", b"x", {}, 422, "RequestInvalid"),
        ("/v1/verify", b"x", {"speaker": "carol"}, 404, "SpeakerNotFound"),
        ("/v1/nothing", b"x", {}, 404, "NotFound"),
    ],
)
def test_what_cannot_be_answered_is_a_problem_document(
    shared: Served, path: str, body: bytes, query: dict[str, Any], status: int, code: str
) -> None:
    with shared.client() as client:
        answer = ask(client, path, body, **query)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["detail"]
    assert problem["type"] == f"urn:voiceid:problem:{code}"


def test_a_fault_of_the_service_is_a_problem_document(shared: Served) -> None:
    app = make_service(shared.vid, 1)
    app.add_api_route("/fault", lambda: 1 // 0)

    async def ask_it() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.get("http://localhost/fault")

    answer = anyio.run(ask_it)
    assert (answer.status_code, answer.json()["code"]) == (500, "InternalError")


def test_the_name_of_a_file_in_its_place_is_told_how_to_send_the_file(shared: Served) -> None:
    with shared.client() as client:
        name = client.post("/v1/identify", files={"audio": (None, "door.wav")})
    assert name.json()["detail"] == "the request has 0 recordings, but must have 1"
    assert "-F audio=@FILE" in name.json()["hint"]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"audio": 1}', b'{"audio": "no base64"}', b"[" * 9999]
)
def test_json_that_holds_no_recording_is_refused(shared: Served, body: bytes) -> None:
    with shared.client() as client:
        answer = client.post(
            "/v1/identify", content=body, headers={"content-type": "application/json"}
        )
    assert (answer.status_code, answer.json()["code"]) == (422, "RequestInvalid")


def test_it_is_ready_once_the_models_are_loaded_and_counts_what_it_did(
    shared: Served, clips: Path
) -> None:
    with shared.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        until = time.monotonic() + 60
        while client.get("/readyz").status_code != 200 and time.monotonic() < until:
            time.sleep(0.1)
        assert client.get("/readyz").json() == {"status": "ready"}
        ask(client, "/v1/identify", wav(clips, "bob-3"))
        assert 'voiceid_decisions_total{outcome="accepted"' in client.get("/metrics").text
        assert client.get("/v1/stats").json()["speakers"] == 2


def test_a_replay_is_rejected_and_who_may_read_is_told_of_what(
    enrolled_data: Path, models_folder: Path, clips: Path, tmp_path: Path
) -> None:
    shutil.copytree(enrolled_data, tmp_path / "data")
    settings = {"models": str(models_folder), "offline": True, "replay.check": True}
    with (
        VoiceID.open(tmp_path / "data", home=tmp_path, overrides=settings) as vid,
        served(vid) as service,
    ):
        data = wav(clips, "alice-3")
        with service.client() as client:
            first = ask(client, "/v1/verify", data, speaker="alice").json()
            again = ask(client, "/v1/verify", data, speaker="alice").json()
        assert (first["outcome"], first["replay_of"]) == ("accepted", None)
        assert (again["outcome"], again["reason"]) == ("rejected", "replayed")
        assert again["replay_of"]["heard_as"] == "acceptance"
        door, desk = (vid.keys.create(name, [name]).text for name in ("verify", "read"))
        assert desk
        with service.client(door) as client:
            answer = ask(client, "/v1/verify", data, speaker="alice").json()
        assert answer["outcome"] == "rejected"
        assert "replay" not in str(answer)
