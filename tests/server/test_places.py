"""Places in front of the encoder: who waits too long is refused, and told when to come again."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest
from running_service import served

from voiceid import VoiceID
from voiceid.domain import ServiceLimits
from voiceid.server.places import Places
from voiceid.server.problems import Problem


class Connected:
    """A request whose caller stays."""

    async def receive(self) -> dict[str, str]:
        await anyio.sleep_forever()
        raise AssertionError


def test_who_waits_too_long_is_refused_and_frees_its_place() -> None:
    answers: list[str] = []

    go_on = threading.Event()

    async def ask(places: Places, name: str, work: Callable[[], object]) -> None:
        try:
            await places.run(Connected(), work)  # type: ignore[arg-type]
            answers.append(name)
        except Problem as problem:
            answers.append(f"{name}: {problem.code} {problem.status.value}")

    async def several() -> None:
        places = Places(1, 8, max_wait_s=0.2)
        places._work_s = 0.1  # so long the last ones took
        async with anyio.create_task_group() as group:
            group.start_soon(ask, places, "long", partial(go_on.wait, 30))
            while not places.taken:
                await anyio.lowlevel.checkpoint()
            await ask(places, "waits", bool)
            go_on.set()
        assert places.taken == 0
        await ask(places, "later", bool)

    anyio.run(several)
    assert answers == ["waits: ServiceBusy 503", "long", "later"]


def test_who_would_wait_too_long_is_refused_at_once() -> None:
    places = Places(2, 8, max_wait_s=1.0)
    for taken, waits_in_vain in ((1, False), (4, False), (6, True)):
        places._taken = taken  # each lasts half a second, as is supposed at first
        with pytest.raises(Problem) if waits_in_vain else contextlib.nullcontext():
            places.require_room()


def test_those_who_are_refused_are_asked_to_come_again_one_after_another() -> None:
    places, said, turns = Places(2, 0, max_wait_s=1.0), [], list[float]()
    places._taken = 2  # both processors are busy
    for _ in range(200):
        with pytest.raises(Problem) as refused:
            places.require_room()
        said.append(refused.value.retry_after_s)
        turns.append(places._expected_until)
    steps = [later - sooner for sooner, later in itertools.pairwise(turns[:100])]
    assert steps == [pytest.approx(0.25)] * 99  # half a second each, two at once
    assert said[-1] == 30.0


@pytest.mark.parametrize(
    "path",
    [
        "/v1/verify",
        "/v1/speakers/alice/samples",
        "/voiceprint/identify",
        "/voiceprint/register",
        "/speaker/verification/v2.0/text-independent/profiles/x/verify",
        "/speaker/verification/v2.0/text-independent/profiles/x/enrollments",
        "/speaker-recognition/identification/text-independent/profiles:identifySingleSpeaker",
    ],
)
def test_a_full_service_refuses_before_the_caller_and_the_body_are_looked_at(
    full: Any, path: str
) -> None:
    async def ask() -> bytes:
        async with await anyio.connect_tcp("127.0.0.1", int(full.url.rpartition(":")[2])) as sent:
            head = "Host: localhost\r\nContent-Type: audio/wav\r\nContent-Length: 1000"
            await sent.send(f"POST {path} HTTP/1.1\r\n{head}\r\n\r\n".encode())
            return await sent.receive()

    answer = anyio.run(ask)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"retry-after: " in answer.lower()


@pytest.fixture(scope="module")
def full(enrolled_data: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service whose places are all taken; it has keys."""
    home = tmp_path_factory.mktemp("full")
    with VoiceID.open(home / "data", home=home, overrides={"offline": True}) as vid:
        vid.keys.create("door", ["verify"])
        with served(vid, ServiceLimits(), compat=["azure", "xiaozhi"]) as running:
            running.parts.places._taken = 99
            yield running
