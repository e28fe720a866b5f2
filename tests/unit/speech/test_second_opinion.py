"""Speech that Silero does not hear is heard, and what is no speech is not."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
from test_vad import RATE, heard_by, sounds_without_speech

from voiceid.errors import ModelRuntimeError
from voiceid.models.providers import EngineOptions
from voiceid.models.runtime import Session
from voiceid.models.status import InstalledModel
from voiceid.speech.second_opinion import SecondOpinion
from voiceid.speech.segmenter import Segmenter
from voiceid.speech.vad import LittleSpeech, SpeechDetector, SpeechOptions, open_detector


def installed(folder: Path, name: str) -> InstalledModel:
    path = folder / f"{name}.onnx"
    return InstalledModel(path, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.fixture(scope="module")
def second(models_folder: Path) -> SecondOpinion:
    return SecondOpinion(Segmenter.open(installed(models_folder, "segmentation"), EngineOptions()))


@pytest.fixture(scope="module")
def alone(models_folder: Path) -> SpeechDetector:
    return open_detector(installed(models_folder, "silero-vad"), SpeechOptions())


@pytest.fixture(scope="module")
def both(models_folder: Path, second: SecondOpinion) -> SpeechDetector:
    little = LittleSpeech(1.0, lambda: second)
    return open_detector(installed(models_folder, "silero-vad"), SpeechOptions(), little=little)


def net_s(detector: SpeechDetector, samples: np.ndarray) -> float:
    _, speech, _ = heard_by(detector, samples, [])
    return float(speech.sum()) * 0.032


def shrill(samples: np.ndarray, times: float) -> np.ndarray:
    """Return a voice with pitch and formants raised, as loud as 16 bits go and beyond."""
    raised = scipy.signal.resample_poly(samples, 100, round(100 * times))
    return np.clip(raised / np.abs(raised).max() * 8, -1, 1).astype(np.float32)


@pytest.mark.parametrize(("turn", "times"), [("alice-2", 2.2), ("stranger", 2.0), ("carol-2", 2.0)])
def test_shrill_speech_that_silero_misses_is_heard(
    turn: str, times: float, ami, alone: SpeechDetector, both: SpeechDetector
) -> None:
    samples = shrill(ami.samples(turn), times)
    assert net_s(alone, samples) < 1.0
    assert net_s(both, samples) >= 1.0


def test_clipped_speech_that_silero_misses_is_heard_and_kept_with_its_padding(
    ami, alone: SpeechDetector, both: SpeechDetector
) -> None:
    samples = ami.samples("bob-3")
    samples = np.pad(np.clip(samples / np.abs(samples).max() * 400, -1, 1), 2 * RATE)
    assert net_s(alone, samples) < 1.0
    frames, speech, kept = heard_by(both, samples, [])
    assert speech.sum() * 0.032 > 3.0
    assert speech.sum() * 512 < len(kept) < len(samples) - 3 * RATE
    assert np.array_equal(frames.reshape(-1)[: len(samples)], samples)


@pytest.mark.parametrize("turn", ["alice-1", "bob-1", "carol-2", "stranger"])
def test_where_silero_finds_enough_nothing_changes_and_nothing_is_loaded(
    turn: str, ami, models_folder: Path, alone: SpeechDetector
) -> None:
    def unwanted() -> SecondOpinion:
        pytest.fail("the second opinion was asked")

    detector = open_detector(
        installed(models_folder, "silero-vad"), SpeechOptions(), little=LittleSpeech(1.0, unwanted)
    )
    samples = ami.samples(turn)
    for cuts in ([], [1000, 30_001]):
        for one, other in zip(
            heard_by(alone, samples, cuts), heard_by(detector, samples, cuts), strict=True
        ):
            assert np.array_equal(one, other)


def softened(samples: np.ndarray, by_db: float) -> np.ndarray:
    """Return samples so much softer, as 16 bits have them."""
    return (np.round(samples * 10 ** (-by_db / 20) * 32768) / 32768).astype(np.float32)


@pytest.mark.parametrize("by_db", [30.0, 35.0])
@pytest.mark.parametrize("turn", ["alice-1", "bob-1", "carol-2", "stranger"])
def test_soft_speech_that_silero_misses_is_heard(
    turn: str, by_db: float, ami, alone: SpeechDetector, both: SpeechDetector
) -> None:
    samples = ami.samples(turn)
    assert net_s(both, softened(samples, by_db)) > 0.7 * net_s(alone, samples)


def test_silence_is_not_asked_about_and_soft_noise_is_no_speech(
    models_folder: Path, both: SpeechDetector
) -> None:
    detector = open_detector(
        installed(models_folder, "silero-vad"),
        SpeechOptions(),
        little=LittleSpeech(1.0, lambda: pytest.fail("asked")),
    )
    rng = np.random.default_rng(0)
    for level, n in ((0.0, 0), (0.0, 3 * RATE), (2e-5, 3 * RATE), (0.3, RATE // 2)):
        sound = (0.4 + level * rng.standard_normal(n)).astype(np.float32)
        assert net_s(detector, sound) == 0.0
    assert net_s(both, (0.002 * rng.standard_normal(3 * RATE)).astype(np.float32)) == 0.0


def more_sounds() -> dict[str, np.ndarray]:
    """Return more sounds that are no speech; the segmentation model takes some for it."""
    rng = np.random.default_rng(0)
    t = np.arange(5 * RATE) / RATE
    noise = rng.standard_normal(len(t))

    def tone(hz: np.ndarray, *, harmonics: int) -> np.ndarray:
        turns = 2 * np.pi * np.cumsum(hz) / RATE
        return sum(np.sin(k * turns) / k * (k * hz < 7600) for k in range(1, harmonics + 1))

    def chirps(every_s: float, lasting_s: float, low_hz: float, span_hz: float) -> np.ndarray:
        part = t % every_s / lasting_s
        return tone(low_hz + span_hz * part, harmonics=1) * np.sin(np.pi * part) ** 2 * (part < 1)

    notes = 220 * 2 ** (rng.integers(0, 13, 25) / 12)
    return {
        "chirps": chirps(0.5, 0.3, 800, 1500),
        "fast chirps": chirps(0.4, 0.2, 600, 2500),
        "siren in noise": tone(950 + 450 * np.sin(4 * np.pi * t), harmonics=15) + 0.5 * noise,
        "yelp": tone(600 + 300 * np.sin(2 * np.pi * 4 * t), harmonics=20),
        "alarm": tone(np.full(len(t), 520.0), harmonics=14) * (t % 1 < 0.5),
        "arpeggio": tone(np.repeat(notes, RATE // 5), harmonics=15) * np.exp(-5 * (t % 0.2)),
        "throbbing": noise * (1 + np.sin(2 * np.pi * 3 * t)),
        "saw": tone(150 + 60 * np.sin(1.4 * np.pi * t), harmonics=30) * (1 + 0.3 * noise),
    }


FOOLING = ["chirps", "fast chirps", "siren in noise", "throbbing", "saw"]


@functools.cache
def loud_sounds() -> dict[str, np.ndarray]:
    """Return sounds that are no speech, 5 s at -6 dBFS."""
    sounds = sounds_without_speech() | more_sounds()
    return {
        name: (0.5 * sound / max(np.abs(sound).max(), 1e-9)).astype(np.float32)[: 5 * RATE]
        for name, sound in sounds.items()
    }


@pytest.mark.parametrize("name", loud_sounds())
def test_what_is_no_speech_gets_no_embedding(name: str, both: SpeechDetector) -> None:
    assert net_s(both, loud_sounds()[name]) < 0.2
    assert net_s(both, softened(loud_sounds()[name], 45.0)) < 0.2


@pytest.mark.parametrize("name", FOOLING)
def test_what_fools_the_segmentation_model_is_looked_at_twice(
    name: str, second: SecondOpinion
) -> None:
    assert (second._probabilities(loud_sounds()[name]) >= 0.5).mean() * 5 > 1.0


def test_a_long_recording_keeps_its_last_two_minutes_and_its_order(
    ami, both: SpeechDetector, alone: SpeechDetector
) -> None:
    shout = shrill(ami.samples("alice-2"), 2.2)
    hush = np.zeros(140 * RATE, np.float32)
    recording = np.concatenate([hush, shout])
    stream, released = both.stream(), 0
    for start in range(0, len(hush), RATE):
        released += sum(len(chunk.frames) for chunk in stream.push(hush[start : start + RATE]))
    assert (len(hush) / 512) - released <= 3750 + 256
    frames, speech, _ = heard_by(both, recording, [100_000, 2_000_001])
    assert np.array_equal(frames.reshape(-1)[: len(recording)], recording)
    assert speech.sum() * 0.032 >= 1.0
    assert not speech[: len(hush) // 512].any()


def test_speech_later_than_two_minutes_changes_nothing(
    ami, both: SpeechDetector, alone: SpeechDetector
) -> None:
    shout, talk = shrill(ami.samples("alice-2"), 2.2), ami.samples("bob-1")
    recording = np.concatenate([shout, np.zeros(5 * RATE, np.float32), talk])
    for one, other in zip(
        heard_by(alone, recording, []), heard_by(both, recording, [70_000]), strict=True
    ):
        assert np.array_equal(one, other)


def test_without_the_model_all_is_as_before(
    ami, models_folder: Path, alone: SpeechDetector
) -> None:
    detector = open_detector(
        installed(models_folder, "silero-vad"),
        SpeechOptions(),
        little=LittleSpeech(1.0, lambda: None),
    )
    samples = shrill(ami.samples("alice-2"), 2.2)
    for one, other in zip(
        heard_by(alone, samples, []), heard_by(detector, samples, []), strict=True
    ):
        assert np.array_equal(one, other)


class Steady(Session):
    """Hears one person everywhere, as surely as it is said to."""

    def __init__(self, sure: float) -> None:
        self._sure = sure

    def run(self, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        n_windows, n_samples = feeds["waveform"].shape
        shares = np.array([1 - self._sure, self._sure, *[1e-6] * 5], np.float32)
        return [np.tile(np.log(shares), (n_windows, Segmenter.frames(n_samples), 1))]


def heard_where(sure: float, silero: float, samples: np.ndarray, *, loud: bool) -> np.ndarray:
    """Return what is speech if the models are so sure everywhere, and all is loud or nothing."""
    frames = samples[: len(samples) // 512 * 512].reshape(-1, 512)
    probabilities = np.full(len(frames), silero, np.float32)
    second = SecondOpinion(Segmenter(Steady(sure)))
    return second.speech(frames, np.full(len(frames), loud), probabilities, 0.5)


@pytest.mark.parametrize(
    ("sure", "silero", "heard"), [(0.66, 0.041, True), (0.64, 0.041, False), (0.66, 0.039, False)]
)
def test_one_model_must_be_sure_and_the_other_not_of_the_contrary(
    sure: float, silero: float, heard: bool, ami
) -> None:
    speech = heard_where(sure, silero, ami.samples("alice-2"), loud=True)
    assert speech.all() == heard
    assert speech.any() == heard


@pytest.mark.parametrize(
    ("sure", "silero", "heard"), [(0.81, 0.5, True), (0.79, 0.5, False), (0.81, 0.49, False)]
)
def test_of_a_raised_recording_both_models_must_hear_speech(
    sure: float, silero: float, heard: bool, ami
) -> None:
    speech = heard_where(sure, silero, ami.samples("alice-2"), loud=False)
    assert speech.any() == heard


@pytest.mark.parametrize("name", ["fast chirps", "alarm", "saw"])
def test_what_does_not_change_as_speech_does_is_none_however_sure_the_models_are(name: str) -> None:
    assert not heard_where(0.99, 1.0, loud_sounds()[name], loud=True).any()


def test_a_model_that_answers_nonsense_is_an_error(ami) -> None:
    class Broken(Session):
        def __init__(self) -> None: ...

        def run(self, feeds: object) -> list[np.ndarray]:
            return [np.full((1, 100, 7), np.nan, np.float32)]

    frames = np.ones((40, 512), np.float32)
    second = SecondOpinion(Segmenter(Broken()))
    with pytest.raises(ModelRuntimeError, match="not a probability"):
        second.speech(frames, np.ones(40, bool), np.ones(40, np.float32), 0.5)
