"""A real Wyoming client, the proxy, and behind it a real Wyoming server that stands for the STT."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
from wyoming.server import AsyncEventHandler, AsyncTcpServer

from voiceid import VoiceID
from voiceid.domain import ServiceLimits
from voiceid.server.decision_feeds import DecisionFeeds
from voiceid.server.jobs import Jobs
from voiceid.server.places import LiveStreams, Places
from voiceid.server.service_parts import ServiceParts
from voiceid.server.wyoming_adapter import WyomingProxy

TEXT = "turn on the light"
THEIRS = Attribution("them", "https://stt.example")
MODEL = AsrModel("m", THEIRS, installed=True, description=None, version="1", languages=["en"])
PROGRAM = {"name": "stt", "installed": True, "description": "an STT", "version": "1"}
INFO = Info(asr=[AsrProgram(attribution=THEIRS, models=[MODEL], **PROGRAM)])


class Stt(AsyncEventHandler):
    """A speech-to-text service that understands one sentence, once it has heard its sound."""

    heard = bytearray()

    async def handle_event(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            await self.write_event(INFO.event())
        elif AudioStart.is_type(event.type):
            self.heard.clear()
        elif AudioChunk.is_type(event.type):
            self.heard += event.payload or b""
        elif AudioStop.is_type(event.type):
            await self.write_event(Transcript(TEXT, language="en").event())
        return True


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@asynccontextmanager
async def proxied(vid: VoiceID, **options: Any) -> AsyncIterator[Callable[[], AsyncTcpClient]]:
    """Yield what makes clients of a proxy before `Stt`."""
    upstream = AsyncTcpServer("127.0.0.1", free_port())
    await upstream.start(Stt)
    limits = options.pop("limits", ServiceLimits())
    proxy = WyomingProxy(("127.0.0.1", options.pop("port", upstream.port)), **options)
    parts = ServiceParts(
        vid,
        Places(2, limits.max_waiting, limits.max_wait_s),
        limits,
        LiveStreams(limits.max_streams),
        DecisionFeeds(vid, limits.max_streams),
        Jobs(vid, limits),
        is_ready=True,
    )
    bound = socket.create_server(("127.0.0.1", 0))
    async with anyio.create_task_group() as group:
        group.start_soon(proxy.serve, bound, parts)
        yield partial(AsyncTcpClient, *bound.getsockname(), read_timeout=60)
        group.cancel_scope.cancel()
    await upstream.stop()


async def speak(client: AsyncTcpClient, path: Path) -> bytes:
    """Send a recording as Home Assistant does, and return its samples."""
    with wave.open(str(path)) as file:
        rate, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
        pcm = file.readframes(file.getnframes())
    await client.write_event(Transcribe(language="en").event())
    await client.write_event(AudioStart(rate, width, channels).event())
    for start in range(0, len(pcm), 2048):
        chunk = AudioChunk(rate, width, channels, pcm[start : start + 2048])
        await client.write_event(chunk.event())
    await client.write_event(AudioStop().event())
    return pcm


async def said(make: Callable[[], AsyncTcpClient], path: Path) -> dict[str, Any]:
    async with make() as client:
        await speak(client, path)
        event = await client.read_event()
    assert event is not None
    assert Transcript.is_type(event.type)
    return event.data


def run(talk: Callable[[], Any]) -> None:
    asyncio.run(talk())


@pytest.fixture(scope="module")
def vid(enrolled_data: Path, models_folder: Path) -> Iterator[VoiceID]:
    settings = {"models": str(models_folder), "offline": True}
    with VoiceID.open(enrolled_data, home=enrolled_data.parent, overrides=settings) as opened:
        opened.warm_up()
        yield opened


def test_a_transcript_says_who_spoke(vid: VoiceID, clips: Path) -> None:
    async def talk() -> None:
        async with proxied(vid) as make:
            assert await said(make, clips / "alice-3.wav") == {
                "text": TEXT,
                "language": "en",
                "speaker": "alice",
            }
            pcm = (clips / "alice-3.wav").read_bytes()
            assert bytes(Stt.heard) == pcm[-len(Stt.heard) :]
            assert len(Stt.heard) > 200_000
            unknown = await said(make, clips / "stranger.wav")
        assert unknown == {"text": TEXT, "language": "en"}
        async with proxied(vid, in_text=True) as make:
            named = await said(make, clips / "bob-3.wav")
            assert (named["text"], named["speaker"]) == (f"[bob] {TEXT}", "bob")
            assert (await said(make, clips / "stranger.wav"))["text"] == TEXT

    run(talk)


def test_the_service_is_described_with_who_names_the_speakers(vid: VoiceID) -> None:
    async def talk() -> None:
        async with proxied(vid) as make, make() as client:
            await client.write_event(Describe().event())
            event = await client.read_event()
            assert event is not None
        [program] = Info.from_event(event).asr
        assert program.name == "stt"
        assert program.description == "an STT, with speakers named by voiceid"
        assert program.attribution == Attribution("them, voiceid", THEIRS.url)
        assert program.models == [MODEL]

    run(talk)


def test_one_connection_may_say_several_things(vid: VoiceID, clips: Path) -> None:
    async def talk() -> None:
        async with proxied(vid) as make, make() as client:
            for name in ("alice", "bob"):
                await speak(client, clips / f"{name}-3.wav")
                event = await client.read_event()
                assert event is not None
                assert event.data["speaker"] == name
            # Another begins before the first has its transcript, which might be of either.
            await client.write_event(AudioStart(16_000, 2, 1).event())
            await speak(client, clips / "bob-3.wav")
            event = await client.read_event()
            assert event is not None
            assert event.data == {"text": TEXT, "language": "en"}

    run(talk)


def test_a_decision_that_fails_or_is_late_lets_the_transcript_through(
    vid: VoiceID, clips: Path
) -> None:
    def fail(_: object) -> None:
        raise OSError("the disk of the log is full")

    async def talk() -> None:
        stop = vid.events.on_decision(fail)
        async with proxied(vid) as make:
            assert await said(make, clips / "alice-3.wav") == {"text": TEXT, "language": "en"}
        stop()
        go_on = threading.Event()
        stop = vid.events.on_decision(lambda _: go_on.wait(30))
        async with proxied(vid, wait_s=0.1) as make, make() as client:
            await speak(client, clips / "alice-3.wav")
            event = await client.read_event()
            assert event is not None
            assert (event.data.get("speaker"), go_on.is_set()) == (None, False)
            go_on.set()
        stop()

    run(talk)


def test_so_many_connections_are_open_and_no_more(vid: VoiceID, clips: Path) -> None:
    async def talk() -> None:
        async with proxied(vid, limits=ServiceLimits(max_streams=1)) as make, make() as client:
            await client.write_event(Describe().event())
            assert await client.read_event() is not None
            async with make() as other:
                event = await other.read_event()
            assert event is not None
            assert (event.type, "too many" in event.data["text"]) == ("error", True)
            await speak(client, clips / "alice-3.wav")
            event = await client.read_event()
            assert event is not None
            assert event.data["speaker"] == "alice"

    run(talk)


def test_a_service_that_is_not_there_is_an_error_event(vid: VoiceID) -> None:
    async def talk() -> None:
        async with proxied(vid, port=free_port()) as make, make() as client:
            event = await client.read_event()
            assert event is not None
        assert (event.type, event.data["code"]) == ("error", "upstream")

    run(talk)


CHUNK = b'{"type": "audio-chunk", "data": {"rate": 0, "width": "x", "channels": 9}}\n'
START, STOP = b'{"type": "audio-start"}\n', b'{"type": "audio-stop"}\n'


@pytest.mark.parametrize(
    ("sent", "is_answered"),
    [
        (START + CHUNK + STOP, True),
        (START + STOP, True),
        (STOP, True),
        (b"GET / HTTP/1.1\r\n\r\n", False),
        (b"[]\n", False),
        (b'{"data": {}}\n', False),
        (b'{"type": "audio-chunk", "payload_length": 99999999999}\n' + b"x" * 100, False),
        (b'{"type": "audio-chunk", "payload_length": 100}\nx', False),
        (b"x" * 100_000, False),
        (b"[" * 5_000 + b"\n", False),
    ],
)
def test_what_cannot_be_understood_ends_its_connection_and_no_other(
    vid: VoiceID, clips: Path, sent: bytes, is_answered: bool
) -> None:
    async def talk() -> None:
        async with proxied(vid) as make:
            where = make()
            reader, writer = await asyncio.open_connection(where.host, where.port)
            writer.write(sent)
            if not is_answered:
                writer.write_eof()
            with contextlib.suppress(ConnectionError):
                answer = await asyncio.wait_for(reader.readline(), 30)
                assert (b'"transcript"' in answer) is is_answered
            writer.close()
            async with make() as client:
                await client.write_event(Describe().event())
                assert await client.read_event() is not None

    run(talk)
