"""Recordings in pieces through conditions: what is enrolled, what is asked, what is in memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from voiceid.errors import FitRefused
from voiceid.evaluation.corpus import lines_of
from voiceid.evaluation.degradations import CONDITIONS, LINES, Clip, is_available, is_telephone
from voiceid.evaluation.pieces import USUAL, Piece, Sound, listen, pairs_of, pieces_of

RATE_HZ = 16_000
DIM = 4


def clip(recording: str, seconds: float = 4.0, speaker: str = "a") -> Clip:
    rng = np.random.default_rng(len(recording))
    samples = 0.1 * rng.standard_normal(round(seconds * RATE_HZ)).astype(np.float32)
    return Clip(recording, speaker, "F", samples, RATE_HZ)


def heard(one: Clip) -> Sound:
    """A vector for each clip but the shortest."""
    enough = one.duration_s > 1.5
    return Sound(one.duration_s, np.nan, np.full(DIM, 0.5, np.float32) if enough else None)


def test_the_rows_are_in_the_order_of_the_conditions_whatever_comes_first() -> None:
    pieces = [piece for name in ("r1", "r2") for piece in pieces_of(clip(name), alone=False)]
    found = listen(pieces, ["8 kHz", "clean"], heard, workers=2)
    # The cut of 1.3 s gave no vector; whole, 1.8, 2.5 and 3.5 s did.
    assert found.condition.tolist() == ["8 kHz"] * 8 + ["clean"] * 8
    assert found.recording.tolist() == (["r1"] * 4 + ["r2"] * 4) * 2
    assert found.whole.tolist() == [True, False, False, False] * 4
    assert found.over_telephone.tolist() == [True] * 8 + [False] * 8
    assert found.vectors.shape == (16, DIM)


def test_a_speaker_s_only_recording_is_enrolled_in_thirds() -> None:
    pieces = list(pieces_of(clip("r", 9.0), alone=True))
    assert [(p.clip.recording, p.whole) for p in pieces] == [
        *((f"r/{i}", True) for i in range(3)),
        *(("r", False) for _ in range(3)),
    ]
    assert set(listen(pieces, ["clean"], heard).recording) == {"r"}


def test_digital_silence_is_no_piece() -> None:
    silent = Clip("r", "a", "F", np.zeros(4 * RATE_HZ, np.float32), RATE_HZ)
    silent.samples[:8000] = 0.1  # the cuts of its middle have nothing
    assert [piece.whole for piece in pieces_of(silent, alone=False)] == [True, False]


@pytest.mark.parametrize("name", LINES)
def test_every_condition_takes_a_clip_with_one_sample_that_is_not_zero(name: str) -> None:
    samples = np.zeros(8000, np.float32)
    samples[-1] = 0.5
    changed = LINES[name](Clip("r", "a", "F", samples, RATE_HZ))
    assert np.isfinite(changed.samples).all()
    assert changed.source


def test_recordings_are_let_go_when_they_are_heard() -> None:
    alive: weakref.WeakSet[Clip] = weakref.WeakSet()
    most = 0

    class Kept(Clip):  # a slotted dataclass takes no weak references; this does
        __slots__ = ("__weakref__",)

    def drawn() -> Iterator[Piece]:
        nonlocal most
        for i in range(40):
            one = clip(f"r{i}", 2.0)
            kept = Kept(one.recording, one.speaker, one.sex, one.samples, one.rate_hz)
            alive.add(kept)
            yield Piece(kept, whole=True)
            del kept
            gc.collect()
            most = max(most, len(alive))

    assert len(listen(drawn(), ["clean", "noise 10 dB"], heard, workers=2).speaker) == 80
    assert most <= 6


def test_every_usual_condition_can_be_made_with_the_pinned_libraries() -> None:
    assert all(map(is_available, LINES))
    assert lines_of([], pytest.fail) == USUAL


def test_what_the_codec_libraries_cannot_make_is_left_out_and_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where FFmpeg was built without the encoder of AMR."""
    monkeypatch.setattr("voiceid.audio.coding._AMR", "no_such_encoder")
    said: list[str] = []
    found = lines_of([], said.append)
    assert set(USUAL) - set(found) == {"AMR 12.2 kbit/s", "AMR 4.75 kbit/s"}
    assert "AMR 12.2 kbit/s; AMR 4.75 kbit/s" in said[0]
    with pytest.raises(FitRefused, match=r"AMR 4\.75"):
        lines_of(["clean", "AMR 4.75 kbit/s"], said.append)


@pytest.mark.parametrize(
    ("asked", "words"),
    [(["quiet"], "no condition 'quiet'"), (["clean"], "one of the two"), (["8 kHz"], "of the two")],
)
def test_conditions_are_known_and_of_both_lines(asked: list[str], words: str) -> None:
    with pytest.raises(FitRefused, match=words):
        lines_of(asked, pytest.fail)


def test_every_line_meets_every_line_but_the_bad_ones() -> None:
    found = pairs_of(USUAL)
    assert len(found) == len(set(found))
    assert {name for pair in found for name in pair} == {*USUAL} & {*CONDITIONS}
    phones = [name for name in USUAL if name in CONDITIONS and is_telephone(name)]
    assert {(a, b) for a in phones for b in phones} <= set(found)
    assert {("clean", name) for name in USUAL if name in CONDITIONS} <= set(found)
    clipped = {pair for pair in pairs_of([*CONDITIONS]) if "clipped by 12 dB" in pair}
    assert clipped == {("clean", "clipped by 12 dB")}  # enrolment refuses such clips
    assert set(pairs_of(["noise 10 dB", "8 kHz"])) == {
        ("noise 10 dB", "noise 10 dB"),
        ("noise 10 dB", "8 kHz"),
        ("8 kHz", "8 kHz"),
    }
