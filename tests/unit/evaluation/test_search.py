"""Open-set identification, decided search by search as the product does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from judging import calibration, gallery_protocol, judged, rule

from voiceid import metrics
from voiceid.decision.aims import Target
from voiceid.evaluation.search import (
    Gallery,
    IndexLoss,
    by_threshold,
    identified,
    identified_by_slice,
    searches,
)

PROTOCOL = gallery_protocol()
SIZE = len(PROTOCOL.models)


def by_hand(made, thresholds, margin: float = 0.05) -> dict[str, int]:
    """Return the counts of a loop over the probes."""
    counts = dict.fromkeys(("fpir", "fnir", "wrong", "inconclusive", "unknown"), 0)
    trials, scores = made.scored.trials, made.scored.scores
    for probe in np.unique(trials[:, 1]):
        mine = sorted(np.flatnonzero(trials[:, 1] == probe), key=lambda i: -scores[i])
        best, second = mine[:2]
        counts["unknown"] += math.isnan(thresholds[best])
        reached = scores[best] >= thresholds[best]
        clear = scores[best] - scores[second] >= np.float32(margin)
        counts["inconclusive"] += bool(reached and not clear)
        named, right = bool(reached and clear), bool(made.scored.target[best])
        if made.scored.target[mine].any():
            counts["fnir"] += not (named and right)
            counts["wrong"] += named and not right
        else:
            counts["fpir"] += named
    return counts


@pytest.mark.parametrize(
    ("stored", "target"),
    [
        (None, None),
        (calibration(), None),
        (calibration(), Target(0.05, per_search=True)),
        (calibration(), Target(0.3, per_search=True)),
    ],
    ids=["card", "calibration", "FPIR 5 %", "FPIR 30 %"],
)
def test_searches_are_decided_by_the_rule_for_identification(stored, target) -> None:
    made = judged(rule(stored), PROTOCOL, spread=0.16)
    gallery = Gallery.of(made, rule(stored, target))
    found = identified(gallery)
    expected = by_hand(made, rule(stored, target).thresholds(made.scored.conditions, SIZE))
    assert found.gallery_size == SIZE
    assert (found.fpir.errors, found.fnir.errors) == (expected["fpir"], expected["fnir"])
    assert found.wrong_names == expected["wrong"]
    assert found.inconclusive == expected["inconclusive"]
    assert found.without_threshold == expected["unknown"] > 0
    assert found.fnir.bounds == "bootstrap by speaker"
    assert (found.fpir.trials, found.fnir.trials) == (3 * 6, 5 * 5)


def test_a_target_fpir_is_an_fmr_for_each_of_the_gallery() -> None:
    made = judged(rule(calibration()), PROTOCOL)
    gallery = Gallery.of(made, rule(calibration(), Target(0.05, per_search=True)))
    fmr = 1 - 0.95 ** (1 / SIZE)
    # Between an FMR of 10 %, an LLR of 0, and 1 %, one of 3.
    llr = 3.0 * (math.log(0.1) - math.log(fmr)) / math.log(10)
    given = made.scored.conditions
    covered = np.flatnonzero((given.net_speech_s >= 1.5) & (given.telephone < 0.5))
    for i in covered[:20]:
        [threshold] = gallery.thresholds[gallery.trials == i]
        speech = min(math.log(given.net_speech_s[i]), 2.0)
        assert threshold == pytest.approx(0.45 + (llr - 0.5 * speech) / 25.0)


def test_a_target_that_no_trials_support_names_no_speaker() -> None:
    strict = rule(calibration(), Target(1e-6, per_search=True))
    found = identified(Gallery.of(judged(rule(calibration()), PROTOCOL), strict))
    assert found.without_threshold == found.fpir.trials + found.fnir.trials
    assert (found.fpir.errors, found.fnir.rate) == (0, 1.0)
    assert found.fpir.bounds == "rule of three"


def test_ranks_and_thresholds_are_reported_with_their_bounds() -> None:
    gallery = Gallery.of(judged(rule(), PROTOCOL, spread=0.2), rule())
    found, made = identified(gallery), searches(gallery)
    within = [np.mean(made.rank <= rank) for rank in range(1, SIZE + 1)]
    np.testing.assert_allclose(found.rank_rates, within)
    bounds = found.to_dict()["rank_rates_bounds_95"]
    for rate, (low, high) in zip(found.rank_rates, bounds, strict=True):
        assert low <= rate <= high
    assert found.rank_rates[-1] == 1.0
    assert bounds[-1][0] < 1.0
    table = list(by_threshold(made))
    steps = np.diff([at.threshold for at in table])
    assert steps == pytest.approx(0.05)
    for at in table:
        counts = metrics.identification_counts(made, at.threshold)
        assert at.fpir.errors == counts.false_positives
        assert at.fnir.errors == counts.false_negatives
        assert at.fpir.low <= at.fpir.rate <= at.fpir.high
    assert (table[0].fpir.rate, table[-1].fpir.rate) == (1.0, 0.0)


def test_slices_of_searches_hold_each_probe_once() -> None:
    made = judged(rule(calibration()), PROTOCOL)
    gallery = Gallery.of(made, rule(calibration()))
    whole = identified(gallery)
    sums: dict[str, list[int]] = {}
    for attribute, _, one in identified_by_slice(gallery, made, PROTOCOL):
        total = sums.setdefault(attribute, [0, 0, 0])
        total[0] += one.fpir.trials + one.fnir.trials
        total[1] += one.fpir.errors
        total[2] += one.fnir.errors
    n = whole.fpir.trials + whole.fnir.trials
    assert set(sums) == {"net_speech_s", "line", "snr_db", "condition"}
    for total in sums.values():
        assert total == [n, whole.fpir.errors, whole.fnir.errors]


def test_none_or_all_enrolled_is_no_open_set() -> None:
    everybody = gallery_protocol(enrolled=8)
    assert searches(Gallery.of(judged(rule(), everybody), rule())) is None


@pytest.mark.parametrize(
    ("fnir", "rate", "upper", "expected"),
    [
        (0.0, 0.001, 0.002, (0.001, 0.002)),
        (0.5, 0.001, 0.002, (0.5005, 0.501)),
        (1.0, 0.1, 0.2, (1.0, 1.0)),
    ],
)
def test_an_index_loses_only_those_who_would_be_named(
    fnir: float, rate: float, upper: float, expected: tuple[float, float]
) -> None:
    assert IndexLoss(rate, upper).added_to(fnir) == pytest.approx(expected)
