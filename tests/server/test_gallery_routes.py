"""What a gallery has beside speakers, and the keys, over HTTP."""

from __future__ import annotations

from http import HTTPStatus

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
