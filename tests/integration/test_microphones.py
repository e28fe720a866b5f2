"""A microphone: a virtual one, of a real sound server, in which a recording is played."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from live_answers import RATE, answers

from voiceid import AudioNotFound, LiveEvent, VoiceID

NAME = "Monitor of Door"


class SoundServer:
    """PulseAudio with a sink without a loudspeaker; a microphone hears what is played there."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "native"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        sink = "module-null-sink sink_name=door sink_properties=device.description=Door"
        protocol = f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
        self._process = subprocess.Popen(
            [*command, f"--load={protocol}", f"--load={sink}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(200):
            if subprocess.run(["pactl", "info"], capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.1)
        pytest.fail("the sound server does not answer")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._socket.unlink(missing_ok=True)
            self._process = None


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoundServer]:
    missing = [name for name in ("pulseaudio", "pactl", "paplay") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{missing[0]} is not installed: apt-get install pulseaudio pulseaudio-utils")
    pytest.importorskip(
        "miniaudio", reason='miniaudio is not installed: pip install "voiceid[mic]"'
    )
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path / 'native'}")
    monkeypatch.setenv("PULSE_RUNTIME_PATH", str(tmp_path))
    server = SoundServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def play(talk: np.ndarray, tmp_path: Path) -> Callable[[], None]:
    path = tmp_path / "alice.wav"
    soundfile.write(path, talk[: 5 * RATE], RATE)
    return lambda: subprocess.run(["paplay", str(path)], check=True, timeout=60)


def heard(vid: VoiceID, source: str, meanwhile: Callable[[], None], turns: int) -> list[LiveEvent]:
    """Return what happened until so many turns were over."""
    events: list[LiveEvent] = []
    with vid.listen(source) as stream:
        other = threading.Thread(target=meanwhile)
        ending = threading.Timer(120.0, stream.close)
        for thread in (other, ending):
            thread.start()
        for event in stream:
            events.append(event)
            if sum(event.kind.value == "turn" for event in events) == turns:
                break
        ending.cancel()
        other.join()
    return events


def test_who_speaks_into_a_microphone_is_known(
    opened: VoiceID, server: SoundServer, play: Callable[[], None]
) -> None:
    assert answers(heard(opened, "mic", play, 1)) == [("accepted", "alice")]
    with (
        opened.listen("mic:kitchen") as stream,
        pytest.raises(AudioNotFound, match="no microphone with the name kitchen") as refusal,
    ):
        next(stream)
    assert NAME in str(refusal.value.hint)


def test_a_microphone_that_goes_and_comes_back_is_heard_again_and_that_is_said(
    opened: VoiceID, server: SoundServer, play: Callable[[], None]
) -> None:
    def talk_goes_and_comes_back() -> None:
        play()
        server.stop()
        server.start()
        time.sleep(10.0)
        play()

    events = heard(opened, "mic:door", talk_goes_and_comes_back, 2)
    assert answers(events) == [("accepted", "alice")] * 2
    said = [(e.kind.value, e.detail) for e in events if e.kind.value.startswith("stream")]
    assert said == [
        ("stream_lost", "the microphone gave no sound for 10 s; it is opened again"),
        ("stream_back", "mic:door is back"),
    ]
