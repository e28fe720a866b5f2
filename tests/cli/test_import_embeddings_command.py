"""``voiceid speakers import`` of embeddings that were made elsewhere, on real voices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_running import Runner

from voiceid import VoiceID


@pytest.fixture
def vectors(home: Path, ami, run: Runner) -> Path:
    """Two voices that are not enrolled, as their embeddings, and what names them."""
    with VoiceID.open() as vid:
        heard = [vid.embed(ami.cut(turn, home / f"{turn}.wav")) for turn in ("carol-1", "stranger")]
    np.save(home / "vectors.npy", [one.vector for one in heard])
    (home / "names.txt").write_text("Carol\nEve\n")
    return home / "vectors.npy"


def test_who_was_imported_is_recognised_by_voice(
    vectors: Path, home: Path, ami, run: Runner
) -> None:
    space = run("embed", home / "carol-1.wav", "--json").json["embedding_space"]
    given = ("--ids", home / "names.txt", "--space", space, "--net-speech-s", "3.6")
    done = run("speakers", "import", vectors, *given, "--group", "guests", "--json")
    assert (done.code, done.json) == (
        *(0,),
        {"file": str(vectors), "new_speakers": 2, "samples": 2, "expired": 0},
    )
    found = run("identify", ami.cut("carol-2", home / "door.wav"), "--group", "guests", "--json")
    assert found.json["candidates"][0]["speaker"]["name"] == "Carol"
    assert run("database", "check").code == 0
    assert "vectors.npy row 1" in run("speakers", "show", "carol").out
    assert run("speakers", "import", vectors, *given).code == 42


def test_what_is_not_said_is_asked_for_and_options_for_vectors_go_with_no_other_file(
    vectors: Path, home: Path, run: Runner
) -> None:
    for options, code, told in (
        ((), 55, "--ids"),
        (("--ids", home / "names.txt"), 55, "--space"),
        (("--ids", home / "names.txt", "--space", "other-0"), 38, "other-0"),
    ):
        refused = run("speakers", "import", vectors, *options)
        assert refused.code == code
        assert told in refused.err
    assert run("speakers", "export", home / "out.jsonl").code == 0
    refused = run("speakers", "import", home / "out.jsonl", "--net-speech-s", "3")
    assert refused.code == 2
    assert "--net-speech-s" in refused.err
    assert run("speakers", "import", vectors, "--net-speech-s", "0").code == 2


def test_a_list_of_many_is_taken_page_by_page(home: Path, run: Runner) -> None:
    everybody = [one["name"] for one in run("speakers", "list", "--json").json_lines]
    assert everybody == ["alice", "bob"]
    first = run("speakers", "list", "--limit", "1", "--json").json_lines
    assert [one["name"] for one in first] == everybody[:1]
    rest = run("speakers", "list", "--after", "ALICE", "--json").json_lines
    assert [one["name"] for one in rest] == everybody[1:]
    assert run("speakers", "list", "--after", "bob").out == ""
