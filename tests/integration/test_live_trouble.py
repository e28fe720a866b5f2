"""Live sound that is bad, changes or ends, and listeners that fail."""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import soundfile
from live_answers import NAMES, RATE, answers
from live_servers import certificate, encode, file_server, http_server, redirecting, rtsp_server
from many_texts import flac_with, flv_with

from voiceid import AudioInvalid, ConfigError, LiveEvent, VoiceID
from voiceid.audio import AudioOptions, live_source, live_streams
from voiceid.errors import AudioError, AudioUnreadable, StoreError
from voiceid.live_questions import TurnQuestions


def wav(samples: np.ndarray, rate: int = RATE) -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV")
    file.seek(0)
    return file


def test_a_short_block_of_many_channels_is_taken(opened: VoiceID) -> None:
    listener = opened.listen()
    block = np.zeros((160, 2), np.float32)
    assert listener.feed(block, RATE) == listener.feed(block[:1], RATE) == []


def test_channels_that_cancel_each_other_are_heard(opened: VoiceID, talk) -> None:
    listener = opened.listen()
    events = listener.feed(np.stack([talk, -0.9 * talk], axis=1)[: 5 * RATE], RATE)
    assert answers(events) == NAMES[:1]


def test_clipping_is_that_of_the_turn_however_the_sound_comes_in(opened: VoiceID, talk) -> None:
    events = opened.listen().feed(np.clip(30 * talk[: 5 * RATE], -1, 1), RATE)
    [quality] = [event.decision.quality for event in events if event.decision is not None]
    assert quality.clipped_fraction > 0.01
    assert "clipped" in quality.warnings
    after = np.concatenate([np.clip(30 * talk[: 8 * RATE], -1, 1), talk[8 * RATE : 14 * RATE]])
    events = opened.listen().feed(after, RATE)
    [clean] = [e.decision.quality for e in events if e.kind.value == "decision" and e.turn > 1]
    assert clean.clipped_fraction == 0.0


def test_sound_of_another_format_than_it_is_taken_for_is_said_once(opened: VoiceID, talk) -> None:
    coded = io.BytesIO()
    soundfile.write(coded, np.concatenate([talk, talk]), RATE, "ULAW", format="RAW")
    misread = np.frombuffer(coded.getvalue()[: 24 * RATE], "<i2")
    events = opened.listen().feed(misread, RATE)
    [said] = [event for event in events if event.kind.value == "audio_too_loud"]
    assert (said.turn, round(said.at_s)) == (None, 8)
    assert "in the wrong format" in said.detail


def test_a_listener_of_the_gallery_that_fails_is_called_once_a_turn(opened: VoiceID, talk) -> None:
    calls = []

    def fail(decision) -> None:
        calls.append(decision)
        raise ValueError("no door")

    async def hear(encoded: io.BytesIO) -> list[str]:
        stream = opened.listen(encoded)
        assert (await anext(stream)).kind.value == "speech_started"
        with pytest.raises(ValueError, match="no door"):
            await anext(stream)
        return [event.kind.value async for event in stream]

    stop, listener = opened.events.on_decision(fail), opened.listen()
    with pytest.raises(ValueError, match="no door"):
        listener.feed(talk[: 4 * RATE], RATE)
    events = listener.feed(talk[4 * RATE : 9 * RATE], RATE)
    assert [(event.kind.value, event.decision) for event in events] == [
        ("speech_ended", None),
        ("turn", None),
    ]
    assert len(calls) == 1
    assert asyncio.run(hear(wav(talk[: 4 * RATE]))) == []
    stop()


