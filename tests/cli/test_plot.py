"""``voiceid plot``, on real speech."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cli_running import Ran, Runner
from worker_forks import program

from voiceid import VoiceID

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def people(home: Path, ami) -> Path:
    """A folder a person, with clips that are good and one that is silent."""
    for turn in ("alice-1", "alice-2", "bob-1", "bob-2", "bob-3", "carol-1"):
        folder = home / "people" / turn.partition("-")[0]
        folder.mkdir(parents=True, exist_ok=True)
        ami.cut(turn, folder / f"{turn}.wav")
    soundfile.write(home / "people/carol/silence.wav", np.zeros(32_000, np.float32), 16_000)
    return home / "people"


def test_the_enrolled_are_drawn_as_a_picture_and_a_page(home: Path, run: Runner) -> None:
    ran = run("plot", "speakers", "-o", "pictures")
    assert ran.code == 0
    assert ran.out == "wrote pictures/speakers.png\nwrote pictures/speakers.html\n"
    assert (home / "pictures/speakers.png").read_bytes().startswith(PNG)
    page = (home / "pictures/speakers.html").read_text(encoding="utf-8")
    assert "<title>alice: alice-1.wav</title>" in page
    assert sorted(p.name for p in (home / "pictures").iterdir()) == [
        "speakers.html",
        "speakers.png",
    ]


def test_without_output_files_land_in_the_current_folder(home: Path, run: Runner) -> None:
    assert run("plot", "speakers").out == "wrote speakers.png\nwrote speakers.html\n"
    assert (home / "speakers.png").is_file()


def test_one_file_is_written_by_its_name(home: Path, run: Runner) -> None:
    assert run("plot", "speakers", "-o", "voices.PNG").out == "wrote voices.PNG\n"
    assert run("plot", "speakers", "-o", "voices.html").out == "wrote voices.html\n"
    assert (home / "voices.PNG").read_bytes().startswith(PNG)
    assert not (home / "speakers.png").exists()


def test_added_audio_lands_nearest_to_the_speaker_whose_voice_it_is(
    home: Path, ami, run: Runner
) -> None:
    ami.cut("alice-3", home / "door.wav")
    told = run("plot", "speakers", "--add", "door.wav", "--json").json
    assert told["files"] == []
    assert told["method"] == "pca"
    points = {
        name: np.array([[p["x"], p["y"]] for p in told["points"] if p["speaker"] == name])
        for name in ("alice", "bob", None)
    }
    distances = {
        name: float(np.linalg.norm(points[name].mean(axis=0) - points[None][0]))
        for name in ("alice", "bob")
    }
    assert distances["alice"] < 0.5 * distances["bob"]
    assert [p["clip"] for p in told["points"] if p["speaker"] is None] == ["door.wav"]


def test_added_audio_that_is_no_speech_is_reported_and_left_out(home: Path, run: Runner) -> None:
    soundfile.write(home / "silence.wav", np.zeros(32_000, np.float32), 16_000)
    ran = run("plot", "speakers", "--add", "silence.wav", "--json")
    assert ran.code == 0
    assert "warning: silence.wav left out: 0.00 s of net speech" in ran.err
    assert [entry["clip"] for entry in ran.json["left_out"]] == ["silence.wav"]
    assert len(ran.json["points"]) == 4


def test_t_sne_of_few_samples_says_that_it_is_pca(home: Path, run: Runner) -> None:
    answer = run("plot", "speakers", "--method", "tsne", "--json").json
    assert answer["method"] == "pca"
    assert answer["notes"] == ["t-SNE needs 5 clips: this is PCA"]


def test_only_the_members_of_a_group_are_drawn(home: Path, run: Runner) -> None:
    run("speakers", "edit", "bob", "--group", "staff")
    told = run("plot", "speakers", "--group", "staff", "--json").json
    assert {point["speaker"] for point in told["points"]} == {"bob"}
    ran = run("plot", "speakers", "--group", "nobody", "--json")
    assert ran.code == 41
    assert "no speaker in the group 'nobody' has samples" in ran.json["message"]


def test_samples_of_another_space_are_counted_and_not_drawn(home: Path, ami, run: Runner) -> None:
    clip = ami.cut("bob-3", home / "bob-3.wav")
    assert run("enroll", "bob", clip, "--model", "ge2e", "--force", "--min-speech", "0").code == 0
    ran = run("plot", "speakers", "--json")
    assert len(ran.json["points"]) == 4
    assert "1 sample of other embedding spaces is not drawn" in ran.err
    assert {
        p["clip"] for p in run("plot", "speakers", "--json", "--model", "ge2e").json["points"]
    } == {"bob-3.wav"}


def test_no_speaker_enrolled_is_an_error_and_leaves_no_file(empty_home: Path, run: Runner) -> None:
    ran = run("plot", "speakers")
    assert ran.code == 41
    assert "nothing to draw" in ran.err
    assert not list(empty_home.glob("speakers.*"))


def test_a_picture_that_is_there_is_left_as_it_is_unless_forced(home: Path, run: Runner) -> None:
    (home / "speakers.html").write_text("mine", encoding="utf-8")
    ran = run("plot", "speakers")
    assert ran.code == 58
    assert "error: speakers.html exists already, and was not changed" in ran.err
    assert not (home / "speakers.png").exists()
    assert run("plot", "speakers", "--force").code == 0
    assert (home / "speakers.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_picture_that_cannot_be_written_is_an_error_of_one_line(home: Path, run: Runner) -> None:
    (home / "file").write_text("no folder", encoding="utf-8")
    ran = run("plot", "speakers", "-o", "file/voices.png")
    assert ran.code == 58
    assert "the folder file cannot be created: File exists" in ran.err
    assert "Traceback" not in ran.err
    assert (home / "file").read_text(encoding="utf-8") == "no folder"


@pytest.mark.parametrize("name", ["voices.jpg", "voices.svg"])
def test_a_kind_of_file_that_cannot_be_drawn_is_refused(home: Path, run: Runner, name: str) -> None:
    ran = run("plot", "speakers", "-o", name)
    assert ran.code == 58
    assert "ends with .png or .html" in ran.err


def test_the_matrix_of_a_folder_of_people_is_drawn(people: Path, run: Runner) -> None:
    ran = run("plot", "similarity", "people", "-o", "matrix.png", "--json")
    assert ran.code == 0
    told = ran.json
    assert Path("matrix.png").read_bytes().startswith(PNG)
    assert told["files"] == ["matrix.png"]
    speakers = [entry["speaker"] for entry in told["clips"]]
    assert speakers == ["alice"] * 2 + ["bob"] * 3 + ["carol"]
    matrix = np.array(told["cosines"])
    assert matrix.shape == (6, 6)
    assert matrix[0, 1] > 0.48 > matrix[0, 2]
    assert [Path(entry["clip"]).name for entry in told["left_out"]] == ["silence.wav"]


def test_the_scores_of_a_list_are_drawn_with_the_thresholds_that_decide(
    people: Path, run: Runner
) -> None:
    lines = ["name,path"]
    lines += [f"{p.parent.name},{p.relative_to(people.parent)}" for p in people.rglob("*-*.wav")]
    Path("trials.csv").write_text("\n".join(lines), encoding="utf-8")
    ran = run("plot", "scores", "trials.csv", "-o", "out", "--json")
    assert ran.code == 0
    told = ran.json
    assert told["files"] == ["out/scores.png"]
    assert (len(told["genuine"]), len(told["impostor"])) == (4, 11)
    assert min(told["genuine"]) > max(told["impostor"])
    assert told["thresholds"]
    assert len(told["thresholds"]) == 2, "clips of 2 to 4 s, and of more"
    for label, value in told["thresholds"].items():
        assert label == f"{value:.3f}, FMR 0.1 %"
    with VoiceID.open() as vid:
        decided = vid.compare(people / "bob/bob-1.wav", people / "bob/bob-2.wav").threshold
    assert decided is not None
    assert pytest.approx(decided.value, abs=1e-5) in list(told["thresholds"].values())


def test_the_target_of_the_settings_is_the_one_that_is_drawn(
    people: Path, run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = run("plot", "scores", "people/alice", "people/bob", "--json").json["thresholds"]
    monkeypatch.setenv("VOICEID_DECISION__TARGET_FMR", "0.3")
    told = run("plot", "scores", "people/alice", "people/bob", "--json").json["thresholds"]
    assert max(told.values()) <= max(usual.values())
    assert all(label.endswith(" %") for label in told)


def test_one_recording_under_two_names_counts_once(people: Path, ami, run: Runner) -> None:
    ami.cut("alice-1", people / "carol/copy.flac")
    ran = run("plot", "similarity", "people/alice", "people/carol", "--json")
    assert "the same recording as people/alice/alice-1.wav" in ran.err
    assert len(ran.json["clips"]) == 3


def test_one_clip_is_nothing_to_compare(people: Path, run: Runner) -> None:
    ran = run("plot", "scores", "people/carol", "--json")
    assert ran.code == 27
    assert "1 of 2 clips can be used" in ran.json["message"]


def test_standard_input_is_no_speakers_clip(home: Path, run: Runner) -> None:
    ran = run("plot", "similarity", "-")
    assert ran.code == 2
    assert "Standard input (-) has no speaker" in ran.err


def test_the_det_curve_of_a_folder_and_of_its_report_is_drawn(people: Path, run: Runner) -> None:
    assert run("evaluate", "people", "-o", "report", "-q").code == 0
    assert Path("report/det.svg").read_bytes().startswith(b"<?xml")
    for source in ("people", "report/report.json"):
        ran = run("plot", "det", source, "-o", "out", "--force")
        assert ran.code == 0, ran.err
        assert ran.out == "wrote out/det.png\nwrote out/det.svg\n"
        width, height = np.frombuffer(Path("out/det.png").read_bytes()[16:24], ">u4")
        assert width * 9 == height * 16
    assert run("plot", "det", "report/report.json", "-o", "det.svg", "--json").json == {
        "files": ["det.svg"]
    }
    Path("report/scores.txt").unlink()
    ran = run("plot", "det", "report/report.json", "-o", "none")
    assert (ran.code, "Keep scores.txt beside" in ran.err) == (56, True)


def without(module: str, *commands: list[str]) -> Ran:
    """Run commands in a process that has no such module, up to the first that fails."""
    text = (
        f"import sys; sys.modules[{module!r}] = None\n"
        f"from voiceid.cli import main\n"
        f"sys.exit(next(filter(None, map(main, {commands!r})), 0))"
    )
    with program(text) as worker:
        said, errors = worker.communicate()
    return Ran(worker.returncode, said.encode(), errors.encode())


def test_without_matplotlib_a_picture_alone_says_what_to_install(home: Path, ami) -> None:
    door = str(ami.cut("alice-3", home / "door.wav"))
    others = ["speakers", "list"], ["plot", "speakers", "--help"], ["identify", door, "-q"]
    ran = without("matplotlib", *others, ["plot", "speakers", "--json"])
    assert ran.code == 57
    assert json.loads(ran.out.splitlines()[-1])["error"] == "ExtraMissing"
    assert "pip install 'voiceid[plots]'" in ran.err


def test_without_scikit_learn_there_is_pca_and_no_t_sne(home: Path, ami, run: Runner) -> None:
    clip = str(ami.cut("bob-3", home / "bob-3.wav"))
    plot = ["plot", "speakers", "--add", clip, "--json"]
    ran = without("sklearn", plot, [*plot, "--method", "tsne"])
    assert len(ran.out.splitlines()) == 2, "the first draws"
    assert ran.code == 57
    assert "t-SNE needs scikit-learn" in ran.err
