"""What a command hears of a recording, and what it says of the rest."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from av.stream import Disposition
from cli_running import Runner

RATE = 16_000


@pytest.fixture
def turns(home: Path, ami) -> dict[str, np.ndarray]:
    """The speech of alice, bob and the stranger, in other recordings than those enrolled."""
    del home
    return {"alice": ami.samples("alice-3"), "bob": ami.samples("bob-3")}


def two_tracks(first: np.ndarray, default: np.ndarray) -> None:
    """Write film.mkv, whose second audio track has the default flag."""
    with av.open("film.mkv", "w", options={"default_mode": "passthrough"}) as output:
        streams = [output.add_stream("pcm_s16le", rate=RATE) for _ in range(2)]
        flags = (Disposition(0), Disposition.default)
        for stream, flag in zip(streams, flags, strict=True):
            stream.layout, stream.disposition = "mono", flag
        for stream, sound in zip(streams, (first, default), strict=True):
            pcm = np.round(sound * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
            frame.sample_rate = RATE
            output.mux(stream.encode(frame))
            output.mux(stream.encode(None))


def test_the_default_track_is_heard_and_the_others_are_named(
    turns: dict[str, np.ndarray], run: Runner
) -> None:
    two_tracks(turns["bob"], turns["alice"])
    ran = run("verify", "alice", "film.mkv")
    assert ran.code == 0
    assert "warning: other tracks: " in ran.err
    assert "warning: not heard: track 0 (pcm_s16le)" in ran.err
    assert run("verify", "bob", "film.mkv", "--track", "0").code == 0
    facts = run("--track", "0", "verify", "alice", "film.mkv", "--json").json
    assert (facts["outcome"], facts["quality"]["unheard"]) == ("rejected", ["track 1 (pcm_s16le)"])
    ran = run("verify", "alice", "film.mkv", "--track", "2")
    assert (ran.code, "so there is no track 2" in ran.err) == (26, True)
    two_tracks(turns["alice"], np.zeros_like(turns["bob"]))
    ran = run("enroll", "dora", "film.mkv", "--dry-run")
    assert (ran.code, "--track N hears another (track 0 (pcm_s16le))" in ran.err) == (40, True)


def test_audio_without_a_header_is_what_the_options_or_its_name_say(
    turns: dict[str, np.ndarray], run: Runner
) -> None:
    for name, subtype, rate in [("a.UL", "ULAW", RATE), ("a.sln16", "PCM_16", RATE)]:
        soundfile.write(name, turns["alice"], rate, format="RAW", subtype=subtype)
    data = Path("a.sln16").read_bytes()
    by_name = run("identify", "a.sln16", "--json").json
    assert by_name["speaker"]["name"] == "alice"
    piped = run("identify", "-", "--format", "sln16", "--json", stdin=data).json
    assert piped["score"] == by_name["score"]
    ran = run("identify", "-", stdin=data)
    assert (ran.code, "give its format with --format" in ran.err) == (24, True)
    assert run("identify", "-", "--format", "flac", stdin=data).code == 2
    embedded = run("embed", "-", "--audio-format", "sln16", "--format", "json", stdin=data)
    assert embedded.json["shape"] == [192]


def test_channels_of_two_people_are_refused_and_the_option_is_named(
    turns: dict[str, np.ndarray], run: Runner
) -> None:
    n = min(map(len, turns.values()))
    both = np.stack([turns["alice"][:n], turns["bob"][:n]], axis=1)
    soundfile.write("call.wav", both, RATE)
    ran = run("verify", "alice", "call.wav")
    assert ran.code == 28
    assert "channels 0 and 1 hold different people" in ran.err
    assert "--channel 0 or --channel 1" in ran.err
    ran = run("enroll", "dora", "call.wav", "--force")
    assert (ran.code, "[channels_differ]" in ran.err) == (40, True)
    assert "unreadable" not in ran.err
    assert run("verify", "bob", "call.wav", "--channel", "1").code == 0


def test_opposite_phase_is_heard_with_a_warning(turns: dict[str, np.ndarray], run: Runner) -> None:
    soundfile.write("door.wav", np.stack([turns["alice"], -turns["alice"]], axis=1), RATE)
    ran = run("verify", "alice", "door.wav")
    assert ran.code == 0
    assert "warning: opposite phase: " in ran.err
    left = run("verify", "alice", "door.wav", "--channel", "0", "--json").json
    assert run("verify", "alice", "door.wav", "--json").json["score"] == left["score"]


def test_speech_beyond_the_limit_is_said_and_is_a_problem_of_an_enrolment(
    turns: dict[str, np.ndarray], run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_SPEECH__MAX_SPEECH_S", "4")
    soundfile.write("long.wav", turns["alice"], RATE)
    ran = run("compare", "long.wav", "long.wav", "--json")
    quality = ran.json["quality"]
    assert 2 < ran.json["judged_speech_s"] == quality["judged_speech_s"] <= 4
    assert quality["net_speech_s"] > 4
    assert "partly_judged" in quality["warnings"]
    ran = run("compare", "long.wav", "long.wav")
    assert f"{quality['judged_speech_s']:.1f} s of it judged" in ran.out
    assert "s of speech after the first" in ran.err
    ran = run("enroll", "dora", "long.wav", "--data", "other")
    assert (ran.code, "cut it into shorter clips" in ran.err) == (40, True)
    assert "[partly_judged]" in ran.err
    assert run("enroll", "dora", "long.wav", "--data", "other", "--force").code == 0


def test_every_file_of_a_folder_that_is_left_out_is_named(
    turns: dict[str, np.ndarray], run: Runner
) -> None:
    for person in ("alice", "bob"):
        folder = Path("people") / person
        (folder / "more").mkdir(parents=True)
        soundfile.write(folder / "more" / "a.wav", turns[person], RATE)
    alice = Path("people/alice")
    (alice / "notes.txt").write_text("x", encoding="utf-8")
    (alice / "README").write_text("x", encoding="utf-8")
    (alice / ".DS_Store").write_text("x", encoding="utf-8")
    (alice / "gone.wav").symlink_to("nowhere.wav")
    (alice / "link").symlink_to(Path("people/bob").resolve())
    os.mkfifo(alice / "pipe.wav")
    Path("people/about.csv").write_text("x", encoding="utf-8")
    expected = {
        "people/alice/notes.txt left out: files that end in .txt are not known as audio",
        "people/alice/README left out: a file without an ending is not known as audio",
        "people/alice/.DS_Store left out: it is hidden",
        "people/alice/gone.wav left out: it is a link to a missing file",
        "people/alice/link left out: it is a link to a folder",
        "people/alice/pipe.wav left out: it is not a file",
    }
    ran = run("identify", "people/alice")
    assert (ran.code, ran.out.count("accepted")) == (0, 1)
    assert all(line in ran.err for line in expected)
    beside = "people/about.csv left out: files that end in .csv"
    ran = run("enroll", "--from-dir", "people", "--dry-run")
    assert all(line in ran.err for line in (*expected, beside))
    ran = run("plot", "similarity", "people", "-o", "x.png", "-q")
    assert "left out" not in ran.err
    ran = run("evaluate", "people", "-o", "report")
    assert all(line in ran.err for line in (*expected, beside))


@pytest.mark.parametrize("ending", ["qta", "ts", "M4B", "gsm", "pcmu"])
def test_a_folder_gives_all_that_can_be_decoded(
    turns: dict[str, np.ndarray], run: Runner, ending: str
) -> None:
    Path("calls").mkdir()
    soundfile.write(f"calls/a.{ending}", turns["alice"], RATE, format="WAV")  # a header wins
    assert run("identify", "calls").code == 0
