"""A day of live sound: does anything grow?  Run by `python -m benchmarks.live --soak HOURS`.

The sound is cuts of AMI meetings in another order each time, up to 6 dB louder or softer, with
pauses of any length between them and noise through all of it: in a tenth of the time there is
talk.  It is heard as fast as can be, fed to `vid.listen()`; with --pipe, by `voiceid listen -`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.corpora import ami_turns
from benchmarks.tables import markdown
from examples.ami import FOLDER
from voiceid import VoiceID
from voiceid.errors import EnrollmentRefused

RATE_HZ, BLOCK = 16_000, 8000
TALK_SHARE = 0.1
HEADINGS = [
    "heard",
    "resident memory",
    "threads",
    "open files",
    "turns",
    "accepted",
    "processor time",
]


def a_day(hours: float) -> Iterator[np.ndarray]:
    """Yield blocks (8000,) of int16 at 16 kHz: so many hours of sound."""
    rng = np.random.default_rng(0)
    cuts = [soundfile.read(path, dtype="float32")[0] for path in sorted(FOLDER.glob("*.wav"))]
    cuts = [cut for cut in cuts if len(cut)]
    pause_s = np.mean([len(cut) for cut in cuts]) / RATE_HZ * (1 / TALK_SHARE - 1)
    noise = rng.normal(0.0, 1.0, 60 * RATE_HZ).astype(np.float32)
    left, waiting = round(hours * 3600 * RATE_HZ / BLOCK), np.empty(0, np.float32)
    while True:
        for number in rng.permutation(len(cuts)).tolist():
            cut = cuts[number] * np.float32(10 ** (rng.uniform(-6.0, 6.0) / 20))
            pause = np.zeros(round(min(rng.exponential(pause_s), 3600.0) * RATE_HZ), np.float32)
            level = np.float32(10 ** (rng.uniform(-70.0, -50.0) / 20))
            both = np.concatenate([waiting, cut, pause])
            for at in range(0, len(both) - BLOCK + 1, BLOCK):
                start = int(rng.integers(len(noise) - BLOCK))
                block = both[at : at + BLOCK] + level * noise[start : start + BLOCK]
                yield (np.clip(block, -1.0, 1.0) * 32767.0).astype("<i2")
                left -= 1
                if not left:
                    return
            waiting = both[len(both) - len(both) % BLOCK :]


class Watch:
    """Looks at a process each hour of sound, ten times in all where there is less of it."""

    def __init__(self, pid: int, hours: float) -> None:
        self._folder, self._every = (
            Path(f"/proc/{pid}"),
            round(min(1.0, hours / 10) * 3600 * RATE_HZ / BLOCK),
        )
        self._processor_s = self._spent_s()
        self.turns = self.accepted = self._blocks = 0
        self.rows: list[list[str]] = []

    def heard(self, kind: str, outcome: str | None) -> None:
        """Count an event."""
        self.turns += kind == "turn"
        self.accepted += kind == "turn" and outcome == "accepted"

    def block(self) -> None:
        """Take notice that a block was given."""
        self._blocks += 1
        if self._blocks % self._every:
            return
        status = dict(
            line.split(":", 1) for line in (self._folder / "status").read_text().splitlines()
        )
        spent_s = self._spent_s()
        self.rows.append(
            [
                f"{self._blocks * BLOCK / RATE_HZ / 3600:.4g} h",
                f"{int(status['VmRSS'].split()[0]) / 1024:.1f} MiB",
                status["Threads"].strip(),
                str(len(list((self._folder / "fd").iterdir()))),
                str(self.turns),
                str(self.accepted),
                f"{spent_s - self._processor_s:.0f} s",
            ]
        )
        print(*self.rows[-1], file=sys.stderr, flush=True)
        self._processor_s, self.turns, self.accepted = spent_s, 0, 0

    def _spent_s(self) -> float:
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fed(vid: VoiceID, hours: float) -> list[list[str]]:
    """Feed the sound to a listener of this process; return a line for each hour."""
    watch, listener = Watch(os.getpid(), hours), vid.listen()
    for block in a_day(hours):
        for event in listener.feed(block, RATE_HZ):
            decision = event.decision
            watch.heard(event.kind.value, None if decision is None else decision.outcome.value)
        watch.block()
    return watch.rows


def piped(data: Path, home: Path, hours: float) -> list[list[str]]:
    """Write the sound to `voiceid listen -`; return a line for each hour."""
    command = [sys.executable, "-m", "voiceid", "--home", str(home), "--data", str(data)]
    command += ["listen", "-", "--format", "sln16", "--json"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        watch, sink, source = Watch(process.pid, hours), process.stdin, process.stdout
        if sink is None or source is None:
            raise AssertionError("both are pipes")

        def read() -> None:
            for line in source:
                event = json.loads(line)
                decision = event.get("decision") or {}
                watch.heard(event["kind"], decision.get("outcome"))

        reader = threading.Thread(target=read)
        reader.start()
        for block in a_day(hours):
            sink.write(block.tobytes())
            watch.block()
        sink.close()
        reader.join()
    return watch.rows


def table(home: Path, hours: float, *, pipe: bool) -> str:
    """Return what became of it each hour; who speaks alone for 4 s in a turn is enrolled."""
    with tempfile.TemporaryDirectory() as folder:
        with VoiceID.open(Path(folder), home=home) as vid:
            for turn in ami_turns(4.0):
                with contextlib.suppress(EnrollmentRefused):  # little of it is speech
                    vid.enroll(turn.speaker, [turn.source], mode="append", force=True)
            if not pipe:
                return markdown("Fed to a listener", HEADINGS, fed(vid, hours))
        rows = piped(Path(folder), home, hours)
    return markdown("`voiceid listen -`, from a pipe", HEADINGS, rows)
