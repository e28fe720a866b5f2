"""Live sound over a WebSocket: the events of the library, and clients that do not behave."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from running_service import Served, served, wait_until_free
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from examples import live_client
from voiceid import LiveEvent, VoiceID
from voiceid.domain import ServiceLimits, SpeakerDetails
from voiceid.errors import LockedOut

RATE = 16_000
PCM = {"format": "pcm_s16le", "rate": RATE}
CLOSE = {"type": "CloseStream"}


@pytest.fixture(scope="session")
def talk(ami) -> bytes:
    """Alice and the stranger, with pauses, as 16-bit samples of 16 kHz."""
    pause = np.random.default_rng(0).normal(0, 1e-4, RATE).astype(np.float32)
    turns = [pause, ami.samples("alice-4")[: 4 * RATE], pause, ami.samples("stranger"), pause]
    return (np.concatenate(turns) * 32767).astype("<i2").tobytes()


@contextmanager
def listening(
    service: Served, first: object = None, *, query: str = "", key: str = "", **how: Any
) -> Iterator[ClientConnection]:
    url = service.url.replace("http", "ws") + "/v1/listen" + query
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    headers |= how.pop("headers", {})
    with connect(url, additional_headers=headers, proxy=None, **how) as client:
        if first is not None:
            client.send(first if isinstance(first, bytes) else json.dumps(first))
        yield client


def rest(client: ClientConnection) -> tuple[list[dict[str, Any]], int]:
    """Return what comes until the end, and the close code."""
    found = []
    try:
        while True:
            found.append(json.loads(client.recv(timeout=60)))
    except ConnectionClosed as closed:
        return found, 0 if closed.rcvd is None else closed.rcvd.code


def until(client: ClientConnection, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(client.recv(timeout=60))]
    while found[-1].get("kind") != kind:
        found.append(json.loads(client.recv(timeout=60)))
    return found


def heard(
    service: Served, sound: Iterable[bytes], options: dict[str, Any], key: str = ""
) -> tuple[list[dict[str, Any]], int]:
    """Return the events of some sound, and the close code."""
    with listening(service, options, key=key) as client:
        for data in sound:
            client.send(data)
        client.send(json.dumps(CLOSE))
        return rest(client)


def chunks(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def facts(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return events without what depends on the time."""
    kept = []
    for event in events:
        decision = event["decision"]
        if decision is not None:
            decision = {k: v for k, v in decision.items() if k != "elapsed_ms"}
        kept.append({k: v for k, v in event.items() if k not in {"time", "delay_ms"}})
        kept[-1]["decision"] = decision
    return kept


def by_library(vid: VoiceID, talk: bytes, **how: Any) -> list[LiveEvent]:
    listener = vid.listen(**how)
    return listener.feed(np.frombuffer(talk, "<i2"), RATE) + listener.finish()


