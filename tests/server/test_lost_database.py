"""The database goes away under a service and comes back: no answer without it, and then all."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from postgres_server import Databases, own_server
from running_service import served

from voiceid import VoiceID

Away = tuple[dict[str, str], Callable[[], None], Callable[[], None]]


@contextmanager
def in_a_file(data: Path) -> Iterator[Away]:
    """A file, whose folder is not there for a while."""
    kept = data.with_name("kept")
    yield {}, lambda: data.rename(kept), lambda: kept.rename(data)


@contextmanager
def on_a_server(data: Path) -> Iterator[Away]:
    """A server, which is stopped and started again."""
    with own_server(fsync="off") as server:
        url = Databases(server.admin).empty().text
        with VoiceID.open(data) as vid:
            vid.database.copy(data / "voiceid.sqlite3", url)
        yield {"database_url": url}, lambda: server.stop(signal.SIGINT), server.start


@pytest.mark.parametrize("kind", [in_a_file, on_a_server])
def test_without_its_database_a_service_answers_nothing_and_says_so_until_it_is_back(
    kind: Callable[[Path], object],
    enrolled_data: Path,
    models_folder: Path,
    clips: Path,
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    shutil.copytree(enrolled_data, data)
    ours = {"models": str(models_folder), "offline": True}
    wav = (clips / "alice-3.wav").read_bytes()
    with (
        kind(data) as (settings, take, put_back),  # type: ignore[attr-defined]
        VoiceID.open(data, home=tmp_path, overrides=ours | settings) as vid,
        served(vid) as running,
        running.client(vid.keys.create("door", ["admin"]).text) as client,
    ):

        def ask() -> list[httpx.Response]:
            return [
                client.post("/v1/verify?speaker=alice", content=wav),
                client.post("/v1/identify", content=wav),
                client.patch("/v1/speakers/alice", json={"groups": ["lobby"]}),
                client.get("/readyz"),
                httpx.get(f"{running.url}/v1/speakers", trust_env=False),  # without a key
            ]

        assert [one.status_code for one in ask()] == [200, 200, 200, 200, 401]
        take()
        lost = ask()
        assert all(one.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR for one in lost)
        assert {one.headers["content-type"] for one in lost} == {"application/problem+json"}
        places = [str(data), *(urlsplit(url).netloc for url in settings.values())]
        assert not [one.text for one in lost for place in places if place in one.text]
        assert (lost[3].status_code, lost[3].json()["code"]) == (503, "NotReady")
        assert client.get("/healthz").status_code == HTTPStatus.OK
        put_back()
        assert [one.status_code for one in ask()] == [200, 200, 200, 200, 401]
        assert vid.speakers.get("alice").groups == ("lobby",)
