"""Speech is found the same way however the audio is cut, and noise is not speech."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceid.errors import ModelRuntimeError
from voiceid.models.runtime import Session
from voiceid.speech.vad import (
    _MIN_POWER,
    Frames,
    LittleSpeech,
    SpeechDetector,
    SpeechOptions,
    _Doubt,
    _Padding,
)

pytestmark = pytest.mark.usefixtures("from_scratch")
RATE = 16_000


@pytest.fixture(scope="session")
def silero(models_folder: Path) -> Session:
    return Session.open(
        models_folder / "silero-vad.onnx",
        inputs={"input": 2, "h": 3, "c": 3},
        outputs=["speech_probs", "hn", "cn"],
    )


def heard(
    session: Session, samples: np.ndarray, options: SpeechOptions, cuts: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frames, mask and kept samples of a recording that arrives in pieces."""
    return heard_by(SpeechDetector(session, options), samples, cuts)


def heard_by(
    detector: SpeechDetector, samples: np.ndarray, cuts: list[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what :func:`heard` returns, of any detector."""
    stream = detector.stream()
    borders = [0, *sorted(cuts), len(samples)]
    chunks = [
        chunk
        for start, stop in itertools.pairwise(borders)
        for chunk in stream.push(samples[start:stop])
    ]
    frames, speech, kept = zip(*chunks, *stream.finish(), strict=True)
    return np.concatenate(frames), np.concatenate(speech), np.concatenate(kept)


def in_one_piece(
    session: Session, samples: np.ndarray, options: SpeechOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Return mask and kept samples, computed with the whole recording in hand."""
    n_frames = -(-len(samples) // 512)
    padded = np.zeros(64 + 512 * n_frames, np.float32)
    padded[64 : 64 + len(samples)] = samples
    windows = np.stack([padded[512 * i : 512 * i + 576] for i in range(n_frames)])
    state, parts = np.zeros((1, 1, 128), np.float32), []
    while len(windows):  # each begins after 2 s without speech
        probabilities, _, _ = session.run({"input": windows, "h": state, "c": state})
        is_speech = probabilities >= options.threshold
        silent = [n for n in range(62, len(windows)) if not is_speech[n - 62 : n].any()]
        n_first = silent[0] if silent else len(windows)
        parts.append(is_speech[:n_first])
        windows = windows[n_first:]
    speech = np.concatenate(parts)
    n_pad = options.pad_frames
    near = scipy.ndimage.binary_dilation(speech, np.ones(2 * n_pad + 1)) if speech.any() else speech
    kept = samples[np.repeat(near, 512)[: len(samples)]]
    return speech, kept[: round(options.max_speech_s * RATE)]


@pytest.fixture(scope="session")
def talk(ami) -> np.ndarray:
    """Speech with pauses, 12.3 s and some samples."""
    pause = np.zeros(RATE, np.float32)
    parts = [ami.samples(turn) for turn in ("alice-1", "bob-1")]
    return np.concatenate([pause, parts[0], pause, pause, parts[1], pause])[: 12 * RATE + 5003]


@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_any_cut_gives_the_mask_and_the_samples_of_one_piece(
    silero: Session, talk: np.ndarray, data: st.DataObject
) -> None:
    n_samples = data.draw(st.sampled_from([len(talk), 511, 512, 513, 40_000, 131_072]))
    samples = talk[20_000:][:n_samples]
    cuts = data.draw(st.lists(st.integers(0, len(samples)), max_size=12))
    options = SpeechOptions(
        pad_ms=data.draw(st.sampled_from([0, 32, 192, 1000])),
        max_speech_s=data.draw(st.sampled_from([120.0, 2.0])),
    )
    frames, speech, kept = heard(silero, samples, options, cuts)
    expected_speech, expected_kept = in_one_piece(silero, samples, options)
    assert np.array_equal(speech, expected_speech)
    assert np.array_equal(kept, expected_kept)
    assert np.array_equal(frames.reshape(-1)[: len(samples)], samples)
    assert not frames.reshape(-1)[len(samples) :].any()


@given(
    st.lists(st.booleans(), min_size=1, max_size=60),
    st.lists(st.integers(0, 60), max_size=10),
    st.integers(0, 9),
)
def test_padding_equals_a_dilation_of_the_whole_mask(
    mask: list[bool], cuts: list[int], n_pad: int
) -> None:
    speech = np.array(mask)
    frames = np.arange(len(mask) * 512, dtype=np.float32).reshape(-1, 512)
    padding = _Padding(n_pad)
    borders = [0, *sorted(min(cut, len(mask)) for cut in cuts), len(mask)]
    kept = [padding.push(frames[a:b], speech[a:b]) for a, b in itertools.pairwise(borders)]
    kept.append(padding.finish(100))
    near = scipy.ndimage.binary_dilation(speech, np.ones(2 * n_pad + 1))
    samples = frames[near].reshape(-1)
    expected = samples[: len(samples) - 100] if near[-1] else samples
    assert np.array_equal(np.concatenate(kept), expected)


def test_the_state_goes_on_from_batch_to_batch(
    silero: Session, talk: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frame by frame the probability is what it is in one piece, whatever the border cuts."""
    samples = talk[20_000:][: 512 * 120]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(samples, (64, 0)), 576)[::512]
    state = np.zeros((1, 1, 128), np.float32)
    expected, _, _ = silero.run({"input": np.ascontiguousarray(windows), "h": state, "c": state})
    assert np.ptp(expected) > 0.9
    for batch in (1, 7, 60):
        monkeypatch.setattr("voiceid.speech.vad._BATCH_FRAMES", batch)
        stream = SpeechDetector(silero, SpeechOptions()).stream()
        heard: list[np.ndarray] = []
        monkeypatch.setattr(stream._doubt, "add", lambda _, found, to=heard: to.append(found))
        for start in range(0, len(samples), 5000):
            stream.push(samples[start : start + 5000])
        stream.finish()
        assert len(heard) > 1
        np.testing.assert_allclose(np.concatenate(heard), expected, atol=1e-5)


@pytest.mark.parametrize("step", [512, 31 * 512, 1 << 20])
def test_after_a_minute_of_noise_speech_is_heard_as_at_the_beginning(
    silero: Session, ami, step: int
) -> None:
    noise = np.random.default_rng(0).normal(0, 0.03, 60 * RATE).astype(np.float32)
    voice = ami.samples("bob-1")
    voice = voice[: len(voice) // 512 * 512]
    detector = SpeechDetector(silero, SpeechOptions())
    alone = detector.frames().probabilities(voice) >= 0.5
    frames, samples = detector.frames(), np.concatenate([noise, voice])
    heard = np.concatenate(
        [frames.probabilities(samples[at : at + step]) for at in range(0, len(samples), step)]
    )
    n_noise = len(noise) // 512
    assert (heard[:n_noise] >= 0.5).sum() == 0
    assert (heard[n_noise:] >= 0.5).sum() == pytest.approx(alone.sum(), rel=0.1)


def frames_of(*levels: float) -> np.ndarray:
    """Frames of alternating samples of these levels."""
    signs = np.tile(np.array([1.0, -1.0], np.float32), 256)
    return np.array([level * signs for level in levels], np.float32)


class Second:
    """A second opinion that takes all that is loud for speech."""

    asked = 0

    def speech(self, frames: np.ndarray, loud: np.ndarray, *_: object) -> np.ndarray:
        self.asked += 1
        return loud


def unasked() -> Frames:
    pytest.fail("heard again")


def test_a_frame_is_speech_from_the_very_probability_on() -> None:
    doubt = _Doubt(None, 0.5, unasked)
    doubt.add(
        frames_of(0, 0, 0),
        np.array([0.5, np.nextafter(np.float32(0.5), np.float32(0)), 1.0], np.float32),
    )
    [(_, speech)] = doubt.settled()
    assert speech.tolist() == [True, False, True]


@pytest.mark.parametrize(("n_sure", "asked"), [(31, 1), (32, 0), (40, 0)])
def test_a_second_opinion_is_asked_where_there_is_less_speech_than_an_embedding_takes(
    n_sure: int, asked: int
) -> None:
    second = Second()
    doubt = _Doubt(LittleSpeech(32 * 0.032, lambda: second), 0.5, unasked)
    probabilities = np.array([1.0] * n_sure + [0.1] * 40, np.float32)
    doubt.add(frames_of(*[0.1] * len(probabilities)), probabilities)
    waited = not doubt.settled()
    [speech] = [speech for _, speech in doubt.finish()] or [np.ones(n_sure, np.bool_)]
    assert (second.asked, waited) == (asked, bool(asked))
    assert speech.sum() == (len(probabilities) if asked else n_sure)


@pytest.mark.parametrize("loud", [31, 32])
def test_it_is_not_asked_where_too_little_is_loud_enough_for_speech(loud: int) -> None:
    second = Second()
    doubt = _Doubt(LittleSpeech(32 * 0.032, lambda: second), 0.5, unasked)
    edge = float(np.sqrt(_MIN_POWER))
    levels = [0.1] * 2 + [1.01 * edge] * (loud - 2) + [0.99 * edge] * 50
    doubt.add(frames_of(*levels), np.zeros(len(levels), np.float32))
    [(_, speech)] = doubt.finish()
    assert second.asked == (loud == 32)
    assert speech.sum() == (loud if loud == 32 else 0)
    without = _Doubt(LittleSpeech(0.1, lambda: None), 0.5, unasked)
    without.add(frames_of(0.1, 0.1, 0.1, 0.1), np.zeros(4, np.float32))
    assert not without.finish()[0][1].any(), "none is installed"


def test_frames_wait_in_order_and_no_longer_than_two_minutes() -> None:
    doubt = _Doubt(LittleSpeech(1.0, lambda: None), 0.5, unasked)
    for number in range(4):
        doubt.add(frames_of(*[number / 10] * 1250), np.zeros(1250, np.float32))
        assert bool(doubt.settled()) == (number == 3)
    assert doubt._n_waiting == 3750
    [(frames, _)] = doubt.finish()
    assert frames[0, 0] == np.float32(0.1), "the oldest went first"


@pytest.mark.parametrize(("max_speech_s", "judged"), [(0.32, 10), (0.3199, 9), (9.0, 14)])
def test_of_the_speech_as_much_is_judged_as_is_passed_on(max_speech_s: float, judged: int) -> None:
    speech = np.array([True] * 10 + [False] * 5 + [True] * 4)
    options = SpeechOptions(pad_ms=0, max_speech_s=max_speech_s)
    assert options.judged_frames(speech) == judged
    assert SpeechOptions(pad_ms=32, max_speech_s=0.32).judged_frames(speech) == 10
    assert SpeechOptions(pad_ms=32, max_speech_s=0.32 + 3 * 0.032).judged_frames(speech) == 11


def test_speech_is_found_where_it_is(silero: Session, talk: np.ndarray) -> None:
    _, speech, kept = heard(silero, talk, SpeechOptions(), [])
    seconds = np.arange(len(speech)) * 0.032
    assert speech[(seconds > 1.0) & (seconds < 4.5)].mean() > 0.7
    assert not speech[seconds < 0.9].any()
    assert not speech[(seconds > 4.9) & (seconds < 6.4)].any()
    assert speech.sum() * 512 < len(kept) < len(talk)


def sounds_without_speech() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    t = np.arange(10 * RATE) / RATE
    white = rng.standard_normal(len(t))
    spectrum = np.fft.rfft(rng.standard_normal(len(t)))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), len(t))
    sounds = {
        "silence": 0 * t,
        "offset": 0 * t + 0.5,
        "offset with noise": 0.3 + 0.01 * white,
        "clicks": (np.arange(len(t)) % 4000 == 0) * 1.0,
        "fast clicks": (np.arange(len(t)) % 160 == 0) * 1.0,
        "siren": 0.5 * np.sin(2 * np.pi * (100 * t + 60 * t**2)),
        "busy tone": 0.3
        * (np.sin(2 * np.pi * 480 * t) + np.sin(2 * np.pi * 620 * t))
        * (t % 1 < 0.5),
        "throbbing noise": 0.15 * white * (1 + np.sin(2 * np.pi * 4 * t)),
        "chord": sum(
            0.1 * np.sin(2 * np.pi * f * k * t) / k for f in (220, 277, 330) for k in range(1, 8)
        ),
    }
    for level in (0.001, 0.03, 0.3):
        sounds[f"white noise {level}"] = level * white
        sounds[f"pink noise {level}"] = level * pink / np.abs(pink).max()
    for hz in (50, 100, 220, 1000):
        sounds[f"sine {hz}"] = 0.5 * np.sin(2 * np.pi * hz * t)
        sounds[f"square {hz}"] = 0.5 * np.sign(np.sin(2 * np.pi * hz * t))
    return sounds


@pytest.mark.parametrize("name", sounds_without_speech())
def test_what_is_not_speech_is_not_taken_for_speech(silero: Session, name: str) -> None:
    samples = sounds_without_speech()[name].astype(np.float32)
    _, speech, kept = heard(silero, samples, SpeechOptions(), [])
    assert speech.sum() * 0.032 < 0.2
    assert len(kept) < RATE


@pytest.mark.parametrize("gain", [0.3, 1.0, 3.0, 10.0, 30.0])
def test_from_minus_50_dbfs_up_the_level_hardly_matters(
    silero: Session, talk: np.ndarray, gain: float
) -> None:
    _, usual, _ = heard(silero, talk, SpeechOptions(), [])
    _, speech, _ = heard(silero, talk * np.float32(gain), SpeechOptions(), [])
    assert speech.sum() > 0.75 * usual.sum()


def test_memory_of_kept_speech_is_bounded_but_all_of_it_is_measured(
    silero: Session, talk: np.ndarray
) -> None:
    _, speech, kept = heard(silero, talk, SpeechOptions(max_speech_s=1.5), [])
    assert len(kept) == 1.5 * RATE
    assert speech.sum() * 0.032 > 4


def test_streams_of_one_detector_do_not_disturb_each_other(
    silero: Session, talk: np.ndarray
) -> None:
    expected = heard(silero, talk, SpeechOptions(), [])[2]
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda _: heard(silero, talk, SpeechOptions(), [])[2], range(8))
        assert all(np.array_equal(kept, expected) for kept in results)


def test_nothing_gives_nothing(silero: Session) -> None:
    frames, speech, kept = heard(silero, np.empty(0, np.float32), SpeechOptions(), [])
    assert (len(frames), len(speech), len(kept)) == (0, 0, 0)


def broken_model() -> bytes:
    """Return a graph with Silero's inputs and outputs whose every probability is NaN."""
    node, tensor = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    state = [1, 1, 128]
    graph = onnx.helper.make_graph(
        [
            node("ReduceMax", ["input"], ["peak"], axes=[1], keepdims=0),
            node("Exp", ["peak"], ["positive"]),
            node("Neg", ["positive"], ["negative"]),
            node("Log", ["negative"], ["speech_probs"]),
            node("Identity", ["h"], ["hn"]),
            node("Identity", ["c"], ["cn"]),
        ],
        "broken",
        [
            tensor("input", onnx.TensorProto.FLOAT, ["frames", 576]),
            tensor("h", onnx.TensorProto.FLOAT, state),
            tensor("c", onnx.TensorProto.FLOAT, state),
        ],
        [
            tensor("speech_probs", onnx.TensorProto.FLOAT, ["frames"]),
            tensor("hn", onnx.TensorProto.FLOAT, state),
            tensor("cn", onnx.TensorProto.FLOAT, state),
        ],
    )
    opset = [onnx.helper.make_opsetid("", 13)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
    return model.SerializeToString()


def test_a_model_that_answers_nonsense_is_an_error() -> None:
    session = Session.of_bytes(
        broken_model(),
        "broken",
        inputs={"input": 2, "h": 3, "c": 3},
        outputs=["speech_probs", "hn", "cn"],
    )
    stream = SpeechDetector(session, SpeechOptions()).stream()
    stream.push(np.zeros(1000, np.float32))
    with pytest.raises(ModelRuntimeError, match="not a probability"):
        stream.finish()


@pytest.mark.parametrize(("pad_ms", "n_frames"), [(0, 0), (1, 1), (32, 1), (33, 2), (192, 6)])
def test_padding_is_rounded_up_to_frames(pad_ms: int, n_frames: int) -> None:
    assert SpeechOptions(pad_ms=pad_ms).pad_frames == n_frames


def test_the_description_names_all_that_changes_a_vector() -> None:
    base = SpeechOptions().describe()
    assert base == "threshold=0.5 pad_frames=6 max_speech_s=120"
    assert SpeechOptions(pad_ms=190).describe() == base
    for other in (
        SpeechOptions(threshold=0.6),
        SpeechOptions(pad_ms=0),
        SpeechOptions(max_speech_s=9),
    ):
        assert other.describe() != base
