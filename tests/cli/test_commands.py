"""Every command, run for real on real speech and real models."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_running import Runner

from voiceid import EmbeddedClip, VoiceID
from voiceid.cli.cmd_config import _value


@pytest.fixture
def clips(home: Path, ami) -> Path:
    """The working folder, with clips beside the enrolled home."""
    for turn, name in {
        "alice-3": "door.wav",
        "alice-4": "alice.mp3",
        "bob-3": "bob.flac",
        "carol-1": "carol.wav",
        "carol-2": "carol-2.wav",
        "stranger": "stranger.wav",
    }.items():
        ami.cut(turn, home / name)
    soundfile.write(home / "silence.wav", np.zeros(32_000, np.float32), 16_000)
    (home / "noise.txt").write_text("this is not audio", encoding="utf-8")
    return home


# --- decisions ----------------------------------------------------------------------


def test_identify_names_the_speaker_of_another_recording(clips: Path, run: Runner) -> None:
    ran = run("identify", "door.wav")
    assert ran.code == 0
    assert all(line.startswith("warning: ") for line in ran.err.splitlines())
    assert ran.out.startswith("accepted  alice\n")
    assert "margin" in ran.out
    assert "over bob" in ran.out
    assert "rank  speaker" in ran.out


def test_identify_tells_a_stranger_apart(clips: Path, run: Runner) -> None:
    ran = run("identify", "stranger.wav")
    assert ran.code == 10
    assert ran.out.startswith("rejected  unknown\n")


def test_identify_with_one_candidate_prints_no_table(clips: Path, run: Runner) -> None:
    ran = run("identify", "alice.mp3", "--top", "1")
    assert ran.code == 0
    assert "rank" not in ran.out


def test_identify_in_json_is_the_decision(clips: Path, run: Runner) -> None:
    decision = run("identify", "door.wav", "--json").json
    assert decision["outcome"] == "accepted"
    assert decision["reason"] == "match"
    assert decision["speaker"]["name"] == "alice"
    assert decision["score_scale"] == "cosine"
    assert decision["score"] >= decision["threshold"]
    assert decision["runner_up"]["speaker"]["name"] == "bob"
    assert [c["speaker"]["name"] for c in decision["candidates"]] == ["alice", "bob"]
    assert decision["gallery_size"] == 2
    assert decision["quality"]["net_speech_s"] > 1
    assert decision["embedding_space"].startswith("campplus-")
    assert decision["elapsed_ms"] > 0
    assert decision["threshold_source"].startswith("card campplus")


def test_identify_says_ambiguous_when_the_margin_is_not_met(clips: Path, run: Runner) -> None:
    ran = run("identify", "door.wav", "--margin", "2", "--json")
    assert ran.code == 11
    assert (ran.json["outcome"], ran.json["reason"]) == ("inconclusive", "ambiguous")
    assert ran.json["speaker"] is None


def test_a_target_by_flag_moves_the_threshold_and_is_named(clips: Path, run: Runner) -> None:
    usual = run("verify", "alice", "door.wav", "--json").json
    for ask in (["verify", "alice", "door.wav"], ["compare", "door.wav", "alice.mp3"]):
        looser = run(*ask, "--target-fmr", "0.02", "--json").json
        assert looser["threshold"] <= usual["threshold"]
        assert "FMR" in looser["threshold_source"]
    ran = run("identify", "door.wav", "--target-fpir", "0.01", "--json")
    assert f"FPIR 1 % of {ran.json['gallery_size']} enrolled" in ran.json["threshold_source"]


def test_a_target_that_nothing_supports_accepts_no_speaker(clips: Path, run: Runner) -> None:
    for ask in (
        ["verify", "alice", "door.wav", "--target-fmr", "1e-7"],
        ["identify", "door.wav", "--target-fpir", "1e-7"],
    ):
        ran = run(*ask, "--json")
        assert ran.code == 39
        assert "impostor trials" in ran.json["message"]


def test_silence_is_inconclusive_for_every_question(clips: Path, run: Runner) -> None:
    for words in (
        ["identify", "silence.wav"],
        ["verify", "alice", "silence.wav"],
        ["compare", "silence.wav", "door.wav"],
    ):
        ran = run(*words)
        assert ran.code == 11
        assert ran.out.startswith("inconclusive  cannot tell")


def test_an_empty_gallery_rejects_every_speaker(empty_home: Path, ami, run: Runner) -> None:
    ran = run("identify", ami.cut("alice-3", empty_home / "a.wav"), "--json")
    assert ran.code == 10
    assert ran.json["reason"] == "gallery_empty"


def test_verify_accepts_the_speaker_and_rejects_others(clips: Path, run: Runner) -> None:
    assert run("verify", "alice", "alice.mp3").code == 0
    assert run("verify", "bob", "bob.flac").code == 0
    ran = run("verify", "bob", "door.wav")
    assert ran.code == 10
    assert ran.out.startswith("rejected  not bob\n")


def test_names_are_found_whatever_their_case(clips: Path, run: Runner) -> None:
    assert run("verify", "ALICE", "door.wav").out.startswith("accepted  alice\n")


def test_verify_of_somebody_who_is_not_enrolled_is_an_error(clips: Path, run: Runner) -> None:
    ran = run("verify", "mallory", "door.wav")
    assert (ran.code, ran.out) == (41, "")
    assert ran.err.startswith("error: ")
    assert "hint: `voiceid speakers list`" in ran.err


def test_compare_tells_one_voice_from_two(clips: Path, run: Runner) -> None:
    same = run("compare", "door.wav", "alice.mp3")
    assert (same.code, same.out.split("\n")[0]) == (0, "accepted  the same voice")
    other = run("compare", "door.wav", "bob.flac")
    assert (other.code, other.out.split("\n")[0]) == (10, "rejected  different voices")


def test_a_clip_from_standard_input_is_the_same_clip(clips: Path, run: Runner) -> None:
    data = Path("door.wav").read_bytes()
    piped = run("identify", "-", "--json", stdin=data)
    assert piped.code == 0
    assert piped.json["score"] == run("identify", "door.wav", "--json").json["score"]


def test_a_stereo_recording_is_heard_by_channel(clips: Path, ami, run: Runner) -> None:
    left, right = ami.samples("alice-3"), ami.samples("bob-3")
    n = min(len(left), len(right))
    soundfile.write("two.wav", np.stack([left[:n], right[:n]], axis=1), 16_000)
    assert run("identify", "two.wav", "--channel", "left", "--json").json["speaker"]["id"] == 1
    assert run("--channel", "1", "--json", "identify", "two.wav").json["speaker"]["id"] == 2


def test_warnings_go_to_standard_error_and_quiet_silences_them(
    clips: Path, ami, run: Runner
) -> None:
    soundfile.write("phone.wav", ami.samples("alice-3")[::2], 8_000)
    loud = run("identify", "phone.wav")
    assert "warning: narrowband" in loud.err
    assert "warning" not in loud.out
    assert run("identify", "phone.wav", "-q").err == ""
    assert "narrowband" in run("--json", "identify", "phone.wav").json["quality"]["warnings"]


# --- errors -------------------------------------------------------------------------


def test_a_pattern_that_matches_nothing_is_reported_as_such(clips: Path, run: Runner) -> None:
    for words in (["identify", "*.opus"], ["enroll", "carol", "nothing-*.wav"]):
        ran = run(*words)
        assert (ran.code, ran.out) == (23, "")
        assert "no file matches" in ran.err
        assert "hint: Check the pattern" in ran.err


def test_a_file_whose_name_is_a_pattern_can_be_used(clips: Path, run: Runner) -> None:
    shutil.copy("door.wav", "take[1].wav")
    assert run("identify", "take[1].wav").code == 0


def test_errors_of_audio_have_their_exit_codes(clips: Path, run: Runner) -> None:
    for source, code in {"no.wav": 23, ".": 23, "noise.txt": 24}.items():
        ran = run("embed", source)
        assert (ran.code, ran.out) == (code, "")
        assert ran.err.startswith("error: ")
        assert "Traceback" not in ran.err
    assert run("identify", "-", stdin=b"").code == 24


def test_an_error_in_json_is_one_object_and_a_line_for_people(clips: Path, run: Runner) -> None:
    ran = run("identify", "noise.txt", "--json")
    assert ran.json["error"] == "AudioUnreadable"
    assert ran.json["exit_code"] == ran.code == 24
    assert ran.err.startswith(f"error: {ran.json['message']}")


def test_an_unknown_model_is_reported(clips: Path, run: Runner) -> None:
    assert run("identify", "door.wav", "--model", "no-such").code == 31
    assert run("models", "show", "no-such").code == 31


def test_a_model_that_is_not_installed_is_not_fetched_when_offline(
    clips: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_MODELS", str(clips / "no-models"))
    monkeypatch.delenv("VOICEID_OFFLINE")
    ran = run("identify", "door.wav", "--offline")
    assert ran.code == 32
    assert "models pull" in ran.err


def test_a_wrong_setting_is_reported(
    clips: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_DECISION__TARGET_FRM", "0.5")
    ran = run("identify", "door.wav")
    assert ran.code == 21
    assert "decision.target_fmr" in ran.err


def test_speakers_of_another_model_are_not_compared(clips: Path, run: Runner) -> None:
    assert run("verify", "alice", "door.wav", "--model", "ge2e").code == 38
    ran = run("identify", "door.wav", "--model", "ge2e", "--json")
    assert (ran.code, ran.json["reason"]) == (10, "gallery_empty")


def test_a_fault_of_the_program_is_one_line_and_exit_20(
    clips: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    from voiceid.resources.speakers import Speakers

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Speakers, "pages", broken)
    ran = run("speakers", "list", "--json")
    assert ran.code == 20
    assert ran.json["error"] == "InternalError"
    assert ran.err.splitlines()[0] == "error: internal error: ZeroDivisionError: a bug"
    assert "Traceback" not in ran.err
    assert "Traceback" in run("speakers", "list", "-v").err


# --- embed --------------------------------------------------------------------------


def test_embed_prints_the_shape_and_the_values(clips: Path, run: Runner) -> None:
    ran = run("embed", "door.wav", "--model", "ge2e")
    assert (ran.code, ran.err) == (0, "")
    shape, values = ran.out.splitlines()
    assert shape == "embeddings shape: [256]"
    assert values.startswith("embeddings: [")
    vector = np.array(json.loads(values.removeprefix("embeddings: ")))
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_the_three_formats_of_embed_hold_the_same_vector(clips: Path, run: Runner) -> None:
    text = json.loads(run("embed", "door.wav").out.splitlines()[1].removeprefix("embeddings: "))
    as_json = run("embed", "door.wav", "--format", "json").json
    array = np.load(io.BytesIO(run("embed", "door.wav", "--format", "npy").stdout))
    assert array.dtype == np.float32
    assert array.shape == (192,)
    assert as_json["shape"] == [192]
    np.testing.assert_array_equal(np.float32(text), array)
    np.testing.assert_array_equal(np.float32(as_json["embedding"]), array)
    assert run("--json", "embed", "door.wav").json == as_json


def test_embed_raw_is_of_a_space_of_its_own_and_is_compensated_where_it_is_asked_about(
    clips: Path, run: Runner
) -> None:
    usual, raw = (run("embed", "door.wav", *raw, "--json").json for raw in ((), ("--raw",)))
    vectors = [np.array(one["embedding"]) for one in (usual, raw)]
    assert [np.linalg.norm(vector) for vector in vectors] == pytest.approx([1, 1], abs=1e-6)
    assert vectors[0] @ vectors[1] < 0.99
    assert usual["embedding_space"] != raw["embedding_space"]
    assert usual["telephone"] < 0.5
    assert raw["telephone"] is None
    with VoiceID.open() as vid:
        asked = [
            vid.identify(EmbeddedClip(vector, one["embedding_space"], 5.0))
            for vector, one in zip(vectors, (usual, raw), strict=True)
        ]
        assert vid.embed("door.wav", raw=True).space == vid.models.space.raw
    assert asked[0].score == pytest.approx(asked[1].score, abs=1e-6)
    assert all(decision.accepted for decision in asked)


def test_embed_writes_a_file(clips: Path, run: Runner) -> None:
    ran = run("embed", "door.wav", "--format", "npy", "-o", "clip.npy")
    assert (ran.code, ran.out, ran.err) == (0, "", "wrote clip.npy\n")
    assert np.load("clip.npy").shape == (192,)
    assert Path("clip.npy").stat().st_mode & 0o777 == 0o600, "a voice, for its owner alone"
    Path("link.npy").symlink_to("clip.npy")
    assert run("embed", "door.wav", "-o", "link.npy").code == 0
    assert Path("link.npy").is_symlink()
    assert Path("clip.npy").read_text().startswith("embeddings")
    assert run("embed", "door.wav", "-o", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()
    assert run("embed", "door.wav", "-o", "no/such/folder/x").code == 58
    gallery = Path("data/voiceid.sqlite3")
    for command in (["embed"], ["diarize", "--no-names"]):
        refused = run(*command, "door.wav", "-o", str(gallery))
        assert (refused.code, ": name another file" in refused.err) == (58, True)
        assert gallery.read_bytes().startswith(b"SQLite format 3")


def test_embed_of_silence_is_an_error_and_writes_nothing(clips: Path, run: Runner) -> None:
    ran = run("embed", "silence.wav", "--format", "json", "-o", "x.json")
    assert ran.code == 27
    assert ran.json["error"] == "NotEnoughSpeech"
    assert not Path("x.json").exists()


# --- enrolment ----------------------------------------------------------------------


def test_enroll_reports_every_clip_and_the_speaker_is_known(
    empty_home: Path, ami, run: Runner
) -> None:
    for turn in ("alice-1", "alice-2", "alice-3"):
        ami.cut(turn, empty_home / f"{turn}.wav")
    ran = run("enroll", "Алиса L.", "alice-1.wav", "alice-2.wav")
    assert ran.code == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].split() == ["clip", "net", "speech", "SNR", "agreement", "warnings"]
    assert [line.split()[0] for line in lines[1:3]] == ["alice-1.wav", "alice-2.wav"]
    assert lines[-1].startswith("enrolled  Алиса L.   2 clips added, 2 samples and ")
    assert run("verify", "Алиса L.", "alice-3.wav").code == 0


def test_enroll_in_json_is_the_report(clips: Path, run: Runner) -> None:
    report = run("enroll", "alice", "door.wav", "--json").json
    assert report["enrolled"] is True
    assert report["speaker"]["n_samples"] == 3
    assert report["clips"][0]["agreement"] > 0.5


def test_replace_puts_the_clips_in_place_of_the_old_ones(clips: Path, run: Runner) -> None:
    ran = run("enroll", "alice", "door.wav", "alice.mp3", "--replace", "--json")
    assert (ran.code, ran.json["speaker"]["n_samples"]) == (0, 2)
    samples = run("speakers", "show", "alice", "--json").json["samples"]
    assert {sample["source_name"] for sample in samples} == {"door.wav", "alice.mp3"}


def test_a_dry_run_changes_nothing(clips: Path, run: Runner) -> None:
    before = run("speakers", "show", "alice", "--json").json
    ran = run("enroll", "alice", "door.wav", "--dry-run")
    assert ran.code == 0
    assert "nothing was changed" in ran.out
    assert run("speakers", "show", "alice", "--json").json == before


def test_too_little_speech_is_refused_and_what_is_missing_is_said(clips: Path, run: Runner) -> None:
    ran = run("enroll", "carol", "carol.wav")
    assert (ran.code, ran.out) == (40, "")
    assert "too_little_speech" in ran.err
    assert "less than the 3 s" in ran.err
    assert "carol.wav" in ran.err
    assert "Nothing was changed" in ran.err
    assert run("speakers", "show", "carol").code == 41
    assert run("enroll", "carol", "carol.wav", "--min-speech", "1").code == 0


def test_a_refusal_in_json_carries_the_whole_report(clips: Path, run: Runner) -> None:
    ran = run("enroll", "carol", "carol.wav", "silence.wav", "noise.txt", "no.wav", "--json")
    assert ran.code == 40
    assert ran.json["error"] == "EnrollmentRefused"
    assert ran.json["report"]["enrolled"] is False
    problems = {(p["code"], p["clip"]) for p in ran.json["report"]["problems"]}
    assert {("no_speech", "silence.wav"), ("unreadable", "noise.txt")} <= problems
    assert run("speakers", "show", "carol").code == 41


def test_another_voice_among_the_clips_is_named_and_force_overrides(
    clips: Path, run: Runner
) -> None:
    words = ("enroll", "alice", "door.wav", "carol.wav")
    refused = run(*words)
    assert refused.code == 40
    assert "problem (--force overrides): carol.wav" in refused.err
    forced = run(*words, "--force")
    assert forced.code == 0
    assert "warning: overridden: carol.wav" in forced.err
    assert "inconsistent" in run("speakers", "show", "alice").out


def test_a_voice_that_is_enrolled_under_another_name_is_refused(clips: Path, run: Runner) -> None:
    ran = run("enroll", "zoe", "door.wav", "alice.mp3")
    assert ran.code == 40
    assert "already enrolled as alice" in ran.err


def test_a_clip_from_standard_input_can_be_enrolled(clips: Path, run: Runner) -> None:
    data = Path("door.wav").read_bytes()
    report = run("enroll", "alice", "-", "--json", stdin=data).json
    assert report["clips"][0]["name"] == "<stdin>"


def test_names_with_spaces_and_a_leading_dash_work_after_two_dashes(
    empty_home: Path, ami, run: Runner
) -> None:
    clip = ami.cut("alice-2", empty_home / "-a b.wav").name
    assert run("enroll", "--", "-dash y", clip).code == 0
    assert run("verify", "--json", "--", "-dash y", clip).json["speaker"]["name"] == "-dash y"
    assert run("speakers", "remove", "--yes", "--", "-dash y").code == 0


@pytest.mark.parametrize("name", ["", "  ", "a\x1b[2Jb", "a\nb", "x" * 200])
def test_a_name_that_cannot_be_shown_is_refused(name: str, clips: Path, run: Runner) -> None:
    ran = run("enroll", name, "door.wav")
    assert ran.code == 43
    assert "\x1b" not in ran.err


def test_a_file_name_cannot_write_to_the_terminal(clips: Path, run: Runner) -> None:
    evil = Path("\x1b[2Jdoor.wav")
    shutil.copy("door.wav", evil)
    for words in (["enroll", "alice", evil], ["speakers", "show", "alice"], ["embed", "\x1b]no"]):
        ran = run(*words)
        assert b"\x1b" not in ran.stdout + ran.stderr
    samples = run("speakers", "show", "alice", "--json").json["samples"]
    assert r"\x1b[2Jdoor.wav" in {sample["source_name"] for sample in samples}


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are always Unicode")
def test_a_file_name_that_is_not_unicode_works(clips: Path, run: Runner) -> None:
    name = b"caf\xe9.wav".decode("utf-8", "surrogateescape")
    shutil.copy("door.wav", name)
    assert run("identify", name, "--json").code == 0
    assert run("enroll", "alice", name).code == 0
    assert run("speakers", "show", "alice").code == 0
    assert run("speakers", "show", "alice", "--json").code == 0


# --- speakers -----------------------------------------------------------------------


def test_speakers_are_listed_for_people_and_as_json_lines(home: Path, run: Runner) -> None:
    ran = run("speakers", "list")
    assert ran.code == 0
    header, *rows = ran.out.splitlines()
    assert header.startswith("speaker  samples  net speech")
    assert [row.split()[:2] for row in rows] == [["alice", "2"], ["bob", "2"]]
    assert [s["name"] for s in run("--json", "speakers", "list").json_lines] == ["alice", "bob"]


def test_a_home_that_is_not_there_is_named(home: Path, run: Runner) -> None:
    ran = run("speakers", "list", "--home", str(home / "hmoe"))
    assert f"the home {home / 'hmoe'} does not exist yet; it will be created" in ran.err
    assert f"no speaker is enrolled in {home / 'hmoe' / 'data'}" in ran.err
    ran = run("speakers", "list", "--home", str(home / "data" / "voiceid.sqlite3"))
    assert "config.yaml: cannot be read: Not a directory\n" in ran.err


def test_an_empty_gallery_is_a_note_and_no_result(empty_home: Path, run: Runner) -> None:
    ran = run("speakers", "list")
    assert (ran.code, ran.out) == (0, "")
    assert "no speaker is enrolled" in ran.err
    assert run("speakers", "list", "--json", "-q").stdout == b""


def test_a_speaker_is_shown_with_every_sample(home: Path, run: Runner) -> None:
    ran = run("speakers", "show", "alice")
    assert ran.code == 0
    assert "alice-1.wav" in ran.out
    assert "alice-2.wav" in ran.out
    shown = run("speakers", "show", "alice", "--json").json
    assert len(shown["samples"]) == shown["n_samples"] == 2


def test_a_renamed_speaker_keeps_the_samples(home: Path, run: Runner) -> None:
    ran = run("speakers", "rename", "alice", "Alice Liddell")
    assert (ran.code, ran.out) == (0, "renamed  alice is now Alice Liddell\n")
    assert run("speakers", "show", "Alice Liddell", "--json").json["n_samples"] == 2
    assert run("speakers", "show", "alice").code == 41
    assert run("speakers", "rename", "bob", "ALICE LIDDELL").code == 42
    assert run("speakers", "rename", "bob", "").code == 43
    done = run("speakers", "rename", "bob", "Rob", "--json").json
    assert (done["renamed"], done["speaker"]["name"]) == ("bob", "Rob")


def test_a_removed_speaker_is_unknown_at_once(clips: Path, run: Runner) -> None:
    assert run("identify", "door.wav").code == 0
    ran = run("speakers", "remove", "alice", "--yes")
    assert (ran.code, ran.out) == (0, "removed  alice and 2 samples\n")
    assert run("identify", "door.wav").code == 10
    assert run("verify", "alice", "door.wav").code == 41
    assert run("speakers", "remove", "alice", "-y").code == 41
    assert run("speakers", "remove", "bob", "-y", "--json").json["removed"]["name"] == "bob"


# --- models -------------------------------------------------------------------------


def test_models_are_listed_with_what_is_installed(empty_home: Path, run: Runner) -> None:
    ran = run("models", "list")
    assert ran.code == 0
    assert {"campplus", "ge2e", "silero-vad"} <= {line.split()[0] for line in ran.out.splitlines()}
    assert "campplus *" in ran.out
    assert all(m["installed"] for m in run("models", "list", "--json").json_lines)


@pytest.mark.parametrize("name", ["campplus", "ge2e", "silero-vad"])
def test_a_model_is_shown_with_source_hash_and_license(
    name: str, empty_home: Path, run: Runner
) -> None:
    ran = run("models", "show", name)
    assert ran.code == 0
    facts = run("models", "show", name, "--json").json
    assert facts["name"] == name
    assert len(facts["source"]["member_sha256"]) == 64
    assert facts["source"]["member_sha256"] in ran.out
    assert facts["license"] in ran.out


def test_a_quantized_model_is_shown_with_its_base_and_without_its_ranges(
    empty_home: Path, run: Runner
) -> None:
    facts = run("models", "show", "campplus-int8", "--json").json
    assert facts["source"].keys() == {"base", "base_sha256", "layers", "tensors"}
    assert facts["source"]["base"] == "campplus"
    assert facts["source"]["layers"] > 100


def test_models_verify_checks_every_installed_model(empty_home: Path, run: Runner) -> None:
    ran = run("models", "verify", "silero-vad")
    assert ran.code == 0
    assert ran.out.startswith("silero-vad")


def test_a_damaged_model_does_not_verify_and_answers_nothing(
    clips: Path, models_folder: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = clips / "damaged"
    folder.mkdir()
    for path in models_folder.glob("silero-vad.*"):
        shutil.copy(path, folder)
    with (folder / "silero-vad.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    monkeypatch.setenv("VOICEID_MODELS", str(folder))
    ran = run("models", "verify", "silero-vad", "--json")
    assert ran.code == 34
    assert "Traceback" not in ran.err


def test_with_no_model_installed_there_is_nothing_to_verify(
    empty_home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_MODELS", str(empty_home / "none"))
    assert run("models", "verify").code == 32


def test_pull_of_what_is_installed_says_so(empty_home: Path, run: Runner) -> None:
    ran = run("models", "pull")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "campplus  is already installed",
        "silero-vad  is already installed",
        "segmentation  is already installed",
    ]
    assert [m["pulled"] for m in run("models", "pull", "--json").json_lines] == [False] * 3


def test_pull_from_a_file_of_other_bytes_installs_nothing(
    empty_home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_MODELS", str(empty_home / "models"))
    checkpoint = empty_home / "checkpoint.pt"
    checkpoint.write_bytes(b"not these weights")
    ran = run("models", "pull", "ge2e", "--from", checkpoint, "--json")
    assert (ran.code, ran.json["error"]) == (34, "HashMismatch")
    assert not list((empty_home / "models").glob("*.onnx"))


def test_pull_from_a_file_installs_and_remove_takes_it_away(
    empty_home: Path, silero_checkpoint: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEID_MODELS", str(empty_home / "models"))
    ran = run("models", "pull", "silero-vad", "--from", silero_checkpoint)
    assert ran.code == 0, ran.err
    assert "silero-vad  installed" in ran.out
    assert run("models", "remove", "silero-vad").out == "removed  silero-vad\n"
    assert not list((empty_home / "models").glob("silero-vad.onnx"))


# --- the database, the index, the settings ------------------------------------------


def test_the_database_says_where_it_is_and_of_which_revision(home: Path, run: Runner) -> None:
    for word in ("status", "upgrade"):
        facts = run("database", word, "--json").json
        assert facts["current"] == facts["head"]
        assert Path(facts["database"]).is_file()
        assert facts["head"] in run("database", word).out


def test_a_database_is_checked_and_copied(home: Path, run: Runner) -> None:
    assert run("database", "check").out == "ok  2 speakers, every sample and centroid\n"
    assert run("database", "check", "--json").json == {"ok": True, "speakers": 2}
    copied = run("database", "backup", "copy.sqlite3", "--json").json
    assert copied["size_bytes"] == (home / "copy.sqlite3").stat().st_size
    assert run("database", "backup", "copy.sqlite3").code == 58
    assert run("database", "backup", "other.sqlite3").out.startswith("backed up  other.sqlite3")


def test_a_backup_is_put_back_and_recognises_whom_it_holds(
    home: Path, ami: object, run: Runner
) -> None:
    clip = ami.cut("alice-3", home / "door.wav")
    run("database", "backup", "copy.sqlite3")
    run("speakers", "remove", "alice", "--yes")
    assert run("identify", clip).code == 10
    assert run("database", "restore", "copy.sqlite3").code == 2
    told = run("database", "restore", "copy.sqlite3", "--yes", "--json").json
    saved = Path(told.pop("saved"))
    database = str(home / "data" / "voiceid.sqlite3")
    assert told == {"restored": "copy.sqlite3", "database": database, "speakers": 2}
    assert run("identify", clip, "--json").json["speaker"]["name"] == "alice"
    assert run("database", "restore", saved, "--yes").code == 76
    ran = run("database", "restore", saved, "--signed-by", "anybody", "--yes")
    assert ran.out.startswith(f"restored  {saved}, 1 speaker\nsaved     {home}")
    assert run("identify", clip).code == 10
    assert run("index", "status", "--json").json["vectors"] == 1


def test_a_damaged_database_is_replaced_by_a_backup(home: Path, run: Runner) -> None:
    run("database", "backup", "copy.sqlite3")
    (home / "data" / "voiceid.sqlite3").write_text("oops", encoding="utf-8")
    assert "voiceid database restore" in run("speakers", "list").err
    assert run("database", "restore", "copy.sqlite3", "--yes").code == 0
    assert run("database", "check").code == 0
    assert run("database", "restore", "none.sqlite3", "--yes").code == 50
    (home / "notes.txt").write_text("precious", encoding="utf-8")
    assert run("database", "restore", "notes.txt", "--yes").code == 50


def test_a_damaged_database_does_not_pass_the_check(home: Path, run: Runner) -> None:
    with closing(sqlite3.connect(home / "data" / "voiceid.sqlite3")) as connection, connection:
        connection.execute("UPDATE centroids SET vector = (SELECT vector FROM samples LIMIT 1)")
    ran = run("database", "check")
    assert (ran.code, ran.out) == (50, "")
    assert "the centroid of bob" in ran.err


def test_where_there_is_no_database_none_is_made_to_look_after_it(
    empty_home: Path, run: Runner
) -> None:
    assert run("database", "check").code == 50
    assert run("database", "backup", "copy.sqlite3").code == 50
    assert not (empty_home / "data").exists()
    assert not (empty_home / "copy.sqlite3").exists()


def test_an_upgrade_says_what_it_removed(empty_home: Path, run: Runner) -> None:
    """0008 is a database that a program of before 0009 wrote, with a calibration in use."""
    dump = Path(__file__).parents[1] / "unit" / "store" / "databases" / "0008.sql"
    (empty_home / "data").mkdir()
    with closing(sqlite3.connect(empty_home / "data" / "voiceid.sqlite3")) as connection:
        connection.executescript(dump.read_text(encoding="utf-8"))
    ran = run("database", "upgrade", "--json")
    [removed] = ran.json["removed"]
    assert removed.startswith("the upgrade of the database removed 1 calibration")
    assert "`voiceid calibrate`" in removed
    assert removed in ran.err
    assert run("database", "upgrade", "--json").json["removed"] == []


def test_a_database_that_is_none_is_an_error(home: Path, run: Runner) -> None:
    database = Path(run("database", "status", "--json").json["database"])
    database.write_bytes(b"this is not a database" * 100)
    for words in (["speakers", "list"], ["database", "status"], ["database", "upgrade"]):
        ran = run(*words)
        assert ran.code == 50
        assert "Traceback" not in ran.err


def test_the_index_is_shown_and_rebuilt(clips: Path, run: Runner) -> None:
    for word in ("status", "rebuild"):
        ran = run("index", word)
        assert ran.code == 0
        assert "campplus-" in ran.out
        assert len(run("index", word, "--json").json_lines) == 1
    assert run("identify", "door.wav").code == 0


def test_every_setting_is_shown_with_its_source(
    home: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "config.yaml").write_text("decision:\n  margin: 0.25\n", encoding="utf-8")
    shown = run("config", "show", "--model", "ge2e", "--json").json["settings"]
    assert shown["model"] == {"value": "ge2e", "source": "flag"}
    assert shown["decision.margin"] == {"value": 0.25, "source": str(home / "config.yaml")}
    assert shown["offline"] == {"value": True, "source": "VOICEID_OFFLINE"}
    assert shown["index.kind"] == {"value": "auto", "source": "default"}
    assert shown["runtime.threads"]["value"] == 1
    assert shown["log.file"] == {"value": None, "source": "default"}
    assert shown["runtime.providers"]["value"] == ["cpu"]
    assert "decision.margin" in run("config", "show").out


def test_every_setting_there_is_can_be_shown(home: Path) -> None:
    from voiceid.config import load_config

    config = load_config(home)
    assert all(isinstance(_value(config, key), object) for key in config.sources)


def test_settings_are_checked_all_at_once(home: Path, run: Runner) -> None:
    assert run("config", "check").out.startswith("ok  ")
    assert run("config", "check", "--json").json["model"] == "campplus"
    (home / "config.yaml").write_text("modle: ge2e\ndecision:\n  margin: 7\n", encoding="utf-8")
    ran = run("config", "check")
    assert ran.code == 21
    assert "did you mean model" in ran.err
    assert "decision.margin is 7" in ran.err
    (home / "config.yaml").write_text("model: nobody\n", encoding="utf-8")
    assert run("config", "check").code == 31


def test_a_written_config_holds_the_defaults_and_replaces_none(
    empty_home: Path, repo: Path, run: Runner
) -> None:
    ran = run("config", "init")
    assert (ran.code, ran.out) == (0, f"wrote  {empty_home / 'config.yaml'}\n")
    assert (empty_home / "config.yaml").read_bytes() == (repo / "config.yaml").read_bytes()
    (empty_home / "config.yaml").write_text("offline: true\n", encoding="utf-8")
    refused = run("config", "init")
    assert refused.code == 21
    assert (empty_home / "config.yaml").read_text(encoding="utf-8") == "offline: true\n"
    assert run("config", "init", "--force", "--json").json["written"].endswith("config.yaml")
    assert run("config", "init", "--home", empty_home / "new").code == 0
    assert run("config", "init", "--home", empty_home / "config.yaml").code == 21


def test_a_data_folder_by_option_wins(home: Path, tmp_path: Path, run: Runner) -> None:
    elsewhere = tmp_path / "elsewhere"
    assert run("--data", elsewhere, "speakers", "list", "-q").stdout == b""
    assert run("speakers", "list", "-q", "--data", elsewhere).stdout == b""
    last = run("--data", elsewhere, "speakers", "list", "--data", home / "data")
    assert "alice" in last.out


def test_the_examples_of_the_program_run_as_they_stand(clips: Path, ami, run: Runner) -> None:
    names = ("a1.wav", "a2.wav", "a3.wav", "door.mp3")
    for turn, name in zip(("alice-1", "alice-2", "alice-3", "alice-4"), names, strict=True):
        ami.cut(turn, clips / name)
    from voiceid.cli.root import root

    assert run("speakers", "remove", "alice", "--yes").code == 0
    for line in root.examples:
        assert run(*shlex.split(line)[1:]).code == 0


def test_a_recording_that_was_accepted_is_rejected_the_next_time_if_the_settings_say_so(
    home: Path, ami, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = ami.cut("alice-3", home / "alice-3.wav")
    asked = ("verify", "alice", clip)
    assert (run(*asked).code, run(*asked).code) == (0, 0)
    monkeypatch.setenv("VOICEID_REPLAY__CHECK", "true")
    assert (run(*asked).code, run(*asked).code) == (0, 10)
    again = run("identify", clip)
    assert again.code == 10
    assert again.out.startswith("rejected  a recording that was heard before")
    assert run("identify", clip, "--json").json["replay_of"]["heard_as"] == "acceptance"
