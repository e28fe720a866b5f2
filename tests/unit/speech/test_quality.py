"""What the quality report measures, against oracles and over any cut into blocks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.signal
from hypothesis import given
from hypothesis import strategies as st

from voiceid.audio.mixing import ClippingCount, ClippingMeter
from voiceid.speech.quality import QualityLimits, QualityMeter

RATE = 16_000
LEVELS = st.sampled_from([0.0, 0.5, 0.98, 0.99, 1.0, -1.0, -0.99, 1.3])


def report(frames: np.ndarray, speech: np.ndarray, **facts: object):
    meter = QualityMeter(QualityLimits())
    meter.add(frames, speech)
    given_facts = {
        "duration_s": len(frames) * 0.032,
        "sample_rate_hz": RATE,
        "clipping": ClippingCount(),
        "truncated": False,
    }
    return meter.report(**(given_facts | facts))


def speechlike(n_frames: int, seed: int = 0) -> np.ndarray:
    """Return (n, 512) float32 frames: each half second a vowel, a stop and a hissing sound."""
    noise = np.random.default_rng(seed).standard_normal(n_frames * 512)
    vowel = 0.3 * scipy.signal.lfilter([1.0], [1.0, -1.6, 0.64], noise)
    hiss = 0.15 * scipy.signal.lfilter([1.0, -1.9, 0.9025], [1.0], noise)
    at = 2 * np.arange(len(noise)) / RATE % 1.0
    samples = vowel * (at < 0.5) + hiss * (at >= 0.65)
    return (0.03 * samples).astype(np.float32).reshape(-1, 512)


@given(st.lists(st.lists(LEVELS, max_size=12), max_size=8))
def test_clipped_runs_are_counted_across_blocks(blocks: list[list[float]]) -> None:
    meter = ClippingMeter()
    for block in blocks:
        meter.add(np.array(block, np.float32))
    samples = [x for block in blocks for x in block]
    runs = [
        len(list(run)) for high, run in itertools.groupby(abs(x) >= 0.99 for x in samples) if high
    ]
    assert meter.count == ClippingCount(sum(n for n in runs if n >= 3), len(samples))


@given(st.lists(st.lists(LEVELS, min_size=1, max_size=12), max_size=8))
def test_a_known_peak_changes_no_count(blocks: list[list[float]]) -> None:
    one, other = ClippingMeter(), ClippingMeter()
    for block in blocks:
        samples = np.array(block, np.float32)
        one.add(samples)
        other.add(samples, float(np.abs(samples).max()))
    assert one.count == other.count


def test_a_single_peak_at_full_scale_is_not_clipping() -> None:
    meter = ClippingMeter()
    meter.add(np.array([0, 1.0, 1.0, 0.5, -1.0, 0], np.float32))
    assert meter.count.fraction == 0.0


@pytest.mark.parametrize("snr_db", [0.0, 5.0, 10.0, 20.0, 40.0])
@pytest.mark.parametrize("offset", [0.0, 0.3])
def test_a_known_signal_to_noise_ratio_is_measured(snr_db: float, offset: float) -> None:
    rng = np.random.default_rng(1)
    frames = speechlike(300)
    speech = np.arange(300) % 100 < 60
    frames[~speech] = 0
    power = float(np.mean(frames[speech] ** 2))
    noise = rng.standard_normal(frames.shape) * np.sqrt(power / 10 ** (snr_db / 10))
    measured = report((frames + noise + offset).astype(np.float32), speech)
    assert measured.snr_db == pytest.approx(snr_db, abs=0.7)
    assert ("noisy" in measured.warnings) == (measured.snr_db < 5.0)


def test_without_a_background_there_is_no_ratio() -> None:
    frames = speechlike(100)
    assert report(frames, np.ones(100, bool)).snr_db is None
    assert report(frames, np.zeros(100, bool)).snr_db is None
    assert report(frames, np.arange(100) >= 9).snr_db is None


def test_digital_silence_as_background_gives_a_bounded_ratio() -> None:
    frames = speechlike(100)
    frames[:50] = 0
    assert report(frames, np.arange(100) >= 50).snr_db == pytest.approx(100, abs=50)
    assert report(np.zeros_like(frames), np.arange(100) >= 50).snr_db == -100


def test_the_level_is_the_power_of_speech_without_an_offset() -> None:
    t = np.arange(512 * 50) / RATE
    sine = (0.5 * np.sin(2 * np.pi * 500 * t)).astype(np.float32).reshape(-1, 512)
    measured = report(sine + np.float32(0.2), np.ones(50, bool))
    assert measured.level_dbfs == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.05)
    assert report(sine, np.zeros(50, bool)).level_dbfs is None
    assert report(np.zeros_like(sine), np.ones(50, bool)).level_dbfs is None


@pytest.mark.parametrize(("level_dbfs", "is_soft"), [(-20, False), (-69, False), (-71, True)])
def test_speech_so_soft_that_its_scores_are_low_is_named(
    level_dbfs: float, *, is_soft: bool
) -> None:
    frames = speechlike(100).astype(np.float64)
    gain = 10 ** (level_dbfs / 20) / np.sqrt(np.mean(frames**2))
    measured = report((frames * gain).astype(np.float32), np.ones(100, bool))
    assert ("too_soft" in measured.warnings) == is_soft


def test_net_speech_is_counted_without_padding_and_never_exceeds_the_recording() -> None:
    frames = speechlike(100)
    assert report(frames, np.arange(100) < 40).net_speech_s == pytest.approx(40 * 0.032)
    assert report(frames, np.ones(100, bool), duration_s=3.19).net_speech_s == 3.19


def upsampled(frames: np.ndarray, how: str) -> np.ndarray:
    """Return frames as they sound after a telephone's 8 kHz."""
    narrow = scipy.signal.resample_poly(frames.reshape(-1).astype(np.float64), 1, 2)
    n = len(narrow)
    wide = {
        "poly": lambda: scipy.signal.resample_poly(narrow, 2, 1),
        "fft": lambda: scipy.signal.resample(narrow, 2 * n),
    }[how]()
    return np.round(wide * 32768).astype(np.float32).reshape(-1, 512) / 32768


