"""Properties of fingerprints: sounds of made-up voices, where nothing is left to chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceid.domain import Speech
from voiceid.evaluation.degradations import HALL, Clip, reverberant
from voiceid.speech import fingerprint as module
from voiceid.speech.fingerprint import Fingerprint


def voice(seed: int, seconds: float = 5.0) -> np.ndarray:
    """Return noise that changes ten times a second in each of forty bands, as speech does."""
    rng, n = np.random.default_rng(seed), round(seconds * 16_000)
    spectrum_at = np.fft.rfftfreq(1600, 1 / 16_000)
    parts = []
    for _ in range(-(-n // 1600)):
        gains = np.interp(spectrum_at, np.linspace(100, 4000, 40), rng.uniform(-2, 1, 40))
        spectrum = rng.normal(size=801) + 1j * rng.normal(size=801)
        parts.append(np.fft.irfft(spectrum * 10**gains, 1600))
    samples = np.concatenate(parts)[:n]
    return (0.3 * samples / np.abs(samples).max()).astype(np.float32)


def speech(samples: np.ndarray, first: int = 0) -> Speech:
    return Speech(samples, first + np.arange(-(-len(samples) // 512)))


def gain(asked: np.ndarray, kept: np.ndarray) -> tuple[int, int]:
    """Return what is gained, and what is enough."""
    fingerprint = Fingerprint.of(speech(asked))
    return fingerprint.gains([Fingerprint.of(speech(kept)).kept])[0], fingerprint.enough


@given(st.integers(0, 10_000), st.integers(0, 40_000), st.floats(1e-3, 1.0))
@settings(max_examples=10)
def test_a_part_is_found_wherever_it_begins_and_however_loud_it_is(
    seed: int, start: int, level: float
) -> None:
    whole = voice(seed)
    for asked, kept in ((whole[start:] * level, whole), (whole, whole[start:] * level)):
        found, enough = gain(asked.astype(np.float32), kept.astype(np.float32))
        assert found >= enough


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_other_recordings_are_not_found(seed: int) -> None:
    found, enough = gain(voice(seed), voice(seed + 20_000))
    assert found < enough


def test_a_piece_between_others_is_found_and_without_it_nothing_is() -> None:
    old = voice(1)
    piece = old[24_000:56_000]
    joined = np.concatenate([voice(2, 2.0), piece, voice(3, 2.0)])
    assert np.greater_equal(*gain(joined, old))
    assert np.less(*gain(np.concatenate([voice(2, 2.0), voice(4, 2.0), voice(3, 2.0)]), old))


def test_a_short_piece_between_others_is_found_by_all_bits() -> None:
    old = voice(1)
    kept = [Fingerprint.of(speech(one)).kept for one in (old, voice(5))]
    joined = np.concatenate([voice(2, 2.0), old[24_000:36_000], voice(3, 2.0)])
    asked = Fingerprint.of(speech(joined))
    assert asked.gains(kept)[0] < asked.enough
    assert asked.finds(kept) == [True, False]


def test_speech_in_a_large_room_is_found(ami) -> None:
    said, other = (ami.samples(turn) for turn in ("alice-1", "alice-2"))
    kept = [Fingerprint.of(speech(one)).kept for one in (said, other)]
    heard = reverberant(Clip("c", "alice", "F", said, 16_000), HALL)
    assert Fingerprint.of(speech(heard.samples)).finds(kept) == [True, False]


def test_a_recording_that_is_played_backwards_is_found(ami) -> None:
    said, other = (ami.samples(turn) for turn in ("alice-1", "alice-2"))
    kept = [Fingerprint.of(speech(one)).kept for one in (said, other)]
    for start in (0, 8_123):
        backwards = Fingerprint.of(speech(said[start:][::-1].copy()))
        assert backwards.finds(kept) == [True, False]


def test_each_clip_has_the_gain_of_its_own_however_many_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = Fingerprint.of(speech(voice(1)))
    kept = [Fingerprint.of(speech(voice(n, 1.5 + n))).kept for n in (2, 1, 3, 4)]
    alone = [asked.gains([one])[0] for one in kept]
    assert asked.gains(kept) == alone
    assert [one >= asked.enough for one in alone] == [False, True, False, False]
    monkeypatch.setattr(module, "_AT_ONCE", 1)
    assert asked.gains(kept) == alone
    assert asked.gains([]) == []


def plainly(asked: Fingerprint, kept: np.ndarray) -> int:
    """Return what a piece gains in a clip that was kept: each alignment by itself."""
    most = 0
    for words, clear in zip(asked.words.tolist(), asked.clear.tolist(), strict=True):
        n = len(words) // module._STEP * module._STEP
        for first in range(module._KEPT_EVERY):
            own = range(first, n, module._STEP)
            for start in range(-module._STEP * len(own), len(kept)):
                run = 0
                for step, at in enumerate(own):
                    other = start + step * module._STEP // module._KEPT_EVERY
                    if not 0 <= other < len(kept):
                        run = 0
                        continue
                    wrong = ((words[at] ^ int(kept[other])) & clear[at]).bit_count()
                    gained = round(clear[at].bit_count() * module._POINTS * module._MOST_WRONG)
                    run = max(0, run + gained - module._POINTS * wrong)
                    most = max(most, run)
    return most


@given(st.integers(0, 10_000), st.integers(0, 12))
@settings(max_examples=10)
def test_the_search_gives_what_each_alignment_by_itself_gives(seed: int, wrong_bits: int) -> None:
    rng = np.random.default_rng(seed)
    words, clear = rng.integers(0, 1 << 32, (2, 3, 30), np.uint32)
    kept = [rng.integers(0, 1 << 32, n, np.uint32) for n in (4, 3, 20)]
    # One piece that would go through the pause between the first clip and the second.
    kept[0][:], words[1, 8], kept[1][:] = words[1, 0:8:2], 0, words[1, 12:18:2]
    kept[2][4:12] = words[1, 4:20:2]  # a piece of it
    kept[2][8] ^= np.uint32((1 << wrong_bits) - 1)
    asked = Fingerprint(words, clear, clear)
    expected = [plainly(asked, clip) for clip in kept]
    assert asked.gains([clip.astype("<u4").tobytes() for clip in kept]) == expected
    assert max(expected) > 10


def test_a_piece_does_not_go_on_in_the_next_clip() -> None:
    whole = voice(1, 1.6)
    halves = [Fingerprint.of(speech(part)).kept for part in (whole[:12_800], whole[12_800:])]
    asked = Fingerprint.of(speech(whole))
    most = max(asked.gains([one])[0] for one in halves)
    assert max(asked.gains(halves)) == most


@pytest.mark.parametrize("samples", [np.zeros(80_000), np.full(80_000, 0.1), np.zeros(1)])
def test_silence_is_no_recording_of_silence(samples: np.ndarray) -> None:
    found, enough = gain(samples.astype(np.float32), samples.astype(np.float32))
    assert found < enough


def test_a_pause_in_the_speech_stands_where_it_was_but_a_long_one_is_shortened() -> None:
    samples = voice(1)
    frames = np.arange(len(samples) // 512)
    whole = Speech(samples[: len(frames) * 512], frames)
    paused = Speech(whole.samples, np.where(frames < 70, frames, frames + 100_000))
    asked = Fingerprint.of(paused)
    assert asked.gains([Fingerprint.of(whole).kept])[0] >= asked.enough
    assert len(asked.kept) < 2 * len(Fingerprint.of(whole).kept)


def test_four_bytes_are_kept_each_64_ms_and_120_s_at_most() -> None:
    kept = Fingerprint.of(speech(voice(1))).kept
    assert len(kept) == pytest.approx(4 * 5.0 / 0.064, abs=16)
    long = Fingerprint.of(speech(np.tile(voice(1, 10.0), 20)))
    assert len(long.kept) <= 4 * 120.0 / 0.064 + 16
    assert long.gains([long.kept])[0] > long.enough, "and no sum runs over"
