"""`voiceid serve` as a process: where it listens, how it ends, and what it refuses."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from running_service import Served, served
from worker_forks import Worker, start_voiceid

from voiceid import VoiceID
from voiceid.cli import main
from voiceid.domain import DatabaseUrl

Refused = Callable[..., str]


@dataclass
class Process:
    running: Worker
    url: str


@contextmanager
def serving(home: Path, models: Path, *options: str) -> Iterator[Process]:
    words = ["--home", home, "--offline", "serve", "--port", "0", *options]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VOICEID_MODELS", str(models))
        process = start_voiceid(*words)
    with process as running:
        try:
            url = ""
            while not url:
                line = running.stderr.readline()
                assert line, "it ended before it served"
                url = line.partition("serving ")[2].strip()
            yield Process(running, url)
        finally:
            running.kill()


@pytest.fixture
def home(enrolled_data: Path, tmp_path: Path) -> Path:
    shutil.copytree(enrolled_data, tmp_path / "data")
    return tmp_path


@pytest.fixture
def refused(
    home: Path,
    models_folder: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Refused:
    """Say why it does not serve, in this process: it ends before it listens."""
    monkeypatch.setenv("VOICEID_MODELS", str(models_folder))

    def refused(*options: str) -> str:
        words = ["--home", str(home), "--offline", "serve", "--port", "0", *options]
        assert main(words) == 21
        return capfd.readouterr().err

    return refused


def test_beyond_this_host_it_needs_keys_and_tls(home: Path, refused: Refused) -> None:
    said = refused("--host", "0.0.0.0")
    assert "without keys" in said
    assert "without TLS" in said
    with VoiceID.open(home / "data", home=home) as vid:
        vid.keys.create("door", ["verify"])
    said = refused("--host", "0.0.0.0")
    assert "without TLS" in said
    assert "without keys" not in said


def test_a_port_that_is_taken_and_a_certificate_that_is_none_are_said(
    home: Path, refused: Refused
) -> None:
    (home / "x.pem").write_text("no certificate")
    files = ["--tls-cert", str(home / "x.pem"), "--tls-key", str(home / "x.pem")]
    assert "certificate" in refused(*files)
    assert "cannot listen on 192.0.2.1" in refused("--host", "192.0.2.1", "--insecure")


def test_what_it_decides_is_appended_to_the_file_of_events(
    home: Path, models_folder: Path, clips: Path
) -> None:
    (home / "config.yaml").write_text("log: {file: data/events.jsonl}\n")
    audio = {"audio": ("b.wav", (clips / "bob-3.wav").read_bytes())}
    with serving(home, models_folder) as process:
        answer = httpx.post(f"{process.url}/v1/identify", files=audio, timeout=60)
    assert answer.status_code == HTTPStatus.OK
    events = map(json.loads, (home / "data" / "events.jsonl").read_text().splitlines())
    assert "decision" in {one["event"] for one in events}


def test_it_answers_over_tls_and_sigterm_ends_it_once_requests_are_answered(
    home: Path, models_folder: Path, clips: Path
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    subprocess.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2"
        " -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1",
        shell=True,
        check=True,
        cwd=home,
        capture_output=True,
    )
    trusted = ssl.create_default_context(cafile=str(home / "cert.pem"))
    files = ["--tls-cert", str(home / "cert.pem"), "--tls-key", str(home / "key.pem")]
    audio = {"audio": ("b.wav", (clips / "bob-3.wav").read_bytes())}
    with serving(home, models_folder, *files) as process:
        assert process.url.startswith("https://")
        with httpx.Client(verify=trusted, trust_env=False, timeout=60) as client:
            found = client.post(f"{process.url}/v1/identify", files=audio)
        assert found.json()["speaker"]["name"] == "bob"
        process.running.terminate()
        assert process.running.wait(timeout=60) == 0


def test_a_kill_loses_nothing_that_was_answered(
    home: Path, models_folder: Path, clips: Path
) -> None:
    names = ("carol-1", "carol-2")
    files = [("audio", (f"{n}.wav", (clips / f"{n}.wav").read_bytes())) for n in names]
    with (
        serving(home, models_folder) as process,
        httpx.Client(base_url=process.url, trust_env=False, timeout=60) as client,
    ):
        made = client.post("/v1/speakers/carol/samples", files=files)
        process.running.kill()
    assert made.status_code == HTTPStatus.CREATED
    with VoiceID.open(home / "data", home=home) as vid:
        assert len(vid.samples.list("carol")) == 2


def seen_by_both(one: Served, other: Served, clips: Path) -> None:
    names = ("carol-1", "carol-2")
    files = [("audio", (f"{n}.wav", (clips / f"{n}.wav").read_bytes())) for n in names]
    asked = {"audio": ("a.wav", (clips / "alice-3.wav").read_bytes())}
    with one.client() as first, other.client() as second:
        assert second.post("/v1/identify", files=asked).json()["gallery_size"] == 2
        assert first.post("/v1/speakers/carol/samples", files=files).status_code == 201
        assert second.post("/v1/identify", files=asked).json()["gallery_size"] == 3
        assert second.delete("/v1/speakers/alice").status_code == 200
        gone = first.post("/v1/identify", files=asked).json()
        assert (gone["outcome"], gone["gallery_size"]) == ("rejected", 2)
        key = one.vid.keys.create("console", ["read"])
        assert second.get("/v1/speakers").status_code == HTTPStatus.UNAUTHORIZED
        other.vid.keys.remove(key.key.id)


def test_two_processes_over_one_file_see_each_others_changes_at_once(
    home: Path, models_folder: Path, clips: Path
) -> None:
    settings = {"models": str(models_folder), "offline": True}
    with (
        VoiceID.open(home / "data", home=home, overrides=settings) as a,
        VoiceID.open(home / "data", home=home, overrides=settings) as b,
        served(a) as one,
        served(b) as other,
    ):
        seen_by_both(one, other, clips)


def test_two_hosts_over_postgresql_see_each_others_changes_at_once(
    new_database: Callable[[str], DatabaseUrl], home: Path, models_folder: Path, clips: Path
) -> None:
    url = new_database("postgresql").text
    settings = {"models": str(models_folder), "offline": True, "database_url": url}
    with (
        VoiceID.open(home / "a", home=home, overrides=settings) as a,
        VoiceID.open(home / "b", home=home, overrides=settings) as b,
        served(a) as one,
        served(b) as other,
    ):
        for name in ("alice", "bob"):
            a.enroll(name, [clips / f"{name}-{n}.wav" for n in (1, 2)])
        seen_by_both(one, other, clips)
