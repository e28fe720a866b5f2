"""Processes that give a few names to many voices at once, without force: no name gets two voices.

They enrol, append, replace and merge clips of one voice and of two, and remove, in any order.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from torture.processes import FAULT, faults_among, start
from torture.tally import Tally
from torture.voices import CLIPS_OF_A_VOICE, SEALED, clip_of, new_clips, opened, sealed, utterance
from voiceid import ChangeRefused, EnrollmentRefused, SpeakerNotFound, VoiceID

_NAMES = [f"name {i}" for i in range(4)]
_VOICES, _PROCESSES, _MOST_CLIPS = 12, 6, 5
_ROUND_S = 5.0


def mix(seconds: float, seed: int) -> Tally:
    """Let processes mix voices for so long, in galleries of their own; return what came of it."""
    tally, until = Tally(), time.monotonic() + seconds
    while tally.rounds == 0 or time.monotonic() < until:
        tally.rounds += 1
        ends = min(time.monotonic() + _ROUND_S, max(until, time.monotonic() + 1.0))
        with tempfile.TemporaryDirectory(prefix="voiceid-torture-") as folder:
            data = Path(folder) / "data"
            if SEALED[0]:
                tally.note("sealing", faults_among(start(sealed, data).rest()))
            workers = [
                start(_enrol, data, [seed, tally.rounds, number], ends)
                for number in range(_PROCESSES)
            ]
            for worker in workers:
                said = worker.rest()
                tally.note(f"round {tally.rounds}", faults_among(said))
                for kind, *rest in said:
                    tally.changes += rest[0] if kind == "done" else Counter()
            tally.note(f"round {tally.rounds}", faults_among(start(_look, data).rest()))
    return tally


def _enrol(_: Connection, say: Connection, data: Path, seed: list[int], until: float) -> None:
    rng, done = np.random.default_rng(seed), Counter[str]()
    with opened(data) as vid:
        while not done or time.monotonic() < until:
            try:
                done[_change(vid, rng)] += 1
            except (EnrollmentRefused, ChangeRefused, SpeakerNotFound):
                done["refused"] += 1
    say.send(("done", done))


def _change(vid: VoiceID, rng: np.random.Generator) -> str:
    """Make a change that is drawn; return its kind."""
    name, other = (str(drawn) for drawn in rng.permutation(_NAMES)[:2])
    kind = str(rng.choice(["append", "replace", "mixture", "merge", "remove"], p=_SHARES))
    if kind == "merge":
        vid.speakers.merge(name, other)
    elif kind == "remove":
        vid.speakers.remove(name)
    else:
        voices = rng.permutation(_VOICES)[: 2 if kind == "mixture" else 1]
        clips = [
            clip
            for voice in voices
            for clip in new_clips(rng, int(rng.integers(1, _MOST_CLIPS + 1)), int(voice) + 1)
        ]
        heard = [utterance(clip, vid.models.space) for clip in clips]
        vid.enroll(name, heard, mode="replace" if kind == "replace" else "append")
    return kind


_SHARES = [0.5, 0.15, 0.2, 0.1, 0.05]


def _look(_: Connection, say: Connection, data: Path) -> None:
    """Say of each name with more than one voice."""
    with opened(data) as vid:
        for speaker in vid.speakers.list():
            clips = [clip_of(sample.pcm_sha256) for sample in vid.samples.list(speaker.name)]
            voices = {clip // CLIPS_OF_A_VOICE for clip in clips}
            if len(voices) > 1:
                say.send((FAULT, f"{speaker.name} has the voices {sorted(voices)}: {clips}"))
