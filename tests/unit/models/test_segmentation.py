"""The segmentation model that is built answers as pyannote.audio does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from voiceid.errors import CheckpointInvalid
from voiceid.models import segmentation
from voiceid.models.runtime import Session
from voiceid.speech.segmenter import LEAST_SAMPLES, STEP_SAMPLES

RUNS = [(2, 251), (4, 124), (1, 12), (4, 30), (1, 33), (0, 41), (1, 13), (4, 85)]
"""The classes of the first 10 s of AMI's cut tst00, and of how many frames in turn."""

FRAMES = {
    0: [-2.1073, -3.0475, -0.4767, -2.4799, -2.8178, -4.7488, -2.8471],
    100: [-5.9864, -6.4115, -0.0241, -4.4567, -5.6253, -10.6057, -5.4246],
    187: [-5.2523, -5.5145, -0.0363, -4.2166, -5.2398, -9.8699, -5.0772],
    300: [-3.5061, -1.5125, -2.4461, -4.0874, -0.6963, -2.1481, -3.4714],
    420: [-2.0616, -1.0596, -2.3096, -3.6394, -1.2488, -2.3274, -4.1248],
    588: [-3.3662, -2.5646, -1.5774, -3.2977, -0.7187, -2.8581, -2.2997],
}
"""Log probabilities of that window: pyannote.audio 4.0.7 on the same checkpoint, float32."""


def test_ten_seconds_get_the_answer_of_pyannote(ami, models_folder: Path) -> None:
    path = models_folder / "segmentation.onnx"
    session = Session.open(path, inputs={"waveform": 2}, outputs=["log_probs"])
    samples, _ = soundfile.read(ami.folder / "tst00.wav", stop=160_000, dtype="float32")
    # Beside another window, which changes nothing.
    [answers] = session.run({"waveform": np.stack([samples, samples[::-1]])})
    assert answers.shape == (2, 589, len(segmentation.CLASSES))
    np.testing.assert_allclose(np.exp(answers).sum(axis=2), 1.0, atol=1e-5)
    for frame, expected in FRAMES.items():
        np.testing.assert_allclose(answers[0, frame], expected, atol=1e-3)
    expected = np.concatenate([np.full(count, number) for number, count in RUNS])
    assert np.mean(answers[0].argmax(axis=1) == expected) >= 0.999


def test_frames_follow_each_other_as_documented(models_folder: Path) -> None:
    path = models_folder / "segmentation.onnx"
    session = Session.open(path, inputs={"waveform": 2}, outputs=["log_probs"])
    noise = np.random.default_rng(0).standard_normal((1, 20_000)).astype(np.float32)
    for n in (LEAST_SAMPLES, 5000, 16_003, 20_000):
        [answers] = session.run({"waveform": noise[:, :n]})
        spare = n - LEAST_SAMPLES
        assert answers.shape[1] == 1 + spare // STEP_SAMPLES


def test_tensors_of_another_shape_are_a_typed_error() -> None:
    weights = {name: np.zeros(shape, "f4") for name, shape in segmentation._shapes().items()}
    name = "state_dict.lstm.weight_hh_l3_reverse"
    weights[name] = weights[name][:, 1:]
    with pytest.raises(CheckpointInvalid, match=r"lstm\.weight_hh_l3_reverse"):
        segmentation.build(weights)
