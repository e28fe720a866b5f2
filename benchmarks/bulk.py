"""How much faster two workers enrol many people than one does, measured in the same run.

    make bench          (python -m benchmarks.bulk [--corpora FOLDER] [--runs N])

The whole command as it is typed, from its start to its end: the same folders of clips into a
fresh database each time, by one worker and by two in turn.  The ratio is taken pair by pair and
its median counts.  Without the corpora the people are those of the AMI meetings.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from itertools import count
from pathlib import Path

import soundfile

from benchmarks.corpora import ami_turns, corpora_argument, test_other
from benchmarks.speed import Line, Measure, in_turn, ratios, run
from benchmarks.tables import markdown
from voiceid.evaluation.degradations import Clip
from voiceid.models import runtime

INCOMPLETE = 44


def write_people(clips: list[Clip], folder: Path) -> float:
    """Write clips as flac files, a folder a speaker; return their length in seconds."""
    for number, clip in enumerate(clips):
        own = folder / clip.speaker
        own.mkdir(parents=True, exist_ok=True)
        soundfile.write(own / f"{number:03}.flac", clip.samples, clip.rate_hz)
    return sum(clip.duration_s for clip in clips)


def enrolment(people: Path, scratch: Path, workers: int, n_clips: set[int]) -> Measure:
    """Return what enrols everybody into a database of its own, and tells the seconds.

    ``n_clips`` is the number of clips that were enrolled: it must be as many every time.
    """
    program = Path(sys.executable).with_name("voiceid")
    numbers = count()

    def measure() -> float:
        data = scratch / f"{workers}-{next(numbers)}"
        seconds, said = run(
            *("env", f"VOICEID_RUNTIME__WORKERS={workers}", program, "--data", data),
            *("enroll", "--from-dir", people, "--min-speech", "0", "--force", "--json", "--quiet"),
            ok=(0, INCOMPLETE),  # a turn of a meeting may be a breath
        )
        reports = [json.loads(line) for line in said.splitlines()]
        n_clips.add(sum(len(one["clips"]) for one in reports if one.get("enrolled")))
        return seconds

    return measure


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    corpora_argument(parser)
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each")
    args = parser.parse_args()
    there = (args.corpora / "librispeech_test-other").is_dir()
    clips = test_other(args.corpora) if there else ami_turns()
    corpus = "LibriSpeech test-other" if there else "AMI turns"
    n_clips: set[int] = set()
    load = os.getloadavg()[0]  # two workers need two processors to themselves
    with tempfile.TemporaryDirectory() as name:
        people, scratch = Path(name) / "people", Path(name) / "databases"
        audio_s = write_people(clips, people)
        one, two = in_turn(
            args.runs, *(enrolment(people, scratch, workers, n_clips) for workers in (1, 2))
        )
    if len(n_clips) != 1 or not min(n_clips):
        raise RuntimeError(f"not the same was enrolled every time, but {n_clips} clips")
    speakers = len({clip.speaker for clip in clips})
    print(
        f"{speakers} people of {corpus}, {min(n_clips)} clips enrolled of {len(clips)},"
        f" {audio_s:.0f} s; {runtime.cpu_limit()} processors granted,"
        f" load {load:.1f} before\n"
    )
    lines = [
        Line("bulk enrolment, one worker", [audio_s / s for s in one], "x real time", None),
        Line("bulk enrolment, two workers", [audio_s / s for s in two], "x real time", None),
        Line("bulk enrolment, two workers / one", ratios(one, two), "times", 1.8, at_least=True),
    ]
    headers = ["what", "median", "least", "most", "target", ""]
    print(markdown(f"{args.runs} counted runs each", headers, [line.cells() for line in lines]))


if __name__ == "__main__":
    main()
