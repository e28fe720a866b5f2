"""Words and codes that a person is asked for at the terminal."""

from __future__ import annotations

import json
import random
import secrets
import sys

import numpy as np
import pytest
import soundfile
from live_servers import RATE, http_server
from spoken_words import ROUNDS, SPEEDS, WORDS, pieces, said

from voiceid import VoiceID


def test_words_and_a_code_are_shown_and_recorded(
    run, home, ami, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = pieces(ami.samples("alice-2"))
    takes = [said(words, take) for take in range(len(SPEEDS))]
    with VoiceID.open() as vid:
        vid.enroll("alice", takes, mode="replace", force=True)
    quiet = np.full(2 * RATE, 1e-4, np.float32)
    too_few = np.concatenate([said(words[:3], 0)[0], quiet])
    rounds = [np.concatenate([take, quiet, take]) for take, _ in takes[:ROUNDS]]
    with http_server([too_few, *rounds], "wav", "pcm_s16le") as address:
        asked = ["enroll", "alice", "--words", " ".join(WORDS)]
        taught = run(*asked, "--rounds", ROUNDS, "--mic", address)
    assert taught.out == "enrolled  8 words of alice, 3 times each\n", taught.err
    lines = taught.err.splitlines()
    assert [line.split(",")[0] for line in lines if line.startswith("Round")] == [
        *("Round 1", "Round 1", "Round 2", "Round 3")
    ]
    assert lines[1].startswith("the round has ")
    drawn = random.Random(4)
    code = [drawn.choice(WORDS) for _ in range(6)]
    monkeypatch.setattr(secrets, "choice", random.Random(4).choice)
    answer = said([words[WORDS.index(word)] for word in code], 3)[0]
    with http_server([np.concatenate([answer, quiet])], "wav", "pcm_s16le") as address:
        heard = run("verify", "alice", "--challenge", "--mic", address, "--json")
    assert heard.err == f"Speak now: {' '.join(code)}\n"
    assert heard.json["outcome"] == "accepted", heard.json
    assert "the code was said" in heard.json["detail"]
    monkeypatch.setattr(secrets, "choice", random.Random(4).choice)
    soundfile.write("talk.wav", np.concatenate([ami.samples("alice-3"), quiet, answer]), RATE)
    door = home / "door"
    door.write_text(f"#!{sys.executable}\nimport sys\nopen('given', 'a').write(sys.stdin.read())\n")
    door.chmod(0o755)
    heard = run("listen", "talk.wav", "--challenge", "--command", door)
    lines = [line.partition("turn ")[2] for line in heard.out.splitlines()]
    assert [lines[2], lines[3]] == [
        f"1  challenge  alice, say: {' '.join(code)}",
        "1: a code is asked for",
    ]
    assert [lines[6].startswith("2  accepted  alice  "), lines[7]] == [True, "2: accepted  alice"]
    [event] = map(json.loads, (home / "given").read_text().splitlines())
    assert (event["decision"]["outcome"], event["decision"]["task"]) == ("accepted", "verify")


@pytest.mark.parametrize(
    "options",
    [
        ["--mic"],
        ["--rounds", 4],
        ["--digits", "--words", "a b c d"],
        ["--digits", "--replace"],
        ["--digits", "--dry-run"],
        ["--digits", "--solo-part"],
        ["--words", "a b c d", "--mic"],
        ["--words", "a b c d", "--rounds", 4],
        ["--words", "a b c d", "--from-dir", "."],
        ["--words", "a b c d", "--force"],
        ["--words", "a b c d", "--consent", "2026"],
        ["--words", "a b c d", "--label", "desk"],
    ],
)
def test_options_that_say_nothing_of_rounds_are_refused(run, home, options: list[str]) -> None:
    assert run("enroll", "alice", "a.wav", *options).code == 2


@pytest.mark.parametrize("options", [["--verify", "alice"], ["--attempts", "door"]])
def test_a_code_is_asked_of_who_is_recognized(run, home, options: list[str]) -> None:
    also = ["--challenge"] if "--verify" in options else []
    wrong = run("listen", "none.wav", *options, *also)
    assert (wrong.code, "--verify" in wrong.err, "--challenge" in wrong.err) == (2, True, True)


@pytest.mark.parametrize("words", [["--challenge"], ["a.wav", "--mic"], ["--challenge", "x"], []])
def test_it_is_said_what_is_to_be_heard_once(run, home, words: list[str]) -> None:
    assert run("verify", "alice", *words).code == 2


@pytest.mark.parametrize("command", [["verify"], ["enroll"], ["enroll", "--digits"]])
def test_a_recording_in_the_place_of_the_name_is_said(run, home, ami, command: list[str]) -> None:
    ami.cut("bob-1", home / "bob.wav")
    wrong = run(*command, "bob.wav", "bob")
    assert wrong.code == 2
    assert "NAME comes first, then AUDIO; bob.wav is a file." in wrong.err


def test_recordings_without_a_name_enrol_no_speaker(run, home, ami) -> None:
    ami.cut("bob-1", home / "bob1.wav")
    ami.cut("bob-2", home / "bob2.wav")
    wrong = run("enroll", "bob1.wav", "bob2.wav")
    assert wrong.code == 2
    assert "NAME comes first, then AUDIO; bob1.wav is a file." in wrong.err


@pytest.mark.parametrize("command", [["verify"], ["enroll"], ["enroll", "--digits"]])
def test_a_name_of_several_words_without_quotes_is_hinted_at(run, home, command: list[str]) -> None:
    hint = 'warning: there is no file Maria; quote a name of several words: "Ana Maria Luz"'
    assert hint in run(*command, "Ana", "Maria", "Luz", "a.wav").err
    (home / "Maria").touch()
    for audio in ("Maria", "none.wav", "folder/none", "*", "-"):
        assert "quote" not in run(*command, "Ana", audio, stdin=b"").err


def test_a_recording_in_the_place_of_the_id_of_a_code_is_said(run, home) -> None:
    wrong = run("verify", "bob", "--challenge", "clip.wav")
    assert wrong.code == 2
    assert "--challenge used clip.wav as the ID of the code, so AUDIO is missing" in wrong.err


def test_a_recording_and_a_code_without_an_id_is_said(run, home) -> None:
    wrong = run("verify", "bob", "clip.wav", "--challenge")
    assert wrong.code == 2
    assert "give --mic instead of AUDIO, or the ID" in wrong.err


@pytest.mark.parametrize(
    "command", [["verify", "bob", "--challenge"], ["verify", "bob"], ["enroll", "bob", "--digits"]]
)
def test_a_person_is_not_asked_to_speak_where_there_is_no_microphone(
    run, home, command: list[str]
) -> None:
    asked = run(*command, "--mic", "mic:no such microphone")
    assert "microphone" in asked.err.splitlines()[0], "and nothing is before it"
    with VoiceID.open() as vid, vid._session.store.read() as reader:
        assert reader.connection.exec_driver_sql("SELECT * FROM challenges").all() == []


def test_nothing_is_recorded_for_a_name_that_is_not_enrolled(run, home) -> None:
    for asked in (["verify", "zoe"], ["enroll", "zoe", "--digits"]):
        refused = run(*asked, "--mic", "http://127.0.0.1:9/")
        assert refused.code == 41
        assert refused.err.startswith("error: no speaker called 'zoe' is enrolled")
