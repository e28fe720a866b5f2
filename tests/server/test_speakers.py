"""Speakers over HTTP: enrolled, listed, edited, renamed and removed."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from running_service import Served


def test_a_speaker_is_enrolled_renamed_and_removed(service: Served, clips: Path) -> None:
    files = [
        ("audio", (f"{n}.wav", (clips / f"{n}.wav").read_bytes())) for n in ("carol-1", "carol-2")
    ]
    with service.client() as client:
        made = client.post("/v1/speakers/carol/samples", files=files, data={"label": "desk"})
        assert (made.status_code, made.json()["status"]) == (201, "enrolled")
        again = client.post("/v1/speakers/carol/samples", files=files)
        assert (again.status_code, again.json()["code"]) == (409, "EnrollmentRefused")
        edited = client.patch(
            "/v1/speakers/carol", json={"name": "Carola", "groups": ["lobby"], "expires": "90d"}
        ).json()
        assert (edited["name"], edited["groups"]) == ("Carola", ["lobby"])
        pages, after = [], None
        while True:
            query = {"limit": 2, **({} if after is None else {"after": after})}
            page = client.get("/v1/speakers", params=query).json()
            pages += [speaker["name"] for speaker in page["speakers"]]
            after = page["next"]
            if after is None:
                break
        assert pages == ["alice", "bob", "Carola"]
        [first, _] = client.get("/v1/speakers/carola/samples").json()["samples"]
        assert first["label"] == "desk"
        gone = client.delete(f"/v1/speakers/carola/samples/{first['id']}")
        assert gone.json()["removed"]["id"] == first["id"]
        assert client.get("/v1/speakers/carola/inspection").json()["speaker"]["name"] == "Carola"
        assert client.delete("/v1/speakers/carola").json()["removed"]["name"] == "Carola"
        assert client.get("/v1/speakers/carola").status_code == HTTPStatus.NOT_FOUND


def test_another_voice_is_not_enrolled_and_the_answer_says_why(
    service: Served, clips: Path
) -> None:
    files = {"audio": ("b.wav", (clips / "bob-3.wav").read_bytes())}
    with service.client() as client:
        refused = client.post("/v1/speakers/alice/samples", files=files)
    assert refused.status_code == HTTPStatus.CONFLICT
    codes = {problem["code"] for problem in refused.json()["report"]["problems"]}
    assert codes == {"inconsistent"}
    assert len(service.vid.samples.list("alice")) == 2


def test_without_read_a_refused_enrolment_names_no_other_speaker(
    service: Served, clips: Path
) -> None:
    files = {"audio": ("x.wav", (clips / "bob-3.wav").read_bytes())}
    with service.client(service.vid.keys.create("desk", ["enroll"]).text) as client:
        refused = client.post("/v1/speakers/mallory/samples", files=files)
    assert refused.status_code == HTTPStatus.CONFLICT
    assert "bob" not in refused.text
