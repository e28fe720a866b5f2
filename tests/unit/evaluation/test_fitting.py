"""Fitting a calibration, against an independent implementation and where the truth is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from voiceid import metrics
from voiceid.decision.calibration import Conditions
from voiceid.errors import FitRefused
from voiceid.evaluation.fitting import Fit, fit
from voiceid.evaluation.regression import logistic_regression

FEW = 4000
"""Trials, where it is not measured how good the fit is."""


def conditions(rng: np.random.Generator, n: int) -> Conditions:
    return Conditions(
        net_speech_s=np.exp(rng.uniform(0.2, 2.5, n)),
        snr_db=np.where(rng.random(n) < 0.2, np.nan, rng.uniform(0, 40, n)),
        enrolled_speech_s=np.exp(rng.uniform(1.0, 3.5, n)),
        n_enrolled=rng.integers(1, 4, n).astype(float),
        telephone=rng.random(n),
    )


def trials(seed: int, n_speakers: int = 12, n: int = 24_000) -> dict[str, object]:
    """Scores whose LLR is known: Gaussians of one spread, shifted by speech and line."""
    rng = np.random.default_rng(seed)
    target = rng.random(n) < 0.15
    one = rng.integers(0, n_speakers, n)
    other = np.where(target, one, (one + rng.integers(1, n_speakers, n)) % n_speakers)
    given = conditions(rng, n)
    shift = 0.1 * np.log(given.net_speech_s) + 0.25 * given.telephone
    scores = rng.normal(np.where(target, 0.6, 0.1), 0.15) + shift
    return {
        "scores": scores,
        "target": target,
        "conditions": given,
        "speakers": np.stack([one, other], axis=1),
    }


def test_the_weights_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    target = rng.random(3000) < 0.2
    columns = rng.normal(size=(3000, 3)) * [1.0, 0.1, 5.0] + target[:, None] * [1.0, 0.05, 0.0]
    slopes, intercept = logistic_regression(columns, target)
    mass = np.where(target, 0.5 / target.sum(), 0.5 / (~target).sum())
    # Platt's targets: every trial counts a little as one of the other kind.
    n = np.where(target, target.sum(), (~target).sum())
    wanted = np.where(target, (n + 1) / (n + 2), 1 / (n + 2))
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)
    oracle.fit(
        np.concatenate([columns, columns]),
        np.repeat([True, False], len(target)),
        sample_weight=len(target) * np.concatenate([mass * wanted, mass * (1 - wanted)]),
    )
    assert slopes == pytest.approx(oracle.coef_[0], rel=2e-4)
    assert intercept == pytest.approx(oracle.intercept_[0], rel=2e-4)


def test_sides_that_do_not_overlap_still_get_finite_weights() -> None:
    target = np.arange(100) < 20
    slopes, intercept = logistic_regression(np.where(target, 1.0, -1.0)[:, None], target)
    assert math.isfinite(intercept)
    assert 0.0 < slopes[0] < math.inf


@pytest.fixture(scope="module")
def fitted() -> Fit:
    return fit(**trials(1))


def test_the_true_llr_is_found(fitted: Fit) -> None:
    made = fitted.calibration
    # ln N(s; .6, .15) / N(s; .1, .15) = (s - shift - .35) * .5 / .15 ** 2
    steep = 0.5 / 0.15**2
    weights = {one.feature: one.weight for one in made.weights}
    assert made.slope == pytest.approx(steep, rel=0.06)
    assert weights["ln_net_speech"] == pytest.approx(-0.1 * steep, rel=0.15)
    assert weights["telephone"] == pytest.approx(-0.25 * steep, rel=0.1)
    assert set(weights) == {"ln_net_speech", "ln_enrolled_speech", "telephone"}, (
        "what does not help is left out"
    )


def test_held_out_llrs_cost_little_more_than_the_best_of_their_order(fitted: Fit) -> None:
    target = np.asarray(trials(1)["target"])
    assert fitted.rows.all()
    assert np.isfinite(fitted.llrs).all()
    assert fitted.held_out.cllr == pytest.approx(
        metrics.cllr(fitted.llrs[target], fitted.llrs[~target])
    )
    assert fitted.held_out.cllr < 1.05 * fitted.held_out.min_cllr


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_a_rate_holds_on_other_trials(fitted: Fit, rate: float) -> None:
    fresh = trials(2, n=200_000)
    given, target = fresh["conditions"], fresh["target"]
    llrs = fitted.calibration.llrs(fresh["scores"], given)
    heard = fitted.calibration.covers(given) & ~target
    found = float(np.mean(llrs[heard] >= fitted.calibration.llr_at(rate)))
    point = next(p for p in fitted.calibration.points if p.fmr == rate)
    low, high = point.fmr_bounds
    assert 0.5 * low <= found <= 1.5 * high
    assert low <= rate <= high


def test_the_same_trials_give_the_same_calibration() -> None:
    assert fit(**trials(1, n=FEW)).calibration == fit(**trials(1, n=FEW)).calibration


def test_a_line_of_which_there_is_too_little_is_not_spoken_of() -> None:
    made = trials(3, n=FEW)
    rare = np.random.default_rng(0).random(FEW) < 0.005
    made["conditions"] = replace(made["conditions"], telephone=np.where(rare, 1.0, 0.1))
    found = fit(**made)
    assert found.calibration.telephone == (0.0, 0.1)
    assert found.rows.tolist() == (~rare).tolist()
    assert not found.calibration.covers(made["conditions"])[rare].any()


def test_one_trial_that_is_half_a_telephone_is_not_what_was_heard_of_it() -> None:
    made = trials(3, n=FEW)
    telephone = np.full(FEW, 0.1)
    telephone[7] = 0.49
    made["conditions"] = replace(made["conditions"], telephone=telephone)
    found = fit(**made)
    assert found.calibration.telephone == pytest.approx((0.0, 0.1))
    asked = made["conditions"].rows(np.array([7, 8]))
    assert found.calibration.covers(asked).tolist() == [False, True]


def test_a_target_that_the_trials_cannot_support_is_refused_with_the_number() -> None:
    with pytest.raises(FitRefused, match="300000 impostor trials"):
        fit(**trials(1, n=FEW), target_fmr=1e-5)
    asked = fit(**trials(1, n=FEW), target_fmr=0.003)
    assert 0.003 in {point.fmr for point in asked.calibration.points}


@pytest.mark.parametrize("n_speakers", [2, 4])
def test_too_few_speakers_are_refused(n_speakers: int) -> None:
    with pytest.raises(FitRefused, match=rf"{n_speakers} speakers.* takes 5"):
        fit(**trials(1, n_speakers=n_speakers))


def test_scores_that_stand_on_their_head_are_refused() -> None:
    made = trials(1, n=FEW)
    made["scores"] = -np.asarray(made["scores"])
    with pytest.raises(FitRefused, match="not above"):
        fit(**made)
