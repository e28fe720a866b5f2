"""The front ends in the graph give what Kaldi, librosa and ReDimNet2's definition give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kaldi_native_fbank
import numpy as np
import pytest
from networks import by_librosa, by_redimnet

from voiceid.models.frontends import ge2e_mel_40, kaldi_fbank_80, redimnet_mel_72
from voiceid.models.graph import Graph
from voiceid.models.runtime import Session

RATE = 16_000
LENGTHS = [400, 401, 559, 560, 1600, 16_000, 16_001, 47_999]


def front_end(add: Callable[[Graph, str], str], mels: int) -> Session:
    graph = Graph("features")
    features = add(graph, "waveform")
    data = graph.serialize(
        {"waveform": ["N", "samples"]}, {"features": (features, ["N", mels, "frames"])}
    )
    return Session.of_bytes(data, "features", inputs={"waveform": 2}, outputs=["features"])


@pytest.fixture(scope="module")
def kaldi() -> Session:
    return front_end(kaldi_fbank_80, 80)


@pytest.fixture(scope="module")
def mel() -> Session:
    return front_end(ge2e_mel_40, 40)


@pytest.fixture(scope="module")
def redimnet() -> Session:
    return front_end(redimnet_mel_72, 72)


def features(session: Session, samples: np.ndarray) -> np.ndarray:
    """Return (frames, mels)."""
    [[found]] = session.run({"waveform": samples[None]})
    return found.T


def by_kaldi(samples: np.ndarray) -> np.ndarray:
    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.samp_freq = RATE
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = 80
    bank = kaldi_native_fbank.OnlineFbank(options)
    bank.accept_waveform(RATE, samples.tolist())
    bank.input_finished()
    return np.array([bank.get_frame(n) for n in range(bank.num_frames_ready)])


def test_on_real_speech_the_filter_bank_is_kaldis(kaldi: Session, ami: Any) -> None:
    for turn in ("alice-2", "bob-1", "carol-2"):
        samples = ami.samples(turn)
        np.testing.assert_allclose(features(kaldi, samples), by_kaldi(samples), atol=1e-3)


def test_on_real_speech_the_mel_spectrogram_is_librosas(mel: Session, ami: Any) -> None:
    for turn in ("alice-2", "bob-1", "carol-2"):
        samples = ami.samples(turn)
        np.testing.assert_allclose(
            features(mel, samples), by_librosa(samples), rtol=1e-4, atol=1e-6
        )


def test_on_real_speech_the_features_are_redimnets(redimnet: Session, ami: Any) -> None:
    for turn in ("alice-2", "bob-1", "carol-2"):
        samples = ami.samples(turn)
        np.testing.assert_allclose(features(redimnet, samples), by_redimnet(samples), atol=1e-3)


def test_redimnets_features_of_digital_silence_and_of_a_click_are_the_floor_and_the_ceiling(
    redimnet: Session, ami: Any
) -> None:
    gap, click = ami.samples("alice-2").copy(), np.zeros(16_000, "f4")
    gap[8000:16_000] = gap.mean()
    click[8000:8040] = 1.0
    for samples in (gap, click):
        np.testing.assert_allclose(features(redimnet, samples), by_redimnet(samples), atol=2e-3)
    np.testing.assert_allclose(features(redimnet, np.zeros(16_000, "f4")), 0, atol=1e-5)


@pytest.mark.parametrize("length", [16_000, 16_079, 16_080, 16_240, 16_399, 16_400, 47_999])
def test_redimnets_frames_are_a_multiple_of_four_at_every_length(
    redimnet: Session, length: int
) -> None:
    noise = np.random.default_rng(length).normal(0.02, 0.1, length).astype("f4")
    found = features(redimnet, noise)
    assert len(found) % 4 == 0
    np.testing.assert_allclose(found, by_redimnet(noise), atol=1e-3)


@pytest.mark.parametrize("length", LENGTHS)
def test_both_have_as_many_frames_as_their_originals_at_every_length(
    kaldi: Session, mel: Session, length: int
) -> None:
    noise = np.random.default_rng(length).normal(0, 0.1, length).astype("f4")
    np.testing.assert_allclose(features(kaldi, noise), by_kaldi(noise), atol=1e-3)
    np.testing.assert_allclose(features(mel, noise), by_librosa(noise), rtol=1e-4, atol=1e-6)


def test_silence_and_a_constant_are_kaldis_floor(kaldi: Session) -> None:
    floor = np.log(np.finfo(np.float32).eps)
    np.testing.assert_allclose(features(kaldi, np.zeros(1600, "f4")), floor, rtol=1e-6)
    np.testing.assert_allclose(features(kaldi, np.full(1600, 0.9, "f4")), floor, rtol=1e-6)


def test_clips_of_a_batch_do_not_touch_each_other(
    kaldi: Session, mel: Session, redimnet: Session
) -> None:
    batch = np.random.default_rng(0).normal(0, 0.1, (3, 8000)).astype("f4")
    for session in (kaldi, mel, redimnet):
        [found] = session.run({"waveform": batch})
        for clip, one in zip(batch, found, strict=True):
            np.testing.assert_allclose(one.T, features(session, clip), rtol=1e-5, atol=1e-5)