def outcomes(events: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    decided = [event["decision"] for event in events if event["kind"] == "decision"]
    return [(d["outcome"], (d["speaker"] or {"name": None})["name"]) for d in decided]


NAMES = [("accepted", "alice"), ("rejected", None)]


@pytest.fixture(scope="module")
def expected(shared: Served, talk: bytes) -> list[dict[str, Any]]:
    return facts(event.to_dict() for event in by_library(shared.vid, talk))


@pytest.mark.parametrize("size", [1 << 20, 9999, 640])
def test_the_events_are_those_of_the_library_however_the_sound_is_cut(
    shared: Served, talk: bytes, expected: list[dict[str, Any]], size: int
) -> None:
    assert outcomes(expected) == NAMES
    events, code = heard(shared, chunks(talk, size), PCM)
    assert facts(events) == expected
    assert code == 1000


@pytest.mark.parametrize("kind", ["pcm_f32le", "mulaw", "alaw", "stereo"])
def test_other_samples_are_heard_alike(shared: Served, talk: bytes, kind: str) -> None:
    samples = np.frombuffer(talk, "<i2")[: 6 * RATE]
    options = {"format": kind, "rate": RATE}
    if kind == "stereo":
        options = {**PCM, "channels": 2}
        sound = np.repeat(samples, 2).tobytes()
    elif kind == "pcm_f32le":
        sound = (samples / 32768).astype("<f4").tobytes()
    else:
        encoder = av.CodecContext.create(f"pcm_{kind}", "w")
        encoder.sample_rate, encoder.layout, encoder.format = RATE, "mono", "s16"
        frame = av.AudioFrame.from_ndarray(samples[None].copy(), "s16", "mono")
        frame.sample_rate = RATE
        sound = b"".join(bytes(packet) for packet in encoder.encode(frame))
    events, _ = heard(shared, chunks(sound, 12_345), options)
    assert outcomes(events) == NAMES[:1]


class _Pipe(io.RawIOBase):
    """What a recorder in a browser writes to: it cannot go back."""

    def __init__(self) -> None:
        super().__init__()
        self.chunks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.chunks.append(bytes(data))
        return len(data)


def recorded(talk: bytes, container: str) -> bytes:
    """Return a talk as a browser records it: Opus of 48 kHz, in clusters of no known size."""
    pipe = _Pipe()
    with av.open(pipe, "w", format=container, options={"live": "1"}) as output:
        stream = output.add_stream("libopus", rate=48_000, layout="mono")
        resampler = av.AudioResampler("s16", "mono", 48_000)
        frame = av.AudioFrame.from_ndarray(np.frombuffer(talk, "<i2")[None].copy(), "s16", "mono")
        frame.sample_rate = RATE
        for converted in resampler.resample(frame):
            output.mux(stream.encode(converted))
        output.mux(stream.encode(None))
    return b"".join(pipe.chunks)


@pytest.mark.parametrize("container", ["webm", "ogg"])
def test_what_a_browser_records_is_heard(shared: Served, talk: bytes, container: str) -> None:
    recording = recorded(talk[: 2 * 6 * RATE], container)
    events, code = heard(shared, chunks(recording, 1_777), {"format": "webm"})
    direct = [event.to_dict() for event in shared.vid.listen(io.BytesIO(recording))]
    assert facts(events) == facts(direct)
    assert (outcomes(events), code) == (NAMES[:1], 1000)


@pytest.mark.parametrize("kind", ["pcm_s16le", "webm"])
def test_a_turn_ends_when_the_client_says_so(shared: Served, talk: bytes, kind: str) -> None:
    sound = talk[: 2 * 4 * RATE]  # alice is speaking
    if kind == "webm":
        sound = recorded(sound, kind)
    with listening(shared, {"format": kind}) as client:
        for data in chunks(sound, 4000):
            client.send(data)
        client.send('{"type": "Finalize"}')
        events = until(client, "turn")
        assert outcomes(events) == NAMES[:1]
        assert events[-1]["end_s"] == pytest.approx(4.0, abs=0.2)
        assert events[-1]["detail"] == "the client ends it"
        client.send('{"type": "Finalize"}')  # no turn goes on
        client.send(json.dumps(CLOSE))
        client.send(b"too late")
        assert rest(client) == ([], 1000)


def test_options_may_come_in_the_query_and_sound_at_once(shared: Served, talk: bytes) -> None:
    query = "?format=pcm_s16le&rate=16000&speaker=alice&silence_s=0.4&threshold=0.5"
    with listening(shared, query=query) as client:
        client.send(talk[: 2 * 6 * RATE])
        client.send(json.dumps(CLOSE))
        events, _ = rest(client)
    assert outcomes(events) == NAMES[:1]
    assert "set by hand" in events[-1]["decision"]["threshold_source"]


@pytest.mark.parametrize(
    ("first", "code", "problem"),
    [
        (b"\0\0", 1007, "RequestInvalid"),
        ("[" * 9999, 1007, "RequestInvalid"),
        ([], 1007, "RequestInvalid"),
        ({"type": "KeepAlive"}, 1007, "RequestInvalid"),
        ({"format": "mp3"}, 1007, "RequestInvalid"),
        ({"format": "pcm_s16le", "rate": 10}, 1007, "RequestInvalid"),
        ({"format": "pcm_s16le", "key": "vid_0_0"}, 1007, "RequestInvalid"),
        ({"format": "pcm_s16le", "silence_s": 0}, 1007, "ConfigError"),
        ({"format": "pcm_s16le", "speaker": "nina"}, 1008, "SpeakerNotFound"),
    ],
)
def test_a_first_message_that_cannot_be_is_a_problem(
    shared: Served, first: object, code: int, problem: str
) -> None:
    with listening(shared, first) as client:
        [said], closed = rest(client)
    assert (said["code"], closed) == (problem, code)
    assert said["type"] == f"urn:voiceid:problem:{problem}"
    assert shared.parts.streams.taken == 0


@pytest.mark.parametrize(
    ("kind", "sound", "problem"),
    [
        ("webm", b"no sound at all " * 1000, "AudioUnreadable"),
        ("webm", b"", "AudioUnreadable"),
        ("pcm_f32le", np.full(4000, np.nan, "<f4").tobytes(), "AudioInvalid"),
        ("pcm_s16le", "no JSON", "RequestInvalid"),
        ("pcm_s16le", '{"type": "Configure"}', "RequestInvalid"),
    ],
)
def test_sound_that_is_none_is_a_problem(
    shared: Served, kind: str, sound: bytes | str, problem: str
) -> None:
    with listening(shared, {"format": kind}) as client:
        client.send(sound)
        if isinstance(sound, bytes):
            with contextlib.suppress(ConnectionClosed):  # the problem may have come first
                client.send(json.dumps(CLOSE))
        [said], code = rest(client)
    assert (said["code"], code) == (problem, 1007)


def test_a_message_that_is_too_large_ends_the_stream(shared: Served) -> None:
    with listening(shared, PCM) as client:
        client.send(bytes((1 << 20) + 2))
        assert rest(client) == ([], 1009)


def test_silence_has_no_end_and_no_events(shared: Served) -> None:
    """What comes faster than it is heard is not read, and fills no memory."""
    with listening(shared, PCM) as client:
        for _ in range(3):
            client.send(bytes(1 << 19))
        client.send(json.dumps(CLOSE))
        assert rest(client) == ([], 1000)


@pytest.fixture
def door(gallery: VoiceID) -> Iterator[Served]:
    """A service that hears one stream, and waits half a second for a client."""
    limits = ServiceLimits(max_streams=1, stall_timeout_s=0.5)
    with served(gallery, limits, buffer_bytes=4096) as running:
        yield running


def test_one_client_too_many_is_sent_away_and_one_that_goes_leaves_its_place(
    door: Served, talk: bytes
) -> None:
    decided: list[object] = []
    door.vid.events.on_decision(decided.append)
    with listening(door, PCM) as first:
        first.send(talk[: 2 * 3 * RATE // 2])
        until(first, "speech_started")
        with listening(door) as second:
            [said], code = rest(second)
            assert (said["code"], code) == ("ServiceBusy", 1013)
            assert second.close_reason
        first.socket.shutdown(socket.SHUT_RDWR)  # as if the network were gone
        wait_until_free(door.parts.streams)
    assert decided == []  # nothing is decided of a turn that nobody waits for
    events, _ = heard(door, [talk[: 2 * 6 * RATE]], PCM)
    assert outcomes(events) == NAMES[:1]


def test_a_client_that_is_silent_must_say_that_it_is_there(door: Served) -> None:
    with listening(door, PCM) as client:
        for _ in range(50):  # often, so that a busy machine does not make it late
            time.sleep(0.02)
            client.send('{"type": "KeepAlive"}')
        [said], code = rest(client)
    assert (said["code"], code) == ("StreamStalled", 1008)
    with listening(door) as client:  # it never says what it sends
        [said], code = rest(client)
    assert (said["code"], code) == ("StreamStalled", 1008)


def test_a_client_that_does_not_read_is_left(door: Served, talk: bytes) -> None:
    word = talk[2 * 2 * RATE : 2 * 5 * RATE // 2]
    with socket.socket() as narrow:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", int(door.url.rpartition(":")[2])))
        with listening(door, PCM, sock=narrow, max_queue=1) as client:
            for _ in range(400):
                with contextlib.suppress(ConnectionClosed):
                    client.send(word)
                    client.send('{"type": "Finalize"}')
                if not door.parts.streams.taken:
                    break
            wait_until_free(door.parts.streams)


def test_a_key_may_come_as_a_subprotocol_and_never_in_the_query(
    service: Served, talk: bytes
) -> None:
    key = service.vid.keys.create("page", ["identify"]).text
    query = "?format=pcm_s16le"
    protocols = [Subprotocol("token"), Subprotocol(key)]
    with listening(service, query=query, subprotocols=protocols) as client:
        assert client.subprotocol == "token"
        client.send(json.dumps(CLOSE))
        assert rest(client) == ([], 1000)
    for wrong in (
        {"query": f"{query}&token={key}"},
        {"subprotocols": [Subprotocol("token"), Subprotocol(key + "x")]},
        {"subprotocols": [Subprotocol("token")]},
    ):
        with pytest.raises(InvalidStatus) as refused, listening(service, **wrong):  # type: ignore[arg-type]
            pass
        assert refused.value.response.status_code == 401
        assert json.loads(refused.value.response.body or b"")["code"] == "AccessDenied"


def test_without_keys_no_page_of_another_origin_is_heard(shared: Served) -> None:
    headers = {"Origin": "http://evil.example"}
    with pytest.raises(InvalidStatus, match="401"), listening(shared, headers=headers):
        pass


@pytest.mark.parametrize(
    ("scope", "options", "problem"),
    [
        ("identify", {"speaker": "alice"}, "AccessDenied"),
        ("verify", {}, "AccessDenied"),
        ("identify", {"threshold": 0.1}, "AccessDenied"),
        ("identify", {"group": "vault"}, "AccessDenied"),
    ],
)
def test_a_key_is_heard_for_what_it_may_ask_alone(
    service: Served, scope: str, options: dict[str, Any], problem: str
) -> None:
    key = service.vid.keys.create("k", [scope], groups=["lobby"]).text
    with listening(service, {**PCM, **options}, key=key) as client:
        [said], code = rest(client)
    assert (said["code"], code) == (problem, 1008)


def test_without_read_events_tell_nothing_of_others_and_a_group_is_asked_alone(
    service: Served, talk: bytes
) -> None:
    service.vid.speakers.edit("bob", SpeakerDetails(groups=("lobby",)))
    keys = service.vid.keys
    door, lobby = (
        keys.create("door", ["identify"]),
        keys.create("l", ["identify", "read"], groups=["lobby"]),
    )
    sound = [talk[: 2 * 6 * RATE]]
    events, _ = heard(service, sound, PCM, key=door.text)
    decision = next(event["decision"] for event in events if event["kind"] == "decision")
    assert decision == {
        "task": "identify",
        "outcome": "accepted",
        "reason": "match",
        "speaker": {"name": "alice"},
        "group": None,
        "detail": "the voice is accepted",
    }
    assert events[-1]["decision"] == decision
    events, _ = heard(service, sound, PCM, key=lobby.text)
    assert outcomes(events) == [("rejected", None)]
    assert events[-1]["decision"]["gallery_size"] == 1


def test_without_read_an_unknown_name_is_answered_as_a_rejected_voice_is(
    service: Served, talk: bytes
) -> None:
    key = service.vid.keys.create("door", ["verify"]).text
    said = [
        facts(heard(service, [talk[: 2 * 6 * RATE]], {**PCM, "speaker": name}, key)[0])
        for name in ("bob", "nina")
    ]
    assert outcomes(said[0]) == [("rejected", "bob")]
    assert json.loads(json.dumps(said[0]).replace("bob", "nina")) == said[1]


def test_each_turn_is_an_attempt_and_a_locked_name_ends_the_stream(
    service: Served, talk: bytes
) -> None:
    key = service.vid.keys.create("door", ["verify"]).text
    word = talk[2 * RATE : 2 * 3 * RATE]  # of alice
    with listening(service, {**PCM, "speaker": "bob"}, key=key) as client:
        for _ in range(6):
            client.send(word)
            client.send('{"type": "Finalize"}')
        events, code = rest(client)
    problem = events.pop()
    assert outcomes(events) == [("rejected", "bob")] * 5
    assert (problem["code"], code) == ("LockedOut", 1008)


def test_who_goes_away_within_a_turn_without_an_acceptance_has_tried_too(
    service: Served, talk: bytes
) -> None:
    """An acceptance comes within the turn: that none came is an answer."""
    key = service.vid.keys.create("door", ["verify"]).text
    for patience_s in (0.1, 0.5, 2.0, 8.0):  # until so much was heard that it can be decided
        with listening(service, {**PCM, "speaker": "bob"}, key=key) as client:
            client.send(talk[2 * RATE : 2 * 4 * RATE])  # of alice
            until(client, "speech_started")
            time.sleep(patience_s)
            client.socket.shutdown(socket.SHUT_RDWR)
        wait_until_free(service.parts.streams)
        if service.vid.attempts.list():
            break
    assert [one.failures for one in service.vid.attempts.list()] == [1, 1]  # of bob, of the key


@pytest.mark.parametrize("voice", ["alice-4", "stranger"])
def test_a_lock_ends_a_turn_before_its_end_whatever_the_voice_is(
    gallery: VoiceID, ami, clips: Path, voice: str
) -> None:
    """An acceptance ends in the lock at once: a rejection that came later would tell them apart."""
    for _ in range(5):
        gallery.verify("alice", clips / "stranger.wav", caller="elsewhere")
    listener = gallery.listen(speaker="alice", caller="door", blind=True)
    with pytest.raises(LockedOut):
        listener.feed(ami.samples(voice)[: 3 * RATE], RATE)


@pytest.mark.parametrize(("kind", "after_s"), [("turn", 6), ("speech_started", 2)])
def test_a_key_that_is_removed_is_heard_no_longer(
    service: Served, talk: bytes, kind: str, after_s: int
) -> None:
    service.vid.keys.create("another", ["read"])
    key = service.vid.keys.create("door", ["identify"])
    with listening(service, PCM, key=key.text) as client:
        client.send(talk[: 2 * after_s * RATE])
        until(client, kind)
        service.vid.keys.remove(key.key.id)
        client.send(talk[2 * after_s * RATE :])
        [said], code = rest(client)
    assert (said["code"], code) == ("AccessDenied", 1008)


def test_the_service_ends_while_it_hears(shared: Served, talk: bytes) -> None:
    with contextlib.ExitStack() as stack:
        with served(shared.vid) as service:
            client = stack.enter_context(listening(service, PCM))
            client.send(talk[: 2 * 3 * RATE])
            until(client, "speech_started")
        assert rest(client)[1] == 1012


def test_the_example_says_who_speaks(
    shared: Served, ami: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{shared.url.replace('http', 'ws')}/v1/listen"
    path = ami.cut("alice-4", tmp_path / "a.wav")
    asyncio.run(live_client.main(url, str(path)))
    assert capsys.readouterr().out.split("s  ")[1:] == ["alice: accepted\n"]
    asyncio.run(live_client.main(f"{url}?format=pcm_s16le", str(path)))  # its first message is late
    assert "a message of the unknown type None" in capsys.readouterr().err
