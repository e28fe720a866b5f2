from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from examples import voices
from voiceid import VoiceID
from voiceid.pictures import VoiceMap, cosines, map_voices, pairs


def speech_like(speakers: int, clips: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(speakers, 64))
    vectors = np.repeat(centres, clips, axis=0) + 0.4 * rng.normal(size=(speakers * clips, 64))
    return vectors.astype(np.float32), [f"s{i}" for i in range(speakers) for _ in range(clips)]


@pytest.fixture(scope="module")
def real(models_folder, ami) -> Iterator[VoiceMap]:
    overrides = {"models": str(models_folder), "offline": True}
    with VoiceID.open(overrides=overrides) as vid:
        yield voices.place(vid, list(voices.cuts(ami.folder)))


def spread_of(placed: VoiceMap) -> tuple[float, float]:
    """Mean distance of two clips of one speaker, and of clips of two speakers."""
    points = placed.points
    distances = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    same, other = pairs(distances, list(placed.speakers))
    return float(np.mean(same)), float(np.mean(other))


def test_clips_of_one_real_speaker_lie_closer_than_those_of_two(real: VoiceMap) -> None:
    assert len(real.names) == 8
    same, other = spread_of(real)
    assert same < 0.35 * other


def test_principal_components_are_those_of_scikit_learn() -> None:
    vectors, speakers = speech_like(5, 4)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    theirs = PCA(2, svd_solver="full").fit(units)
    mine = map_voices(vectors, speakers, speakers)
    signs = np.sign(np.sum(mine.points * theirs.transform(units), axis=0))
    assert np.allclose(mine.points, signs * theirs.transform(units), atol=1e-5)
    shares = [f"{100 * share:.0f} % of the variance" for share in theirs.explained_variance_ratio_]
    assert [share in axis for share, axis in zip(shares, mine.axes, strict=True)] == [True, True]


def test_added_audio_moves_no_point_and_lands_where_its_double_is() -> None:
    vectors, speakers = speech_like(4, 3)
    alone = map_voices(vectors, speakers, speakers)
    more = np.concatenate([vectors, vectors[4:5] * 7])
    placed = map_voices(more, [*speakers, None], [*speakers, "door.wav"])
    assert np.allclose(placed.points[:-1], alone.points)
    assert np.allclose(placed.points[-1], alone.points[4], atol=1e-6)
    assert placed.of(None) == [12]


def test_t_sne_is_the_same_each_time_and_keeps_speakers_together() -> None:
    vectors, speakers = speech_like(4, 6)
    one, again = (map_voices(vectors, speakers, speakers, "tsne") for _ in range(2))
    assert np.array_equal(one.points, again.points)
    same, other = spread_of(one)
    assert same < 0.3 * other
    assert one.axes == ("t-SNE 1 (no unit; perplexity 7)", "t-SNE 2 (no unit)")


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("clips", [1, 2, 3, 5])
def test_a_few_clips_of_one_speaker_are_placed_too(method, clips) -> None:
    vectors, speakers = speech_like(1, clips)
    placed = map_voices(vectors, speakers, speakers, method)
    assert placed.points.shape == (clips, 2)
    assert np.all(np.isfinite(placed.points))
    assert placed.method == ("tsne" if method == "tsne" and clips == 5 else "pca")
    assert bool(placed.notes) == (method == "tsne")


def test_the_same_clip_many_times_is_one_point() -> None:
    vectors = np.repeat(speech_like(1, 1)[0], 6, axis=0)
    placed = map_voices(vectors, ["a"] * 6, ["a"] * 6)
    assert np.allclose(placed.points, 0, atol=1e-6)
    assert np.all(np.isfinite(placed.points))


def test_without_a_speaker_there_are_no_axes() -> None:
    with pytest.raises(ValueError, match="no clip of a speaker"):
        map_voices(np.eye(3, dtype=np.float32), [None] * 3, ["a", "b", "c"])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(0, 2**32 - 1))
def test_every_pair_of_clips_is_scored_once(sizes: list[int], seed: int) -> None:
    speakers = [f"s{i}" for i, size in enumerate(sizes) for _ in range(size)]
    vectors = np.random.default_rng(seed).normal(size=(len(speakers), 6)).astype(np.float32)
    matrix = cosines(vectors)
    genuine, impostor = pairs(matrix, speakers)
    assert len(genuine) == sum(size * (size - 1) // 2 for size in sizes)
    assert len(genuine) + len(impostor) == len(speakers) * (len(speakers) - 1) // 2
    assert np.allclose(matrix, matrix.T)
    assert np.allclose(np.diag(matrix), 1)
    assert np.all(np.abs(matrix) <= 1)
