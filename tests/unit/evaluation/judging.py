"""Made-up trials of a gallery, as an evaluation judges them."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from voiceid.decision.aims import Target
from voiceid.decision.calibration import (
    CalibratedPoint,
    Calibration,
    Conditions,
    HeldOut,
    StoredCalibration,
    Weight,
)
from voiceid.decision.operating_points import OperatingPoint
from voiceid.decision.rule import DecisionRule
from voiceid.evaluation.protocol import Model, Protocol, Recording
from voiceid.evaluation.report import Judged
from voiceid.evaluation.scoring import ScoredTrials

CARD = (
    OperatingPoint(0.001, 1.0, 0.55, 0.65, 0.001, 0.1, 9_000, 900),
    OperatingPoint(0.001, 4.0, 0.45, 0.5, 0.001, 0.1, 9_000, 900),
)
"""It knows nothing of less than a second."""
TELEPHONE, NONE = 0.9, 0.1
"""That both sides of a trial came over a telephone: a fifth of them did."""
POINTS = tuple(
    CalibratedPoint(fmr, llr, None, 0.1, None)
    for fmr, llr in ((0.5, -3.0), (0.1, 0.0), (0.01, 3.0), (0.001, 5.0))
)
HELD_OUT = HeldOut(9, 900, 9_000, 0.01, 0.1, 0.09, {"0.01": 0.2}, {"0.01": 0.1})


def calibration(slope: float = 25.0, **changes: object) -> StoredCalibration:
    """Return a calibration of no telephone, from 1.5 s on, which weighs net speech as well."""
    facts = {
        "slope": slope,
        "intercept": -0.45 * slope,
        "weights": (Weight("ln_net_speech", 0.5, 0.0, 2.0),),
        "telephone": (0.0, 0.2),
        "min_net_speech_s": 1.5,
        "points": POINTS,
        "impostor_trials": 9_000,
    }
    made = Calibration(**(facts | changes))
    when = datetime(2026, 1, 2, tzinfo=UTC)
    return StoredCalibration(
        id=3,
        space_id="test-0",
        created_at=when,
        source="office.csv",
        target_fmr=0.01,
        in_use=True,
        calibration=made,
        held_out=HELD_OUT,
    )


def rule(stored: StoredCalibration | None = None, target: Target | None = None) -> DecisionRule:
    return DecisionRule("test", CARD, 0.05, calibration=stored, criterion=target)


def gallery_protocol(speakers: int = 8, per_speaker: int = 6, enrolled: int = 5) -> Protocol:
    """Return every speaker's recordings, asked about the first recordings of some."""
    recordings = tuple(
        Recording(f"/{s}-{i}", f"{s}-{i}", f"speaker {s}", "", "car" if i % 2 else "")
        for s in range(speakers)
        for i in range(per_speaker)
    )
    models = tuple(
        Model(f"speaker {s}", f"speaker {s}", (s * per_speaker,)) for s in range(enrolled)
    )
    used = {m.recordings[0] for m in models}
    probes = [i for i in range(len(recordings)) if i not in used]
    trials = np.array([[m, p] for p in probes for m in range(enrolled)], dtype=np.int64)
    target = np.array([models[m].speaker == recordings[p].speaker for m, p in trials.tolist()])
    return Protocol(recordings, models, trials, target, gallery=True)


def scored(
    protocol: Protocol, of: DecisionRule, seed: int = 0, spread: float = 0.12
) -> ScoredTrials:
    """Return the protocol's trials with normal scores, of clips of half a second and more."""
    rng = np.random.default_rng(seed)
    n = len(protocol.trials)
    net_speech_s = rng.uniform(0.5, 12.0, len(protocol.recordings))[protocol.trials[:, 1]]
    over_telephone = (rng.random(len(protocol.recordings)) < 0.2)[protocol.trials[:, 1]]
    given = Conditions(
        net_speech_s=net_speech_s,
        snr_db=np.where(net_speech_s > 3.0, 20.0, np.nan),
        enrolled_speech_s=np.full(n, 8.0),
        n_enrolled=np.ones(n),
        telephone=np.where(over_telephone, TELEPHONE, NONE),
    )
    scores = rng.normal(np.where(protocol.target, 0.6, 0.2), spread).astype(np.float32)
    return ScoredTrials(protocol.trials, protocol.target, scores, of.thresholds(given), given)


def judged(of: DecisionRule, protocol: Protocol | None = None, **how: float) -> Judged:
    protocol = gallery_protocol() if protocol is None else protocol
    return Judged.of(protocol, scored(protocol, of, **how), of)
