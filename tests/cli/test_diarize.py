"""Who spoke when, from the command line: the words, the files, the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture
def talk(home: Path, ami) -> Path:
    """Alice for 6.8 s, and then bob."""
    path = home / "a talk.wav"
    soundfile.write(path, np.concatenate([ami.samples("alice-3"), ami.samples("bob-3")]), 16_000)
    return path


def test_voices_and_turns_are_tables(run, talk: Path) -> None:
    ran = run("diarize", talk)
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].startswith("a talk.wav  11.6 s, 2 voices, ")
    assert lines[2].split()[:4] == ["voice", "speech", "alone", "turns"]
    assert [line.split()[0] for line in lines[3:5]] == ["alice", "bob"]
    assert lines[6].split() == [f"0:{at:02}" for at in range(0, 12, 2)]
    assert lines[7].split() == ["alice", "#" * lines[7].count("#") + "-"]
    assert lines[8].split()[0] == "bob"
    assert [line.split()[2] for line in lines[11:]] == ["alice", "bob"]


def test_json_is_an_object_with_what_was_heard(run, talk: Path) -> None:
    facts = run("diarize", talk, "--json").json
    assert facts["clip"] == str(talk)
    assert [voice["name"] for voice in facts["voices"]] == ["alice", "bob"]
    assert run("diarize", talk, "--format", "json", "-q").json.keys() == facts.keys()


def test_names_are_left_out_and_people_counted_as_asked(run, talk: Path) -> None:
    facts = run("diarize", talk, "--no-names", "--speakers", "1-1", "--json").json
    [voice] = facts["voices"]
    assert (voice["name"], voice["decision"]) == ("unknown-1", None)
    assert run("diarize", talk, "--group", "vault", "--json").json["group"] == "vault"


def test_each_format_has_a_line_or_a_cue_a_turn(run, talk: Path) -> None:
    rttm = run("diarize", talk, "--format", "rttm").out.splitlines()
    assert [line.split()[1] for line in rttm] == ["a_talk", "a_talk"]
    assert [line.split()[7] for line in rttm] == ["alice", "bob"]
    assert run("diarize", talk, "--format", "srt").out.count(" --> ") == 2
    assert run("diarize", talk, "--format", "vtt").out.startswith("WEBVTT\n")
    assert run("diarize", talk, "--format", "csv").out.splitlines()[0] == "clip,start_s,end_s,voice"
    assert run("diarize", talk, "--format", "audacity").out.count("\t") == 4


def test_several_recordings_are_one_csv_with_one_header(run, talk: Path, ami) -> None:
    other = talk.with_name("alone.wav")
    soundfile.write(other, ami.samples("bob-3"), 16_000)
    lines = run("diarize", talk, other, "--format", "csv").out.splitlines()
    clips = [line.partition(",")[0] for line in lines]
    assert clips == ["clip", "a talk.wav", "a talk.wav", "alone.wav"]


def test_a_pipe_and_a_container_without_a_length_are_heard(run, talk: Path) -> None:
    piped = run("diarize", "-", "--format", "rttm", stdin=talk.read_bytes())
    assert [line.split()[1] for line in piped.out.splitlines()] == ["stdin", "stdin"]
    samples, rate = soundfile.read(talk)
    opposite = np.stack([samples, -samples], axis=1)
    soundfile.write(talk.with_suffix(".mp3"), opposite, rate)
    heard = run("diarize", talk.with_suffix(".mp3"))
    assert heard.code == 0, heard.err
    assert "alice" in heard.out
    assert "opposite phase" in heard.err or "cancel" in heard.err


def test_files_are_written_for_their_owner(run, talk: Path) -> None:
    target = talk.with_suffix(".rttm")
    ran = run("diarize", talk, "--format", "rttm", "-o", target)
    assert (ran.code, ran.out) == (0, "")
    assert target.read_text().startswith("SPEAKER a_talk 1 ")
    assert target.stat().st_mode & 0o077 == 0


def test_several_recordings_are_several_results(run, talk: Path, ami) -> None:
    other = ami.cut("alice-4", talk.with_name("other.wav"))
    broken = talk.with_name("broken.wav")
    broken.write_bytes(b"no audio")
    assert run("diarize", talk, other, "--format", "srt").code == 2
    folder = talk.with_name("out")
    ran = run("diarize", talk, broken, other, "--format", "json", "-o", folder)
    assert ran.code == 24
    [failed] = ran.json_lines
    assert (failed["clip"], failed["error"]) == (str(broken), "AudioUnreadable")
    assert sorted(path.name for path in folder.iterdir()) == ["a talk.json", "other.json"]
    assert json.loads((folder / "other.json").read_text())["voices"][0]["name"] == "alice"
    assert run("diarize", talk, "sub/a talk.wav", "-o", folder).code == 2


SRT = """1
00:00:00,400 --> 00:00:06,400
One.

2
00:00:07,200 --> 00:00:11,000
Two.

