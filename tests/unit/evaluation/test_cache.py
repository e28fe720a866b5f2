"""Embeddings that are kept: read as they were written, and damage is as if it were not there."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_voices import OTHER_SPACE, SPACE, random_unit, sample, unprivileged

from voiceid.domain import Utterance
from voiceid.errors import ConfigError
from voiceid.evaluation.cache import EmbeddingCache


@pytest.fixture
def heard() -> list[Utterance]:
    rng = np.random.default_rng(1)
    found = [sample(random_unit(rng), clip).utterance for clip in ("one", "two")]
    return [*found, replace(sample(random_unit(rng), "short").utterance, embedding=None)]


def filled(folder: Path, heard: list[Utterance]) -> Path:
    cache = EmbeddingCache(folder, SPACE)
    for one in heard:
        cache.put(one)
        cache.put(one)
    return folder / f"{SPACE.id}.jsonl"


def test_what_is_kept_is_there_for_the_next_run(tmp_path: Path, heard: list[Utterance]) -> None:
    path = filled(tmp_path / "kept", heard)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    cache = EmbeddingCache(tmp_path / "kept", SPACE)
    assert len(cache) == 3
    for one in heard:
        found = cache.get(one.pcm_sha256, "another name")
        assert (found.name, found.pcm_sha256, found.quality) == (
            "another name",
            one.pcm_sha256,
            one.quality,
        )
        if one.embedding is None:
            assert found.embedding is None
        else:
            np.testing.assert_array_equal(found.embedding.vector, one.embedding.vector)
            assert found.embedding.space == SPACE
    assert cache.get("0" * 64, "x") is None


def test_spaces_are_kept_apart(tmp_path: Path, heard: list[Utterance]) -> None:
    filled(tmp_path, heard)
    assert len(EmbeddingCache(tmp_path, OTHER_SPACE)) == 0


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.integers(0, 5000), cut=st.booleans(), bit=st.integers(0, 7))
def test_damage_costs_what_it_hits_and_gives_no_wrong_vector(
    tmp_path: Path, heard: list[Utterance], at: int, cut: bool, bit: int
) -> None:
    path = tmp_path / f"{SPACE.id}.jsonl"
    path.unlink(missing_ok=True)
    filled(tmp_path, heard)
    data = bytearray(path.read_bytes())
    at %= len(data)
    if cut:
        del data[at:]
    else:
        data[at] ^= 1 << bit
    path.write_bytes(data)
    cache = EmbeddingCache(tmp_path, SPACE)
    for one in heard:
        cache.put(one)  # a run goes on over it
    again = EmbeddingCache(tmp_path, SPACE)
    for one in heard:
        assert again.get(one.pcm_sha256, "") is not None
    for found in (cache, again):
        for one in heard:
            kept = found.get(one.pcm_sha256, "")
            if kept.embedding is not None:
                assert np.linalg.norm(kept.embedding.vector) == pytest.approx(1, abs=2e-3)


def test_a_folder_that_cannot_be_written_to_is_reported(
    tmp_path: Path, heard: list[Utterance]
) -> None:
    tmp_path.chmod(0o555)
    cache = EmbeddingCache(tmp_path / "kept", SPACE)
    with unprivileged(), pytest.raises(ConfigError, match="cannot be written"):
        cache.put(heard[0])
    tmp_path.chmod(0o755)
