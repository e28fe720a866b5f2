"""Decisions as they are made, as Server-Sent Events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from running_service import Served, served, wait_until_free

from voiceid.domain import SpeakerDetails
from voiceid.server import decision_feeds, event_routes
from voiceid.server.callers import Caller


@contextmanager
def watching(service: Served, key: str | None = None) -> Iterator[Iterator[str]]:
    with service.client(key) as client, client.stream("GET", "/v1/events") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        yield lines


def events(lines: Iterator[str], n: int) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    kind = ""
    while len(found) < n:
        name, _, text = next(lines).partition(": ")
        if name == "event":
            kind = text
        elif name == "data":
            found.append((kind, json.loads(text)))
    return found


def test_each_decision_is_given_to_all_who_watch(shared: Served, clips: Path) -> None:
    with watching(shared) as first, watching(shared) as second:
        decision = shared.vid.identify(clips / "bob-3.wav").to_dict()
        [one], [other] = events(first, 1), events(second, 1)
    for kind, said in (one, other):
        assert (kind, said["decision"]) == ("decision", decision)
    assert one[1]["time"].endswith("+00:00")
    wait_until_free(shared.parts.feeds)


def test_a_key_of_a_group_sees_its_members_alone(service: Served, clips: Path) -> None:
    service.vid.speakers.edit("bob", SpeakerDetails(groups=("lobby",)))
    keys = service.vid.keys
    refused = service.client(keys.create("k", ["identify"]).text)
    with refused:
        assert refused.get("/v1/events").status_code == 403
    lobby = keys.create("lobby", ["read"], groups=["lobby"])
    with watching(service, lobby.text) as lines:
        service.vid.identify(clips / "alice-3.wav")  # of another group
        service.vid.identify(clips / "stranger.wav")
        of_all = service.vid.identify(clips / "bob-3.wav")
        of_group = service.vid.identify(clips / "stranger.wav", group="lobby")
        [(_, outline), (_, whole)] = events(lines, 2)
    assert of_all.accepted
    assert outline["decision"]["speaker"] == {"name": "bob"}
    assert "candidates" not in outline["decision"]
    assert whole["decision"] == of_group.to_dict()


def test_a_key_that_is_removed_sees_no_more(
    service: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_routes, "_HEARTBEAT_S", 0.05)
    service.vid.keys.create("another", ["read"])
    key = service.vid.keys.create("console", ["read"])
    with watching(service, key.text) as lines:
        assert next(lines) == ""
        service.vid.keys.remove(key.key.id)
        assert set(lines) <= {"", ": nothing was decided"}  # it ends


def test_a_client_that_is_slow_loses_the_oldest_and_is_told(
    shared: Served, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = shared.vid.identify(clips / "bob-3.wav")
    monkeypatch.setattr(decision_feeds, "_MOST_KEPT", 2)

    async def told() -> list[str]:
        feed = decision_feeds.DecisionFeed()
        for _ in range(6):
            feed.put(decision)
        feed.end()
        said = event_routes._sent(feed, shared.vid, Caller(None, "127.0.0.1"))
        return [text async for text in said]

    _, lost, *given = asyncio.run(told())
    assert lost == 'event: lost\ndata: {"decisions": 4}\n\n'
    assert [text.partition("\n")[0] for text in given] == ["event: decision"] * 2


def test_a_heartbeat_shows_that_it_lives_and_too_many_are_sent_away(
    shared: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_routes, "_HEARTBEAT_S", 0.05)
    monkeypatch.setattr(shared.parts.feeds, "_most", 1)
    with watching(shared) as lines:
        assert [next(lines) for _ in range(4)][1:4:2] == [": nothing was decided"] * 2
        with shared.client() as client:
            refused = client.get("/v1/events")
        assert (refused.status_code, refused.json()["code"]) == (503, "ServiceBusy")
        assert int(refused.headers["retry-after"]) > 0
    wait_until_free(shared.parts.feeds)


def test_the_service_ends_while_somebody_watches(shared: Served) -> None:
    with served(shared.vid) as service:
        client = service.client()
        answer = client.send(client.build_request("GET", "/v1/events"), stream=True)
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
    assert list(lines) == [""]
    client.close()
