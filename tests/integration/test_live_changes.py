"""A gallery that changes while somebody speaks: what is in force at the decision decides."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from live_answers import RATE

from voiceid import SpeakerDetails, VoiceID
from voiceid.decision.calibration import CalibratedPoint, Calibration, HeldOut


@pytest.fixture
def pair(enrolled_data: Path, models_folder: Path, tmp_path: Path) -> Iterator[list[VoiceID]]:
    """The same gallery, opened twice: who listens, and who changes it."""
    shutil.copytree(enrolled_data, tmp_path / "data")
    settings = {"models": str(models_folder), "offline": True}
    opened = [VoiceID.open(tmp_path / "data", home=tmp_path, overrides=settings) for _ in range(2)]
    yield opened
    for vid in opened:
        vid.close()


def remove(vid: VoiceID) -> None:
    vid.speakers.remove("alice")


def disable(vid: VoiceID) -> None:
    vid.speakers.edit("alice", SpeakerDetails(enabled=False))


def expire(vid: VoiceID) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    vid.speakers.edit("alice", SpeakerDetails(expires_at=past))


def calibrate(vid: VoiceID) -> None:
    """Let a calibration decide whose thresholds no voice reaches."""
    points = tuple(
        CalibratedPoint(fmr, 2.0, (0.0, 0.1), 0.1, (0.0, 0.1)) for fmr in (0.1, 0.001, 0.0001)
    )
    calibration = Calibration(10.0, -8.0, (), (0.0, 1.0), 1.0, points, 300_000)
    held_out = HeldOut(10, 100, 100_000, 0.01, 0.1, 0.1, {"0.01": 0.1}, {"0.01": 0.1})
    with vid._session.change("calibrate") as change:
        number = change.writer.calibrations.add(vid.models.space, calibration, held_out, "x", None)
    vid.calibrations.use(number)


@pytest.mark.parametrize("change", [remove, disable, expire, calibrate])
def test_what_changes_within_a_turn_counts_for_its_decision(pair, talk, change) -> None:
    vid, other = pair
    listener = vid.listen()
    first = listener.feed(talk[: 2 * RATE], RATE)
    assert [event.kind.value for event in first] == ["speech_started"]  # and nothing was decided
    change(other)
    events = listener.feed(talk[2 * RATE : 9 * RATE], RATE)
    [decision] = [event.decision for event in events if event.kind.value == "decision"]
    assert not decision.accepted
    assert decision.calibration == (1 if change is calibrate else None)


def test_a_claimed_speaker_who_is_removed_within_a_turn_is_not_accepted(pair, talk) -> None:
    vid, other = pair
    listener = vid.listen(speaker="alice")
    listener.feed(talk[: 2 * RATE], RATE)
    remove(other)
    events = listener.feed(talk[2 * RATE : 9 * RATE], RATE)
    assert [event.decision for event in events] == [None, None]
    assert events[-1].detail.startswith("nothing was decided: ")
    assert "alice" in events[-1].detail
