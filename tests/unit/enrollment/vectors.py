"""Clips whose vectors are made by hand: halves and quarters, which float32 has exactly."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from random_voices import DIM, QUALITY, SPACE

from voiceid.decision.operating_points import OperatingPoint
from voiceid.decision.rule import DecisionRule
from voiceid.domain import Embedding, NewSample, SpeakerDetails, Utterance
from voiceid.enrollment.checks import Checks, EnrollmentLimits
from voiceid.enrollment.clips import Clip
from voiceid.index.gallery import GalleryIndex
from voiceid.store import Store

ALICE, BOB, HALF_ALICE = [1.0], [0.0, 1.0], [0.5, 0.0, 0.5, 0.5, 0.5]
ONE_VOICE, OVER_TELEPHONES = 0.75, 0.95
"""What samples need to agree, and a voice to be taken for another speaker's; and what both need
where a telephone is on both sides."""

RULE = DecisionRule(
    "test", (OperatingPoint(0.001, 0.0, ONE_VOICE, OVER_TELEPHONES, 0.001, 0.01, 10**6, 100),), 0.0
)


def heard(
    parts: list[float],
    recording: str,
    *warnings: str,
    net_speech_s: float = 2.0,
    unheard: tuple[str, ...] = (),
    telephone: float = 0.0,
) -> Utterance:
    vector = np.array([*parts, *[0.0] * (DIM - len(parts))], dtype=np.float32)
    quality = replace(
        QUALITY,
        net_speech_s=net_speech_s,
        warnings=warnings,
        unheard=unheard,
        clipped_fraction=0.02,
        telephone=telephone,
    )
    digest = hashlib.sha256(recording.encode()).hexdigest()
    return Utterance(f"{recording}.wav", digest, quality, Embedding(vector, SPACE))


def clip(parts: list[float], recording: str, *warnings: str, **more: object) -> Clip:
    utterance = heard(parts, recording, *warnings, **more)
    return Clip(utterance.name, utterance, None)


def enroll(store: Store, name: str, *utterances: Utterance, **details: object) -> None:
    with store.write() as writer:
        speaker = writer.speakers.find(name) or writer.speakers.add(name)
        writer.samples.add(speaker.id, SPACE, [NewSample(one) for one in utterances])
        writer.speakers.edit(speaker.id, SpeakerDetails(**details))


@contextmanager
def opened(folder: Path) -> Iterator[tuple[Store, Checks]]:
    """Open a new database, and what judges enrolments in it."""
    store = Store.open(folder / "voices.sqlite3")
    gallery = GalleryIndex(SPACE.id, DIM, folder / "x.index")
    try:
        yield store, Checks(SPACE.id, gallery, lambda _: RULE, EnrollmentLimits(3.0))
    finally:
        store.close()
