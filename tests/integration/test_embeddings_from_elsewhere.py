"""Vectors that were embedded elsewhere, and decisions that a listener hears of."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voiceid import (
    Decision,
    EmbeddedClip,
    Outcome,
    Reason,
    SpaceMismatch,
    SpeakerDetails,
    ThresholdUnavailable,
    Utterance,
    VoiceID,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def vid(home: Path) -> VoiceID:
    """Alice and bob, in a data folder of this test's own."""
    with VoiceID.open() as opened:
        yield opened


@pytest.fixture
def heard(vid: VoiceID, home: Path, ami) -> Utterance:
    return vid.models.hear(ami.cut("alice-4", home / "door.wav"))


def test_a_vector_is_decided_about_as_its_clip_is(
    vid: VoiceID, home: Path, heard: Utterance
) -> None:
    of_clip = vid.identify(home / "door.wav")
    found = vid.identify(
        EmbeddedClip(
            heard.embedding.vector,
            heard.embedding.space,
            net_speech_s=heard.quality.net_speech_s,
            telephone=heard.embedding.telephone,
        )
    )
    assert heard.embedding.telephone == heard.quality.telephone is not None
    same = ("outcome", "reason", "speaker", "threshold", "gallery_size")
    assert [getattr(found, name) for name in same] == [getattr(of_clip, name) for name in same]
    # It was scaled to unit length a second time: one step of float32.
    assert found.score == pytest.approx(of_clip.score, abs=1e-6)
    assert found.margin == pytest.approx(of_clip.margin, abs=1e-6)
    assert found.accepted
    assert found.quality is None
    assert found.to_dict()["quality"] is None


def test_its_length_does_not_matter_and_the_space_may_be_named(
    vid: VoiceID, heard: Utterance
) -> None:
    longer = (3.5 * heard.embedding.vector.astype(np.float64)).tolist()
    found = vid.identify(EmbeddedClip(longer, vid.models.space.id, net_speech_s=4.0))
    assert found.speaker.name == "alice"
    assert found.accepted


def test_without_the_amount_of_speech_there_is_no_measured_threshold(
    vid: VoiceID, heard: Utterance
) -> None:
    with pytest.raises(ThresholdUnavailable, match="amount of speech"):
        vid.identify(EmbeddedClip(heard.embedding.vector, vid.models.space))


def test_a_vector_as_the_encoder_makes_it_is_decided_about_as_its_clip_is(
    vid: VoiceID, home: Path, heard: Utterance
) -> None:
    raw = vid.embed(home / "door.wav", raw=True)
    assert raw.space == vid.models.space.raw
    assert raw.space.id != vid.models.space.id
    of_clip = vid.identify(home / "door.wav")
    speech_s = heard.quality.net_speech_s
    for telephone in (None, 0.0, 1.0):  # it is read off the vector, whatever is said of it
        found = vid.identify(EmbeddedClip(3 * raw.vector, raw.space, speech_s, telephone))
        same = ("outcome", "reason", "speaker", "gallery_size")
        assert [getattr(found, name) for name in same] == [getattr(of_clip, name) for name in same]
        assert found.embedding_space == vid.models.space
        assert found.score == pytest.approx(of_clip.score, abs=1e-5)
        assert found.threshold.value == pytest.approx(of_clip.threshold.value, abs=1e-5)
    ranked = vid.search(EmbeddedClip(raw.vector, raw.space.id))
    expected = vid.search(EmbeddedClip(heard.embedding.vector, heard.embedding.space))
    assert [one.speaker for one in ranked] == [one.speaker for one in expected]
    scores = [[one.score for one in some] for some in (ranked, expected)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_a_vector_whose_line_is_not_known_gets_the_threshold_of_a_telephone(
    vid: VoiceID, home: Path, heard: Utterance
) -> None:
    """Carol is enrolled by vectors, and the line of hers is not known either."""
    np.save(home / "vectors.npy", heard.embedding.vector[None])
    (home / "names.txt").write_text("carol\n")
    vid.speakers.remove("alice")
    vid.speakers.import_embeddings(
        home / "vectors.npy", vid.models.space, ids=home / "names.txt", net_speech_s=4.0
    )

    def threshold(telephone: float | None) -> float:
        clip = EmbeddedClip(heard.embedding.vector, vid.models.space, 4.0, telephone)
        return vid.identify(clip).threshold.value

    assert threshold(None) == threshold(1.0)
    assert threshold(0.0) < threshold(0.5) < threshold(1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda v: (v[:-1], None),
        lambda v: (v * np.nan, None),
        lambda v: (v * 0, None),
        lambda v: (v[None], None),
        lambda v: ([], None),
        lambda v: (["a"] * len(v), None),
        lambda v: ([v, [1.0]], None),
        lambda v: (v, "ge2e-000000000000"),
        lambda v: (v, ""),
    ],
)
def test_what_is_no_vector_of_this_gallery_is_refused(
    vid: VoiceID, heard: Utterance, wrong: Callable[[np.ndarray], tuple[object, str | None]]
) -> None:
    vector, space = wrong(heard.embedding.vector)
    named = vid.models.space if space is None else space
    with pytest.raises(SpaceMismatch) as refused:
        vid.identify(EmbeddedClip(vector, named, net_speech_s=4.0))
    assert refused.value.hint
    with pytest.raises(SpaceMismatch):
        vid.search(EmbeddedClip(vector, named))


