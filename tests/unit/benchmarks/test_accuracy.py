"""Which clips are compared, and which errors are counted, in the tables of the card."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import accuracy
from voiceid.decision.calibration import Conditions
from voiceid.decision.embeddings import unit
from voiceid.decision.operating_points import OperatingPoint
from voiceid.decision.rule import DecisionRule
from voiceid.evaluation.degradations import Clip
from voiceid.evaluation.model_fit import Comparisons, Heard

RULE = DecisionRule("a model", [OperatingPoint(0.001, 1.0, 0.5, 0.7, 0.0, 0.0, 1, 1)], 0.05)


def heard(recordings: list[str], condition: list[str]) -> Heard:
    """Return a row for each recording ``speaker-take``, each through a condition."""
    n = len(recordings)
    vectors = unit(np.random.default_rng(0).standard_normal((n, 8)).astype(np.float32))
    return Heard(
        speaker=np.array([name[0] for name in recordings]),
        sex=np.array(["F"] * n),
        recording=np.array(recordings),
        piece=np.array(recordings),
        condition=np.array(condition),
        over_telephone=np.zeros(n, bool),
        whole=np.ones(n, bool),
        net_speech_s=np.full(n, 3.0),
        snr_db=np.full(n, np.nan),
        vectors=vectors,
    )


def test_a_recording_is_never_compared_with_itself_through_another_condition() -> None:
    names = ["a-0", "a-1", "b-0"]
    found = heard(names * 2, ["clean"] * 3 + ["8 kHz"] * 3)
    same, other = accuracy.all_pairs(found, found.vectors)
    assert len(same.scores) == 4  # a-0 and a-1, each through either
    assert len(other.scores) == 2 * 4
    assert np.all(same.speakers[:, 0] == same.speakers[:, 1])
    assert np.all(other.speakers[:, 0] != other.speakers[:, 1])
    expected = [found.vectors[i] @ found.vectors[k] for i, k in ((0, 1), (0, 4), (1, 3), (3, 4))]
    np.testing.assert_allclose(np.sort(same.scores), np.sort(expected), atol=1e-6)


def comparisons(rows: list[tuple[float, bool, bool, float, float]]) -> Comparisons:
    """Return rows of score, whether genuine and of one sex, net speech, and telephone."""
    scores, genuine, same_sex, net_speech_s, telephone = map(np.array, zip(*rows, strict=True))
    n = len(rows)
    given = Conditions(net_speech_s, np.full(n, 30.0), np.full(n, 9.0), np.ones(n), telephone)
    speakers = np.stack([np.zeros(n, int), np.where(genuine, 0, 1)], axis=1)
    return Comparisons(scores, genuine, same_sex, given, speakers)


def test_errors_are_counted_by_lines_and_net_speech_at_the_threshold_of_each() -> None:
    wideband = comparisons(
        [
            (0.6, False, True, 2.5, 0.0),  # a stranger who is accepted
            (0.4, False, True, 2.5, 0.0),
            (0.9, False, False, 2.5, 0.0),  # of the other sex: not counted
            (0.6, True, True, 2.5, 0.0),
            (0.4, True, True, 2.5, 0.0),  # a right one who is refused
            (0.9, True, True, 3.5, 0.0),  # in a span without strangers
        ]
    )
    phone = comparisons([(0.6, False, True, 2.5, 1.0), (0.6, True, True, 2.5, 1.0)])
    tables = {("clean", "clean", 3): wideband, ("8 kHz", "8 kHz", 3): phone}
    found = {tuple(row[:3]): row[3:] for row in accuracy.line_rows(RULE, tables)}
    assert set(found) == {("wideband", 3, "2 to 3"), ("same codec", 3, "2 to 3")}
    fmr, _, fnmr, _, *counts = found["wideband", 3, "2 to 3"]
    assert (fmr, fnmr, counts) == ("50.00", "50.00", [2, 2])
    fmr, upper, fnmr, _, *counts = found["same codec", 3, "2 to 3"]
    assert (fmr, fnmr, counts) == ("0.00", "100.00", [1, 1])
    assert float(upper) == pytest.approx(95.0)  # one stranger says next to nothing


@pytest.mark.parametrize(("n", "kept"), [(1, "a"), (2, "ab"), (None, "abc")])
def test_a_trial_run_takes_all_clips_of_the_first_speakers(n: int | None, kept: str) -> None:
    clips = [Clip(f"{s}-{i}", s, "F", np.zeros(9, np.float32), 16_000) for i in "01" for s in "bac"]
    chosen = accuracy.of_speakers(clips, n)
    assert {clip.speaker for clip in chosen} == set(kept)
    assert len(chosen) == 2 * len(kept)
