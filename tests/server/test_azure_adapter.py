"""Azure's clients against the adapter: their requests, as written down from what they send."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_service import Served, served

from voiceid import VoiceID
from voiceid.domain import SpeakerDetails

V2 = "/speaker/verification/v2.0/text-independent/profiles"
V2_ID = "/speaker/identification/v2.0/text-independent/profiles"
V2021 = "/speaker-recognition/verification/text-independent/profiles"
V2021_ID = "/speaker-recognition/identification/text-independent/profiles"
VERSION = {"api-version": "2021-09-05"}
NOBODY = "00000000-0000-0000-0000-000000000000"
WAV = {"content-type": "audio/wav; codecs=audio/pcm"}


@pytest.fixture
def azure(gallery: VoiceID) -> Iterator[Served]:
    with served(gallery, compat=["azure"]) as running:
        yield running


@pytest.fixture(scope="module")
def enrolled(
    enrolled_data: Path, models_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Served, str, str]]:
    """A service that tests share, and the profiles of alice and carol in it."""
    home = tmp_path_factory.mktemp("azure")
    settings = {"models": str(models_folder), "offline": True}
    clips = enrolled_data.parent
    with VoiceID.open(home / "data", home=home, overrides=settings) as vid:
        alice, carol = str(uuid.uuid4()), str(uuid.uuid4())
        vid.enroll(alice, [clips / "alice-1.wav", clips / "alice-2.wav"])
        vid.enroll(carol, [clips / "carol-1.wav", clips / "carol-2.wav"])
        with served(vid, compat=["azure"]) as running:
            yield running, alice, carol


def wav(clips: Path, name: str) -> bytes:
    return (clips / f"{name}.wav").read_bytes()


def post(client: httpx.Client, url: str, data: bytes, **query: Any) -> httpx.Response:
    return client.post(url, content=data, params=query, headers=WAV)


def test_a_profile_from_its_creation_to_its_end(azure: Served, clips: Path) -> None:
    with azure.client() as client:
        made = client.post(V2, json={"locale": "en-US"})
        profile = made.json()
        where = f"{V2}/{profile['profileId']}"
        assert (made.status_code, made.headers["location"]) == (201, azure.url + where)
        assert profile["profileId"] == str(uuid.UUID(profile["profileId"]))
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", profile["createdDateTime"])
        assert {**profile, **NEW} == profile
        early = post(client, f"{where}/verify", wav(clips, "alice-3"), ignoreMinLength="True")
        assert (early.status_code, early.json()["error"]) == (
            400,
            {"code": "InvalidRequest", "message": "Profile is not enrolled."},
        )
        url = f"{where}/enrollments"
        short = post(client, url, wav(clips, "carol-1"), ignoreMinLength="false")
        first = short.json()
        assert (short.status_code, first["enrollmentStatus"]) == (201, "Enrolling")
        assert first["audioLength"] == pytest.approx(57_760 / 16_000, abs=1e-3)
        assert 0.0 < first["audioSpeechLength"] < 3.0
        missing_s = 3.0 - first["audioSpeechLength"]
        assert first["remainingEnrollmentsSpeechLength"] == pytest.approx(missing_s)
        early = post(client, f"{where}/verify", wav(clips, "carol-2"))
        assert early.json() == {"recognitionResult": "Reject", "score": 0.0}
        last = post(client, url, wav(clips, "carol-2")).json()
        assert (last["enrollmentStatus"], last["enrollmentsCount"]) == ("Enrolled", 2)
        assert last["remainingEnrollmentsSpeechLength"] == 0.0
        shown = client.get(where).json()
        assert {**shown, **last} == {**last, **shown}
        assert shown["enrollmentsLength"] == pytest.approx((57_760 + 39_168) / 16_000, abs=1e-3)
        assert client.get(where.upper().replace(V2.upper(), V2)).json() == shown
        assert client.post(f"{where}/reset").status_code == 204
        assert {**client.get(where).json(), **NEW} == client.get(where).json()
        gone = client.delete(where)
        assert (gone.status_code, gone.content) == (204, b"")
        assert client.get(where).json()["error"]["code"] == "NotFound"


def test_a_reset_removes_no_expiry_and_enables_nobody(azure: Served, clips: Path) -> None:
    speakers, until = azure.vid.speakers, datetime.now(UTC) + timedelta(hours=1)
    with azure.client() as client:
        expiring, disabled, collecting = (
            client.post(V2, json={"locale": "en-us"}).json()["profileId"] for _ in range(3)
        )
        for name, details in (
            (expiring, SpeakerDetails(expires_at=until)),
            (disabled, SpeakerDetails(enabled=False)),
        ):
            speakers.edit(name, details)
            assert client.post(f"{V2}/{name}/reset").status_code == 204
            assert speakers.get(name).expires_at == details.expires_at
        for clip in ("carol-1", "carol-2"):
            assert post(client, f"{V2}/{disabled}/enrollments", wav(clips, clip)).is_success
        asked = post(client, f"{V2}/{disabled}/verify", wav(clips, "carol-2"))
        assert asked.json()["recognitionResult"] == "Reject"
        speakers.remove(disabled)
        post(client, f"{V2}/{collecting}/enrollments", wav(clips, "carol-1"))
        assert speakers.get(collecting).disabled_at is not None, "there is too little speech"
        assert client.post(f"{V2}/{collecting}/reset").status_code == 204
    assert speakers.get(collecting).disabled_at is None


NEW = {
    "locale": "en-US",
    "enrollmentStatus": "Enrolling",
    "enrollmentsCount": 0,
    "enrollmentsLength": 0.0,
    "enrollmentsSpeechLength": 0.0,
    "remainingEnrollmentsSpeechLength": 3.0,
    "modelVersion": "",
}


def test_a_voice_is_verified_with_a_score_of_the_llr(
    enrolled: tuple[Served, str, str], clips: Path
) -> None:
    service, alice, _ = enrolled
    with service.client() as client:
        for base, verb, query in ((V2, "/verify", {}), (V2021, ":verify", VERSION)):
            own = post(client, f"{base}/{alice}{verb}", wav(clips, "alice-3"), **query)
            other = post(client, f"{base}/{alice}{verb}", wav(clips, "bob-3"), **query)
            assert (own.status_code, own.json()["recognitionResult"]) == (200, "Accept")
            assert (other.status_code, other.json()["recognitionResult"]) == (200, "Reject")
            decision = service.vid.verify(alice, wav(clips, "alice-3"))
            assert own.json()["score"] == pytest.approx(1 / (1 + 2.718281828**-decision.llr), 1e-5)
            assert 0.99 < own.json()["score"] <= 1.0
            assert 0.0 <= other.json()["score"] < 0.5
            assert own.json().keys() == {"recognitionResult", "score"}
        replayed = post(client, f"{V2}/{alice}/verify", wav(clips, "alice-1"))
    assert replayed.json() == {"recognitionResult": "Reject", "score": 0.0}


def test_the_speaker_is_found_among_the_named_profiles_alone(
    enrolled: tuple[Served, str, str], clips: Path
) -> None:
    service, alice, carol = enrolled
    both = {"profileIds": f"{alice},{carol}", "ignoreMinLength": "True"}
    with service.client() as client:
        for url, query in (
            (f"{V2_ID}/identifySingleSpeaker", {}),
            (f"{V2021_ID}:identifySingleSpeaker", VERSION),
        ):
            found = post(client, url, wav(clips, "alice-3"), **both, **query).json()
            stranger = post(client, url, wav(clips, "stranger"), **both, **query).json()
            alone = post(client, url, wav(clips, "alice-3"), profileIds=carol, **query).json()
            assert found["identifiedProfile"] == found["profilesRanking"][0]
            assert [one["profileId"] for one in found["profilesRanking"]] == [alice, carol]
            assert found["profilesRanking"][0]["score"] > 0.99
            assert found["profilesRanking"][1]["score"] < 0.5
            assert stranger["identifiedProfile"] == {"profileId": NOBODY, "score": 0.0}
            assert alone["identifiedProfile"]["profileId"] == NOBODY
            assert [one["profileId"] for one in alone["profilesRanking"]] == [carol]


def test_the_profiles_are_listed_a_page_at_a_time(
    enrolled: tuple[Served, str, str], clips: Path
) -> None:
    service, *ids = enrolled
    with service.client() as client:
        first = client.get(V2, params={"$top": 1}).json()
        second = client.get(first["@nextLink"]).json()
        newer = client.get(V2021_ID, params={**VERSION, "maxpagesize": 500}).json()
    listed = [*first["profiles"], *second["profiles"]]
    assert [one["profileId"] for one in listed] == sorted(ids)
    assert "@nextLink" not in second
    assert newer == {"value": listed}
    assert listed[0]["remainingEnrollmentsSpeechLengthInSec"] == 0.0


@pytest.mark.parametrize(
    ("method", "url", "body", "status", "code"),
    [
        ("POST", V2, b"", 400, "InvalidRequest"),
        ("POST", V2, b"[" * 9999, 400, "InvalidRequest"),
        ("POST", V2, b'{"locale": "english"}', 400, "InvalidRequest"),
        ("POST", V2, b'{"locale": 7}', 400, "InvalidRequest"),
        ("GET", f"{V2}?$top=501", b"", 400, "InvalidRequest"),
        ("GET", f"{V2}/alice", b"", 404, "NotFound"),
        ("GET", f"{V2}/{NOBODY}", b"", 404, "NotFound"),
        ("POST", f"{V2}/{NOBODY}/enrollments", b"x", 404, "NotFound"),
        ("POST", f"{V2}/{NOBODY}/verify", b"x", 404, "NotFound"),
        ("POST", f"{V2_ID}/ALICE/enrollments", b"", 400, "InvalidRequest"),
        ("POST", f"{V2_ID}/ALICE/enrollments", b"not audio", 400, "InvalidRequest"),
        ("POST", f"{V2_ID}/identifySingleSpeaker", b"x", 400, "InvalidRequest"),
        ("POST", f"{V2_ID}/identifySingleSpeaker?profileIds=", b"x", 404, "NotFound"),
        (
            "POST",
            f"{V2_ID}/identifySingleSpeaker?profileIds={','.join([NOBODY] * 51)}",
            b"x",
            400,
            "InvalidRequest",
        ),
    ],
)
def test_errors_have_the_shape_that_their_clients_read(
    enrolled: tuple[Served, str, str], method: str, url: str, body: bytes, status: int, code: str
) -> None:
    service, alice, _ = enrolled
    with service.client() as client:
        answer = client.request(method, url.replace("ALICE", alice), content=body, headers=WAV)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]
    assert answer.headers["x-ms-error-code"] == code


def test_a_recording_of_too_little_speech_is_an_error_and_not_a_rejection(
    enrolled: tuple[Served, str, str], clips: Path
) -> None:
    service, alice, _ = enrolled
    short = wav(clips, "alice-3")[: 44 + 16_000]
    with service.client() as client:
        answer = post(client, f"{V2}/{alice}/verify", short)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidRequest")


def test_the_body_of_their_own_example_is_taken_for_json(azure: Served) -> None:
    with azure.client() as client:
        answer = client.post(V2021, params=VERSION, content=b"{\n    'locale':'en-us'\n}")
    assert (answer.status_code, answer.json()["profileStatus"]) == (201, "Active")


def test_keys_scopes_and_groups_hold_as_in_v1(azure: Served, clips: Path) -> None:
    vid = azure.vid
    made = {group: str(uuid.uuid4()) for group in ("lobby", "vault")}
    member = SpeakerDetails(("lobby",))
    vid.enroll(made["lobby"], clips / "alice-3.wav", details=member, force=True)
    vid.speakers.add(made["vault"], SpeakerDetails(("vault",)))
    key = vid.keys.create("door", ["verify", "identify", "enroll"], groups=["lobby"]).text
    reader = vid.keys.create("desk", ["read"], groups=["lobby"]).text
    alice, vault = (f"{V2}/{made[group]}" for group in ("lobby", "vault"))
    with azure.client() as client:
        nobody = client.get(V2)
        assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "Unauthorized")
        wrong = client.get(V2, headers={"Ocp-Apim-Subscription-Key": f"{key}x"})
        assert wrong.status_code == 401
        listed = client.get(V2, headers={"Ocp-Apim-Subscription-Key": reader}).json()
        assert [one["profileId"] for one in listed["profiles"]] == [made["lobby"]]
        client.headers["Ocp-Apim-Subscription-Key"] = key
        refused = client.get(V2)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "Forbidden")
        assert client.delete(alice).status_code == 403
        assert post(client, f"{vault}/enrollments", wav(clips, "carol-1")).status_code == 404
        own = client.post(V2, json={"locale": "de-DE"}).json()["profileId"]
        assert vid.speakers.get(own).groups == ("lobby",)
        # Without `read` there is the outcome, and nothing to climb by.
        accepted = post(client, f"{alice}/verify", wav(clips, "alice-4")).json()
        assert accepted == {"recognitionResult": "Accept", "score": 1.0}
        rejected = post(client, f"{alice}/verify", wav(clips, "bob-3")).json()
        assert rejected == {"recognitionResult": "Reject", "score": 0.0}
        url, ids = f"{V2021_ID}:identifySingleSpeaker", ",".join(made.values())
        found = post(client, url, wav(clips, "bob-3"), profileIds=ids, **VERSION).json()
        assert found == {
            "identifiedProfile": {"profileId": NOBODY, "score": 0.0},
            "profilesRanking": [],
        }
        # The sentence of a refusal names no other speaker.
        theirs = post(client, f"{V2}/{own}/enrollments", wav(clips, "bob-3"))
        assert (theirs.status_code, "bob" in theirs.text) == (400, False)


def test_failures_are_counted_and_lock_and_an_unknown_profile_is_one_that_is_rejected(
    azure: Served, clips: Path
) -> None:
    key = azure.vid.keys.create("door", ["verify"]).text
    profile = str(uuid.uuid4())
    azure.vid.enroll(profile, clips / "alice-3.wav", force=True)
    rejected = {"recognitionResult": "Reject", "score": 0.0}
    with azure.client(key) as client:
        url = f"{V2}/{profile}/verify"
        assert post(client, url, wav(clips, "bob-3")).json() == rejected
        assert post(client, f"{V2}/{NOBODY}/verify", wav(clips, "bob-3")).json() == rejected
        for _ in range(4):
            last = post(client, url, wav(clips, "bob-3"))
            if last.status_code != 200:
                break
        locked = post(client, url, wav(clips, "alice-4"))
    assert (locked.status_code, locked.json()["error"]["code"]) == (429, "RateLimit")
    assert int(locked.headers["retry-after"]) > 0


def test_it_is_off_until_asked_for(shared: Served) -> None:
    with shared.client() as client:
        assert client.post(V2, json={"locale": "en-us"}).status_code == 404
