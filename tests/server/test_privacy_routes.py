"""Consents, withdrawal, report and erasure over HTTP, and the run of the night."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_service import Served, served

from voiceid import VoiceID
from voiceid.server import nightly_run
from voiceid.server.nightly_run import run_nightly as nightly


@pytest.fixture
def strict(models_folder: Path, tmp_path: Path) -> Iterator[Served]:
    """A service that enrols nobody without a consent."""
    settings = {"models": str(models_folder), "offline": True, "privacy.require_consent": True}
    opened = VoiceID.open(tmp_path / "data", home=tmp_path, overrides=settings)
    with opened as vid, served(vid, compat=["xiaozhi"]) as running:
        yield running


def sent(clips: Path, *names: str, folder: str = "") -> list[tuple[str, tuple[str, bytes]]]:
    return [("audio", (f"{folder}{n}.wav", (clips / f"{n}.wav").read_bytes())) for n in names]


def ended(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    until = time.monotonic() + 60
    while job["state"] not in {"done", "failed"} and time.monotonic() < until:
        time.sleep(0.05)
        job = client.get(f"/v1/jobs/{job['id']}").json()
    return job


def test_a_consent_is_recorded_by_the_key_and_asked_for_by_purpose(
    strict: Served, clips: Path
) -> None:
    key = strict.vid.keys.create("desk", ["admin"])
    files = sent(clips, "alice-1", "alice-2")
    path = "/v1/speakers/alice/samples"
    with strict.client(key.text) as client:
        refused = client.post(path, files=files)
        assert refused.status_code == 409
        assert [p["code"] for p in refused.json()["report"]["problems"]] == ["no_consent"]
        said = {"purpose": "door", "until": "2099-12-31"}
        assert client.post(path, files=files, data=said).json()["code"] == "SpeakerDetailInvalid"
        made = client.post(path, files=files, data={**said, "consent": "2026-03"})
        assert made.status_code == 201, made.text
        [consent] = client.get("/v1/speakers/alice").json()["consents"]
        assert (consent["purposes"], consent["recorded_by"]) == (["door"], f"key {key.key.id}")
        probe = sent(clips, "alice-3")
        for purpose, reason in (("door", "match"), ("payment", "no_consent")):
            told = {"purpose": purpose, "speaker": "alice"}
            assert client.post("/v1/verify", files=probe, data=told).json()["reason"] == reason
            told.pop("speaker")
            assert client.post("/v1/identify", files=probe, data=told).json()["reason"] == reason
        edit = {"consent": "2026-04", "purpose": ["payment"]}
        client.patch("/v1/speakers/alice", json=edit).raise_for_status()
        told = {"purpose": "payment", "speaker": "alice"}
        assert client.post("/v1/verify", files=probe, data=told).json()["outcome"] == "accepted"


def test_other_ways_into_the_service_need_a_consent_too(strict: Served, clips: Path) -> None:
    with strict.client() as client:
        files = sent(clips, "carol-1", "carol-2", folder="carol/")
        job = ended(client, client.post("/v1/enrollments", files=files).json())
        assert job["result"][0]["status"] == "refused"
        listed = "name,path,consent,recorded_by\ncarol,carol/carol-1.wav,1,forged\n"
        listed += "carol,carol/carol-2.wav,1,forged\n"
        body = client.post("/v1/enrollments", files=files, data={"manifest": listed}).json()
        assert ended(client, body)["result"][0]["status"] == "enrolled"
        assert client.get("/v1/speakers/carol").json()["consents"][0]["recorded_by"] != "forged"
        job = client.post("/v1/enrollments", files=files, data={"consent": "2"}).json()
        assert ended(client, job)["state"] == "done"
        other = [("file", ("x.wav", (clips / "bob-1.wav").read_bytes()))]
        registered = client.post("/voiceprint/register", files=other, data={"speaker_id": "zed"})
        assert not registered.is_success
    assert [speaker.name for speaker in strict.vid.speakers.list()] == ["carol"]


def test_withdrawal_report_and_erasure_are_for_admins(service: Served, clips: Path) -> None:
    vid = service.vid
    admin, reader = (vid.keys.create(s, [s]).text for s in ("admin", "read"))
    with service.client(reader) as client:
        for method, what in (("POST", "withdrawal"), ("GET", "report"), ("POST", "erasure")):
            assert client.request(method, f"/v1/speakers/alice/{what}").status_code == 403
    with service.client(admin) as client:
        assert client.get("/v1/speakers/zoe/report").status_code == 404
        report = client.get("/v1/speakers/alice/report", params={"vectors": True}).json()
        assert all("vector" in sample for sample in report["samples"])
        stale = {"If-Match": '"x"'}
        for what in ("withdrawal", "erasure"):
            answer = client.post(f"/v1/speakers/alice/{what}", headers=stale)
            assert answer.status_code == 412
        gone = client.post("/v1/speakers/alice/withdrawal").json()
        assert gone["speaker"]["standing"] == "disabled"
        probe = sent(clips, "alice-3")
        assert client.post("/v1/identify", files=probe).json()["reason"] == "speaker_disabled"
        once = {"Idempotency-Key": "1"}
        receipt = client.post("/v1/speakers/alice/erasure", headers=once).json()
        assert vid.privacy.check(receipt).facts["speaker"]["name"] == "alice"
        again = client.post("/v1/speakers/alice/erasure", headers=once)
        assert "alice" not in again.text  # what names the erased is not kept
    assert [speaker.name for speaker in vid.speakers.list()] == ["bob"]


def test_a_service_makes_the_run_of_a_night(
    models_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nightly_run, "_FIRST_S", 0.0)
    settings = {
        "models": str(models_folder),
        "offline": True,
        "privacy.run_at_h": datetime.now(UTC).hour,
        "privacy.erase_withdrawn_after_days": 30,
    }
    with VoiceID.open(tmp_path / "data", home=tmp_path, overrides=settings) as vid:
        vid.speakers.add("alice")
        vid.speakers.withdraw("alice")
        [consent] = vid.speakers.get("alice").consents
        assert consent.withdrawn_at is not None
        vid.speakers.add("bob")
    settings["privacy.erase_withdrawn_after_days"] = 0
    opened, beside = VoiceID.open(tmp_path / "data", home=tmp_path, overrides=settings), [nightly]
    with opened as vid, served(vid, beside=beside):
        until = time.monotonic() + 30
        while vid.speakers.count() > 1 and time.monotonic() < until:
            time.sleep(0.1)
        assert [speaker.name for speaker in vid.speakers.list()] == ["bob"]
        assert vid.privacy.run_of_the_night() is None
