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


def test_a_name_with_a_slash_is_asked_for_with_its_escape(service: Served) -> None:
    name, path = "desk/a %2F", "/v1/speakers/desk%2Fa%20%252F"
    with service.client() as client:
        assert client.patch("/v1/speakers/bob", json={"name": name}).json()["name"] == name
        assert client.get(path).json()["name"] == name
        assert len(client.get(f"{path.replace('%2F', '%2f')}/samples").json()["samples"]) == 2
        assert client.get(f"{path}/report").status_code == HTTPStatus.OK
        assert client.get("/v1/speakers/desk/a").status_code == HTTPStatus.NOT_FOUND
        assert client.delete(path).json()["removed"]["name"] == name


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


def test_what_was_seen_before_is_not_sent_again_and_what_changed_is_not_overwritten(
    service: Served, clips: Path
) -> None:
    path, wav = "/v1/speakers/alice", (clips / "alice-3.wav").read_bytes()
    with service.client() as client:
        seen = client.get(path).headers["etag"]
        for tags in (seen, f'"x", W/{seen}', "*"):
            same = client.get(path, headers={"If-None-Match": tags})
            assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", seen)
        edited = client.patch(path, json={"groups": ["lobby"]}, headers={"If-Match": seen})
        now = edited.headers["etag"]
        assert now != seen
        assert client.get(path, headers={"If-None-Match": seen}).headers["etag"] == now
        for method, url, body in (
            ("PATCH", path, {"json": {"name": "Alina"}}),
            ("DELETE", path, {}),
            ("DELETE", f"{path}/samples/1", {}),
            ("PUT", f"{path}/samples", {"content": wav}),
        ):
            refused = client.request(method, url, headers={"If-Match": seen}, **body)  # type: ignore[arg-type]
            assert (refused.status_code, refused.json()["code"]) == (412, "SpeakerChanged")
        assert client.get(path).headers["etag"] == now
        more = client.post(f"{path}/samples", content=wav, headers={"If-Match": now})
        assert more.status_code == HTTPStatus.CREATED
        assert client.get(path).headers["etag"] not in {seen, now}
        assert client.delete(path, headers={"If-Match": "*"}).status_code == HTTPStatus.OK


def test_an_edit_with_a_name_that_is_taken_changes_nothing(service: Served) -> None:
    with service.client() as client:
        before = client.get("/v1/speakers/alice").json()
        edit = {"name": "bob", "groups": ["lobby"]}
        taken = client.patch("/v1/speakers/alice", json=edit)
        assert (taken.status_code, taken.json()["code"]) == (409, "SpeakerExists")
        assert client.get("/v1/speakers/alice").json() == before


def test_metadata_of_a_speaker_has_a_limit_however_many_edits_bring_it(service: Served) -> None:
    first, second = ({f"{n}-{i}": "x" for i in range(200)} for n in range(2))
    with service.client() as client:
        assert client.patch("/v1/speakers/bob", json={"metadata": first}).status_code == 200
        refused = client.patch("/v1/speakers/bob", json={"metadata": second})
        assert (refused.status_code, refused.json()["code"]) == (422, "SpeakerDetailInvalid")
        swapped = {**dict.fromkeys(first), **second}
        assert client.patch("/v1/speakers/bob", json={"metadata": swapped}).status_code == 200
        assert client.get("/v1/speakers/bob").json()["metadata"] == second


def test_groups_of_a_speaker_have_a_limit_however_many_edits_bring_them(service: Served) -> None:
    first, second = ([f"{n}-{i}" for i in range(200)] for n in range(2))
    with service.client() as client:
        assert client.patch("/v1/speakers/bob", json={"groups": first}).status_code == 200
        refused = client.patch("/v1/speakers/bob", json={"groups": second})
        assert (refused.status_code, refused.json()["code"]) == (422, "SpeakerDetailInvalid")
        swapped = {"groups": second, "not_groups": first}
        assert client.patch("/v1/speakers/bob", json=swapped).status_code == 200
        assert sorted(client.get("/v1/speakers/bob").json()["groups"]) == sorted(second)


def test_options_of_a_form_may_come_several_times_and_as_json(service: Served, clips: Path) -> None:
    wav = (clips / "alice-3.wav").read_bytes()
    options = {"groups": ["lobby", "vault"], "metadata": '{"badge": "7"}'}
    with service.client() as client:
        path = "/v1/speakers/alice/samples"
        made = client.post(path, files={"audio": ("a.wav", wav)}, data=options)
        assert made.status_code == HTTPStatus.CREATED
        for text in ("{", "[" * 5000):
            wrong = client.post(path, content=wav, params={"metadata": text})
            assert (wrong.status_code, wrong.json()["code"]) == (422, "RequestInvalid")
        speaker = client.get("/v1/speakers/alice").json()
    assert (speaker["groups"], speaker["metadata"]) == (["lobby", "vault"], {"badge": "7"})