def test_a_search_ranks_and_decides_nothing(vid: VoiceID, heard: Utterance) -> None:
    told: list[Decision] = []
    vid.events.on_decision(told.append)
    found = vid.search(EmbeddedClip(heard.embedding.vector, heard.embedding.space))
    assert [one.speaker.name for one in found] == ["alice", "bob"]
    assert found[0].score > 0.5 > found[1].score
    vid.speakers.edit("bob", SpeakerDetails(groups=("lobby",)))
    among = vid.search(EmbeddedClip(heard.embedding.vector, vid.models.space), k=1, group="Lobby")
    assert [one.speaker.name for one in among] == ["bob"]
    assert told == []


def test_vectors_are_answered_where_no_model_is_installed(
    vid: VoiceID, home: Path, heard: Utterance, tmp_path: Path
) -> None:
    np.save(home / "vector.npy", heard.embedding.vector)
    code = (
        "import sys, numpy as np; from voiceid import EmbeddedClip, VoiceID\n"
        "with VoiceID.open() as vid:\n"
        "    clip = EmbeddedClip(np.load('vector.npy'), vid.models.space, net_speech_s=6.0)\n"
        "    found = vid.identify(clip)\n"
        "    print(found.speaker.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=home,
        env={
            "VOICEID_HOME": str(home),
            "VOICEID_MODELS": str(tmp_path / "none"),
            "PATH": "",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "alice\n"), done.stderr


def test_every_decision_is_reported_before_it_is_given(vid: VoiceID, home: Path, ami) -> None:
    door = ami.cut("alice-4", home / "door.wav")
    told: list[Decision] = []
    stop = vid.events.on_decision(told.append)
    decisions = [
        vid.identify(door),
        vid.verify("bob", door),
        vid.compare(door, door),
        *vid.identify_all([door, home / "nothing.wav"]),
        *vid.verify_all("alice", [door]),
    ]
    made = [one for one in decisions if isinstance(one, Decision)]
    assert told == made
    assert len(made) == 5
    stop()
    stop()
    vid.verify("bob", door)
    assert len(told) == 5


def test_what_a_listener_raises_takes_the_place_of_the_decision(
    vid: VoiceID, home: Path, ami
) -> None:
    door = ami.cut("alice-4", home / "door.wav")

    def refuse(decision: Decision) -> None:
        raise OSError("the log is full")

    stop = vid.events.on_decision(refuse)
    with pytest.raises(OSError, match="the log is full"):
        vid.identify(door)
    stop()
    assert vid.identify(door).accepted


def test_who_is_barred_is_not_accepted_by_a_vector(vid: VoiceID, heard: Utterance) -> None:
    vid.speakers.edit("alice", SpeakerDetails(enabled=False))
    found = vid.identify(
        EmbeddedClip(heard.embedding.vector, vid.models.space, net_speech_s=4.0), margin=0.0
    )
    assert (found.outcome, found.reason) == (Outcome.REJECTED, Reason.SPEAKER_DISABLED)
    assert found.speaker is None


@pytest.mark.parametrize("kind", ["compact", "two-stage"])
def test_an_import_leaves_no_index_to_be_made_by_the_next_question(
    tmp_path: Path, kind: str
) -> None:
    array = np.random.default_rng(0).standard_normal((40, 192), dtype=np.float32)
    with VoiceID.open(tmp_path / "data", overrides={"index.kind": kind}) as vid:
        for number, names in enumerate((range(30), range(30, 40))):
            np.save(tmp_path / "v.npy", array[list(names)])
            (tmp_path / "n.txt").write_text("".join(f"voice {name}\n" for name in names))
            vid.speakers.import_embeddings(
                tmp_path / "v.npy", vid.models.space, ids=tmp_path / "n.txt", net_speech_s=9.0
            )
            [status] = vid.index.status()
            assert (status.kind, status.state) == (kind, ("current", "behind")[number])
        assert not (tmp_path / "data" / "index" / "sealing.lock").stat().st_size
        found = vid.search(EmbeddedClip(array[35], vid.models.space), k=1)
        assert (found[0].speaker.name, vid.index.status()[0].vectors) == ("voice 35", 30)
