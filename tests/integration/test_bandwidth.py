"""No disturbance of a clip lowers the threshold that decides it, or lets a stranger in."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from itertools import permutations
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import soxr

from voiceid.audio import AudioOptions
from voiceid.decision.embeddings import cosine
from voiceid.domain import Condition, Utterance
from voiceid.evaluation.degradations import UNFILTERED, Clip
from voiceid.models.cards import load_cards, shipped_cards_folder
from voiceid.speech.embedder import Embedder
from voiceid.speech.encoder import Encoder
from voiceid.speech.quality import QualityLimits
from voiceid.speech.vad import SpeechOptions, open_detector

RATE = 16_000
Disturbance = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def level(samples: np.ndarray) -> float:
    """Return the RMS of the louder half of the frames: of the speech."""
    power = (samples[: len(samples) // 512 * 512].reshape(-1, 512) ** 2).mean(axis=1)
    return float(np.sqrt(power[power >= np.median(power)].mean()))


def mixed(samples: np.ndarray, noise: np.ndarray, db: float) -> np.ndarray:
    """Return samples with noise so much louder than the speech."""
    noise = noise[: len(samples)]
    return samples + noise * level(samples) * 10 ** (db / 20) / np.sqrt(np.mean(noise**2))


def seconds(samples: np.ndarray) -> np.ndarray:
    return np.arange(len(samples)) / RATE


def tones(db: float, *frequencies_hz: float) -> Disturbance:
    def disturb(x: np.ndarray, _: np.random.Generator) -> np.ndarray:
        return mixed(x, sum(np.sin(2 * np.pi * f * seconds(x)) for f in frequencies_hz), db)

    return disturb


def beeps(frequency_hz: float, period_s: float, *, square: bool = False) -> Disturbance:
    def disturb(x: np.ndarray, _: np.random.Generator) -> np.ndarray:
        tone = np.sin(2 * np.pi * frequency_hz * seconds(x))
        tone = np.sign(tone) if square else tone
        return mixed(x, tone * (seconds(x) % period_s < period_s / 2), 0.0)

    return disturb


def siren(low_hz: float, high_hz: float, period_s: float) -> Disturbance:
    def disturb(x: np.ndarray, _: np.random.Generator) -> np.ndarray:
        share = 0.5 - 0.5 * np.cos(2 * np.pi * seconds(x) / period_s)
        frequency_hz = low_hz + (high_hz - low_hz) * share
        return mixed(x, np.sin(2 * np.pi * np.cumsum(frequency_hz) / RATE), 0.0)

    return disturb


def noise(db: float, slope: float = 0.0, low_hz: float = 20.0) -> Disturbance:
    """Noise of a power that falls with the frequency to the power of ``slope``."""

    def disturb(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        spectrum = np.fft.rfft(rng.standard_normal(len(x)))
        frequency_hz = np.fft.rfftfreq(len(x), 1 / RATE)
        spectrum *= np.maximum(frequency_hz, 20.0) ** (-slope / 2) * (frequency_hz >= low_hz)
        return mixed(x, np.fft.irfft(spectrum, len(x)), db)

    return disturb


def clicks(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    train = (rng.random(len(x)) < 8 / RATE).astype(float)
    return mixed(x, np.convolve(train, rng.standard_normal(60), "same"), -5.0)


def gated(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return hissing samples, silent in the pauses of the speech."""
    loud = np.convolve(x**2, np.ones(800) / 800, "same") > (0.1 * level(x)) ** 2
    return noise(-20.0)(x, rng) * loud


def louder(db: float) -> Disturbance:
    return lambda x, _: np.round(x * 10 ** (db / 20) * 32768) / 32768


def mirrored(x: np.ndarray, _: np.random.Generator) -> np.ndarray:
    return x + 0.5 * x * (-1.0) ** np.arange(len(x))


def mp3(x: np.ndarray, _: np.random.Generator) -> np.ndarray:
    file = io.BytesIO()
    soundfile.write(file, x, RATE, format="MP3")
    file.seek(0)
    return soundfile.read(file)[0]


DISTURBANCES: dict[str, Disturbance] = {
    "tone of 3.2 kHz": tones(0.0, 3200),
    "louder tone of 2.9 kHz": tones(6.0, 2900),
    "tone of 5.2 kHz": tones(0.0, 5200),
    "five tones": tones(0.0, 700, 1900, 3100, 4700, 6100),
    "hum": tones(0.0, *range(50, 1500, 50)),
    "buzz": tones(-5.0, *range(120, 3500, 120)),
    "smoke alarm": beeps(3100, 1.0),
    "low smoke alarm": beeps(520, 1.0, square=True),
    "siren": siren(600, 1500, 2.0),
    "chirps": siren(2500, 7500, 0.5),
    "white noise, 30 dB": noise(-30.0),
    "white noise, 20 dB": noise(-20.0),
    "white noise, 5 dB": noise(-5.0),
    "pink noise, 10 dB": noise(-10.0, 1.0),
    "brown noise, 0 dB": noise(0.0, 2.0),
    "hiss above 4 kHz": noise(-20.0, low_hz=4000),
    "clicks": clicks,
    "hiss between silences": gated,
    "quiet": louder(-30.0),
    "mirror image": mirrored,
    "mp3": mp3,
}


