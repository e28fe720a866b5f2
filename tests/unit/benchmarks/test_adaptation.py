"""The rivals of the table: PLDA by the densities, folds as the product deals them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from benchmarks import adaptation
from benchmarks.adaptation import Site, plda, transformed
from benchmarks.trials import Voice
from voiceid.decision.choice import choose
from voiceid.decision.embeddings import unit
from voiceid.decision.transforms import Candidate

DIM = 6


def site(seed: int = 0, speakers: int = 12, samples: int = 6) -> Site:
    rng = np.random.default_rng(seed)
    vectors = []
    for s in range(speakers):
        own = rng.standard_normal(DIM)
        for i in range(samples):
            vector = unit((own + 0.6 * rng.standard_normal(DIM) + 1.0).astype(np.float32))
            vectors.append(Voice(f"{s}-{i}", f"s{s}", "F", 2.0, 30.0, 0.0, vector))
    return Site.of("a site", vectors)


def log_density(x: np.ndarray, covariance: np.ndarray) -> float:
    """Return the log density of a normal distribution of mean zero, by its definition."""
    _, determinant = np.linalg.slogdet(2 * np.pi * covariance)
    return float(-(x @ np.linalg.inv(covariance) @ x + determinant) / 2)


def test_the_llr_of_plda_is_that_of_the_two_hypotheses() -> None:
    rng = np.random.default_rng(0)
    x, y, between = rng.standard_normal((5, DIM)), rng.standard_normal((5, DIM)), rng.random(DIM)
    b, one = np.diag(between), np.eye(DIM)
    same, apart = np.block([[b + one, b], [b, b + one]]), np.kron(np.eye(2), b + one)
    expected = [
        log_density(np.concatenate(pair), same) - log_density(np.concatenate(pair), apart)
        for pair in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(adaptation._llr(x, y, between), expected, atol=1e-9)


def test_the_moments_of_many_speakers_are_those_they_were_drawn_with() -> None:
    rng = np.random.default_rng(0)
    within, between = np.diag([1.0, 0.5, 0.2]), np.diag([0.3, 2.0, 1.0])
    own = rng.multivariate_normal(np.zeros(3), between, 4000)
    who = np.repeat(np.arange(4000), 3)
    rows = own[who] + rng.multivariate_normal(np.zeros(3), within, len(who))
    found = adaptation._covariances(rows, who)
    np.testing.assert_allclose(found[0], within, atol=0.05)
    np.testing.assert_allclose(found[1], between, atol=0.15)


def test_plda_tells_speakers_apart_whom_it_has_not_seen() -> None:
    here = site(speakers=20)
    same, other = here.trials.sides(here.held_out(partial(plda, shrinkage=0.5)))
    assert np.median(same.scores) > np.quantile(other.scores, 0.9)


def test_the_scores_are_those_that_the_product_holds_out() -> None:
    here = site()
    choice = choose(here.vectors, here.names, here.sessions, candidates=[Candidate("wccn", 0.5)])
    found = here.held_out(partial(transformed, method="wccn", shrinkage=0.5))
    np.testing.assert_allclose(found, choice.scores_after, atol=1e-6)


@pytest.mark.parametrize(("speakers", "word"), [(4, "refused"), (12, "adopted")])
def test_a_verdict_is_reported_for_every_site(speakers: int, word: str) -> None:
    row = adaptation.verdict(site(speakers=speakers))
    assert row[0] == "a site"
    assert str(row[1]).endswith(word)
