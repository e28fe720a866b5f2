"""What a gallery has beside speakers, and the keys, over HTTP."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from running_service import Served

from voiceid.domain import SpeakerDetails


def test_groups_are_listed_with_their_sizes_and_to_a_key_of_some_those_alone(
    service: Served,
) -> None:
    service.vid.speakers.edit("alice", SpeakerDetails(groups=("lobby", "vault")))
    service.vid.speakers.edit("bob", SpeakerDetails(groups=("lobby",)))
    key = service.vid.keys.create("k", ["read"], groups=["vault"])
    reader = service.vid.keys.create("r", ["read"])
    with service.client(reader.text) as client:
        found = client.get("/v1/groups").json()["groups"]
    assert found == [{"name": "lobby", "speakers": 2}, {"name": "vault", "speakers": 1}]
    with service.client(key.text) as client:
        assert client.get("/v1/groups").json() == {"groups": [{"name": "vault", "speakers": 1}]}


def test_the_card_decides_until_a_calibration_or_an_adaptation_is_chosen(service: Served) -> None:
    with service.client() as client:
        for kind in ("calibrations", "adaptations"):
            assert client.get(f"/v1/{kind}").json() == {kind: []}
            assert client.put(f"/v1/{kind}/in_use", json={"id": None}).json()["in_use"] is None
            missing = client.put(f"/v1/{kind}/in_use", json={"id": 7})
            assert (missing.status_code, missing.json()["code"]) == (404, "FitNotFound")
        assert client.get("/v1/calibrations/7").json()["code"] == "FitNotFound"
        assert client.get(f"/v1/calibrations/{2**63}").status_code == 422
        models = client.get("/v1/models").json()
    assert models["in_use"] == service.vid.models.card.name
    assert {m["name"] for m in models["models"] if m["installed"]} >= {"campplus", "silero-vad"}
    assert "path" not in models["models"][0]


def test_samples_are_given_to_a_new_speaker_and_back_and_a_repeat_changes_nothing(
    service: Served,
) -> None:
    numbers = [sample.id for sample in service.vid.samples.list("alice")]
    once = {"Idempotency-Key": "1"}
    with service.client() as client:
        asked = {"new_name": "alise", "samples": numbers[:1], "force": True}
        for _ in range(2):
            split = client.post("/v1/speakers/alice/split", json=asked, headers=once)
            assert [one["id"] for one in split.json()["moved"]] == numbers[:1]
        seen = client.get("/v1/speakers/alise").headers["etag"]
        plan = {"other": "alise", "dry_run": True}
        assert client.post("/v1/speakers/alice/merge", json=plan).json()["merged"] is None
        stale = client.post("/v1/speakers/alice/merge", json=plan, headers={"If-Match": seen})
        assert (stale.status_code, stale.json()["code"]) == (412, "SpeakerChanged")
        merged = client.post("/v1/speakers/alice/merge", json={"other": "alise"}).json()
        assert merged["merged"]["name"] == "alice"
        other = client.post("/v1/speakers/alice/merge", json={"other": "bob"})
        assert (other.status_code, other.json()["code"]) == (409, "ChangeRefused")
    assert [sample.id for sample in service.vid.samples.list("alice")] == numbers
    assert service.vid.speakers.count() == 2


def test_speakers_go_out_as_a_file_and_in_again_by_the_checks_of_an_enrolment(
    service: Served, tmp_path: Path
) -> None:
    data = service.vid.database.location.parent
    with service.client() as client:
        sent = client.get("/v1/export", params={"name": "alice"})
        assert sent.headers["content-type"] == "application/x-ndjson"
        service.vid.speakers.export(tmp_path / "alice.jsonl", ["alice"])
        ours, theirs = ((tmp_path / "alice.jsonl").read_bytes(), sent.content)
        assert ours.splitlines()[1] == theirs.splitlines()[1]
        assert client.get("/v1/export", params={"name": "zoe"}).status_code == 404
        there = client.post("/v1/import", files={"file": ("staff.jsonl", theirs)})
        assert (there.status_code, there.json()["code"]) == (409, "SpeakerExists")
        service.vid.speakers.rename("bob", "alicia", force=True)
        service.vid.speakers.remove("alice")
        cut = client.post("/v1/import", files={"file": ("staff.jsonl", theirs[:-9])})
        assert (cut.status_code, cut.json()["code"]) == (422, "GalleryFileInvalid")
        assert cut.json()["detail"].startswith("staff.jsonl")
        assert str(data) not in cut.text
        came = client.post("/v1/import", content=theirs)
        assert (came.status_code, came.json()) == (
            201,
            {"new_speakers": 1, "samples": 2, "expired": 0},
        )
        told = client.post("/v1/import", content=theirs, params={"space": "x"})
        assert (told.status_code, told.json()["code"]) == (422, "GalleryFileInvalid")
        reader = service.vid.keys.create("r", ["read", "enroll"]).text
    with service.client(reader) as client:
        for method, path in (("GET", "/v1/export"), ("POST", "/v1/import")):
            assert client.request(method, path).status_code == HTTPStatus.FORBIDDEN
    assert not list((data / "jobs").iterdir())


def test_a_sealed_gallery_sends_a_plain_file_when_asked_and_takes_what_is_signed(
    service: Served, tmp_path: Path
) -> None:
    service.vid.keys.gallery.init()
    service.vid.speakers.export(tmp_path / "sealed", passphrase="some long words")  # noqa: S106
    with service.client() as client:
        refused = client.get("/v1/export")
        assert (refused.status_code, refused.json()["code"]) == (409, "ChangeRefused")
        sent = client.get("/v1/export", params={"plain": "true"}).content
        unsigned = sent.replace(b'"public_key"', b'"public"')
        for content, code in (
            (unsigned, "SignatureInvalid"),
            ((tmp_path / "sealed").read_bytes(), "GalleryFileInvalid"),
        ):
            answer = client.post("/v1/import", content=content, params={"append": "true"})
            assert (answer.status_code, answer.json()["code"]) == (422, code)
        for content, how in ((sent, {}), (unsigned, {"signed_by": "anybody"})):
            params = {"append": "true", **how}
            assert client.post("/v1/import", content=content, params=params).status_code == 201


def test_the_database_and_the_index_are_looked_at_and_the_index_is_made_again(
    service: Served,
) -> None:
    with service.client() as client:
        assert client.get("/v1/database").json()["state"] == "current"
        assert client.get("/v1/database/check").json() == {"ok": True, "problems": []}
        [index] = client.post("/v1/index/rebuild").json()["indexes"]
        assert (index["state"], index["vectors"]) == ("current", 2)
        assert client.get("/v1/index").json() == {"indexes": [index]}


def test_a_key_is_made_shown_once_and_removed(service: Served) -> None:
    admin = service.vid.keys.create("console", ["admin"]).text
    with service.client(admin) as client:
        new = {"name": "door", "scopes": ["verify"], "groups": ["Lobby"], "expires": "90d"}
        once = {"Idempotency-Key": "1"}
        made = client.post("/v1/keys", json=new, headers=once)
        assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
        facts = made.json()
        text = facts.pop("key")
        again = client.post("/v1/keys", json=new, headers=once)
        assert (again.status_code, again.json()["code"]) == (410, "AnswerForgotten")
        assert client.get("/v1/keys").json()["keys"][1] == facts
        assert facts["groups"] == ["lobby"]
        with service.client(text) as door:
            assert door.get("/v1/keys").status_code == HTTPStatus.FORBIDDEN
        removed = client.delete(f"/v1/keys/{facts['id']}").json()
        assert removed == {"removed": facts}
        with service.client(text) as door:
            assert door.get("/v1/keys").status_code == HTTPStatus.UNAUTHORIZED
        wrong = client.post("/v1/keys", json={"name": "x", "scopes": ["all"]})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "ApiKeyInvalid")
    service.vid.close()
    data = service.vid.database.location.parent
    secret = text.split("_", 2)[2].encode()
    assert not any(secret in p.read_bytes() for p in data.rglob("*") if p.is_file())