3
00:00:20,000 --> 00:00:21,000
Three.
"""


def test_names_are_written_into_a_transcript(run, home: Path, talk: Path) -> None:
    (home / "talk.srt").write_text(SRT)
    ran = run("diarize", talk, "--transcript", "talk.srt")
    assert ran.code == 0, ran.err
    assert ran.out == SRT.replace("One.", "alice: One.").replace("Two.", "bob: Two.")
    assert "warning: talk.srt: 1 of 3 segments begin after the recording ends, at 11.6 s" in ran.err
    (home / "talk.json").write_text('[{"start": 1, "end": 2, "text": "One."}]')
    ran = run("diarize", talk, "--transcript", "talk.json", "-o", "named.json", "-q")
    assert (ran.code, ran.out) == (0, "")
    assert json.loads((home / "named.json").read_text())[0]["speaker"] == "alice"


def test_a_transcript_is_of_one_recording_and_has_its_own_format(run, home: Path, talk) -> None:
    (home / "talk.srt").write_text(SRT)
    for words in [(talk,), ("--json",), ("--format", "srt")]:
        assert run("diarize", talk, *words, "--transcript", "talk.srt").code == 2
    (home / "talk.srt").write_text("Hello.")
    ran = run("diarize", talk, "--transcript", "talk.srt")
    assert ran.code == 63
    assert "talk.srt cannot be read: it has no line of times" in ran.err


def test_an_unknown_voice_is_called_the_same_in_all_recordings(run, home: Path, ami) -> None:
    for name, turns in {"a": ["stranger"], "b": ["carol-1", "stranger"]}.items():
        samples = np.concatenate([ami.samples(turn) for turn in turns])
        soundfile.write(home / f"{name}.wav", samples, 16_000)
    first, second = run("diarize", "a.wav", "b.wav", "--link", "--json").json_lines
    assert [voice["name"] for voice in first["voices"]] == ["unknown-a"]
    assert [voice["name"] for voice in second["voices"]] == ["unknown-b", "unknown-a"]
    assert second["voices"][1]["own_name"] == "unknown-2"
    assert second["voices"][1]["link"].keys() == {"clip", "voice", "score", "threshold"}
    lines = run("diarize", "a.wav", "b.wav", "--link").out.splitlines()
    [linked] = [line for line in lines if "as in a.wav: " in line]
    assert linked.split()[:2] == ["unknown-a", "unknown-2"]
    ran = run("enroll", "dave", "b.wav", "--voice", "unknown-a")
    assert ran.code == 40
    assert "its voices: unknown-1, unknown-2" in ran.err


def test_a_picture_and_a_page_stand_beside_the_result(run, home: Path, talk: Path) -> None:
    (home / "talk.srt").write_text(SRT)
    words = ("--transcript", "talk.srt", "--picture", "talk.svg", "--html", "pages/")
    ran = run("diarize", talk.name, *words)
    assert ran.code == 0, ran.err
    assert ran.out.startswith("1\n00:00:00,400 --> 00:00:06,400\nalice: One.")
    assert (home / "talk.svg").read_bytes().startswith(b"<?xml")
    page = (home / "pages" / "a talk.html").read_text()
    assert 'src="../a%20talk.wav"' in page
    assert "Two.</p>" in page
    assert (home / "pages" / "a talk.html").stat().st_mode & 0o077 == 0


def test_a_page_is_not_written_into_a_folder_called_like_standard_output(run, talk: Path) -> None:
    ran = run("diarize", talk.name, "--html", "-")
    assert ran.code == 2
    assert ".html cannot go to standard output" in ran.err
    assert not Path("-").exists()


def test_a_picture_of_another_kind_is_refused_before_anything_is_heard(run, talk: Path) -> None:
    ran = run("diarize", "missing.wav", "--picture", "talk.jpg")
    assert ran.code == 58
    assert ".jpg is not .png or .svg" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ("--speakers", "0"),
        ("--speakers", "3-2"),
        ("--speakers", "two"),
        ("--threshold", "0.5", "--target-fmr", "1%"),
        ("--threshold", "0.5", "--target-fpir", "1%"),
        ("--json", "--format", "srt"),
        ("--link", "--no-names"),
        ("--group", "staff", "--no-names"),
        ("--threshold", "0.5", "--no-names"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(run, talk: Path, words: tuple[str, ...]) -> None:
    assert run("diarize", talk, *words).code == 2


def test_a_recording_that_is_none_is_an_error(run, home: Path) -> None:
    (home / "broken.wav").write_bytes(b"no audio")
    assert run("diarize", "broken.wav").code == 24
    assert run("diarize", "missing.wav").code == 23


def test_a_voice_is_enrolled_as_it_is_called(run, talk: Path) -> None:
    ran = run("enroll", "bob", talk, "--voice", "bob")
    assert ran.code == 0, ran.err
    assert run("enroll", "bob", talk, "--voice", "unknown-1").code == 40
    assert run("enroll", "bob", talk, "--voice", "").code == 21
    assert run("enroll", "bob", talk, "--voice", "bob", "--part", "0-3").code == 2
    assert run("enroll", "bob", "-", "--voice", "bob", stdin=b"").code == 2
