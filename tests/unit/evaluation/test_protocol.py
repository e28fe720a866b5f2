"""Which comparisons a list, a map or a manifest makes."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceid.errors import TrialsInvalid
from voiceid.evaluation import pairing, protocol
from voiceid.evaluation.protocol import Protocol, Recording


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def told(made: Protocol) -> set[tuple[str, str, bool]]:
    """Return the trials by name."""
    return {
        (made.models[m].name, made.recordings[p].name, bool(target))
        for (m, p), target in zip(made.trials.tolist(), made.target, strict=True)
    }


def test_a_voxceleb_list_is_read_line_by_line(tmp_path: Path) -> None:
    path = write(tmp_path, "trials", "1 a/1.wav a/2.wav\n\n0 a/1.wav b/1.wav\n1 b/1.wav b/2.wav\n")
    made = protocol.read_trials(path)
    assert told(made) == {
        ("a/1.wav", "a/2.wav", True),
        ("a/1.wav", "b/1.wav", False),
        ("b/1.wav", "b/2.wav", True),
    }
    assert made.recordings[0].path == str(tmp_path / "a" / "1.wav")
    assert not made.gallery
    speakers = {one.name: one.speaker for one in made.recordings}
    assert speakers["a/1.wav"] == speakers["a/2.wav"] != speakers["b/1.wav"] == speakers["b/2.wav"]


def test_recordings_that_target_trials_connect_are_one_speaker(tmp_path: Path) -> None:
    made = protocol.read_trials(write(tmp_path, "t", "1 a b\n1 c d\n1 b c\n0 a e\n"))
    speakers = {one.name: one.speaker for one in made.recordings}
    assert len({speakers[name] for name in "abcd"}) == 1
    assert speakers["e"] != speakers["a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("1 a\n", "line 1"),
        ("2 a b\n", "line 1"),
        ("1 a b\n0 b c\n1 b c\n", "line 2: two speakers, but other lines say one"),
        ("\xff", "line 1"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TrialsInvalid, match=said) as refused:
        protocol.read_trials(write(tmp_path, "t", text))
    assert refused.value.hint


def test_a_list_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\xd8")
    for name in ("missing", "binary", "."):
        with pytest.raises(TrialsInvalid, match="cannot be read"):
            protocol.read_trials(tmp_path / name)


def test_models_are_made_of_the_recordings_of_their_map(tmp_path: Path) -> None:
    enrolled = write(tmp_path, "enrol", "alice a1.wav a2.wav\nbob b1.wav\n")
    trials = "alice a3.wav target\nalice b2.wav nontarget\nbob a3.wav nontarget\nbob b2.wav 1\n"
    made = protocol.read_models(write(tmp_path, "trials", trials), enrolled)
    assert told(made) == {
        ("alice", "a3.wav", True),
        ("alice", "b2.wav", False),
        ("bob", "a3.wav", False),
        ("bob", "b2.wav", True),
    }
    [alice, bob] = made.models
    assert [made.recordings[i].name for i in alice.recordings] == ["a1.wav", "a2.wav"]
    assert [made.recordings[i].speaker for i in bob.recordings] == ["bob"]
    assert {r.name: r.speaker for r in made.recordings}["b2.wav"] == "bob"
    assert made.gallery, "every probe is asked about every model"


def test_models_that_are_not_all_asked_about_are_no_gallery(tmp_path: Path) -> None:
    enrolled = write(tmp_path, "enrol", "alice a1.wav\nbob b1.wav\n")
    trials = "alice a3.wav target\nbob a3.wav nontarget\nalice x.wav nontarget\n"
    made = protocol.read_models(write(tmp_path, "trials", trials), enrolled)
    assert not made.gallery
    assert {r.name: r.speaker for r in made.recordings}["x.wav"] == "x.wav"


@pytest.mark.parametrize(
    ("enrolled", "trials", "said"),
    [
        ("alice\n", "alice a target\n", "line 1: not `MODEL PATH...`"),
        ("alice a1\n", "bob a target\n", "no model bob"),
        ("alice a1\n", "alice a yes\n", "line 1"),
        ("alice a1\nbob b1\n", "alice a target\nbob a target\n", "target of two models"),
    ],
)
def test_maps_and_trials_that_do_not_fit_are_refused(
    tmp_path: Path, enrolled: str, trials: str, said: str
) -> None:
    with pytest.raises(TrialsInvalid, match=said):
        protocol.read_models(write(tmp_path, "t", trials), write(tmp_path, "e", enrolled))


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_manifest_says_who_speaks_where(tmp_path: Path, suffix: str) -> None:
    rows = [
        {"speaker": "alice", "path": "a.wav", "session": "1", "condition": "door"},
        {"speaker": "bob", "path": "b.wav", "session": "2", "condition": ""},
    ]
    text = "\n".join(json.dumps(row) for row in rows)
    if suffix == "csv":
        text = "speaker,path,session,condition\nalice,a.wav,1,door\nbob,b.wav,2,\n"
    found = protocol.read_manifest(write(tmp_path, f"people.{suffix}", text))
    assert found == (
        Recording(str(tmp_path / "a.wav"), "a.wav", "alice", "1", "door"),
        Recording(str(tmp_path / "b.wav"), "b.wav", "bob", "2", ""),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("speaker,path\nalice,\n", "line 2: no path"),
        ("speaker,path,age\nalice,a,7\n", "unknown column 'age'"),
        ("speaker,path\nalice,a\nbob,a\n", "line 3: a occurs twice"),
        ("speaker,path\n", "empty"),
    ],
)
def test_a_manifest_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(TrialsInvalid, match=said):
        protocol.read_manifest(write(tmp_path, "people.csv", text))


recordings = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["", "1", "2"])), min_size=2, max_size=9
).map(
    lambda rows: [
        Recording(f"/{i}.wav", f"{i}.wav", speaker, session)
        for i, (speaker, session) in enumerate(rows)
    ]
)


@given(recordings)
def test_all_pairs_are_all_but_those_of_one_speaker_and_session(given_: list[Recording]) -> None:
    expected = {
        (a.name, b.name, a.speaker == b.speaker)
        for a, b in itertools.combinations(given_, 2)
        if not (a.speaker == b.speaker and a.session and a.session == b.session)
    }
    if len({target for *_, target in expected}) < 2:
        with pytest.raises(TrialsInvalid, match="both are needed"):
            pairing.all_pairs(given_)
        return
    made = pairing.all_pairs(given_)
    assert told(made) == expected
    assert len(made.trials) == len(expected)


@settings(max_examples=200)
@given(recordings, st.integers(1, 3))
def test_no_probe_is_of_a_session_that_its_speaker_was_enrolled_with(
    given_: list[Recording], n: int
) -> None:
    try:
        made = pairing.enroll_first(given_, n)
    except TrialsInvalid:
        return
    used = {}
    for model in made.models:
        assert len(model.recordings) == n
        mine = [made.recordings[i] for i in model.recordings]
        assert mine == [one for one in given_ if one.speaker == model.speaker][:n]
        used[model.speaker] = {one.session for one in mine} - {""}
    enrolled = {i for model in made.models for i in model.recordings}
    for probe in np.unique(made.trials[:, 1]):
        assert probe not in enrolled
        one = made.recordings[probe]
        assert one.session not in used.get(one.speaker, set())
    n_probes = len(np.unique(made.trials[:, 1]))
    assert len(made.trials) == len(made.models) * n_probes
    for (m, p), target in zip(made.trials, made.target, strict=True):
        assert (made.models[m].speaker == made.recordings[p].speaker) == target


def test_who_has_too_few_recordings_is_a_stranger() -> None:
    given_ = [Recording(f"/{n}", n, n[0]) for n in ("a1", "a2", "a3", "b1", "c1", "c2", "c3")]
    made = pairing.enroll_first(given_, 2)
    assert [model.name for model in made.models] == ["a", "c"]
    assert {made.recordings[p].name for p in made.trials[:, 1]} == {"a3", "b1", "c3"}
