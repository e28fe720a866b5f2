"""Processes that write and as many that read, on one database, all the time.

Each writer has a reader that hears of every change after it was acknowledged, and must find it.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from torture import checks
from torture.changes import Change, Gallery, Known, after, make
from torture.processes import FAULT, faults_among, pipe, start
from torture.servers import gallery_folder
from torture.tally import Tally
from torture.voices import clip_of, fill, new_clips, opened, remains, vector
from voiceid import EmbeddedClip, VoiceID

News = tuple[str, str, Any]
_SHARED = [f"shared {i}" for i in range(8)]
_SAME_VOICE = 0.6
"""A clip has about 0.9 to a centroid that it is part of, and 0 to that of another voice."""


@dataclass
class Crowd(Tally):
    """What a crowd came to; latencies in milliseconds."""

    writes_ms: list[float] = field(default_factory=list)
    reads_ms: list[float] = field(default_factory=list)

    def latencies(self) -> str:
        """Return the medians, the 99th percentiles and the longest, for a person."""
        told = []
        for what, taken in (("write", self.writes_ms), ("read", self.reads_ms)):
            late = float(np.percentile(taken, 99)) if taken else float("nan")
            median = statistics.median(taken or [float("nan")])
            told.append(
                f"{what} median {median:.0f} ms, p99 {late:.0f}, max {max(taken, default=0):.0f}"
            )
        return "; ".join(told)


def crowd(seconds: float, seed: int, pairs: int) -> Crowd:
    """Let ``pairs`` writers and as many readers at one database; return what came of it."""
    rng, tally, running, shares = np.random.default_rng(seed), Crowd(), [], {}
    with gallery_folder() as folder:
        data, first = folder / "data", {name: new_clips(rng, 1) for name in _SHARED}
        tally.note("filling", faults_among(start(fill, data, first).rest()))
        until = time.monotonic() + seconds
        for pair in range(pairs):
            (hear, tell), (answers, answer) = pipe(), pipe()
            running += [
                start(read, data, hear, answer),
                start(write, data, Writer(f"w{pair}", [pair + 1, seed]), until, (tell, answers)),
            ]
            for end in (hear, tell, answers, answer):
                end.close()  # it is the two processes' own
        for worker in running:
            said = worker.rest()
            tally.note("crowd", faults_among(said))
            for _, share, changes, taken in (one for one in said if one[0] == "wrote"):
                shares.update(share)
                tally.changes += changes
                tally.writes_ms += taken
            tally.reads_ms += [ms for kind, *rest in said if kind == "read" for ms in rest[0]]
        [(kind, *seen)] = start(checks.look, data, seed).rest()
        tally.note("afterwards", remains(data, first))
        tally.note(
            "afterwards", seen[1] + _lost(seen[0], first, shares) if kind == "seen" else seen
        )
    return tally


class Writer:
    """Changes speakers of its own, and its part of those of all."""

    def __init__(self, prefix: str, seed: list[int]) -> None:
        self.prefix, self._rng = prefix, np.random.default_rng(seed)
        self._count, self.mine = 0, dict[str, int]()
        self.share = {name: Known(frozenset()) for name in _SHARED}
        self.settled: list[str] = []
        """Own speakers as the reader heard of them: the others may not change yet."""

    def next(self) -> tuple[Change, News]:
        """Return what to do, and what the reader must find as soon as that is acknowledged."""
        number, what = int(self._rng.integers(1 << 40)), int(self._rng.integers(10))
        name, shared = f"{self.prefix} {number}", str(self._rng.choice(_SHARED))
        if what == 0:
            return self._of_all(("enroll", shared, new_clips(self._rng, 1, number)))
        if what < 3:
            self._count += 1
            return self._of_all(("mark", _SHARED[0], self.prefix, str(self._count)))
        if what < 6 and self.settled:
            old = self.settled.pop()
            self.mine[name] = self.mine.pop(old)
            return ("rename", old, name), ("is", name, self.mine[name])
        if what < 8 and self.settled:
            old = self.settled.pop()
            return ("remove", old), ("is not", old, self.mine.pop(old))
        clips = new_clips(self._rng, 2, number)
        self.mine[name] = clips[0]
        return ("enroll", name, clips), ("is", name, clips[0])

    def _of_all(self, change: Change) -> tuple[Change, News]:
        self.share = after(self.share, change)
        return change, ("has", change[1], self.share[change[1]])


def write(
    _: Connection,
    say: Connection,
    data: Path,
    writer: Writer,
    until: float,
    reader: tuple[Connection, Connection],
) -> None:
    """Change until the time is over; tell the reader of each change when it is acknowledged."""
    vid, changes, taken, (tell, answers) = opened(data), Counter[str](), [], reader
    while not taken or time.monotonic() < until:
        change, news = writer.next()
        started = time.perf_counter()
        make(vid, change)
        taken.append((time.perf_counter() - started) * 1e3)
        changes[change[0]] += 1
        tell.send(news)
        while answers.poll():
            name = answers.recv()
            writer.settled += [name] if name in writer.mine else []
    tell.send(None)
    vid.close()
    say.send(("wrote", {writer.prefix: (writer.share, writer.mine)}, changes, taken))


def read(_: Connection, say: Connection, data: Path, hear: Connection, answer: Connection) -> None:
    """Ask for all that is announced; an answer from before it is a fault."""
    vid, taken = opened(data), []
    while (news := hear.recv()) is not None:
        started = time.perf_counter()
        fault = _stale(vid, news)
        taken.append((time.perf_counter() - started) * 1e3)
        if fault:
            say.send((FAULT, f"told was {news}, and then {fault}"))
        with contextlib.suppress(BrokenPipeError):  # the writer has just ended
            answer.send(news[1])
    vid.close()
    say.send(("read", taken))


def _stale(vid: VoiceID, news: News) -> str | None:
    """Ask about what was announced; return what is wrong with the answer."""
    what, name, known = news
    if what == "has":
        return _missing(vid, name, known)
    found = {
        one.speaker.name: one.score
        for one in vid.search(EmbeddedClip(vector(known), vid.models.space))
    }
    same = {other for other, score in found.items() if score > _SAME_VOICE}
    return None if same == ({name} if what == "is" else set()) else f"{found} was found"


def _missing(vid: VoiceID, name: str, share: Known) -> str | None:
    there = {clip_of(sample.pcm_sha256) for sample in vid.samples.list(name)}
    marks = vid.speakers.get(name).metadata
    if not share.clips <= there:
        return f"clips are missing: {share.clips - there}"
    old = {key: marks.get(key) for key, n in share.marks.items() if int(n) > int(marks.get(key, 0))}
    return f"marks are older: {old}" if old else None


def _lost(
    gallery: Gallery, first: dict[str, list[int]], shares: dict[str, tuple[Gallery, dict[str, int]]]
) -> list[str]:
    """Compare who is there in the end with what all writers had acknowledged."""
    faults, expected = [], {name for _, mine in shares.values() for name in mine}
    if (own := {name for name in gallery if name not in _SHARED}) != expected:
        faults.append(f"of speakers there are too few or too many: {own ^ expected}")
    for name in _SHARED:
        clips = frozenset(first[name]).union(*(share[name].clips for share, _ in shares.values()))
        marks = {k: v for share, _ in shares.values() for k, v in share[name].marks.items()}
        if gallery.get(name) != Known(clips, marks):
            faults.append(f"updates of {name} were lost: {gallery.get(name)}, not {clips} {marks}")
    return faults
