"""What decides: the call, the group, the settings, the calibration, or the model's card."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_voices import DIM, OTHER_SPACE, SPACE

from voiceid.decision.adaptation import adapted_space
from voiceid.decision.aims import Aim, Target, threshold_by_hand
from voiceid.decision.calibration import CalibratedPoint, Calibration, HeldOut, StoredCalibration
from voiceid.decision.operating_points import OperatingPoint
from voiceid.decision.rule import DEFAULT_FMR, DecisionRule
from voiceid.decision.transforms import Transform
from voiceid.domain import Condition
from voiceid.errors import StoreError, ThresholdUnavailable
from voiceid.verification import Policy

POINTS = [OperatingPoint(r, 1.0, 0.9 - r, 0.95 - r, r, 0.1, 10**5, 100) for r in (0.1, 0.001)]
CARD = DecisionRule("net", POINTS, 0.05)
CONDITION = Condition(5.0, None, 9.0, 2, telephone=0.0)
CALIBRATION = StoredCalibration(
    id=7,
    space_id=SPACE.id,
    created_at=datetime(2026, 1, 2, tzinfo=UTC),
    source="site.csv",
    target_fmr=0.02,
    in_use=True,
    calibration=Calibration(
        slope=20.0,
        intercept=-9.0,
        weights=(),
        telephone=(0.0, 0.0),
        min_net_speech_s=2.0,
        points=tuple(
            CalibratedPoint(fmr, llr, (0.0, 1.0), 0.1, (0.0, 1.0))
            for fmr, llr in ((0.1, 0.0), (0.01, 3.0))
        ),
        impostor_trials=300,
    ),
    held_out=HeldOut(9, 900, 9_000, 0.01, 0.1, 0.09, {}, {}),
)


def by_hand(cosine: float, source: str) -> Aim:
    return Aim(threshold=threshold_by_hand(cosine, source))


def database(calibration: StoredCalibration | None = None) -> Any:
    fits = SimpleNamespace(adaptation=None, calibration=calibration)
    return SimpleNamespace(fits=lambda space_id: fits)


NOTHING = Aim()
WISHES = st.sampled_from([NOTHING, Aim(target_fmr=0.03), "cosine"])


@given(WISHES, WISHES, WISHES, st.booleans(), st.booleans())
def test_the_more_special_wins(
    call: Any, group: Any, settings: Any, calibrated: bool, grouped: bool
) -> None:
    names = ("the call", "group vault", "the settings")
    call, vault, rest = (
        by_hand(0.2 + n / 10, name) if wish == "cosine" else wish
        for n, (name, wish) in enumerate(zip(names, (call, group, settings), strict=True))
    )
    policy = Policy(SPACE, CARD, rest, {"vault": vault}, SPACE.id)
    reader = database(CALIBRATION if calibrated else None)
    back_end = policy.read(reader, call, "vault" if grouped else None)
    threshold = back_end.rule.judged(0.5, CONDITION).threshold
    wish = next(
        (one for one in (call, vault if grouped else NOTHING, rest) if one != NOTHING), None
    )
    if wish is not None and wish.threshold is not None:
        assert threshold.value == wish.threshold.steps[0][1]
        assert threshold.source == f"set by hand in {wish.threshold.source}"
        return
    of_calibration = 0.02 if calibrated else DEFAULT_FMR
    assert back_end.rule.aim == Target(of_calibration if wish is None else 0.03)
    assert threshold.source.startswith("calibration 7, FMR" if calibrated else "card net, ")


@given(st.floats(0.1, 1), st.booleans())
def test_a_cosine_of_the_settings_or_a_group_refuses_in_another_space(
    cosine: float, of_group: bool
) -> None:
    here = replace(CARD, model="other")
    wish = by_hand(cosine, "group vault" if of_group else "the settings")
    settings = (NOTHING, {"vault": wish}) if of_group else (wish, {})
    policy = Policy(OTHER_SPACE, here, *settings, settings_space=SPACE.id)
    group = "vault" if of_group else None
    with pytest.raises(ThresholdUnavailable, match=f"was set for {SPACE.id}"):
        policy.read(database(), NOTHING, group)
    with pytest.raises(ThresholdUnavailable):
        policy.read(None, NOTHING, group, per_search=True)
    # One on the call goes with the call, and so does a rate.
    assert policy.read(None, by_hand(0.1, "the call"), group).rule.criterion.steps == ((0.0, 0.1),)
    assert policy.read(None, Aim(target_fmr=0.1), group).rule.aim == Target(0.1)


def test_a_group_without_a_policy_is_decided_by_the_settings() -> None:
    policy = Policy(SPACE, CARD, by_hand(0.3, "the settings"), {}, SPACE.id)
    assert policy.read(None, NOTHING, "lobby").rule.judged(0.5, CONDITION).threshold.value == 0.3


def test_the_margin_is_of_the_most_special_level_that_has_one() -> None:
    policy = Policy(SPACE, CARD, Aim(margin=0.1), {"vault": Aim(margin=0.2)}, SPACE.id)
    assert policy.read(None).rule.margin == 0.1
    assert policy.read(None, NOTHING, "vault").rule.margin == 0.2
    assert policy.read(None, Aim(margin=0.0), "vault").rule.margin == 0.0
    assert Policy(SPACE, CARD).read(None).rule.margin == 0.05


def test_a_calibration_is_read_each_time_and_an_answer_names_it() -> None:
    policy = Policy(SPACE, CARD)
    assert policy.read(database()).rule.judged(0.5, CONDITION).calibration is None
    judged = policy.read(database(CALIBRATION)).rule.judged(0.5, CONDITION)
    assert judged.calibration == 7
    assert judged.llr == pytest.approx(1.0)
    assert judged.is_match == (judged.score >= judged.threshold.value)


TURNED = Transform("wccn", 0.5, 3, 9, np.zeros(DIM, dtype=np.float32), np.eye(DIM, dtype="f4"))


def adapted(adapted_id: str) -> Any:
    adaptation = SimpleNamespace(id=4, adapted_id=adapted_id, transform=TURNED)
    fits = SimpleNamespace(adaptation=adaptation, calibration=None)
    return SimpleNamespace(fits=lambda space_id: fits)


def test_in_an_adapted_space_nothing_holds_that_was_measured_of_the_model_alone() -> None:
    space = adapted_space(SPACE, TURNED)
    back_end = Policy(SPACE, CARD).read(adapted(space.id))
    assert (back_end.space, back_end.rule.points) == (space, ())
    with pytest.raises(ThresholdUnavailable, match="no thresholds were measured for net, adapted"):
        back_end.rule.judged(0.99, CONDITION)
    with pytest.raises(StoreError, match=f"adaptation 4 is of x, and makes {space.id}"):
        Policy(SPACE, CARD).read(adapted("x"))


def test_enrolments_are_judged_by_what_was_measured_and_else_by_a_calibration() -> None:
    reader: Any = SimpleNamespace(calibrations=SimpleNamespace(in_use=lambda _: CALIBRATION))
    assert Policy(SPACE, CARD).read_for_enrollment(reader).calibration is None
    unmeasured = replace(CARD, points=())
    assert Policy(SPACE, unmeasured).read_for_enrollment(reader).calibration is CALIBRATION