def test_an_acceptance_whose_whole_turn_cannot_be_looked_at_is_none(
    opened: VoiceID, talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("the database is away")

    listener = opened.listen()
    monkeypatch.setattr(TurnQuestions, "alone", fail)
    assert answers(listener.feed(talk[: 4 * RATE], RATE)) == NAMES[:1]
    turn = listener.finish()[-1]
    assert (turn.kind.value, turn.decision) == ("turn", None)
    assert turn.detail.startswith("nothing was decided: the database is away")


def test_a_model_that_cannot_be_asked_for_ends_no_listening(opened: VoiceID, talk) -> None:
    def fail():
        raise StoreError("the database is away")

    listener = opened.listen()
    listener._embedder_now = fail
    assert answers(listener.feed(talk[: 4 * RATE], RATE)) == NAMES[:1]


def test_a_header_wins_over_the_format_that_is_named(enrolled_data, models_folder, talk) -> None:
    settings = {"models": str(models_folder), "offline": True, "audio.format": "sln16"}
    with VoiceID.open(enrolled_data, home=enrolled_data.parent, overrides=settings) as vid:
        stereo = wav(np.repeat(talk[: 5 * RATE, None], 2, axis=1))
        assert answers(list(vid.listen(stereo)))[:1] == NAMES[:1]


def test_a_file_object_is_heard_from_where_it_is(opened: VoiceID, talk, tmp_path: Path) -> None:
    path = tmp_path / "talk"
    path.write_bytes(wav(talk[: 3 * RATE]).getvalue())
    with path.open("rb") as file:
        file.read(10)
        file.seek(0)
        assert len(list(opened.listen(file))) == 4


@pytest.mark.parametrize(
    ("source", "text"),
    [(b"123", "a bytes"), (io.StringIO("x"), "text mode"), (io.BytesIO(), "is empty")],
    ids=["bytes", "text", "empty"],
)
def test_what_is_no_source_is_said(opened: VoiceID, source, text: str) -> None:
    with pytest.raises(AudioError, match=text):
        list(opened.listen(source))


@pytest.mark.parametrize(
    "address",
    [
        "http://",
        "rtsp://user:secret@[::1",
        "udp://user:secret@127.0.0.1:99999",
        "http://u:secret/x@h",
    ],
)
def test_what_is_no_address_is_said_at_once(opened: VoiceID, address: str) -> None:
    with pytest.raises(ConfigError, match="is not an address") as error:
        opened.listen(address)
    assert "secret" not in str(error.value)
    assert live_source("HTTP://u:p@[::1]:80/a?b", AudioOptions()).where == "http://[::1]:80/a"


def pieces_of(opened: VoiceID, pieces: list) -> list[LiveEvent]:
    """Return the events of pieces that an address gives, until it would be opened again."""
    stream = opened.listen("tcp://127.0.0.1:1")
    object.__setattr__(stream._source, "pieces", lambda: (piece for piece in pieces))
    return list(itertools.takewhile(lambda event: event.kind.value != "stream_lost", stream))


def test_a_change_of_rate_loses_no_sound_and_what_is_no_sound_is_said_once(
    opened: VoiceID, talk
) -> None:
    silent, nothing = np.zeros((2 * RATE, 2), np.float32), np.full(1600, np.nan)
    other = (talk[: 5 * RATE], RATE)
    events = pieces_of(opened, [(silent, 48_000), *[(nothing, RATE)] * 3, other, (nothing, RATE)])
    assert [event.kind.value for event in events if event.turn is None] == ["audio_lost"] * 2
    assert answers(events) == NAMES[:1]
    with pytest.raises(AudioInvalid):
        pieces_of(opened, [(nothing, RATE)])


def test_waiting_for_a_silent_pipe_holds_up_neither_closing_nor_the_end(opened: VoiceID) -> None:
    inside, outside = os.pipe()

    async def hear(file) -> list[LiveEvent]:
        stream = opened.listen(file)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.01)
        asyncio.get_running_loop().call_later(0.05, stream.close)
        return [event async for event in stream]

    with os.fdopen(inside, "rb") as file:
        assert asyncio.run(hear(file)) == []
        [waiting] = [t for t in threading.enumerate() if t.name == "voiceid-listen"]
        assert waiting.daemon
        os.close(outside)
        waiting.join()


