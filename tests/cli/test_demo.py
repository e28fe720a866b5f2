"""``voiceid demo``: the main job on real speech, in a gallery of its own."""

from __future__ import annotations

from pathlib import Path

from cli_running import Runner

AMI = Path(__file__).resolve().parents[2] / "data" / "ami"


def test_every_answer_is_right_whatever_the_settings_of_the_gallery(
    run: Runner, home: Path
) -> None:
    (home / "config.yaml").write_text("decision: {threshold: 0.99}\n")  # a rule of the gallery
    (home / "data" / "ami").symlink_to(AMI)
    shown = run("demo", "--offline", "--json")
    assert shown.code == 0, shown.err
    assert shown.json == {"right": 10, "asked": 10}
    assert "10 of 10 answers are right" in shown.err
    names = [speaker["name"] for speaker in run("speakers", "list", "--json").json_lines]
    assert names == ["alice", "bob"]  # as before


def test_a_folder_that_is_not_of_the_demo_is_left_alone(run: Runner, home: Path) -> None:
    (home / "data" / "ami").symlink_to(AMI)
    kept = home / "data" / "demo" / "voiceid.sqlite3"
    kept.parent.mkdir()
    kept.touch()
    refused = run("demo", "--offline")
    assert refused.code == 21
    assert kept.exists()


def test_without_its_recordings_and_offline_it_says_where_they_belong(
    run: Runner, home: Path
) -> None:
    refused = run("demo", "--offline")
    assert refused.code == 33
    assert str(home / "data" / "ami") in refused.err


def test_an_index_that_does_not_answer_is_said(spawn: Runner, home: Path) -> None:
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "VOICEID_OFFLINE": "false"}
    refused = spawn("demo", env=nowhere)
    assert refused.code == 33
    assert "could not be fetched" in refused.err
