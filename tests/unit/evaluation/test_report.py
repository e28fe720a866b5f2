"""Verification errors of scored trials, with a calibration in use and without."""

from __future__ import annotations

import math

import numpy as np
import pytest
from judging import calibration, gallery_protocol, judged, rule, scored

from voiceid import metrics
from voiceid.evaluation.bounds import cost_bounds, rate_by_speaker
from voiceid.evaluation.report import errors, sliced
from voiceid.metrics import Trials


def test_rates_at_the_shipped_thresholds_are_those_of_the_card_alone() -> None:
    for of in (rule(), rule(calibration())):
        made = judged(of)
        found = errors(made)
        wrong = {True: 0, False: 0}
        unknown = 0
        given = made.scored.conditions
        for i, same in enumerate(made.scored.target.tolist()):
            speech, share = given.net_speech_s[i], given.telephone[i]
            known = speech >= 1.0
            threshold = 0.45 + 0.05 * share if speech >= 4.0 else 0.55 + 0.1 * share
            unknown += not known
            accepted = known and made.scored.scores[i] >= threshold
            wrong[same] += accepted != same
        assert (found.shipped.fnmr.errors, found.shipped.fmr.errors) == (wrong[True], wrong[False])
        assert found.shipped.without_threshold == unknown > 0
        assert found.shipped.target_fmr == 0.001


def test_without_a_calibration_there_are_no_llrs_and_min_cllr_is_reported() -> None:
    made = judged(rule())
    found = errors(made)
    assert found.calibrated is None
    assert found.llrs is None
    same, other = (made.scored.scores[made.scored.target == side] for side in (True, False))
    assert found.min_cllr == metrics.min_cllr(same, other)
    facts = found.to_dict()
    assert facts["at_calibrated_thresholds"] is None
    assert facts["llrs"] is None


def test_the_llrs_of_covered_trials_are_judged_and_no_others() -> None:
    stored = calibration()
    made = judged(rule(stored), spread=0.2)
    found = errors(made).llrs
    given, target = made.scored.conditions, made.scored.target
    covered = (given.net_speech_s >= 1.5) & (given.telephone < 0.5)
    # The formula of the calibration, written out.
    speech = np.clip(np.log(given.net_speech_s), 0.0, 2.0)
    llrs = 25.0 * (made.scored.scores.astype(np.float64) - 0.45) + 0.5 * speech
    same, other = llrs[covered & target], llrs[covered & ~target]
    assert (found.genuine, found.impostor) == (len(same), len(other))
    assert found.not_covered == (~covered).sum() > 0
    assert found.cllr.value == pytest.approx(metrics.cllr(same, other))
    assert found.min_cllr == pytest.approx(metrics.min_cllr(same, other))
    for prior in (0.01, 0.05):
        at = math.log((1 - prior) / prior)
        cost = (same < at).mean() + (1 - prior) / prior * (other >= at).mean()
        assert found.act_dcf[prior].value == pytest.approx(cost)
        assert found.min_dcf[prior] == metrics.min_dcf(same, other, p_target=prior)
        low, high = found.act_dcf[prior].bounds
        assert low <= cost <= high
    low, high = found.cllr.bounds
    assert low < found.cllr.value < high


def test_trials_that_are_not_covered_are_decided_by_the_card() -> None:
    of = rule(calibration())
    made = judged(of)
    found = errors(made)
    given = made.scored.conditions
    covered = (given.net_speech_s >= 1.5) & (given.telephone < 0.5)
    # The calibration was made for an FMR of 1 %: an LLR of 3.
    thresholds = np.where(covered, 0.0, made.shipped)
    speech = np.clip(np.log(given.net_speech_s), 0.0, 2.0)
    thresholds[covered] = (0.45 + (3.0 - 0.5 * speech) / 25.0)[covered]
    accepted = made.scored.scores >= thresholds
    target = made.scored.target
    assert found.calibrated.fmr.errors == (accepted & ~target).sum()
    assert found.calibrated.fnmr.errors == (~accepted & target).sum()
    assert found.calibrated.without_threshold == np.isnan(thresholds).sum()
    assert (found.shipped.target_fmr, found.calibrated.target_fmr) == (0.001, 0.01)