def test_a_camera_whose_picture_goes_on_without_sound_breaks_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A picture of 25 s after half a second of sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        picture, sound = output.add_stream("mpeg4", rate=25), output.add_stream("pcm_s16le", RATE)
        picture.width = picture.height = 32
        frame = av.AudioFrame.from_ndarray(np.zeros((1, RATE // 2), np.int16), "s16", "mono")
        frame.sample_rate = RATE
        output.mux(sound.encode(frame))
        for at in range(25 * 25):
            frame = av.VideoFrame(32, 32, "yuv420p")
            frame.pts = at
            output.mux(picture.encode(frame))
        output.mux(picture.encode(None))
    options, clock = AudioOptions(), itertools.count(0.0, 0.1)
    monkeypatch.setattr(live_streams, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    container = av.open(io.BytesIO(file.getvalue()))
    pieces = live_streams._decoded(container, "rtsp://door", options)
    assert len(next(pieces)[0]) == RATE // 2
    with pytest.raises(AudioUnreadable, match="gave no sound"):
        list(pieces)


@pytest.mark.parametrize(
    ("container", "codec"), [("wav", "pcm_s16le"), ("mp3", "libmp3lame"), ("ogg", "libopus")]
)
def test_a_file_behind_http_ends_and_one_that_breaks_off_does_not(
    talk, tmp_path: Path, container: str, codec: str
) -> None:
    with (tmp_path / "talk").open("wb") as file:
        encode(talk[: 3 * RATE], file, container, codec)
    with file_server(tmp_path) as address:
        heard = list(live_source(f"{address}/talk", AudioOptions()).pieces())
        assert sum(len(samples) / rate for samples, rate in heard) == pytest.approx(3, abs=0.1)
        with pytest.raises(AudioUnreadable, match="breaks off"):
            list(live_source(f"{address}/cut-talk", AudioOptions()).pieces())


def with_texts(samples: np.ndarray, n: int) -> dict[str, bytes]:
    """Return recordings with so many texts in their metadata."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="FLAC")
    flac = flac_with(n, file.getvalue())
    id3 = b"ID3\4\0\0\0\0\0\x0a" + bytes(10)
    return {"flac": flac, "id3": id3 + flac, "flv": flv_with(n)}


@pytest.mark.parametrize("name", ["flac", "id3", "flv"])
def test_very_many_texts_in_the_metadata_of_a_stream_hold_no_thread(
    talk, tmp_path: Path, name: str
) -> None:
    def heard(source) -> int:
        return sum(len(samples) for samples, _ in live_source(source, AudioOptions()).pieces())

    few, many = (with_texts(talk[:RATE], n)[name] for n in (500, 300_000))
    (tmp_path / "few").write_bytes(few)
    (tmp_path / "many").write_bytes(many)
    with file_server(tmp_path) as address:
        if name != "flv":
            assert heard(f"{address}/few") == heard(io.BytesIO(few)) == RATE
        before_s = time.process_time()
        for source in (f"{address}/many", io.BytesIO(many)):
            with pytest.raises(AudioUnreadable, match=r"texts in its metadata|keeps the decoder"):
                heard(source)
    assert time.process_time() - before_s < 10


@pytest.mark.parametrize("index", ["at its end", "at its start"])
def test_an_m4a_is_heard_over_http_and_asked_for_once_if_its_index_comes_first(
    talk, tmp_path: Path, index: str
) -> None:
    is_first, asked = index == "at its start", list[str]()
    muxer = {"movflags": "faststart"} if is_first else {}
    encode(talk[: 3 * RATE], str(tmp_path / "talk.m4a"), "mp4", "aac", **muxer)
    assert ((tmp_path / "talk.m4a").read_bytes().index(b"moov") < 100) is is_first
    with file_server(tmp_path, asked) as address:
        heard = list(live_source(f"{address}/talk.m4a", AudioOptions()).pieces())
    assert sum(len(samples) / rate for samples, rate in heard) == pytest.approx(3, abs=0.1)
    assert len(asked) == 1 or not is_first


def test_listening_to_a_file_behind_http_ends_with_its_last_turn(
    opened: VoiceID, talk, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "talk.wav", talk[: 4 * RATE], RATE)
    with file_server(tmp_path) as address:
        events = list(opened.listen(f"{address}/talk.wav"))
    assert answers(events) == NAMES[:1]
    assert events[-1].kind.value == "turn"
    assert events[-1].detail == "no more sound"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("certificates are made with openssl")
    folder = tmp_path_factory.mktemp("keys")
    made = {"own": certificate(folder, "intercom", "IP:127.0.0.1"), "none": folder / "none.pem"}
    made["other"] = certificate(folder, "other", "IP:127.0.0.1")
    made["name"] = certificate(folder, "elsewhere", "DNS:elsewhere")
    made["none"].write_text("no certificate")
    return made


@pytest.mark.parametrize("scheme", ["https", "rtsps"])
def test_a_certificate_must_be_trusted_and_name_the_host(talk, keys, scheme: str) -> None:
    def server(key: Path):
        if scheme == "rtsps":
            return rtsp_server(talk[:RATE], key)
        return http_server([talk[:RATE]] * 4, "wav", "pcm_s16le", key)

    def hear(address: str, ca_file: Path | None) -> None:
        options = AudioOptions(ca_file=None if ca_file is None else str(ca_file))
        for samples, _ in live_source(address, options).pieces():
            heard.append(samples)

    heard: list[np.ndarray] = []
    with server(keys["own"]) as address:
        for ca_file in (None, keys["other"]):
            with pytest.raises(AudioUnreadable, match=r"not trusted: self.signed") as error:
                hear(address, ca_file)
            assert "secret" not in str(error.value)
        assert heard == []
        with pytest.raises(ConfigError, match="ca_file"):
            hear(address, keys["none"])
        with pytest.raises(AudioUnreadable, match=r"no more sound|breaks off"):
            hear(address, keys["own"])
    assert heard
    heard.clear()
    expected = pytest.raises(AudioUnreadable, match="not trusted: IP address mismatch")
    with server(keys["name"]) as address, expected:
        hear(address, keys["name"])
    assert heard == []


def test_an_address_of_https_is_not_led_to_one_that_proves_nothing(
    talk, keys, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "talk.wav", talk[:RATE], RATE)
    with file_server(tmp_path) as plain, redirecting(f"{plain}/talk.wav", keys["own"]) as address:
        options = AudioOptions(ca_file=str(keys["own"]))
        with pytest.raises(AudioUnreadable, match="cannot be opened"):
            list(live_source(address, options).pieces())