def by_telephone(samples: np.ndarray) -> np.ndarray:
    """Return samples as they are after mu-law at 8 kHz, at 16 kHz again."""
    file = io.BytesIO()
    soundfile.write(file, soxr.resample(samples, RATE, 8000), 8000, "ULAW", format="WAV")
    file.seek(0)
    return soxr.resample(soundfile.read(file)[0], 8000, RATE)


REFILLED = {
    "white noise, 20 dB",
    "white noise, 5 dB",
    "pink noise, 10 dB",
    "hiss between silences",
    "mirror image",
}
"""What fills a telephone's empty band above 4 kHz: its speech no longer is like one's, and the
threshold falls.  It takes more from the scores of strangers: they gain nothing by it."""

CARD = load_cards(shipped_cards_folder())["campplus"]
KINDS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "wideband": lambda samples: samples,
    "telephone": by_telephone,
}
RAISED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    name: lambda samples, change=change: change(Clip("r", "s", "", samples, RATE)).samples
    for name, change in UNFILTERED.items()
}
Heard = Callable[[str, str, str | None], Utterance]


@pytest.fixture(scope="module")
def heard(models_folder: Path, ami) -> Heard:
    """What is heard of a turn over a line, with a disturbance or None."""

    def installed(name: str) -> SimpleNamespace:
        receipt = json.loads((models_folder / f"{name}.json").read_text())
        return SimpleNamespace(path=models_folder / f"{name}.onnx", sha256=receipt["sha256"])

    model = installed("campplus")
    encoder = Encoder.open(
        model.path, model.sha256, CARD.space("-"), compensation=CARD.compensation()
    )
    detector = open_detector(installed("silero-vad"), SpeechOptions())
    embedder = Embedder(encoder, detector, AudioOptions(), QualityLimits())

    @cache
    def hear(turn: str, kind: str, disturbance: str | None) -> Utterance:
        samples = (KINDS | RAISED)[kind](ami.samples(turn))
        if disturbance is not None:
            samples = DISTURBANCES[disturbance](samples, np.random.default_rng(0))
        return embedder.utterance((samples.astype(np.float32), RATE))

    return hear


def lowered_by(heard: Heard, turn: str, kind: str, names: Iterable[str]) -> dict[str, float]:
    """Return by how much disturbances lower a clip's threshold, where it is more than 0.01."""
    lines = ["wideband"], ["telephone"], ["wideband", "telephone"]
    galleries = [[heard(turn, line, None).quality for line in of] for of in lines]
    lowered = {}
    clean = heard(turn, kind, None).quality
    for name in names:
        found = heard(turn, kind, name)
        if found.embedding is None:  # nothing is compared
            continue
        # How much speech is heard moves a threshold as well: here only the line is asked for.
        disturbed = replace(clean, telephone=found.quality.telephone)
        for enrolled in galleries:
            before, after = (
                CARD.rule.threshold(Condition.of(one, enrolled)).value for one in (clean, disturbed)
            )
            if after < before - 0.01:
                lowered[name] = before - after
    return lowered


@pytest.mark.parametrize("turn", ["alice-3", "bob-3"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_disturbance_lowers_the_threshold(heard: Heard, turn: str, kind: str) -> None:
    clean = heard(turn, kind, None).quality.telephone
    assert (clean > 0.9) if kind == "telephone" else (clean < 0.1)
    names = DISTURBANCES.keys() - (REFILLED if kind == "telephone" else set())
    assert len([name for name in names if heard(turn, kind, name).embedding is not None]) > 12
    assert lowered_by(heard, turn, kind, names) == {}


@pytest.mark.parametrize("turn", ["alice-3", "bob-3"])
@pytest.mark.parametrize("kind", KINDS)
def test_no_disturbance_gets_a_stranger_accepted(heard: Heard, turn: str, kind: str) -> None:
    others = {"alice-3", "bob-3", "carol-1", "stranger"} - {turn}
    enrolled = [heard(other, line, None) for other in others for line in KINDS]
    clean, n_compared, nearest = heard(turn, kind, None), 0, {}
    for name in (None, *DISTURBANCES):
        clip = heard(turn, kind, name)
        if clip.embedding is None:
            continue
        for other in enrolled:
            n_compared += 1
            score = cosine(clip.embedding.vector, other.embedding.vector)
            threshold = CARD.rule.threshold(Condition.of(clip.quality, [other.quality])).value
            nearest[name] = max(nearest.get(name, -1.0), score - threshold)
    assert n_compared > 12 * len(enrolled)
    assert max(nearest.values()) < -0.05, nearest
    own = CARD.rule.threshold(Condition.of(clean.quality, [clean.quality])).value
    tone = heard(turn, kind, "smoke alarm")
    assert cosine(tone.embedding.vector, clean.embedding.vector) > own + 0.2


@pytest.mark.parametrize("kind", RAISED)
def test_a_rate_raised_without_a_filter_gets_no_stranger_accepted(heard: Heard, kind: str) -> None:
    """The image is the same in the speech of all; both sides have it."""
    voices = [heard(turn, kind, None) for turn in ("alice-1", "bob-1", "carol-1", "stranger")]
    for clip, enrolled in permutations(voices, 2):
        score = cosine(clip.embedding.vector, enrolled.embedding.vector)
        assert score < CARD.rule.threshold(Condition.of(clip.quality, [enrolled.quality])).value