@pytest.mark.parametrize("n_frames", [32, 100, 1000])
@pytest.mark.parametrize("how", ["poly", "fft"])
def test_upsampled_telephone_speech_is_narrowband(n_frames: int, how: str) -> None:
    frames, speech = speechlike(n_frames), np.ones(n_frames, bool)
    wide = report(frames, speech)
    assert wide.bandwidth_hz == 8000
    assert wide.warnings == ()
    narrow = report(upsampled(frames, how), speech)
    assert narrow.bandwidth_hz in {3500, 4000, 4500}
    assert narrow.warnings == ("narrowband",)


def test_a_source_of_8_khz_is_narrowband_whatever_is_heard() -> None:
    hiss = np.random.default_rng(0).standard_normal((100, 512)).astype(np.float32) * 0.1
    measured = report(hiss, np.ones(100, bool), sample_rate_hz=8000)
    assert measured.bandwidth_hz == 4000
    assert measured.warnings == ("narrowband",)


def test_the_bandwidth_says_nothing_of_a_telephone() -> None:
    """That is read off the embedding, which the meter does not see."""
    assert report(speechlike(100), np.ones(100, bool), sample_rate_hz=8000).telephone is None


@pytest.mark.parametrize("cut_hz", [5500, 6000, 7000])
def test_the_bandwidth_is_where_speech_ends(cut_hz: int) -> None:
    low_pass = scipy.signal.butter(12, cut_hz, fs=RATE, output="sos")
    samples = scipy.signal.sosfilt(low_pass, speechlike(300).reshape(-1)).astype(np.float32)
    measured = report(samples.reshape(-1, 512), np.ones(300, bool))
    assert measured.bandwidth_hz == pytest.approx(cut_hz, abs=750)


def test_too_little_speech_or_silence_has_no_bandwidth() -> None:
    assert report(speechlike(19), np.ones(19, bool)).bandwidth_hz is None
    assert report(np.zeros((100, 512), np.float32), np.ones(100, bool)).bandwidth_hz is None


def test_every_warning_has_its_limit() -> None:
    frames = speechlike(100)
    speech = np.ones(100, bool)
    assert report(frames, speech).warnings == ()
    assert report(frames, np.arange(100) < 31).warnings[:1] == ("too_short",)
    assert report(frames, speech, truncated=True).warnings == ("truncated",)
    assert report(frames, speech, clipping=ClippingCount(2, 100)).warnings == ("clipped",)
    assert report(frames, speech, clipping=ClippingCount(1, 100)).warnings == ()


@given(st.lists(st.integers(0, 99), max_size=6), st.integers(0, 5))
def test_the_report_does_not_depend_on_how_frames_arrive(cuts: list[int], seed: int) -> None:
    frames = speechlike(100, seed)
    speech = np.arange(100) % 10 < 7
    meter = QualityMeter(QualityLimits())
    borders = [0, *sorted(cuts), 100]
    for start, stop in itertools.pairwise(borders):
        meter.add(frames[start:stop], speech[start:stop])
    cut = meter.report(3.2, RATE, ClippingCount(), truncated=False)
    assert cut.to_dict() == report(frames, speech).to_dict()


def test_nothing_at_all_gives_a_report_too() -> None:
    measured = QualityMeter(QualityLimits()).report(0.0, RATE, ClippingCount(), truncated=False)
    assert measured.net_speech_s == 0
    assert measured.warnings == ("too_short",)
