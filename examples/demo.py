"""The main job on real speech: enrol from one recording, decide about turns of others.

    voiceid demo

The speech is from AMI meetings (see `ami.py`).  Three people are enrolled from one recording
each; then turns of *other* recordings are identified and verified, one clip goes through as MP3,
and one speaker is not enrolled.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile

from examples import ami
from voiceid import Decision, VoiceID, VoiceIDError

ENROLLED = {"MEE009": "dev00", "MEE012": "dev00", "FEE083": "trn06"}
"""Who is enrolled, and from which recording only."""
STRANGER, STRANGER_RECORDING = "FEE078", "trn05"


@dataclass(frozen=True)
class Question:
    """One clip, what is asked about it, and what a person knows the answer to be."""

    task: str
    clip: Path
    speaker: str
    expected: str


def run(vid: VoiceID, speech: Path, clips: Path) -> tuple[int, int]:
    """Enrol and ask, with the recordings in ``speech``; return the answers that are right, and all.

    The turns are cut into files in ``clips``.
    """
    shutil.rmtree(clips, ignore_errors=True)
    clips.mkdir(parents=True)
    ready = time.perf_counter()
    print(f"Enrolling {len(ENROLLED)} people, each from one recording\n")
    for name, recording in ENROLLED.items():
        own = [c for c in _cut(speech, clips, name, recording) if _has_speech(vid, c)]
        report = vid.enroll(name, own)
        print(
            f"  {name}  {len(own)} clips of {recording}, {report.net_speech_s:5.1f} s of"
            f" net speech, {report.elapsed_ms:5.0f} ms"
        )
    print("\nAsking about turns of other recordings\n")
    counts = _ask_all(vid, [q for q in _questions(speech, clips) if _has_speech(vid, q.clip)])
    print(f"\nAll of this took {time.perf_counter() - ready:.1f} s, the models' start included.")
    return counts


def _has_speech(vid: VoiceID, clip: Path) -> bool:
    """Whether there is a vector for the clip: some turns are a word and a breath."""
    return vid.models.hear(clip).embedding is not None


def _cut(
    speech: Path, clips: Path, speaker: str, recording: str | None, suffix: str = "wav"
) -> list[Path]:
    """Write the clean turns of a speaker as clips; ``recording`` None: all but the enrolled."""
    paths = []
    for turn in ami.clean_turns(speech):
        elsewhere = recording is None and turn.recording != ENROLLED.get(speaker)
        if turn.speaker == speaker and (elsewhere or turn.recording == recording):
            path = clips / f"{speaker}-{turn.recording}-{turn.start_s:04.1f}s.{suffix}"
            soundfile.write(path, *turn.samples(speech))
            paths.append(path)
    return paths


def _questions(speech: Path, clips: Path) -> Iterator[Question]:
    for name in ENROLLED:
        for clip in _cut(speech, clips, name, None):
            yield Question("identify", clip, name, f"accepted {name}")
    mp3 = _cut(speech, clips, "FEE083", "trn09", "mp3")[0]
    yield Question("identify", mp3, "FEE083", "accepted FEE083")
    stranger = _cut(speech, clips, STRANGER, STRANGER_RECORDING)[0]
    yield Question("identify", stranger, STRANGER, "rejected")
    yield Question("verify", mp3, "FEE083", "accepted FEE083")
    yield Question("verify", stranger, "FEE083", "rejected")


def _ask_all(vid: VoiceID, questions: list[Question]) -> tuple[int, int]:
    head = f"  {'asked':18} {'clip':26} {'answer':26} {'score':>6} {'needed':>6} {'speech':>7}"
    print(f"{head} {'time':>7}  right")
    n_right = 0
    for question in questions:
        asked, ask = _asked(vid, question)
        try:
            decision = ask()
        except VoiceIDError as error:
            print(f"  {asked:18} {question.clip.name:26} error: {error}")
            continue
        n_right += _show(asked, question, decision)
    print(f"\n  {n_right} of {len(questions)} answers are right.")
    return n_right, len(questions)


def _asked(vid: VoiceID, question: Question) -> tuple[str, Callable[[], Decision]]:
    if question.task == "identify":
        return "who is it?", lambda: vid.identify(question.clip)
    return "is it FEE083?", lambda: vid.verify("FEE083", question.clip)


def _show(asked: str, question: Question, decision: Decision) -> bool:
    who = decision.speaker.name if decision.accepted and decision.speaker else ""
    answer = f"{decision.outcome.value} {who}".strip()
    right = answer == question.expected
    needed = None if decision.threshold is None else decision.threshold.value
    shown = f"{answer} ({decision.reason.value})" if not decision.accepted else answer
    speech_s = decision.quality.net_speech_s if decision.quality else math.nan
    print(
        f"  {asked:18} {question.clip.name:26} {shown:26}"
        f" {_number(decision.score)} {_number(needed)}"
        f" {speech_s:5.1f} s {decision.elapsed_ms:4.0f} ms"
        f"  {'yes' if right else 'NO, it is ' + question.speaker}"
    )
    return right


def _number(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.3f'):>6}"
