"""How rules are compared at one false match rate."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks import labels
from benchmarks.centroids import RULES, Judged
from benchmarks.labels import Key


def judged(seed: int, *, n: int = 6000, raised: float = 0.0) -> Judged:
    """Return scores of which every third is genuine, all ``raised`` by so much."""
    rng = np.random.default_rng(seed)
    genuine, speaker = np.arange(n) % 3 == 0, np.arange(n) // 3 % 10
    score = rng.normal(np.where(genuine, 0.6, 0.1), 0.12)
    return Judged(
        score=score + raised,
        lead=score + raised - 0.4,
        genuine=genuine,
        same_sex=np.ones(n, dtype=bool),
        enrolled=np.where(genuine, speaker, (speaker + 1) % 10),
        speaker=speaker,
    )


def results(raised: float, n: int = 6000) -> dict[str, labels.Results]:
    """Return one centroid's comparisons, and the same raised for every other rule."""
    keys = [Key("8 kHz", mix, probe, 2.5) for mix in labels.MIXES for probe in ("door", "phone")]
    return {
        rule.name: {
            key: judged(i, n=n, raised=raised if rule is not RULES[0] else 0.0)
            for i, key in enumerate(keys)
        }
        for rule in RULES
    }


def test_higher_scores_for_all_gain_nothing_at_one_false_match_rate() -> None:
    plain, *others = labels.rule_rows(results(raised=0.1))
    at_card = labels.HEADERS.index("card: FMR %")
    for row in others:
        assert row[1:at_card] == plain[1:at_card]
        assert float(str(row[at_card])) > float(str(plain[at_card]))


def test_a_gain_of_nothing_is_no_gain_for_any_speaker() -> None:
    rows = labels.gains_table("a model", results(raised=0.1, n=600)).splitlines()[4:]
    assert len(rows) == (len(RULES) - 1) * 4 * 3
    nothing = "+0.00 | +0.00 to +0.00 | 0 / 10 / 0"
    assert all(row.endswith(f"| {nothing} | {nothing} |") for row in rows)


def test_one_threshold_for_each_phone_forgives_what_raises_all_scores_of_one() -> None:
    found = {rule.name: {} for rule in RULES}
    for i, phone in enumerate([*labels.PHONES, labels.MIXED]):
        for mix in labels.MIXES:
            for probe in ("door", "phone"):
                for rule in RULES:
                    raised = 0.3 * i if rule is RULES[1] else 0.0
                    found[rule.name][Key(phone, mix, probe, 2.5)] = judged(i, raised=raised)
    for row in labels.own_thresholds_table("a model", found).splitlines()[4:]:
        rates = row.strip("| ").split(" | ")[2:]
        assert (len(rates), len(set(rates))) == (len(RULES), 1)
    pooled = list(labels.rule_rows(found))
    at = labels.HEADERS.index("FNMR % at FMR 0.1 %")
    assert float(str(pooled[1][at])) > float(str(pooled[0][at]))


def test_a_group_holds_the_comparisons_of_its_keys_and_no_others() -> None:
    found = results(raised=0.0)[RULES[0].name]
    assert len(labels.select(found).score) == 6 * 6000
    assert len(labels.select(found, mix="3+3").score) == 2 * 6000
    one = labels.select(found, mix="5+1", probe="phone")
    assert np.array_equal(one.score, judged(3).score)


@given(
    arrays(np.float64, 40, elements=st.floats(-1, 1)),
    arrays(np.float64, 200, elements=st.floats(-1, 1)),
    st.floats(0, 0.5),
)
def test_the_threshold_of_a_rate_keeps_it_and_costs_what_lies_below(same, other, fmr) -> None:
    allowed = int(np.floor(fmr * 200 * (1 + 1e-12)))
    highest_refused = np.sort(other)[::-1][allowed]
    assert labels.fnmr_at(same, other, fmr) == np.mean(same <= highest_refused)


def test_an_interval_holds_the_mean_and_widens_when_one_speaker_makes_it() -> None:
    speaker = np.repeat(np.arange(10), 30)
    even = np.random.default_rng(0).permutation(np.tile([0.0, 0.0, 1.0], 100))
    alone = np.where(speaker < 3, 1.0, 0.0) * np.tile([0.0, 1.0, 1.0], 100)
    (low, high), (lower, higher) = (labels.interval(v, speaker) for v in (even, alone))
    assert low <= np.mean(even) <= high
    assert lower <= np.mean(alone) <= higher
    assert higher - lower > 2 * (high - low)


def test_each_clip_of_the_mixed_phones_went_through_the_next_one() -> None:
    heard = {name: [f"{name} {i}" for i in range(5)] for name in ("a", "b")}
    assert labels.in_turn(heard) == ["a 0", "b 1", "a 2", "b 3", "a 4"]