def test_where_a_count_is_zero_the_bounds_are_of_the_rule_of_three() -> None:
    made = judged(rule(calibration(slope=60.0)), spread=0.001)
    found = errors(made)
    n = found.impostor
    assert found.calibrated.fmr.bounds == "rule of three"
    assert found.calibrated.fmr.high == pytest.approx(1 - 0.05 ** (1 / n))
    for prior, cost in found.llrs.act_dcf.items():
        assert cost.value == 0.0
        unseen = 1 - 0.05 ** (1 / found.llrs.genuine)
        unseen += (1 - prior) / prior * (1 - 0.05 ** (1 / found.llrs.impostor))
        assert cost.bounds == pytest.approx((0.0, unseen))
        assert found.min_dcf[prior].value == 0.0
        assert 0.1 < found.min_dcf[prior].bounds[1] <= 1.0
    assert found.eer_bounds[1] > 0.05


def test_a_cost_adds_what_the_side_without_errors_may_hide() -> None:
    low, high = cost_bounds((0.1, 0.3), (0, 4), (1_000, 50), 0.05)
    assert low == 0.1
    assert high == pytest.approx(0.3 + 19 * (1 - 0.05 ** (1 / 1_000)))
    assert cost_bounds((0.1, 0.3), (2, 4), (1_000, 50), 0.05) == (0.1, 0.3)
    assert cost_bounds((0.1, 20.0), (0, 4), (2, 50), 0.05)[1] == pytest.approx(
        20.0
    )  # nothing costs more


def test_rates_are_bounded_by_drawing_speakers_again() -> None:
    made = judged(rule())
    accepted = made.scored.scores >= 0.4
    other = ~made.scored.target
    found = rate_by_speaker(accepted[other], made.speakers[other])
    drawn = metrics.resample_speakers(
        *(
            Trials(accepted[rows].astype(float), made.speakers[rows])
            for rows in (made.scored.target, other)
        ),
        thresholds=[0.5],
    )
    assert found.bounds == "bootstrap by speaker"
    assert (found.low, found.high) == pytest.approx(drawn.fmr_at(0.5), abs=0.01)
    alone = rate_by_speaker(np.array([True, False, False]), np.zeros(3, dtype=np.int64))
    assert alone.bounds == "Clopper-Pearson"


def test_slices_hold_each_trial_once_with_its_llr() -> None:
    protocol = gallery_protocol()
    made = judged(rule(calibration()), protocol)
    whole = errors(made)
    found: dict[str, list] = {}
    for attribute, label, one in sliced(made, protocol):
        found.setdefault(attribute, []).append((label, one))
    assert set(found) == {"net_speech_s", "line", "snr_db", "condition"}
    assert [label for label, _ in found["line"]] == ["other", "telephone, both sides"]
    assert {label for label, _ in found["condition"]} == {"car", "unknown"}
    for slices in found.values():
        assert sum(one.impostor for _, one in slices) == whole.impostor
        assert sum(one.llrs.not_covered for _, one in slices) == whole.llrs.not_covered
        assert sum(one.shipped.fmr.errors for _, one in slices) == whole.shipped.fmr.errors
    [nothing] = [one for label, one in found["net_speech_s"] if label == "below 1"]
    assert nothing.llrs.cllr is None
    assert nothing.to_dict()["llrs"]["cllr"] is None
    assert nothing.llrs.misfit is None


def test_trials_of_one_side_have_no_errors_to_tell() -> None:
    protocol = gallery_protocol()
    made = judged(rule(), protocol)
    assert errors(made, made.scored.target) is None
    assert len(scored(protocol, rule()).scores) == len(made.shipped)
