"""What the degradations do to speech: levels, bands, rooms and real codecs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from voiceid.audio import AudioOptions, open_audio
from voiceid.audio.coding import resampled
from voiceid.evaluation import degradations
from voiceid.evaluation.degradations import CONDITIONS, HALL, OFFICE, TELEPHONES, UNFILTERED, Clip

RATE_HZ = 16000


@pytest.fixture(scope="module")
def speech(ami) -> Clip:
    return Clip("alice-2", "alice", "F", ami.samples("alice-2")[: 4 * RATE_HZ], RATE_HZ)


def decoded(clip: Clip) -> np.ndarray:
    """Return what the product hears."""
    with open_audio(clip.source, AudioOptions()) as stream:
        return np.concatenate(list(stream.blocks())).astype(np.float64)


def rms_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2)))


def share_above(samples: np.ndarray, hz: float) -> float:
    power = np.abs(np.fft.rfft(samples)) ** 2
    return float(power[np.fft.rfftfreq(len(samples), 1 / RATE_HZ) > hz].sum() / power.sum())


def loudness(samples: np.ndarray) -> np.ndarray:
    """Return the level of every 40 ms."""
    frames = samples[: len(samples) // 640 * 640].reshape(-1, 640)
    return np.mean(frames**2, axis=1)


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_condition_leaves_audible_speech_of_the_same_length(name: str, speech: Clip) -> None:
    heard = decoded(CONDITIONS[name](speech))
    assert abs(len(heard) - len(speech.samples)) <= 0.06 * RATE_HZ
    n = min(len(heard), len(speech.samples))
    assert spearmanr(loudness(heard[:n]), loudness(speech.samples[:n])).statistic > 0.6
    assert CONDITIONS[name](speech).speaker == "alice"


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_is_the_same_on_every_run(name: str, speech: Clip) -> None:
    np.testing.assert_array_equal(*(decoded(CONDITIONS[name](speech)) for _ in range(2)))


@pytest.mark.parametrize("name", TELEPHONES)
def test_nothing_above_4_khz_passes_a_telephone(name: str, speech: Clip) -> None:
    assert share_above(speech.samples, 4200) > 1e-3
    assert share_above(decoded(TELEPHONES[name](speech)), 4200) < 1e-4


@pytest.mark.parametrize("name", UNFILTERED)
def test_what_is_raised_without_a_filter_has_an_image_of_it_above(name: str, speech: Clip) -> None:
    rate_hz = 8000 if name.startswith("8 kHz") else 11_025
    low = resampled(speech.samples, RATE_HZ, rate_hz)
    filtered = resampled(low, rate_hz, RATE_HZ)
    unfiltered = UNFILTERED[name](speech).samples
    above = rate_hz / 2 + 300
    assert share_above(unfiltered, above) > 100 * share_above(filtered, above)
    assert np.corrcoef(unfiltered, filtered[: len(unfiltered)])[0, 1] > 0.9


def test_straight_lines_meet_the_samples(speech: Clip) -> None:
    raised, low = (
        degradations.raised(speech, 8000, lines=True).samples,
        resampled(speech.samples, RATE_HZ, 8000),
    )
    np.testing.assert_array_equal(raised[::2], low)
    np.testing.assert_allclose(raised[1:-1:2], (low[:-1] + low[1:]) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "bit_rate"), [("AMR 12.2 kbit/s", 12200), ("AMR 4.75 kbit/s", 4750)]
)
def test_amr_takes_the_bits_that_its_name_says(name: str, bit_rate: int, speech: Clip) -> None:
    data = TELEPHONES[name](speech).source
    assert data.startswith(b"#!AMR\n")
    # Frames of 20 ms are stored in whole bytes, after one byte of header each.
    expected = (6 + speech.duration_s * 50 * (1 + np.ceil(bit_rate / 50 / 8))) * 8
    assert len(data) * 8 == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("snr_db", [20.0, 10.0, 5.0])
def test_noise_is_as_loud_as_was_asked_and_pink(snr_db: float, speech: Clip) -> None:
    noisy = degradations.noisy(speech, snr_db).samples
    noise = noisy - speech.samples
    assert rms_db(speech.samples) - rms_db(noise) == pytest.approx(snr_db, abs=0.1)
    low, high = (share_above(noise, hz) - share_above(noise, 2 * hz) for hz in (500.0, 2000.0))
    assert low == pytest.approx(high, rel=0.1)  # pink: as much in every octave


@pytest.mark.parametrize("room", [OFFICE, HALL])
def test_a_room_reverberates_as_long_as_it_says(room: degradations.Room) -> None:
    """By Schroeder's backward integration, from -5 to -25 dB, as ISO 3382 has it (T20)."""
    measured = []
    for place in range(degradations.PLACES):
        response = degradations.room_response(room, place, RATE_HZ)
        left = np.cumsum(response[::-1] ** 2)[::-1]
        level_db = 10 * np.log10(left / left[0])
        start, stop = np.argmax(level_db <= -5), np.argmax(level_db <= -25)
        slope, _ = np.polyfit(np.arange(start, stop) / RATE_HZ, level_db[start:stop], 1)
        measured.append(-60 / slope)
    assert np.mean(measured) == pytest.approx(room.t60_s, rel=0.05)
    assert np.ptp(measured) < 0.2 * room.t60_s


def test_the_direct_sound_of_a_room_comes_when_it_has_to_and_as_loud() -> None:
    room = replace(OFFICE, reflection=0.0)
    response = degradations.room_response(room, 3, RATE_HZ)
    ends = np.random.default_rng(3).uniform(
        degradations.WALL_M, np.array(room.size_m) - degradations.WALL_M, (2, 3)
    )
    distance = float(np.linalg.norm(ends[0] - ends[1]))
    peak = int(np.argmax(response))
    assert abs(peak - distance / degradations.SPEED_OF_SOUND_M_S * RATE_HZ) <= 1
    assert response[peak] == pytest.approx(1 / distance, rel=0.05)


def test_a_room_changes_speech_but_not_its_level(speech: Clip) -> None:
    wet = degradations.reverberant(speech, HALL).samples
    assert rms_db(wet) == pytest.approx(rms_db(speech.samples), abs=0.5)
    assert np.corrcoef(wet, speech.samples)[0, 1] < 0.9


def test_overdriven_speech_stands_at_full_scale(speech: Clip) -> None:
    hard = degradations.overdriven(speech, 12.0).samples
    peak = np.max(np.abs(speech.samples))
    at_full_scale = np.abs(hard) == 1.0
    np.testing.assert_array_equal(at_full_scale, np.abs(speech.samples) >= peak / 10 ** (12 / 20))
    assert np.mean(at_full_scale) > 0.001


def test_gain_is_what_was_asked_in_16_bits(speech: Clip) -> None:
    soft = degradations.amplified(speech, -30.0).samples
    assert rms_db(speech.samples) - rms_db(soft) == pytest.approx(30.0, abs=0.1)
    steps = soft.astype(np.float64) * 32768
    np.testing.assert_array_equal(steps, np.rint(steps))
