"""Requests that are sent again with their Idempotency-Key: carried out once."""

from __future__ import annotations

import socket
import threading
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_service import Served, served

from voiceid import VoiceID
from voiceid.server import repeats

KEY = {"Idempotency-Key": "7a1c6b3e-0b7e-4f0e-9f8e-2d8a1f5b7c11"}


def form(clips: Path, *names: str) -> list[tuple[str, tuple[str, bytes]]]:
    return [("audio", (f"{n}.wav", (clips / f"{n}.wav").read_bytes())) for n in names]


def is_again(answer: httpx.Response) -> bool:
    return answer.headers.get("idempotent-replayed") == "true"


def test_a_request_that_is_sent_again_has_the_answer_of_the_first_from_any_process(
    service: Served, clips: Path
) -> None:
    where, path = service.vid.database.location.parent, "/v1/speakers/carol/samples"
    settings = {"models": str(service.vid._session.config.models), "offline": True}
    with (
        VoiceID.open(where, home=where.parent, overrides=settings) as other,
        served(other) as second,
        service.client() as client,
        second.client() as client_of_other,
    ):
        sent = form(clips, "carol-1", "carol-2")
        first = client.post(path, files=sent, headers=KEY)
        again = client_of_other.post(path, files=sent, headers=KEY)
        assert (first.status_code, is_again(first)) == (201, False)
        assert (again.status_code, again.json(), is_again(again)) == (201, first.json(), True)
        assert again.headers["content-type"] == "application/json"
        for changed in ({"data": {"label": "desk"}}, {"params": {"label": "desk"}}):
            reused = client_of_other.post(path, files=sent, headers=KEY, **changed)  # type: ignore[arg-type]
            assert (reused.status_code, reused.json()["code"]) == (422, "IdempotencyKeyReused")
        reused = client.request("DELETE", "/v1/speakers/carol", headers=KEY)
        assert reused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert len(service.vid.samples.list("carol")) == 2


def test_a_request_that_is_worked_on_is_not_carried_out_twice(
    service: Served, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, enroll = threading.Event(), threading.Event(), service.vid.enroll

    def slowly(*args: Any, **kwargs: Any) -> Any:
        begun.set()
        assert go_on.wait(30)
        return enroll(*args, **kwargs)

    monkeypatch.setattr(service.vid, "enroll", slowly)
    path, sent = "/v1/speakers/carol/samples", form(clips, "carol-1", "carol-2")
    with service.client() as client:
        request = client.build_request("POST", path, files=sent, headers=KEY)
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        with socket.create_connection((request.url.host, request.url.port or 0)) as gone:
            gone.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + request.read())
            assert begun.wait(30)
        meanwhile = client.post(path, files=sent, headers=KEY)
        assert (meanwhile.status_code, meanwhile.json()["code"]) == (409, "RequestInProgress")
        assert meanwhile.headers["retry-after"] == "1"
        go_on.set()  # its caller went away, and it is carried out all the same
        until = time.monotonic() + 30
        while (again := client.post(path, files=sent, headers=KEY)).status_code == 409:
            assert time.monotonic() < until
            time.sleep(0.05)
    assert (again.status_code, again.json()["status"], is_again(again)) == (201, "enrolled", True)


def test_a_request_that_ended_in_an_error_may_be_sent_again(service: Served, clips: Path) -> None:
    with service.client(**KEY) as client:
        refused = client.post("/v1/speakers/carol/samples", files=form(clips, "carol-2"))
        assert refused.json()["code"] == "EnrollmentRefused"
        missing = client.patch("/v1/speakers/carol", json={"groups": ["lobby"]})
        assert (missing.status_code, is_again(missing)) == (404, False)
        made = client.post("/v1/speakers/carol/samples", files=form(clips, "carol-1", "carol-2"))
        assert (made.status_code, is_again(made)) == (201, False)


def test_the_key_of_one_caller_is_not_that_of_another(service: Served) -> None:
    texts = [service.vid.keys.create(name, ["admin"]).text for name in "ab"]
    for text, groups in zip(texts, (["lobby"], ["vault"]), strict=True):
        with service.client(text, **KEY) as client:
            edited = client.patch("/v1/speakers/alice", json={"groups": groups})
            assert (edited.status_code, is_again(edited)) == (200, False)
    with service.client("vid_wrong_key", **KEY) as client:
        assert client.patch("/v1/speakers/alice", json={"groups": ["vault"]}).status_code == 401


def test_a_job_is_begun_once_and_its_place_is_said_again(service: Served, clips: Path) -> None:
    with service.client(**KEY) as client:
        first, again = (client.post("/v1/diarize", files=form(clips, "bob-3")) for _ in range(2))
        assert (again.status_code, is_again(again)) == (202, True)
        assert again.headers["location"] == first.headers["location"]
        assert len(client.get("/v1/jobs").json()["jobs"]) == 1


def test_the_kept_answers_do_not_name_a_removed_speaker(service: Served, clips: Path) -> None:
    with service.client() as client:
        edit = {"metadata": {"badge": "badge-of-bob"}}
        client.patch("/v1/speakers/bob", json=edit, headers=KEY).raise_for_status()
        gone = client.delete("/v1/speakers/bob", headers={"Idempotency-Key": "remove-bob"})
        assert (gone.status_code, gone.json()["removed"]["name"]) == (200, "bob")
        for again in (
            client.patch("/v1/speakers/bob", json=edit, headers=KEY),
            client.delete("/v1/speakers/bob", headers={"Idempotency-Key": "remove-bob"}),
        ):
            assert (again.status_code, again.json()["code"]) == (410, "AnswerForgotten")
            assert "bob" not in again.text
            assert is_again(again)
    service.vid.close()
    data = Path(str(service.vid.database.location)).parent
    secrets = (b"badge-of-bob", b'"bob"', b"remove-bob")
    for path in data.rglob("*"):
        assert path.is_dir() or not any(secret in path.read_bytes() for secret in secrets), path


def test_what_a_killed_process_had_begun_may_be_sent_again_after_an_hour(service: Served) -> None:
    store, whose = service.vid._session.store, ("address 127.0.0.1", "a" * 64)
    with store.write() as writer:
        assert writer.answers.begin(*whose, "b" * 64) is None
        kept = writer.answers.begin(*whose, "b" * 64)
        assert kept is not None
        assert kept.status is None
        writer.answers._now = writer.now.replace(year=writer.now.year + 1)
        assert writer.answers.begin(*whose, "c" * 64) is None


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_is_neither_empty_nor_endless(shared: Served, key: str) -> None:
    with shared.client() as client:
        answer = client.delete("/v1/speakers/zoe", headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (422, "RequestInvalid")


@pytest.mark.parametrize("n_before", [0, 5, repeats._BLOCK - 3, repeats._BLOCK, repeats._BLOCK + 1])
def test_the_boundary_of_a_form_does_not_make_another_request(n_before: int) -> None:
    import io

    one, two = (
        repeats._digest(io.BytesIO(b"x" * n_before + b + b"audio" + b + b"--"), b)
        for b in (b"boundary-1", b"boundary-2")
    )
    other = repeats._digest(io.BytesIO(b"y" + b"boundary-2"), b"boundary-2")
    assert one == two != other
