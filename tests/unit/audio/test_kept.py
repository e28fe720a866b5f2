"""Kept recordings: what is read back, and that no damage is taken for a voice."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceid.audio import KeptAudio, Tape, open_audio
from voiceid.errors import AudioInvalid, AudioNotFound, AudioUnreadable, StoreError

RATE = 16_000


def keep(folder: Path, source: object, rate: int = RATE) -> tuple[KeptAudio, str]:
    """Keep a recording as an enrolment does; return the folder and the recording's hash."""
    kept, tape = KeptAudio(folder / "audio"), Tape()
    given = (source, rate) if isinstance(source, np.ndarray) else source
    with open_audio(given, tap=tape, block_values=5000) as stream:  # type: ignore[arg-type]
        for _ in stream.blocks():
            pass
        tape.seal(stream.pcm_sha256, stream.sample_rate_hz)
        kept.put(stream.pcm_sha256, tape)
        return kept, stream.pcm_sha256


def hash_of(source: tuple[np.ndarray, int]) -> str:
    with open_audio(source) as stream:
        for _ in stream.blocks():
            pass
        return stream.pcm_sha256


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 20_000),
    rate=st.sampled_from([8000, 16_000, 22_050, 44_100, 48_000, 192_000]),
    bits=st.sampled_from([8, 16, 24]),
)
@settings(max_examples=25, deadline=None)
def test_a_recording_of_24_bits_or_less_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n: int, rate: int, bits: int
) -> None:
    rng, full = np.random.default_rng(seed), 2 ** (bits - 1)
    samples = (rng.integers(-full, full, n) / full).astype(np.float32)
    kept, digest = keep(tmp_path_factory.mktemp("kept"), samples, rate)
    found, its_rate = kept.source(digest)
    assert its_rate == rate
    assert np.array_equal(found, samples)
    assert hash_of((found, its_rate)) == digest


@given(seed=st.integers(0, 2**32 - 1), peak=st.floats(1e-3, 15.9))
@settings(max_examples=25, deadline=None)
def test_floats_are_rounded_and_never_clipped(
    tmp_path_factory: pytest.TempPathFactory, seed: int, peak: float
) -> None:
    samples = np.random.default_rng(seed).uniform(-peak, peak, 3000).astype(np.float32)
    kept, digest = keep(tmp_path_factory.mktemp("kept"), samples)
    found, _ = kept.source(digest)
    assert np.abs(found - samples).max() <= 2.0 ** (np.ceil(np.log2(max(peak, 1))) - 24)


def test_full_scale_is_kept(tmp_path: Path) -> None:
    samples = np.array([1.0, -1.0, 0.5, 0.0], dtype=np.float32)
    kept, digest = keep(tmp_path, samples)
    assert np.array_equal(kept.source(digest)[0], samples)


def test_the_mean_of_two_channels_is_kept_as_it_was_heard(tmp_path: Path) -> None:
    stereo = np.random.default_rng(1).integers(-9000, 9000, (4000, 2)).astype(np.int16)
    soundfile.write(tmp_path / "two.wav", stereo, RATE)
    kept, digest = keep(tmp_path, tmp_path / "two.wav")
    assert hash_of(kept.source(digest)) == digest


def test_16_bits_cost_no_more_in_a_file_of_24(tmp_path: Path, ami: object) -> None:
    ami.cut("alice-2", tmp_path / "16.flac")
    kept, digest = keep(tmp_path, ami.samples("alice-2"))
    size = kept.path(digest).stat().st_size
    assert size < 1.01 * (tmp_path / "16.flac").stat().st_size + 1000


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    kept, digest = keep(tmp_path, np.zeros(100, dtype=np.float32))
    assert kept.path(digest).stat().st_mode & 0o777 == 0o600
    assert kept.folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in kept.folder.iterdir()] == [f"{digest}.flac"]
    assert kept.recordings() == {digest}


@pytest.mark.parametrize("what", ["flipped", "cut", "empty", "another", "foreign"])
def test_damage_is_an_error_and_never_a_voice(tmp_path: Path, ami: object, what: str) -> None:
    kept, digest = keep(tmp_path, ami.samples("alice-1"))
    path, data = kept.path(digest), kept.path(digest).read_bytes()
    _, other = keep(tmp_path, ami.samples("bob-1"))
    damaged = {
        "flipped": data[: len(data) // 2]
        + bytes([data[len(data) // 2] ^ 4])
        + data[len(data) // 2 + 1 :],
        "cut": data[: len(data) // 2],
        "empty": b"",
        "another": kept.path(other).read_bytes(),
        "foreign": ami.cut("alice-1", tmp_path / "own.flac").read_bytes(),
    }
    path.write_bytes(damaged[what])
    with pytest.raises(AudioUnreadable, match="damaged"):
        kept.source(digest)


def test_other_samples_under_the_note_of_a_recording_are_damage(
    tmp_path: Path, ami: object
) -> None:
    kept, digest = keep(tmp_path, ami.samples("alice-1"))
    path = kept.path(digest)
    with soundfile.SoundFile(path) as flac:
        note, samples = flac.comment, flac.read(dtype="int32")
    samples[100] += 1 << 8  # one step of 24 bits
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_24", format="FLAC") as flac:
        flac.comment = note
        flac.write(samples)
    with pytest.raises(AudioUnreadable, match="damaged"):
        kept.source(digest)


def test_what_is_not_kept_is_reported(tmp_path: Path) -> None:
    kept = KeptAudio(tmp_path / "audio")
    assert kept.recordings() == set()
    assert not kept.has("0" * 64)
    assert not kept.unfinished()
    with pytest.raises(AudioNotFound):
        kept.source("0" * 64)
    kept.remove(["0" * 64])


def test_a_rate_that_flac_has_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioInvalid, match="FLAC"):
        keep(tmp_path, np.zeros(1000, dtype=np.float32), 768_000)


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "audio").write_text("in the way")
    with pytest.raises(StoreError, match="could not be kept"):
        keep(tmp_path, np.zeros(1000, dtype=np.float32))


def test_silence_that_unpacks_to_more_than_a_recording_can_is_damage(tmp_path: Path) -> None:
    kept = KeptAudio(tmp_path)
    with soundfile.SoundFile(kept.path("0" * 64), "w", RATE, 1, "PCM_24", format="FLAC") as flac:
        for _ in range(20):
            flac.write(np.zeros(1 << 20, np.int32))
    with pytest.raises(AudioUnreadable, match="damaged"):
        kept.source("0" * 64)


def test_a_pipe_in_the_folder_is_damage_and_not_waited_for(tmp_path: Path) -> None:
    kept = KeptAudio(tmp_path)
    os.mkfifo(kept.path("0" * 64))
    with pytest.raises(AudioUnreadable, match="damaged"):
        kept.source("0" * 64)
