"""Live sound: each turn is decided while it is spoken, whatever the sound comes through."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from live_answers import NAMES, RATE, answers, in_turns
from live_servers import http_server, rtsp_server, udp_sender

from voiceid import (
    AudioInvalid,
    AudioNotFound,
    ConfigError,
    LiveEvent,
    Outcome,
    Reason,
    SpeakerNotFound,
    VoiceID,
)
from voiceid.errors import AudioUnreadable
from voiceid.listening import live_stream
from voiceid.speech.vad import Frames


@pytest.fixture(scope="module")
def heard(opened: VoiceID, talk: np.ndarray) -> list[LiveEvent]:
    listener = opened.listen()
    return listener.feed(talk, RATE) + listener.finish()


def test_each_turn_is_decided_once_and_before_it_ends(heard: list[LiveEvent]) -> None:
    assert answers(heard) == NAMES
    for number in (1, 2, 3):
        kinds = [event.kind.value for event in heard if event.turn == number]
        assert sorted(kinds) == ["decision", "speech_ended", "speech_started", "turn"]
        assert (kinds[0], kinds[-1]) == ("speech_started", "turn")
    first = [event for event in heard if event.turn == 1]
    assert [event.kind.value for event in first][:2] == ["speech_started", "decision"]
    assert first[1].since_start_s < 4.0
    assert first[1].decision.quality.net_speech_s < first[3].end_s - first[3].start_s
    assert first[0].start_s == pytest.approx(1.2, abs=0.4)
    assert first[3].end_s == pytest.approx(1.2 + 6.8, abs=0.5)
    assert first[3].decision is first[1].decision


def test_small_blocks_wait_for_three_frames_and_none_is_lost_at_the_end(opened: VoiceID) -> None:
    listener, heard_s = opened.listen(), []
    for _ in range(12):
        listener.feed(np.zeros(320, np.float32), RATE)  # 20 ms
        heard_s.append(listener.at_s)
    assert heard_s == pytest.approx([0.0] * 4 + [0.096] * 5 + [0.192] * 3)
    listener.finish()
    assert listener.at_s == pytest.approx(0.224)


@pytest.mark.parametrize("step", [160, 1600, 7777])
def test_what_is_said_does_not_depend_on_how_the_sound_comes_in(
    opened: VoiceID, talk: np.ndarray, heard: list[LiveEvent], step: int
) -> None:
    listener = opened.listen()
    events = []
    for at in range(0, 12 * RATE, step):
        events += listener.feed(talk[at : min(at + step, 12 * RATE)], RATE)
    facts = [(event.kind, event.at_s, event.turn) for event in events]
    assert facts == [(event.kind, event.at_s, event.turn) for event in heard][: len(facts)]
    assert len(facts) >= 5


def test_a_turn_is_heard_alike_whatever_was_said_before(
    opened: VoiceID, ami, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = []
    probabilities = Frames.probabilities

    def heard(self: Frames, samples: np.ndarray) -> np.ndarray:
        first.append(not self._state[0].any())
        return probabilities(self, samples)

    monkeypatch.setattr(Frames, "probabilities", heard)
    quiet = np.full(2 * RATE, 1e-4, np.float32)
    listener = opened.listen()
    events = listener.feed(np.concatenate([ami.samples("alice-4"), quiet] * 2), RATE)
    assert sum(first) == 3, "the detector begins again after each turn"
    turns = [e for e in events if e.kind.value == "turn"]
    lengths = [e.end_s - e.start_s for e in turns]
    assert lengths[0] == pytest.approx(lengths[1], abs=0.1)


def test_other_rates_types_and_channels_are_taken(opened: VoiceID, talk: np.ndarray) -> None:
    stereo = np.repeat((talk * 32767).astype(np.int16)[:, None], 2, axis=1)
    listener = opened.listen(speaker="alice")
    events = listener.feed(stereo[: 9 * RATE], RATE)
    assert answers(events) == [("accepted", "alice")]
    with pytest.raises(AudioInvalid, match="come after"):
        listener.feed(talk[:100], RATE)
    slow = opened.listen()
    events = slow.feed(talk[: 9 * RATE : 2], RATE // 2) + slow.finish()
    assert answers(events) == [("accepted", "alice")]


def test_a_change_of_voice_ends_a_turn(opened: VoiceID, ami) -> None:
    both = np.concatenate([ami.samples("alice-4"), ami.samples("bob-3")])
    listener = opened.listen()
    events = listener.feed(both, RATE) + listener.finish()
    assert answers(events) == NAMES[:2]
    ended = [event for event in events if event.kind.value == "speech_ended"]
    assert ended[0].detail == "another voice"
    assert ended[0].end_s == pytest.approx(6.8, abs=1.0)
    assert [event.turn for event in listener.feed(both[: 2 * RATE], RATE)][:1] == [3]


def test_a_turn_of_two_who_alternate_quickly_ends_as_several_voices(opened: VoiceID, ami) -> None:
    both = in_turns(ami.samples("bob-3"), ami.samples("carol-1"))
    for how, outcome in (({}, Outcome.INCONCLUSIVE), ({"solo": "off"}, Outcome.ACCEPTED)):
        listener = opened.listen(**how)
        events = listener.feed(both, RATE) + listener.finish()
        assert answers(events) == [("accepted", "bob")]  # who speaks until then
        assert (events[-1].kind.value, events[-1].decision.outcome) == ("turn", outcome)
    listener = opened.listen(speaker="bob", blind=True)
    [*_, event] = listener.feed(both, RATE) + listener.finish()
    assert event.decision.outcome is Outcome.INCONCLUSIVE
    assert event.decision.detail == "several people speak"


def test_a_short_turn_of_two_is_looked_at_when_it_ends(opened: VoiceID, ami) -> None:
    both = np.concatenate([ami.samples("bob-3")[: RATE * 3 // 2], ami.samples("carol-1")[:RATE]])
    listener = opened.listen()
    events = listener.feed(both, RATE) + listener.finish()
    assert answers(events) == [("accepted", "bob")]
    assert events[-1].decision.reason is Reason.SEVERAL_VOICES


def test_who_is_claimed_is_verified_and_must_be_enrolled(opened: VoiceID, talk) -> None:
    listener = opened.listen(speaker="bob", threshold=0.5)
    events = listener.feed(talk, RATE) + listener.finish()
    assert answers(events) == [("rejected", None), ("accepted", "bob"), ("rejected", None)]
    assert "set by hand" in events[1].decision.threshold.source
    with pytest.raises(SpeakerNotFound):
        opened.listen(speaker="nina")
    listener = opened.listen(speaker="alice", purpose="door")
    [_, event] = listener.feed(talk[: 4 * RATE], RATE)
    assert event.decision.reason is Reason.NO_CONSENT


def test_a_blind_claim_tells_nothing_of_others(opened: VoiceID, talk) -> None:
    said = []
    for name in ("bob", "nina"):  # who is not enrolled
        listener = opened.listen(speaker=name, blind=True)
        events = listener.feed(talk[: 9 * RATE], RATE) + listener.finish()
        said.append([replace(e.decision, elapsed_ms=0.0) for e in events if e.decision is not None])
        assert [e.kind.value for e in events][-3:] == ["speech_ended", "decision", "turn"]
    assert said[0] == said[1]
    assert (said[0][0].outcome, said[0][0].score) == (Outcome.REJECTED, None)


def test_the_rate_is_of_the_whole_turn(opened: VoiceID, talk, heard: list[LiveEvent]) -> None:
    decision = next(event.decision for event in heard if event.decision is not None)
    alone = opened.identify((talk[: 4 * RATE], RATE))
    assert decision.threshold.value > alone.threshold.value
    assert "0.1 % of" in decision.threshold.source


def test_without_a_threshold_for_the_rate_a_turn_says_why_nothing_is_decided(
    opened: VoiceID, talk
) -> None:
    listener = opened.listen(target_fmr=1e-9)
    listener.feed(talk[: 4 * RATE], RATE)
    turn = listener.finish()[-1]
    assert (turn.kind.value, turn.decision) == ("turn", None)
    assert turn.detail.startswith("nothing was decided: ")


def test_too_little_speech_is_inconclusive_and_silence_is_nothing(opened: VoiceID, talk) -> None:
    listener = opened.listen()
    assert listener.feed(np.zeros(5 * RATE, np.float32), RATE) == []
    events = listener.feed(talk[RATE : 2 * RATE], RATE) + listener.finish()
    assert [event.decision.reason.value for event in events if event.decision is not None] == [
        "not_enough_speech"
    ] * 2
    assert events[-1].detail == "no more sound"


def test_samples_that_cannot_be_sound_are_refused_and_listening_goes_on(
    opened: VoiceID, talk
) -> None:
    listener = opened.listen()
    for bad in (np.full(800, np.nan), np.full(800, 1e6), np.zeros((2, 40_000))):
        with pytest.raises(AudioInvalid):
            listener.feed(bad, RATE)
    assert listener.feed(np.empty(0, np.float32), RATE) == []
    assert answers(listener.feed(talk[: 9 * RATE], RATE)) == NAMES[:1]


def test_each_decision_reaches_the_listeners_of_the_gallery_once(opened: VoiceID, talk) -> None:
    received = []
    stop = opened.events.on_decision(received.append)
    listener = opened.listen()
    listener.feed(talk[: 9 * RATE], RATE)
    stop()
    assert [decision.speaker.name for decision in received] == ["alice"]


def test_turns_and_memory_are_bounded(opened: VoiceID, ami) -> None:
    alice = np.concatenate([ami.samples("alice-4"), ami.samples("alice-3")])
    listener = opened.listen()
    listener._options = live_options = type(listener._options)(longest_s=5.0)
    events = listener.feed(np.tile(alice, 2), RATE)
    ends = [event for event in events if event.kind.value == "speech_ended"]
    assert len(ends) >= 3
    assert {event.detail for event in ends} <= {"it went on for 5 s", "silence", "another voice"}
    assert listener._turn.n_frames * 0.032 <= live_options.longest_s + 1.1


def test_a_file_a_file_object_and_a_named_pipe_are_heard(
    opened: VoiceID, talk, tmp_path: Path
) -> None:
    path = tmp_path / "talk.flac"
    soundfile.write(path, talk, RATE)
    assert answers(list(opened.listen(path))) == NAMES
    encoded = io.BytesIO()
    soundfile.write(encoded, talk[: 9 * RATE], RATE, format="WAV")
    encoded.seek(0)
    assert answers(list(opened.listen(encoded))) == NAMES[:1]
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(encoded.getvalue()))
    writer.start()
    assert answers(list(opened.listen(fifo))) == NAMES[:1]
    writer.join()


def until(stream, n: int) -> list[LiveEvent]:
    """Return the events up to the n-th turn."""
    events = []
    with stream:
        for event in stream:
            events.append(event)
            if event.kind.value == "turn" and event.turn == n:
                break
    return events


def test_a_stream_over_udp_is_heard(opened: VoiceID, talk) -> None:
    with udp_sender(talk) as address:
        assert answers(until(opened.listen(address), 2)) == NAMES[:2]


def test_an_intercom_over_rtsp_is_heard(opened: VoiceID, talk) -> None:
    with rtsp_server(talk) as address:
        assert answers(until(opened.listen(address), 3)) == NAMES


def test_a_stream_that_breaks_off_is_opened_again_and_both_are_said(
    opened: VoiceID, talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "_FIRST_PAUSE_S", 0.05)
    with http_server([talk[: 6 * RATE], talk, talk], "mp3", "libmp3lame") as address:
        events = until(opened.listen(address), 3)
    words = [event for event in events if event.turn is None]
    assert [event.kind.value for event in words] == ["stream_lost", "stream_back"]
    assert "secret" not in " ".join(event.detail for event in words)
    assert answers(events) == [*NAMES[:1], *NAMES[:2]]
    ended = [event.detail for event in events if event.kind.value == "speech_ended"]
    assert "it is opened again" in ended[0]


def test_what_cannot_be_opened_at_first_is_an_error(opened: VoiceID, tmp_path: Path) -> None:
    with pytest.raises(AudioUnreadable, match="Connection refused"):
        next(iter(opened.listen("http://user:secret@127.0.0.1:9/x")))
    with pytest.raises(AudioNotFound):
        next(iter(opened.listen(tmp_path / "none.wav")))
    with pytest.raises(AudioUnreadable):
        next(iter(opened.listen(io.BytesIO(b"no sound at all " * 2000))))
    for address in ("file:///etc/passwd", "concat://a|b", "gopher://127.0.0.1"):
        with pytest.raises(ConfigError, match="are not supported"):
            opened.listen(address)
    with pytest.raises(ConfigError, match="silence_s"):
        opened.listen("mic", silence_s=0.0)


def test_a_page_of_the_network_may_not_name_other_addresses(opened: VoiceID, tmp_path) -> None:
    """A playlist from outside would have FFmpeg open what its writer likes."""
    import http.server
    from functools import partial

    from live_servers import _serving

    (tmp_path / "list.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n/secret.ts\n#EXT-X-ENDLIST\n"
    )
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, _format: str, *args: object) -> None:
            asked.append(str(args[0]))

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))
    )
    with _serving(server) as port, pytest.raises(AudioUnreadable):
        next(iter(opened.listen(f"http://127.0.0.1:{port}/list.m3u8")))
    assert asked
    assert not any("secret" in line for line in asked)


def test_a_virtual_microphone_is_heard(opened: VoiceID) -> None:
    stream = opened.listen("mic:silent")
    ending = threading.Timer(1.0, stream.close)
    ending.start()
    assert list(stream) == []
    ending.join()
    assert stream.heard_s >= 0.4


def test_sound_libraries_print_nothing(opened: VoiceID, capfd: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(AudioNotFound, AudioUnreadable):
        stream = opened.listen("mic")
        ending = threading.Timer(0.2, stream.close)
        ending.start()
        list(stream)
    assert capfd.readouterr().err == ""


def test_sound_that_comes_too_fast_is_dropped_and_that_is_said(
    opened: VoiceID, talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_stream, "_MOST_WAITING_S", 3.0)
    stream = opened.listen("udp://127.0.0.1:1")
    pieces = [(talk[at : at + 1600], RATE) for at in range(0, 10 * RATE, 1600)]
    object.__setattr__(stream._source, "pieces", lambda: (piece for piece in pieces))
    kinds = {event.kind.value: event for event in itertools.islice(stream, 12)}
    lost = kinds["audio_lost"]
    assert "s of sound were not heard" in lost.detail
    stream.close()


def test_asyncio_hears_several_streams_and_may_stop_waiting(
    opened: VoiceID, talk, tmp_path: Path
) -> None:
    path = tmp_path / "talk.wav"
    soundfile.write(path, talk[: 9 * RATE], RATE)

    async def one() -> list[LiveEvent]:
        events = []
        async with opened.listen(path) as stream:
            while True:
                try:
                    events.append(await asyncio.wait_for(anext(stream), 0.02))
                except TimeoutError:
                    await asyncio.sleep(0.01)
                except StopAsyncIteration:
                    return events

    async def both() -> list[list[LiveEvent]]:
        return await asyncio.gather(one(), one())

    for events in asyncio.run(both()):
        assert answers(events) == NAMES[:1]
