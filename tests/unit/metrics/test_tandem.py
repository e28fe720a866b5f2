"""t-DCF against ASVspoof's own program, and against the definition written out."""

from __future__ import annotations

import numpy as np
import pytest

from voiceid import metrics
from voiceid.metrics import TandemCosts, VerifierErrors, tandem_cost


def scores() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(19)
    return rng.normal(1.0, 1.0, 400), rng.normal(-0.5, 1.2, 300)


@pytest.mark.parametrize(
    ("verifier", "least"),
    [
        (VerifierErrors(0.02, 0.001, 0.7), 0.609738189145),
        (VerifierErrors(0.05, 0.02, 0.3), 0.76769825311),
        (VerifierErrors(0.0, 0.001, 0.01), 0.842983316977),
    ],
)
def test_the_least_cost_is_that_of_asvspoofs_program(
    verifier: VerifierErrors, least: float
) -> None:
    """`compute_tDCF` of the evaluation package of ASVspoof 2021 gave these of the same scores."""
    assert metrics.min_tandem_cost(*scores(), verifier) == pytest.approx(least, abs=1e-9)


def test_the_cost_is_that_of_decisions_on_many_claims() -> None:
    rng = np.random.default_rng(3)
    costs, verifier, bpcer, apcer = TandemCosts(), VerifierErrors(0.1, 0.04, 0.6), 0.2, 0.3
    n = 4_000_000
    kind = rng.choice(3, n, p=[costs.p_target, costs.p_nontarget, costs.p_attack])
    by_verifier = (
        rng.random(n) < np.array([1 - verifier.fnmr, verifier.fmr, verifier.attacks])[kind]
    )
    by_countermeasure = rng.random(n) < np.array([1 - bpcer, 1 - bpcer, apcer])[kind]
    accepted = by_verifier & by_countermeasure
    paid = np.where(kind == 0, ~accepted * costs.miss, accepted * np.array([0, 10.0, 10.0])[kind])
    expected = float(tandem_cost(bpcer, apcer, verifier))
    assert paid.mean() == pytest.approx(expected, abs=4 * paid.std() / np.sqrt(n))


def test_a_countermeasure_that_hears_nothing_costs_one_and_one_without_an_error_the_least() -> None:
    verifier = VerifierErrors(0.02, 0.001, 0.7)
    same = np.zeros(9)
    assert metrics.min_tandem_cost(same, same, verifier) == 1.0
    perfect = metrics.min_tandem_cost(same + 1.0, same, verifier)
    default = metrics.default_tandem_cost(verifier)
    assert perfect == pytest.approx(float(tandem_cost(0.0, 0.0, verifier)) / default)
    with pytest.raises(ValueError, match="no cost can be normalized"):
        metrics.min_tandem_cost(same, same, VerifierErrors(0.0, 0.0, 0.0))


def test_no_rates_within_bounds_cost_less_or_more_than_the_bounds() -> None:
    rng = np.random.default_rng(4)
    for reach in (0.1, 0.5, 1.0):  # to a verifier that may refuse everybody
        for _ in range(40):
            five = np.sort(rng.uniform(0.0, reach, (5, 2)), axis=1)
            five[2, 1] = reach
            low, high = metrics.tandem_bounds(*map(tuple, five.tolist()))
            rates = five[:, :1] + np.diff(five, axis=1) * rng.integers(0, 2, (5, 64))
            costs = [tandem_cost(b, a, VerifierErrors(*v)) for b, a, *v in rates.T.tolist()]
            assert low - 1e-12 <= min(costs) <= max(costs) <= high + 1e-12


@pytest.mark.parametrize(("errors", "trials"), [(0, 20), (3, 20), (20, 20)])
def test_exact_bounds_are_those_of_the_binomial_distribution(errors: int, trials: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(errors, trials).proportion_ci(0.99, method="exact")
    found = metrics.exact_bounds(errors, trials, 0.99)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)
