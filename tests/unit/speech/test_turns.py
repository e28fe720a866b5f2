"""It is found whether a clip is of one person or of several, and who speaks when."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceid.decision.embeddings import unit
from voiceid.domain import Embedding, Speech
from voiceid.errors import ModelRuntimeError
from voiceid.evaluation.degradations import HALL, Clip, reverberant
from voiceid.models.cards import load_cards, shipped_cards_folder
from voiceid.models.providers import EngineOptions
from voiceid.models.runtime import Session
from voiceid.models.status import InstalledModel
from voiceid.speech.encoder import Encoder
from voiceid.speech.segmenter import LEAST_SAMPLES, Segmenter
from voiceid.speech.turns import (
    Scores,
    Voices,
    alternating,
    handover,
    in_order_of_speech,
    runs,
    two_groups,
)

RATE = 16_000
Hear: TypeAlias = Callable[..., Speech]
labels = st.lists(st.integers(0, 2), min_size=1, max_size=60).map(np.array)


def installed(folder: Path, name: str) -> InstalledModel:
    path = folder / f"{name}.onnx"
    return InstalledModel(path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture(scope="module")
def segmenter(models_folder: Path) -> Segmenter:
    return Segmenter.open(installed(models_folder, "segmentation"), EngineOptions())


@pytest.fixture(scope="module")
def encoder(models_folder: Path) -> Encoder:
    card, model = (
        load_cards(shipped_cards_folder())["campplus"],
        installed(models_folder, "campplus"),
    )
    return Encoder.open(
        model.path,
        model.sha256,
        card.space("none"),
        rule=card.rule,
        compensation=card.compensation(),
    )


@pytest.fixture(scope="module")
def voices(encoder: Encoder, segmenter: Segmenter) -> Voices:
    card = load_cards(shipped_cards_folder())["campplus"]
    return Voices(encoder, lambda: segmenter, card.overlap())


def speech(*samples: np.ndarray, encoder: Encoder | None = None) -> Speech:
    joined = np.concatenate(samples)
    encoded = None if encoder is None else encoder.encode(joined)[1]
    return Speech(joined, np.arange(-(-len(joined) // 512)), encoded=encoded)


@pytest.fixture(scope="module", params=["from the frames of the clip", "each heard by itself"])
def hear(request: pytest.FixtureRequest, encoder: Encoder) -> Hear:
    """Speech of samples, with what the encoder made of it and without."""
    return functools.partial(speech, encoder=encoder if "frames" in request.param else None)


@pytest.mark.parametrize("turn", ["alice-2", "alice-4", "bob-3", "carol-2", "stranger"])
def test_a_turn_of_one_person_is_one_voice(turn: str, voices: Voices, hear: Hear, ami: Any) -> None:
    assert voices.several(hear(ami.samples(turn))) is None


@pytest.mark.parametrize("seconds", [1.0, 1.5, 2.0, 3.0, 4.0])
def test_a_short_clip_of_one_person_is_not_called_several(
    seconds: float, voices: Voices, hear: Hear, ami: Any
) -> None:
    for turn in ("alice-2", "bob-1", "bob-3"):
        assert voices.several(hear(ami.samples(turn)[: round(seconds * RATE)])) is None


def in_hall(samples: np.ndarray, place: str) -> np.ndarray:
    return reverberant(Clip(place, place, "", samples, RATE), HALL).samples


def test_an_echo_is_no_other_voice_where_the_frames_are_of_one(
    voices: Voices, encoder: Encoder, segmenter: Segmenter, ami: Any
) -> None:
    heard = speech(in_hall(ami.samples("alice-3")[:24_000], "alice-3"), encoder=encoder)
    assert voices.several(heard) is None
    assert Voices(encoder, lambda: segmenter).several(heard) is not None


@pytest.mark.parametrize(("one", "other"), [("carol-2", "stranger"), ("alice-3", "bob-1")])
def test_two_at_once_are_found_in_a_room_that_echoes(
    one: str, other: str, voices: Voices, encoder: Encoder, ami: Any
) -> None:
    first, second = (in_hall(ami.samples(turn)[:24_000], turn) for turn in (one, other))
    gain = np.sqrt(np.mean(first**2) / np.mean(second**2))
    assert voices.several(speech(first + gain * second, encoder=encoder)) is not None


@pytest.mark.parametrize(
    ("one", "other"), [("alice-4", "bob-3"), ("bob-1", "stranger"), ("carol-1", "alice-3")]
)
def test_two_in_turn_are_parted_where_they_change(
    one: str, other: str, voices: Voices, encoder: Encoder, hear: Hear, ami: Any
) -> None:
    first, second = ami.samples(one), ami.samples(other)
    several = voices.several(hear(first, second))
    assert several is not None
    before, after = several.parts
    assert (before.voice, after.voice) == (1, 2)
    assert before.end_s == after.start_s == pytest.approx(len(first) / RATE, abs=0.6)
    assert after.end_s == pytest.approx((len(first) + len(second)) / RATE, abs=0.1)
    for part, own in ((before, first), (after, second)):
        embedding, seconds = several.embeddings[part.voice]
        assert float(embedding.vector @ encoder.embed(own).vector) > 0.75
        # Half a second beside the change is left out.
        assert seconds == pytest.approx(part.end_s - part.start_s - 0.5, abs=0.02)


@pytest.mark.parametrize("lengths_s", [(1.3, 1.3), (0.8, 2.0), (2.5, 0.8)])
def test_two_in_turn_are_found_in_little_speech(
    lengths_s: tuple[float, float], voices: Voices, encoder: Encoder, ami: Any
) -> None:
    first, second = (
        ami.samples(turn)[: round(length_s * RATE)]
        for turn, length_s in zip(("alice-4", "bob-3"), lengths_s, strict=True)
    )
    several = voices.several(speech(first, second, encoder=encoder))
    assert several is not None
    assert [part.voice for part in several.parts] == [1, 2]
    assert several.parts[0].end_s == pytest.approx(lengths_s[0], abs=0.3)


def test_two_at_once_are_found_and_the_rest_of_the_clip_is_one_voice(
    voices: Voices, hear: Hear, ami: Any
) -> None:
    first, second = ami.samples("bob-1"), ami.samples("carol-1")
    n = min(len(first), len(second))
    gain = np.sqrt(np.mean(first[:n] ** 2) / np.mean(second[:n] ** 2))
    several = voices.several(hear(first[:n] + gain * second[:n], first[n:]))
    assert several is not None
    overlapped = [part for part in several.parts if part.voice is None]
    assert sum(part.end_s - part.start_s for part in overlapped) > 0.5
    assert max(part.end_s for part in overlapped) < n / RATE + 0.6


def test_parts_of_a_recording_with_pauses_are_at_the_times_of_the_recording(
    voices: Voices, ami: Any
) -> None:
    first, second = (ami.samples(turn)[: 150 * 512] for turn in ("alice-4", "bob-3"))
    frames = np.concatenate([np.arange(100, 250), np.arange(400, 550)])
    several = voices.several(Speech(np.concatenate([first, second]), frames))
    assert several is not None
    assert several.parts[0].start_s == pytest.approx(100 * 0.032)
    assert several.parts[-1].end_s == pytest.approx(550 * 0.032, abs=0.05)
    again = Speech(np.concatenate([first, second]), frames, ((60.0, 100.0),))
    assert again.at_s(0) == pytest.approx(63.2)


class Says(Session):
    """A segmentation model that is sure, in parts of equal length, of one set of people each."""

    def __init__(self, *sets: int) -> None:
        self._sets = np.array(sets)

    def run(self, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        n, samples = feeds["waveform"].shape
        frames = Segmenter.frames(samples)
        sets = self._sets[np.arange(frames) * len(self._sets) // frames]
        return [np.repeat(np.log(np.eye(7, dtype=np.float32)[sets] + 1e-9)[None], n, axis=0)]


NONE, ONE, OTHER, BOTH = 0, 1, 2, 4
"""Sets of people that the segmentation model tells apart."""


def test_a_moment_of_two_at_once_is_a_cough_however_little_is_said(encoder: Encoder) -> None:
    def share(*sets: int) -> float:
        return Voices(encoder, lambda: Segmenter(Says(*sets))).at_once(sound)[1]

    sound = np.zeros(2 * RATE, np.float32)
    assert share(BOTH, NONE, NONE, NONE, NONE, NONE) == 0.0  # 0.33 s of 0.33 s
    assert share(BOTH, NONE, NONE, NONE) == pytest.approx(1.0, abs=1e-3)  # 0.5 s of 0.5 s


def test_the_segmentation_model_is_asked_about_speech_at_once_unless_the_frames_know_better(
    encoder: Encoder, ami: Any
) -> None:
    asked = []

    def is_several(seconds: int, said: float) -> bool:
        heard = speech(ami.samples("alice-4")[: seconds * RATE], encoder=encoder)
        weights = np.zeros_like(load_cards(shipped_cards_folder())["campplus"].overlap())
        weights[-1] = said
        case = seconds, said
        voices = Voices(encoder, lambda: asked.append(case) or Segmenter(Says(BOTH)), weights)
        return voices.several(heard) is not None

    assert is_several(2, 1.0)
    assert not is_several(2, -1.0)
    assert is_several(5, -1.0), "of so much the weights know nothing"
    assert asked == [(2, 1.0), (5, -1.0)]


def test_scores_that_come_and_go_in_long_speech_are_of_two_who_alternate(
    voices: Voices, encoder: Encoder, ami: Any
) -> None:
    heard = speech(ami.samples("alice-4")[: 5 * RATE], encoder=encoder)

    def known(lower: float) -> Scores:
        return lambda found: np.where(np.arange(len(found)) // 4 % 2, lower, 0.6)

    several = voices.several(heard, known(0.2), 0.49)
    assert several is not None
    assert [part.voice for part in several.parts] == [1, 2, 1, 2, 1]
    assert voices.several(heard, known(0.2), 0.5) is None, "over telephones one voice does so too"
    assert voices.several(heard, known(0.4)) is None


def test_moments_in_which_two_speak_at_once_are_a_part(encoder: Encoder, ami: Any) -> None:
    heard = speech(ami.samples("alice-4")[: 2 * RATE], encoder=encoder)
    moments = Says(*(ONE, BOTH) * 3, *(ONE,) * 4)
    several = Voices(encoder, lambda: Segmenter(moments)).several(heard)
    assert several is not None
    assert [part.voice for part in several.parts] == [None, 1]


def test_voices_that_change_a_little_are_two_where_one_hands_over(
    encoder: Encoder, ami: Any
) -> None:
    heard = speech(ami.samples("bob-2")[52_000:76_000], encoder=encoder)
    of_one = -np.eye(1, 2 * len(heard.encoded) + 1, 2 * len(heard.encoded), dtype=np.float32)[0]

    def is_several(*sets: int) -> bool:
        return Voices(encoder, lambda: Segmenter(Says(*sets)), of_one).several(heard) is not None

    assert not is_several(ONE)
    assert is_several(ONE, OTHER)
    assert not is_several(BOTH), "the frames are of one"


def test_a_part_amid_a_short_clip_must_be_like_the_voice_that_is_enrolled(
    voices: Voices, encoder: Encoder, ami: Any
) -> None:
    heard = speech(ami.samples("alice-4")[: 3 * RATE], encoder=encoder)
    [inner] = encoder.embed_frames(heard.encoded, 3 * RATE, [[(RATE, 2 * RATE)]])

    def scores(found: list[Embedding]) -> np.ndarray:
        return np.where([float(one.vector @ inner.vector) > 0.999 for one in found], 0.1, 0.6)

    assert voices.several(heard) is None
    several = voices.several(heard, scores)
    assert several is not None
    assert [part.voice for part in several.parts] == [1, 2, 1]
    assert [part.start_s for part in several.parts] == pytest.approx([0.0, 1.0, 2.0], abs=0.3)
    assert voices.several(heard, lambda found: np.full(len(found), 0.6)) is None


def test_one_hands_over_when_another_goes_on() -> None:
    activity = np.repeat(np.eye(3, dtype=np.float32)[[0, 1]], 60, axis=0)
    assert handover(activity) == pytest.approx(1.0)
    activity[60:] = 0.0
    assert handover(activity) == pytest.approx(0.0), "who falls silent hands over to none"


def test_two_who_alternate_are_told_from_one_in_three_seconds_and_more(encoder: Encoder) -> None:
    class Alternates(Encoder):
        """Each window is in another voice than the one before it."""

        def __init__(self) -> None: ...

        def embed_frames(self, encoded: object, n: int, parts: list[Any]) -> list[Any]:
            return [two[at % 2] for at in range(len(parts))]

    space = encoder.space
    two = [Embedding(vector, space) for vector in np.eye(2, space.dim, dtype=np.float32)]
    frames = np.empty((1, 1), np.float32)
    assert alternating(Alternates(), frames, 3 * RATE - 1) is None
    group = alternating(Alternates(), frames, 3 * RATE)
    assert group is not None
    assert set(np.diff(group).tolist()) == {1, -1}


def test_what_is_no_probability_is_an_error_and_no_answer(encoder: Encoder, ami: Any) -> None:
    class Broken(Session):
        def __init__(self) -> None:
            pass

        def run(self, feeds: object) -> list[np.ndarray]:
            return [np.full((1, 100, 7), np.nan, np.float32)]

    with pytest.raises(ModelRuntimeError, match="not a probability"):
        Voices(encoder, lambda: Segmenter(Broken())).several(speech(ami.samples("bob-1")))


@pytest.mark.parametrize(
    ("n", "starts"),
    [
        (LEAST_SAMPLES - 1, []),
        (LEAST_SAMPLES, [0]),
        (160_000, [0]),
        (250_000, [0, 461]),
        (650_000, [0, 481, 962, 1443, 1923]),
    ],
)
def test_windows_of_the_segmenter_are_few_and_of_one_length_and_cover_the_clip(
    n: int, starts: list[int], segmenter: Segmenter
) -> None:
    rng = np.random.default_rng(1)
    samples = rng.standard_normal(n).astype(np.float32) / 100
    found = list(segmenter.windows(samples))
    assert [first for first, _ in found] == starts
    assert len({len(window) for _, window in found}) <= 1
    covered = {first + at for first, window in found for at in range(len(window))}
    assert covered == set(range(segmenter.frames(n)))


@given(st.integers(2, 12), st.integers(0, 1000))
def test_two_groups_part_two_directions_whatever_their_order(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.concatenate([[0, 1], rng.integers(0, 2, n)])
    centres = np.eye(2, 8)
    vectors = unit((centres[truth] + 0.1 * rng.standard_normal((len(truth), 8))).astype("f4"))
    group = two_groups(vectors)
    assert np.array_equal(group, truth) or np.array_equal(group, 1 - truth)


def test_vectors_that_are_alike_are_not_parted() -> None:
    assert not two_groups(np.empty((0, 4), np.float32)).any()
    assert not two_groups(np.eye(1, 4, dtype=np.float32)).any()
    assert not two_groups(np.repeat(np.eye(1, 4, dtype=np.float32), 5, axis=0)).any()


@given(labels)
def test_voices_are_numbered_in_the_order_in_which_they_speak(given_labels: np.ndarray) -> None:
    named = in_order_of_speech(given_labels)
    assert np.array_equal(named == 0, given_labels == 0)
    seen = list(dict.fromkeys(label for label in named.tolist() if label))
    assert seen == list(range(1, len(seen) + 1))
    pairs = set(zip(given_labels.tolist(), named.tolist(), strict=True))
    assert len(pairs) == len(set(given_labels.tolist()))


@given(labels, st.integers(1, 10))
def test_runs_cover_everything_and_are_long_enough(given_labels: np.ndarray, shortest: int) -> None:
    found = runs(given_labels, shortest)
    assert [start for _, start, _ in found] == [0, *(end for _, _, end in found[:-1])]
    assert found[-1][2] == len(given_labels)
    assert all(a[0] != b[0] for a, b in itertools.pairwise(found))
    assert all(end - start >= shortest for _, start, end in found) or len(found) == 1
    if shortest == 1:
        for label, start, end in found:
            assert set(given_labels[start:end].tolist()) == {label}
