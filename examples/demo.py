"""The main job on real speech: enrol from one recording, decide about turns of others.

    make demo          (python -m examples.demo [FOLDER])

The speech is from AMI meetings (see `ami.py`), in FOLDER, which is filled when it is not
there.  Three people are enrolled from one recording each; then turns of *other* recordings
are identified and verified, one clip goes through as MP3, and one speaker is not
enrolled.  What it makes lands in ``data/demo`` of the folder that it is run in.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile

from examples import ami
from voiceid import Decision, VoiceID, VoiceIDError

DEMO = Path("data", "demo")
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


def main(speech: Path = ami.FOLDER) -> int:
    """Run the demo on the recordings in ``speech``; return 0 when every answer was right."""
    ami.fetch(speech)
    shutil.rmtree(DEMO, ignore_errors=True)
    with VoiceID.open(DEMO, notify=_tell, progress=_Progress()) as vid:
        ready = time.perf_counter()
        print(f"\nEnrolling {len(ENROLLED)} people, each from one recording\n")
        for name, recording in ENROLLED.items():
            clips = [c for c in _clips(speech, name, recording) if _has_speech(vid, c)]
            report = vid.enroll(name, clips)
            print(
                f"  {name}  {len(clips)} clips of {recording}, {report.net_speech_s:5.1f} s of"
                f" net speech, {report.elapsed_ms:5.0f} ms"
            )
        print("\nAsking about turns of other recordings\n")
        right = _ask_all(vid, [q for q in _questions(speech) if _has_speech(vid, q.clip)])
        print(
            f"\nAll of this took {time.perf_counter() - ready:.1f} s, the models' start included."
        )
    _print_next()
    return 0 if right else 1


def _has_speech(vid: VoiceID, clip: Path) -> bool:
    """Whether there is a vector for the clip: some turns are a word and a breath."""
    return vid.models.hear(clip).embedding is not None


def _clips(speech: Path, speaker: str, recording: str | None, suffix: str = "wav") -> list[Path]:
    """Write the clean turns of a speaker as clips; ``recording`` None: all but the enrolled."""
    folder = DEMO / "clips"
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for turn in ami.clean_turns(speech):
        elsewhere = recording is None and turn.recording != ENROLLED.get(speaker)
        if turn.speaker == speaker and (elsewhere or turn.recording == recording):
            path = folder / f"{speaker}-{turn.recording}-{turn.start_s:04.1f}s.{suffix}"
            soundfile.write(path, *turn.samples(speech))
            paths.append(path)
    return paths


def _questions(speech: Path) -> Iterator[Question]:
    for name in ENROLLED:
        for clip in _clips(speech, name, None):
            yield Question("identify", clip, name, f"accepted {name}")
    mp3 = _clips(speech, "FEE083", "trn09", "mp3")[0]
    yield Question("identify", mp3, "FEE083", "accepted FEE083")
    stranger = _clips(speech, STRANGER, STRANGER_RECORDING)[0]
    yield Question("identify", stranger, STRANGER, "rejected")
    yield Question("verify", mp3, "FEE083", "accepted FEE083")
    yield Question("verify", stranger, "FEE083", "rejected")


def _ask_all(vid: VoiceID, questions: list[Question]) -> bool:
    head = f"  {'asked':18} {'clip':26} {'answer':26} {'score':>6} {'needed':>6} {'speech':>7}"
    print(f"{head} {'time':>7}  right")
    wrong = 0
    for question in questions:
        asked, ask = _asked(vid, question)
        try:
            decision = ask()
        except VoiceIDError as error:
            print(f"  {asked:18} {question.clip.name:26} error: {error}")
            wrong += 1
            continue
        wrong += not _show(asked, question, decision)
    print(f"\n  {len(questions) - wrong} of {len(questions)} answers are right.")
    return wrong == 0


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


def _tell(notice: str) -> None:
    print(notice, file=sys.stderr)


class _Progress:
    """One line a stage on standard error; a percentage on a terminal."""

    def __init__(self) -> None:
        self.shown = ""

    def __call__(self, stage: str, done_bytes: int, total_bytes: int | None) -> None:
        share = f" {done_bytes / total_bytes:.0%}" if total_bytes and sys.stderr.isatty() else ""
        line = f"  {stage}{share}"
        if line != self.shown:
            self.shown = line
            print(line, end="\r" if share else "\n", file=sys.stderr)


def _print_next() -> None:
    clips = DEMO / "clips"
    mp3 = next(clips.glob("*.mp3"))
    program = Path(sys.executable).with_name("voiceid")
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    print(f"""
Try next:

  {program} --data {DEMO} speakers list
  {program} --data {DEMO} identify {mp3} --json
  {program} --data {DEMO} enroll {STRANGER} {clips}/{STRANGER}-*.wav
  {program} enroll YOUR_NAME your1.wav your2.m4a your3.mp3
  {program} --help
""")


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
