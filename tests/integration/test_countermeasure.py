"""A countermeasure that the settings name examines what would be accepted, and nothing else.

It hears the width of the band: of alice's own voice over a telephone, which the voice alone
accepts, it says that it is an attack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import band_detector
from scipy.signal import firwin
from test_statements import statements

from voiceid import VoiceID
from voiceid.decision.attack_threshold import AttackThreshold
from voiceid.domain import Decision, EmbeddedClip, Outcome, Reason
from voiceid.errors import (
    AudioInvalid,
    ModelError,
    ModelRuntimeError,
    ModelUnknown,
    ThresholdUnavailable,
)
from voiceid.models.add import Addition
from voiceid.speech.countermeasure import Countermeasure

BETWEEN_DB = AttackThreshold(-50.0, 0.05, 60, 12, "attacks.csv")
"""alice is at -20 dB, and at -64 dB or less over a telephone."""
ATTACK = (Outcome.REJECTED, Reason.PRESENTATION_ATTACK)
Open = Callable[..., Any]


def said(decision: Decision) -> tuple[Outcome, Reason]:
    return decision.outcome, decision.reason


@pytest.fixture(scope="module")
def narrow(ami) -> tuple[np.ndarray, int]:
    kernel = firwin(257, 3400, fs=16_000)
    return np.convolve(ami.samples("alice-3"), kernel, mode="same").astype("f4"), 16_000


@pytest.fixture(scope="module")
def detectors(models_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models with a detector, and one without a threshold."""
    folder = tmp_path_factory.mktemp("models")
    for path in models_folder.glob("*.*"):
        if path.suffix in {".onnx", ".json"}:
            (folder / path.name).symlink_to(path)
    file = folder.parent / "band.onnx"
    file.write_bytes(band_detector())
    with VoiceID.open(folder / "data", home=folder, overrides={"models": str(folder)}) as vid:
        for name in ("band", "no-threshold"):
            vid.models.add(file, Addition("waveform", name=name, kind="countermeasure"))
        store = vid._session.models
        store.refit(replace(store.card("band"), attack_threshold=BETWEEN_DB), None)
    return folder


@pytest.fixture
def opened_with(enrolled_data: Path, detectors: Path) -> Open:
    @contextmanager
    def open_with(countermeasure: str | None) -> Iterator[VoiceID]:
        settings = {"models": str(detectors), "offline": True, "countermeasure": countermeasure}
        with VoiceID.open(enrolled_data, home=enrolled_data.parent, overrides=settings) as vid:
            yield vid

    return open_with


def test_what_it_takes_for_an_attack_is_rejected_whatever_was_asked(
    opened_with: Open, narrow: tuple[np.ndarray, int], ami
) -> None:
    real = (ami.samples("alice-3"), 16_000)
    with opened_with(None) as vid:
        assert vid.verify("alice", narrow).accepted  # the voice alone accepts it
    with opened_with("band") as vid:
        vid.warm_up()
        assert vid.verify("alice", real).accepted
        assert vid.identify(real).accepted
        verified, named = vid.verify("alice", narrow), vid.identify(narrow)
        assert said(verified) == said(named) == ATTACK
        assert verified.speaker is not None
        assert named.speaker is None  # whom it imitates is in the candidates
        assert "band takes the clip for an attack" in verified.detail
        assert "< threshold -50 (BPCER 5 %)" in verified.detail
        blind = vid.verify("alice", narrow, blind=True)
        assert (blind.reason, blind.speaker) == (Reason.BELOW_THRESHOLD, None)
        assert said(vid.compare(narrow, narrow, solo="off")) == ATTACK
        assert said(vid.compare(real, narrow, threshold=0.3, solo="off")) == ATTACK
        listener = vid.listen(speaker="alice")
        events = listener.feed(narrow[0], 16_000) + listener.finish()
        decisions = [event.decision for event in events if event.decision is not None]
        assert decisions
        assert not any(decision.accepted for decision in decisions)


def test_it_hears_only_what_is_about_to_be_accepted(
    opened_with: Open, ami, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []
    score = Countermeasure.score
    monkeypatch.setattr(Countermeasure, "score", lambda s, x: heard.append(1) or score(s, x))
    with opened_with("band") as vid:
        assert not vid.verify("alice", (ami.samples("stranger"), 16_000)).accepted
        assert not vid.identify((ami.samples("alice-1"), 16_000)).accepted  # itself enrolled
        assert heard == []
        assert vid.identify((ami.samples("alice-3"), 16_000)).accepted
        assert heard == [1]


def test_it_asks_the_database_nothing(opened_with: Open, ami) -> None:
    clip, counts = (ami.samples("alice-3"), 16_000), []
    for name in (None, "band"):
        with opened_with(name) as vid:
            vid.identify(clip)
            counts.append([len(one) for one in statements(vid, lambda: vid.identify(clip))])
    assert counts[0] == counts[1]


def test_it_fails_closed(opened_with: Open, ami, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = (ami.samples("alice-3"), 16_000)
    with opened_with("no-threshold") as vid:
        with pytest.raises(ThresholdUnavailable, match="has no threshold"):
            vid.verify("alice", clip)
        with pytest.raises(ThresholdUnavailable):
            vid.warm_up()
    for name in ("not-there", "campplus"):
        with opened_with(name) as vid, pytest.raises(ModelUnknown):
            vid.verify("alice", clip)
    with opened_with("band") as vid:
        embedding = vid.embed(clip)
        given = EmbeddedClip(embedding.vector, embedding.space, 6.0, embedding.telephone)
        with pytest.raises(AudioInvalid, match="must hear what is accepted"):
            vid.identify(given)
        detector = vid._session.model.speaker_model.countermeasure()
        for output in (math.nan, math.inf):
            monkeypatch.setattr(
                detector._session, "run", lambda _, o=output: [np.array([o], np.float32)]
            )
            with pytest.raises(ModelRuntimeError, match="not a score"):
                vid.verify("alice", clip)


def test_a_threshold_that_every_user_may_change_decides_nothing(
    opened_with: Open, detectors: Path, ami
) -> None:
    card = detectors / "own" / "band.toml"
    mode = card.stat().st_mode
    card.chmod(0o666)
    try:
        with opened_with("band") as vid, pytest.raises(ModelError, match=r"write to .*band\.toml"):
            vid.verify("alice", (ami.samples("alice-3"), 16_000))
    finally:
        card.chmod(mode)


def test_a_voice_that_it_takes_for_an_attack_has_no_name_in_a_recording(
    opened_with: Open, narrow: tuple[np.ndarray, int], ami
) -> None:
    talk = (np.concatenate([narrow[0], ami.samples("bob-3")]), 16_000)
    with opened_with(None) as vid:
        assert [voice.name for voice in vid.diarize(talk).voices] == ["alice", "bob"]
    with opened_with("band") as vid:
        found = vid.diarize(talk)
        assert [voice.name for voice in found.voices] == ["unknown-1", "bob"]
        assert said(found.voices[0].decision) == ATTACK
        assert found.voices[0].speaker is None
