"""Who may ask what, and what a caller learns of others."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from pathlib import Path

import pytest
from running_service import Served

from voiceid.domain import SpeakerDetails
from voiceid.resources.database import Database

THREADS = 40
"""For requests that are no questions, as the framework has them."""


def wav(clips: Path, name: str) -> dict[str, tuple[str, bytes]]:
    return {"audio": (f"{name}.wav", (clips / f"{name}.wav").read_bytes())}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"X-Forwarded-For": "10.0.0.1"},
        {"Forwarded": "for=10.0.0.1"},
    ],
)
def test_without_keys_neither_a_web_page_nor_a_proxy_is_answered(
    shared: Served, headers: dict[str, str]
) -> None:
    with shared.client(**headers) as client:
        answer = client.get("/v1/speakers")
    assert (answer.status_code, answer.json()["code"]) == (401, "AccessDenied")


def test_from_the_first_key_on_every_caller_needs_one(service: Served) -> None:
    with service.client() as client:
        assert client.get("/v1/speakers").status_code == HTTPStatus.OK
        key = service.vid.keys.create("console", ["read"])
        refused = client.get("/v1/speakers")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        as_header = client.get("/v1/speakers", headers={"X-API-Key": key.text})
        assert as_header.status_code == HTTPStatus.OK
        wrong = client.get("/v1/speakers", headers={"X-API-Key": key.text + "x"})
        assert wrong.status_code == HTTPStatus.UNAUTHORIZED


REQUESTS = {
    "identify": ("POST", "/v1/identify"),
    "verify": ("POST", "/v1/verify?speaker=alice"),
    "enroll": ("POST", "/v1/speakers/bob/samples?dry_run=true"),
    "read": ("GET", "/v1/speakers/alice/samples"),
    "admin": ("PATCH", "/v1/speakers/alice"),
}


@pytest.mark.parametrize("scope", REQUESTS)
def test_a_key_may_do_what_its_scope_says_and_nothing_else(
    service: Served, clips: Path, scope: str
) -> None:
    allowed = set()
    with service.client(service.vid.keys.create("k", [scope]).text) as client:
        for name, (method, url) in REQUESTS.items():
            body = {"files": wav(clips, "bob-3")} if method == "POST" else {}
            body = {"json": {}} if method == "PATCH" else body
            answer = client.request(method, url, **body)  # type: ignore[arg-type]
            if answer.status_code != HTTPStatus.FORBIDDEN:
                allowed.add(name)
    assert allowed == (set(REQUESTS) if scope == "admin" else {scope})


def test_without_read_an_answer_has_no_scores_no_other_names_and_no_size(
    service: Served, clips: Path
) -> None:
    with service.client(service.vid.keys.create("door", ["identify", "verify"]).text) as client:
        found = client.post("/v1/identify", files=wav(clips, "bob-3"))
        stranger = client.post("/v1/identify", files=wav(clips, "stranger"))
        claimed = client.post("/v1/verify", files=wav(clips, "stranger"), data={"speaker": "bob"})
    assert found.json() == {
        "task": "identify",
        "outcome": "accepted",
        "reason": "match",
        "speaker": {"name": "bob"},
        "group": None,
        "detail": "the voice is accepted",
    }
    assert (stranger.json()["speaker"], stranger.json()["reason"]) == (None, None)
    assert claimed.json()["speaker"] == {"name": "bob"}
    for answer in (stranger, claimed):
        assert "alice" not in answer.text
        assert not {"score", "threshold", "llr", "gallery_size", "candidates"} & set(answer.json())


@pytest.mark.parametrize(
    "option", ["threshold=0.1", "target_fmr=0.5", "solo=off", "allow_replayed=true"]
)
def test_a_key_of_a_door_cannot_lower_what_decides(
    service: Served, clips: Path, option: str
) -> None:
    with service.client(service.vid.keys.create("door", ["verify", "read"]).text) as client:
        answer = client.post(f"/v1/verify?speaker=bob&{option}", files=wav(clips, "bob-3"))
    assert (answer.status_code, answer.json()["code"]) == (403, "AccessDenied")


def test_a_key_of_a_group_reaches_its_members_alone(service: Served, clips: Path) -> None:
    service.vid.speakers.edit("alice", SpeakerDetails(groups=("lobby",)))
    key = service.vid.keys.create("k", ["identify", "verify", "read", "enroll"], groups=["lobby"])
    with service.client(key.text) as client:
        assert [s["name"] for s in client.get("/v1/speakers").json()["speakers"]] == ["alice"]
        assert client.get("/v1/speakers/bob").status_code == HTTPStatus.NOT_FOUND
        found = client.post("/v1/identify", files=wav(clips, "bob-3")).json()
        assert (found["outcome"], found["group"], found["gallery_size"]) == ("rejected", "lobby", 1)
        vault = client.post("/v1/identify?group=vault", files=wav(clips, "bob-3"))
        assert vault.status_code == HTTPStatus.FORBIDDEN
        other = client.post("/v1/speakers/bob/samples", files=wav(clips, "bob-3"))
        assert other.status_code == HTTPStatus.NOT_FOUND
    assert len(service.vid.samples.list("bob")) == 2


def test_a_key_of_a_group_puts_no_speaker_into_another_group(service: Served, clips: Path) -> None:
    service.vid.speakers.edit("alice", SpeakerDetails(groups=("lobby",)))
    key = service.vid.keys.create("k", ["enroll"], groups=["lobby"])
    with service.client(key.text) as client:
        for name, clip in (("alice", "alice-3"), ("carol", "carol-1")):
            for groups in ("vault", "Vault", "lobby,vault"):
                sent = {"files": wav(clips, clip), "data": {"groups": groups}}
                for path in (f"/v1/speakers/{name}/samples", "/v1/enrollments"):
                    answer = client.post(path, **sent)
                    assert (answer.status_code, answer.json()["code"]) == (403, "AccessDenied")
        listed = {"manifest": "name,path,group\ncarol,carol-1.wav,vault\n"}
        answer = client.post("/v1/enrollments", files=wav(clips, "carol-1"), data=listed)
        assert (answer.status_code, answer.json()["code"]) == (403, "AccessDenied")
        own = {"files": wav(clips, "alice-3"), "data": {"groups": "LOBBY"}}
        assert client.post("/v1/speakers/alice/samples", **own).status_code == HTTPStatus.CREATED
    assert service.vid.speakers.group_sizes() == {"lobby": 1}


def test_a_key_may_be_used_so_often_a_minute_and_no_more(service: Served) -> None:
    key = service.vid.keys.create("k", ["read"], requests_per_minute=1)
    with service.client(key.text) as client:
        answers = [client.get("/v1/speakers") for _ in range(3)]  # at most one new minute begins
    assert [a.status_code for a in answers].count(429) >= 1
    refused = next(a for a in answers if a.status_code == HTTPStatus.TOO_MANY_REQUESTS)
    assert int(refused.headers["retry-after"]) > 0


def test_without_read_an_unknown_name_is_answered_as_a_rejected_voice_is(
    service: Served, clips: Path
) -> None:
    with service.client(service.vid.keys.create("door", ["verify"]).text) as client:
        answers = [
            client.post("/v1/verify", files=wav(clips, "stranger"), data={"speaker": name})
            for name in ("alice", "carol")
        ]
    known, unknown = (answer.json() for answer in answers)
    assert {**known, "speaker": None} == {**unknown, "speaker": None}
    assert [answer.status_code for answer in answers] == [200, 200]
    assert unknown["speaker"] == {"name": "carol"}


def test_after_five_failures_a_name_is_locked_for_every_caller_and_unlocked_by_hand(
    service: Served, clips: Path
) -> None:
    service.vid.speakers.edit("alice", SpeakerDetails(groups=("a",)))
    keys = [service.vid.keys.create(name, ["verify"]).text for name in ("one", "two")]

    def ask(key: str, who: str) -> int:
        with service.client(key) as client:
            files = wav(clips, who)
            return client.post("/v1/verify", files=files, data={"speaker": "alice"}).status_code

    assert [ask(keys[0], "stranger") for _ in range(6)] == [200] * 5 + [429]
    assert ask(keys[1], "alice-3") == 429  # the right voice too, from elsewhere
    admin = service.vid.keys.create("operator", ["admin"]).text
    with service.client(admin) as client:
        locked = client.get("/v1/attempts").json()["attempts"]
        assert "alice" in str(locked)
        once = {"Idempotency-Key": "an unlock"}
        unlock = partial(client.delete, "/v1/attempts/speakers/alice", headers=once)
        assert [unlock().json() for _ in range(2)] == [{"forgotten": 5}] * 2
        assert unlock().headers["idempotent-replayed"] == "true"
    assert ask(keys[1], "alice-3") == 200


def test_the_audit_chain_says_with_which_key_a_change_came(service: Served) -> None:
    key = service.vid.keys.create("console", ["admin"])
    with service.client(key.text) as client:
        assert client.patch("/v1/speakers/alice", json={"metadata": {"badge": "7"}}).is_success
    [edit] = service.vid.audit.list(kind="edit")
    assert edit.facts["by"] == f"{key.key.id} at 127.0.0.1"
    [made] = service.vid.audit.list(kind="create_key")
    assert "@" in made.facts["by"]  # a user of this host


def test_slow_requests_that_take_all_threads_keep_no_recording_from_its_answer(
    service: Served, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    under_way, over = threading.Semaphore(0), threading.Event()

    def check(_: Database) -> list[str]:
        under_way.release()
        over.wait(60)
        return []

    monkeypatch.setattr(Database, "check", check)
    key = service.vid.keys.create("site", ["admin"]).text
    with ThreadPoolExecutor(THREADS) as pool, service.client(key) as client:
        slow = [pool.submit(client.get, "/v1/database/check") for _ in range(THREADS)]
        try:
            assert all(under_way.acquire(timeout=60) for _ in slow)
            asked = client.post(
                "/v1/verify", files=wav(clips, "alice-3"), data={"speaker": "alice"}
            )
        finally:
            over.set()
        assert asked.json()["outcome"] == "accepted"
        assert {each.result().status_code for each in slow} == {200}
