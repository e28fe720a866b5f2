"""The disk of a service fills up: what must be written is an error, and ends with the cause."""

from __future__ import annotations

import shutil
import tempfile
from http import HTTPStatus
from pathlib import Path

import pytest
from disks import filled, mounted
from running_service import Served, served

from voiceid import VoiceID
from voiceid.errors import StoreError


def test_a_recording_for_which_there_is_no_room_is_refused_and_said_to_be(
    shared: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytes(3_000_000)
    with mounted(tmp_path / "disk", "1m") as disk, shared.client() as client:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        for sent in (
            {"content": data},
            {"files": {"audio": ("a.wav", data)}},
            {"content": data, "headers": {"Idempotency-Key": "1"}},
        ):
            refused = client.post("/v1/speakers/carol/samples", **sent)
            assert refused.status_code == HTTPStatus.INSUFFICIENT_STORAGE, refused.text
            assert refused.json()["code"] == "UploadNotKept"
        assert list(disk.iterdir()) == []


def test_on_a_full_disk_no_attempt_is_answered_and_nothing_is_lost(
    enrolled_data: Path, models_folder: Path, clips: Path, tmp_path: Path
) -> None:
    settings = {"models": str(models_folder), "offline": True}
    sent = {
        name: ("audio", (f"{name}.wav", (clips / f"{name}.wav").read_bytes()))
        for name in ("alice-3", "carol-1", "carol-2", "stranger")
    }
    with mounted(tmp_path / "disk", "8m") as disk:
        shutil.copytree(enrolled_data, disk / "data")
        with (
            VoiceID.open(disk / "data", home=tmp_path, overrides=settings) as vid,
            served(vid) as running,
            running.client() as client,
        ):
            claim = {"speaker": "alice"}
            assert client.post("/v1/verify", files=[sent["alice-3"]], data=claim).json()["speaker"]
            with (
                filled(disk, 0),
                VoiceID.open(disk / "data", home=tmp_path, overrides=settings) as new,
            ):
                with pytest.raises(StoreError):  # this one has not met a failure yet
                    new.verify("alice", clips / "alice-3.wav", caller="door")
                asked = [
                    client.post("/v1/verify", files=[sent["stranger"]], data=claim),
                    client.post("/v1/verify", files=[sent["alice-3"]], data=claim),
                    client.post(
                        "/v1/speakers/carol/samples", files=[sent["carol-1"], sent["carol-2"]]
                    ),
                ]
                found = client.post("/v1/identify", files=[sent["alice-3"]]).json()
                alive = client.get("/healthz").status_code
            assert [one.json()["code"] for one in asked] == ["StoreReadOnly"] * 3
            assert {one.status_code for one in asked} == {HTTPStatus.INSUFFICIENT_STORAGE}
            assert all("the disk is not full" in one.json()["hint"] for one in asked)
            assert (found["speaker"]["name"], alive) == ("alice", HTTPStatus.OK)
            again = client.post("/v1/verify", files=[sent["alice-3"]], data=claim).json()
            assert again["outcome"] == "accepted"
            assert [one.name for one in vid.speakers.list()] == ["alice", "bob"]
            assert vid.database.check() == []
