"""The console without a browser: who gets in, what is guarded, and what pages say."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from console_reading import send, sign_in, token
from running_service import Served, served

from voiceid import VoiceID
from voiceid.decision.aims import Aim
from voiceid.decision.calibration import CalibratedPoint, Calibration, HeldOut
from voiceid.domain import SpeakerDetails, Standing
from voiceid.observability import ChangeKind
from voiceid.server.jobs import Jobs

PAGES = ["/", "/speaker?name=alice", "/speaker/remove?name=alice", "/enroll", "/try", "/recording"]
PAGES += ["/sample/remove?name=alice&number=1", "/accuracy", "/evaluation", "/jobs", "/events"]
PAGES += ["/words", "/groups", "/attempts", "/keys"]


def wav(clips: Path, name: str) -> dict[str, tuple[str, bytes]]:
    return {"audio": (f"{name}.wav", (clips / f"{name}.wav").read_bytes())}


@pytest.mark.parametrize("path", [*PAGES, "/speaker?name=nobody", "/console/console.css"])
def test_every_page_runs_no_program_but_its_own_and_is_shown_in_no_frame(
    shared: Served, path: str
) -> None:
    with shared.client() as client:
        answer = client.get(path)
    policy = answer.headers["content-security-policy"]
    assert "unsafe-inline" not in policy
    assert {"default-src 'none'", "script-src 'self'"} <= set(policy.split("; "))
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "microphone=(self)" in answer.headers["permissions-policy"]
    assert answer.headers["referrer-policy"] == "same-origin"
    outside = (" style=", "<style", " onclick=", "<script>", 'src="http', 'href="http', '"//')
    assert not [text for text in outside if text in answer.text]
    if path.startswith("/console"):
        return
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.status_code == (404 if "nobody" in path else 200)


def test_with_keys_a_page_leads_to_the_sign_in_and_back(service: Served) -> None:
    key = service.vid.keys.create("desk", ["admin"])
    with service.client() as client:
        asked = client.get("/speaker?name=alice")
        where = asked.headers["location"]
        assert (asked.status_code, where) == (303, "/sign-in?next=%2Fspeaker%3Fname%3Dalice")
        page = client.get(where)
        wrong = client.post("/sign-in", data={"token": token(page), "key": key.text + "x"})
        assert wrong.status_code == 401
        assert "The key is unknown" in wrong.text
        fields = {"token": token(page), "key": key.text, "next": "/speaker?name=alice"}
        right = client.post("/sign-in", data=fields)
        assert (right.status_code, right.headers["location"]) == (303, "/speaker?name=alice")
        cookie = right.headers["set-cookie"].lower()
        assert {"httponly", "samesite=strict", "path=/"} <= set(cookie.split("; "))
        assert "max-age=28800" in cookie
        assert key.text.lower() not in cookie
        assert "alice-1.wav" in client.get("/speaker?name=alice").text
        service.vid.keys.remove(key.key.id)
        service.vid.keys.create("other", ["admin"])
        assert client.get("/").headers["location"] == "/sign-in"


def test_under_tls_the_cookie_goes_by_tls_alone(service: Served) -> None:
    key = service.vid.keys.create("desk", ["read"])
    with service.client(**{"X-Forwarded-Proto": "https"}) as client:
        page = client.get("/sign-in")
        cookie = page.headers["set-cookie"]
        client.headers["Cookie"] = cookie.partition(";")[0]  # httpx keeps it back: this is no TLS
        answer = client.post("/sign-in", data={"token": token(page), "key": key.text})
    for said in (cookie, answer.headers["set-cookie"]):
        assert said.startswith("__Host-voiceid=")
        assert "Secure" in said.split("; ")


@pytest.mark.parametrize(
    "after", ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example", "x"]
)
def test_signing_in_leads_to_no_other_host(service: Served, after: str) -> None:
    key = service.vid.keys.create("desk", ["read"])
    with service.client() as client:
        answer = send(client, "/sign-in", key=key.text, next=after)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_an_unknown_address_is_a_page_to_a_browser_and_a_problem_document_to_others(
    service: Served,
) -> None:
    key = service.vid.keys.create("desk", ["read"])
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    with service.client() as client:
        for signed_in in (False, True):
            if signed_in:
                sign_in(client, key.text)
            for path in ("/speakerz", "/v1/speakerz", "/sign-out"):  # the last is for a form
                page = client.get(path, headers=browser)
                assert page.status_code == 404
                assert "There is no page at this address." in page.text
                assert ("Sign out" in page.text) is signed_in
                assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        other = client.get("/speakerz")
        assert other.headers["content-type"] == "application/problem+json"
        assert (other.status_code, other.json()["code"]) == (404, "NotFound")
        sent = client.post("/speakerz", headers=browser)
        assert sent.headers["content-type"] == "application/problem+json"


def test_signing_out_forgets_the_session(service: Served) -> None:
    key = service.vid.keys.create("desk", ["read"])
    with service.client() as client:
        sign_in(client, key.text)
        page = client.get("/")
        assert "desk" in page.text
        assert client.post("/sign-out", data={"token": token(page)}).status_code == 303
        assert client.get("/").headers["location"] == "/sign-in"


FORMS: list[tuple[str, dict[str, Any]]] = [
    ("/speaker?name=alice", {"name": "mallory"}),
    ("/speaker/remove?name=alice", {}),
    ("/sample/remove?name=alice&number=1", {}),
    ("/accuracy", {"number": ""}),
    ("/keys", {"name": "k", "scope": "admin"}),
    ("/sign-out", {}),
    ("/enroll", {"name": "mallory"}),
    ("/try", {}),
    ("/words", {"name": "alice"}),
    ("/code", {"speaker": "alice"}),
    ("/recording", {}),
    ("/evaluation", {}),
    ("/attempts", {"name": "alice"}),
    ("/job/end?id=1", {}),
    ("/calibration/remove?number=1", {}),
]


HEAR = {"/enroll", "/try", "/recording"}


@pytest.mark.parametrize(
    "way", ["no token", "a wrong token", "another's token", "a page elsewhere"]
)
@pytest.mark.parametrize(("path", "fields"), FORMS)
def test_a_form_of_another_page_changes_nothing(
    shared: Served, clips: Path, path: str, fields: dict[str, str], way: str
) -> None:
    with shared.client() as client, shared.client() as other:
        own, others = token(client.get("/enroll")), token(other.get("/enroll"))
        given = {"a wrong token": own[::-1], "another's token": others, "a page elsewhere": own}
        fields = fields | ({"token": given[way]} if way in given else {})
        headers = {"Sec-Fetch-Site": "same-site"} if way == "a page elsewhere" else {}
        files = wav(clips, "bob-3") if path in HEAR else None
        if path in {"/evaluation", "/words"}:
            files = [("audio", wav(clips, name)["audio"]) for name in ("bob-1", "bob-2", "bob-3")]
        answer = client.post(path, data=fields, files=files, headers=headers)
    assert (answer.status_code, "not from the latest page" in answer.text.lower()) == (403, True)
    assert [speaker.name for speaker in shared.vid.speakers.list()] == ["alice", "bob"]
    assert not shared.vid.keys.any()


NAVIGATION = {
    "read": ["Speakers", "Accuracy", "Events"],
    "enroll": ["Enrol", "Jobs"],
    "verify": ["Try a voice"],
    "identify": ["Try a voice", "Who spoke when", "Jobs"],
    "admin": ["Speakers", "Enrol", "Try a voice", "Who spoke when", "Accuracy", "Jobs", "Events"],
}
NAVIGATION["admin"] += ["Locks", "Keys"]
SHOWN_TO = {
    "/speaker?name=alice": "read",
    "/speaker/remove?name=alice": "admin",
    "/enroll": "enroll",
    "/words": "enroll",
    "/try": "verify",
    "/recording": "identify",
    "/events": "read",
    "/accuracy": "read",
    "/accuracy/scores.png": "read",
    "/groups": "read",
    "/evaluation": "admin",
    "/attempts": "admin",
    "/keys": "admin",
}


def test_a_page_shows_what_the_scopes_of_the_key_allow(service: Served) -> None:
    for scope, names in NAVIGATION.items():
        with service.client(None) as client:
            sign_in(client, service.vid.keys.create(scope, [scope]).text)
            first = client.get("/", follow_redirects=True)
            assert first.status_code == 200
            found = [name for name in NAVIGATION["admin"] if f">{name}</a>" in first.text]
            assert found == names
            for path, wanted in SHOWN_TO.items():
                allowed = scope in {wanted, "admin"} or (path == "/try" and scope == "identify")
                assert client.get(path).status_code == (200 if allowed else 403), (scope, path)
            assert ("Remove this speaker" in client.get("/speaker?name=alice").text) is (
                scope == "admin"
            )


def test_a_session_reads_of_the_service_and_changes_nothing_there(service: Served) -> None:
    key = service.vid.keys.create("desk", ["admin"])
    with service.client() as client:
        sign_in(client, key.text)
        assert client.get("/v1/speakers").status_code == 200
        assert client.delete("/v1/speakers/alice").status_code == 401


def test_a_key_of_a_group_sees_its_members_alone(service: Served, clips: Path) -> None:
    service.vid.speakers.edit("alice", SpeakerDetails(groups=("lobby",)))
    key = service.vid.keys.create("desk", ["read", "enroll"], groups=["lobby"])
    with service.client() as client:
        sign_in(client, key.text)
        for path in ("/", "/speaker?name=alice"):
            assert "bob" not in client.get(path).text
        assert client.get("/?find=bob").status_code == 200  # and leads to no page of theirs
        assert client.get("/speaker?name=bob").status_code == 404
        fields = {"token": token(client.get("/enroll")), "name": "alice", "groups": "vault"}
        assert client.post("/enroll", data=fields, files=wav(clips, "alice-3")).status_code == 403
    assert service.vid.speakers.get("alice").groups == ("lobby",)


@pytest.mark.parametrize("name", ["<b>&amp;\"'", "../keys", "a/b?c#d&e=%2f", "Ünï ☃", "sign-in"])
def test_a_speaker_of_any_name_is_shown_edited_and_removed(service: Served, name: str) -> None:
    service.vid.speakers.rename("alice", name)
    query = httpx.QueryParams({"name": name})
    with service.client() as client:
        listed = client.get("/").text
        assert "<b>" not in listed
        page = client.get(f"/speaker?{query}")
        assert page.status_code == 200
        edited = client.post(
            f"/speaker?{query}", data={"token": token(page), "name": name, "enabled": "on"}
        )
        assert client.get(edited.headers["location"]).status_code == 200
        removed = send(client, f"/speaker/remove?{query}")
        assert removed.headers["location"] == "/?said=removed"
    assert [speaker.name for speaker in service.vid.speakers.list()] == ["bob"]


def test_a_speaker_is_edited_and_what_was_not_changed_stays(service: Served) -> None:
    service.vid.speakers.edit(
        "alice", SpeakerDetails(groups=("staff",), metadata={"badge": "1", "room": "2"})
    )
    with service.client() as client:
        fields = {"name": "Alice B", "groups": "lobby, vault", "expires": "2099-12-31"}
        answer = send(client, "/speaker?name=alice", **fields, metadata="badge=7\nfloor = 3")
        page = client.get(answer.headers["location"])
        assert "It is saved." in page.text
        assert 'value="2099-12-31"' in page.text
        speaker = service.vid.speakers.get("alice b")
        assert speaker.groups == ("lobby", "vault")
        assert dict(speaker.metadata) == {"badge": "7", "floor": "3"}
        assert speaker.expires_at == datetime(2100, 1, 1, tzinfo=UTC)
        assert speaker.standing() is Standing.DISABLED  # its box was not ticked
        wrong = send(client, "/speaker?name=alice%20b", name="bob", enabled="on", groups=";")
        assert (wrong.status_code, "cannot be a group" in wrong.text) == (422, True)
        taken = send(client, "/speaker?name=alice%20b", name="bob")
        assert taken.status_code == 409
        send(client, "/speaker?name=alice%20b", name="Alice B", enabled="on")
    speaker = service.vid.speakers.get("alice b")
    assert (speaker.standing(), speaker.expires_at, speaker.groups) == (Standing.ACTIVE, None, ())


def test_the_list_goes_on_over_pages_and_finds_a_name(service: Served) -> None:
    sample = service.vid.speakers.list()[0]
    assert sample.name == "alice"
    with service.client() as client:
        found = client.get("/", params={"find": "BOB"})
        assert found.headers["location"] == "/speaker?name=bob"
        assert ">bob<" in client.get("/", params={"find": "alicf"}).text
        assert "comes after" in client.get("/", params={"find": "zed"}).text


def test_without_read_a_voice_is_tried_and_no_score_is_shown(service: Served, clips: Path) -> None:
    key = service.vid.keys.create("door", ["identify", "verify"])
    with service.client() as client:
        sign_in(client, key.text)
        fields = {"token": token(client.get("/try")), "speaker": "alice"}
        for who in ("bob-3", "alice-3"):
            answer = client.post("/try", data=fields, files=wav(clips, who))
            assert answer.status_code == 200
            assert ("Accepted: <bdi>alice" in answer.text) is (who == "alice-3")
            assert not [w for w in ("<svg", "0.4", "bob", "threshold 0") if w in answer.text]


def test_a_code_without_a_name_is_no_question_who_it_is(shared: Served, clips: Path) -> None:
    with shared.client() as client:
        fields = {"token": token(client.get("/try")), "challenge": "0" * 32}
        answer = client.post("/try", data=fields, files=wav(clips, "bob-3"))
    assert answer.status_code == 422, answer.text
    assert "Accepted" not in answer.text


def test_failed_claims_lock_a_name_here_as_elsewhere(service: Served, clips: Path) -> None:
    key = service.vid.keys.create("door", ["verify"])
    with service.client() as client:
        sign_in(client, key.text)
        fields = {"token": token(client.get("/try")), "speaker": "nobody"}
        unknown = client.post("/try", data=fields, files=wav(clips, "bob-3"))
        assert "Rejected" in unknown.text  # as for a voice that is not accepted
        fields["speaker"] = "alice"
        answers = [client.post("/try", data=fields, files=wav(clips, "bob-3")) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    with service.client() as client:
        sign_in(client, service.vid.keys.create("desk", ["admin"]).text)
        page = client.get("/attempts")
        assert ">locked<" in page.text
        assert "the key <bdi>door" in page.text
        caller = f"{key.key.id} at 127.0.0.1"
        for who in ({"caller": caller}, {"name": "alice"}, {"name": "nobody"}):
            assert send(client, "/attempts", **who).headers["location"] == "/attempts?said=unlocked"
        assert "There are no failed attempts." in client.get("/attempts").text


def test_without_a_script_a_voice_is_enrolled_and_tried_by_forms(
    service: Served, clips: Path
) -> None:
    files = [("audio", wav(clips, name)["audio"]) for name in ("carol-1", "carol-2")]
    with service.client() as client:
        fields = {"token": token(client.get("/enroll")), "name": "carol", "expires": ""}
        short = client.post("/enroll", data=fields, files=files[:1])
        assert short.status_code == 409
        assert "of speech are missing" in short.text
        checked = client.post("/enroll", data={**fields, "check": "true"}, files=files)
        assert "This is enough to enrol." in checked.text
        assert service.vid.speakers.count() == 2
        consent = {"consent": " 2026-03 ", "purpose": "door, till,", "until": " "}
        more = {"groups": "lobby, vault", "expires": "2099-12-31", **consent}
        lone = client.post("/enroll", data={**fields, **consent, "consent": " "}, files=files)
        assert (lone.status_code, "without the consent" in lone.text) == (422, True)
        made = client.post("/enroll", data={**fields, **more}, files=files)
        assert "is enrolled</strong>" in made.text
        carol = service.vid.speakers.get("carol")
        assert (carol.n_samples, carol.groups) == (2, ("lobby", "vault"))
        assert carol.expires_at == datetime(2100, 1, 1, tzinfo=UTC)
        assert [(c.text, c.purposes, c.until) for c in carol.consents] == [
            ("2026-03", ("door", "till"), None)
        ]
        other = client.post("/enroll", data=fields, files=wav(clips, "bob-3"))
        assert "These recordings cannot be enrolled." in other.text
        tried = client.post("/try", data={"token": fields["token"]}, files=wav(clips, "bob-3"))
        assert "Accepted: <bdi>bob" in tried.text
        assert '<svg class="scale"' in tried.text
        broken = client.post("/try", data={"token": fields["token"]}, files={"audio": b"no audio"})
        assert (broken.status_code, 'role="alert"' in broken.text) == (422, True)


def test_a_key_is_made_shown_once_and_removed(service: Served) -> None:
    with service.client() as client:
        page = client.get("/keys")
        fields = {"name": "<i>desk", "scope": ["read", "admin"], "networks": "127.0.0.0/8"}
        made = client.post("/keys", data={"token": token(page), **fields})
        [key] = service.vid.keys.list()
        assert (key.name, key.scopes, key.networks) == (
            "<i>desk",
            ("read", "admin"),
            ("127.0.0.0/8",),
        )
        text = made.text.partition('id="made">')[2].partition("<")[0]
        assert service.vid.keys.check(text, "127.0.0.1") == key
        assert "<i>desk" not in made.text
        assert client.get("/keys").headers["location"] == "/sign-in?next=%2Fkeys"
        sign_in(client, text)
        assert text not in client.get("/keys").text
        gone = send(client, f"/keys/remove?key={key.id}")
        assert gone.headers["location"] == "/keys?said=key-removed"
        assert not service.vid.keys.list()
        assert client.get("/keys").status_code == 200  # this host is asked for none


def over(client: httpx.Client, address: str) -> httpx.Response:
    """Ask for the page of a job until it is over."""
    until = time.monotonic() + 60
    while "data-job=" in (page := client.get(address)).text:
        assert page.status_code == 200
        assert 'http-equiv="refresh"' in page.text
        assert time.monotonic() < until
        time.sleep(0.1)
    return page


def test_who_spoke_when_is_a_job_whose_page_stays_over_a_restart(
    gallery: VoiceID, ami: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = {"audio": ("d.wav", (ami.folder / "dev00.wav").read_bytes())}
    begin = Jobs._next
    monkeypatch.setattr(Jobs, "_next", lambda self: None)  # no job begins
    with served(gallery) as running, running.client() as client:
        fields = {"token": token(client.get("/recording")), "speakers": ""}
        part = client.post("/recording", data=fields, files=recording, headers={"X-Fragment": "1"})
        assert (part.status_code, "<html" in part.text) == (202, False)
        address = part.headers["location"]
        assert f'data-job="{address}"' in part.text
        assert "The job waits for its turn." in client.get(address).text
        sent = client.post("/recording", data=fields, files=recording)
        assert sent.status_code == 303
        query = sent.headers["location"].removeprefix("/job")
        ended = client.post(f"/job/end{query}", data=fields)
        assert ended.headers["location"] == f"/job{query}"
        assert "The job was cancelled." in client.get(f"/job{query}").text
        removed = client.post(f"/job/end{query}", data=fields)
        assert removed.headers["location"] == "/jobs?said=job-removed"
        assert client.get(f"/job{query}").status_code == 404
    monkeypatch.setattr(Jobs, "_next", begin)
    with served(gallery) as running, running.client() as client:
        page = over(client, address)
    assert "<bdi>bob</bdi>" in page.text
    assert page.text.count('class="lane ') == 2
    with served(gallery) as running, running.client() as client:
        assert client.get(address).text.count('class="lane ') == 2
        assert address in client.get("/jobs").text
        sign_in(client, gallery.keys.create("other", ["identify"]).text)
        assert client.get(address).status_code == 404
        gallery.speakers.remove("bob")
    with served(gallery) as running, running.client() as client:
        sign_in(client, gallery.keys.create("third", ["admin"]).text)
        assert "because a voice was erased" in client.get(address).text


def test_errors_are_counted_on_a_folder_that_was_chosen_and_drawn(
    shared: Served, clips: Path
) -> None:
    names = ("alice-1", "alice-3", "bob-1", "bob-3")
    files = [
        ("audio", (f"site/{name[:-2]}/{name}.wav", wav(clips, name)["audio"][1])) for name in names
    ]
    with shared.client() as client:
        fields = {"token": token(client.get("/evaluation")), "target_fmr": "", "source": ""}
        sent = client.post("/evaluation", data=fields, files=files)
        assert sent.status_code == 303, sent.text
        page = over(client, sent.headers["location"])
        assert "0 of 4 comparisons of two people would be accepted" in page.text
        picture = re.search(r'<img src="(/job/det\.png[^"]+)"', page.text)
        assert picture is not None
        assert client.get(picture[1]).content.startswith(b"\x89PNG")
        fields["kind"] = "calibrate"
        page = over(
            client, client.post("/evaluation", data=fields, files=files).headers["location"]
        )
        assert 'role="alert"' in page.text  # two speakers are too few
        assert "site/" not in page.text


def test_groups_are_listed_with_what_decides_for_each(service: Served) -> None:
    service.vid.speakers.edit("alice", SpeakerDetails(groups=("vault",)))
    aims = {"vault": Aim(target_fmr=0.0001), "empty": Aim(margin=0.1)}
    config = service.vid._session.config
    service.vid._session.config = replace(config, groups=aims)
    with service.client() as client:
        page = client.get("/groups").text
    assert re.search(
        r'<bdi>vault</bdi></a></th><td class="number">1</td>\s*<td>[^/]*FMR 0.01 %', page
    )
    assert re.search(
        r'<bdi>empty</bdi></a></th><td class="number">0</td>\s*<td>[^/]*lead 0.1', page
    )


@pytest.mark.parametrize("name", ["scores", "voices"])
def test_the_enrolled_samples_are_drawn(shared: Served, name: str) -> None:
    with shared.client() as client:
        assert f'src="/accuracy/{name}.png"' in client.get("/accuracy").text
        picture = client.get(f"/accuracy/{name}.png")
    assert picture.headers["content-type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")


def test_a_calibration_is_put_to_use_and_out_of_it(service: Served) -> None:
    points = tuple(
        CalibratedPoint(fmr, llr, (0.0, 0.1), 0.1, (0.0, 0.1))
        for fmr, llr in ((0.1, 0.0), (0.001, 1.0))
    )
    fitted = Calibration(10.0, -4.0, (), (0.0, 1.0), 1.0, points, 3000)
    held_out = HeldOut(10, 100, 1000, 0.01, 0.1, 0.1, {"0.01": 0.1}, {"0.01": 0.1})
    space = service.vid.models.space
    with service.vid._session.change(ChangeKind.CALIBRATE) as change:
        number = change.writer.calibrations.add(space, fitted, held_out, "<i>site", None)
    with service.client() as client:
        page = client.get("/accuracy")
        assert "&lt;i&gt;site" in page.text
        client.post("/accuracy", data={"token": token(page), "number": number})
        assert service.vid.calibrations.get(number).in_use
        assert ">decides<" in client.get("/accuracy").text
        client.post("/accuracy", data={"token": token(page), "number": ""})
        assert not service.vid.calibrations.get(number).in_use
        shown = client.get(f"/calibration?number={number}").text
        assert shown.count("score good") == 2
        gone = send(client, f"/calibration/remove?number={number}")
        assert gone.headers["location"] == "/accuracy?said=calibration-removed"
        missing = client.post("/accuracy", data={"token": token(page), "number": number + 1})
    assert missing.status_code == 404
