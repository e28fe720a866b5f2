"""What `vid.enroll` takes as one recording, and what as many."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from voiceid.enrollment import sources_of

SAMPLES = np.zeros(16, np.float32)


@pytest.mark.parametrize(
    "source",
    [
        "a.flac",
        "-",
        Path("a.flac"),
        b"RIFF",
        bytearray(b"RIFF"),
        memoryview(b"RIFF"),
        io.BytesIO(b"RIFF"),
        (SAMPLES, 16_000),
        (SAMPLES, np.int64(16_000)),
    ],
    ids=lambda source: type(source).__name__,
)
def test_one_recording_is_one_source(source: object) -> None:
    assert sources_of(source) == (source,)
    assert sources_of([source]) == (source,)
    assert sources_of((source,)) == (source,)
    assert sources_of((source, source)) == (source, source)


def test_any_sequence_of_recordings_is_many_sources() -> None:
    assert sources_of(["a.wav", "b.wav"]) == ("a.wav", "b.wav")
    assert sources_of(("a.wav", "b.wav")) == ("a.wav", "b.wav")
    assert sources_of(path for path in ("a.wav", "b.wav")) == ("a.wav", "b.wav")
    assert sources_of([]) == ()


def test_samples_without_a_rate_are_one_source_that_is_refused_later() -> None:
    [source] = sources_of(SAMPLES)
    assert source is SAMPLES
