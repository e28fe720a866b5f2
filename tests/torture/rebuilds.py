"""SIGKILL in the middle of writing the index file: every answer stays exact."""

from __future__ import annotations

import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from torture import checks
from torture.changes import Known
from torture.processes import FAULT, faults_among, start
from torture.tally import Tally
from torture.voices import fill, new_clips, opened, remains

_LONGEST_S = 0.3
_LOOKED_FOR = 20


def crash_rebuilds(rounds: int, seed: int, n_speakers: int) -> Tally:
    """Kill a process that does nothing but rebuild the index, ``rounds`` times."""
    rng, tally = np.random.default_rng(seed), Tally()
    people = {f"speaker {i}": new_clips(rng, 1) for i in range(n_speakers)}
    truth = checks.Truth.of({name: Known(frozenset(clips)) for name, clips in people.items()})
    with tempfile.TemporaryDirectory(prefix="voiceid-torture-") as folder:
        data = Path(folder) / "data"
        tally.note("filling", faults_among(start(fill, data, people).rest()))
        for _ in range(0 if tally.faults else rounds):
            tally.rounds += 1
            worker = start(_rebuild, data)
            ready = worker.hear()
            time.sleep(float(rng.uniform(0, _LONGEST_S)))
            worker.kill()
            tally.kills += 1
            said = [ready, *worker.rest()]
            tally.changes["rebuild"] += sum(kind == "done" for kind, *_ in said)
            said += start(_ask, data, truth, tally.rounds).rest()
            tally.note(f"rebuild {tally.rounds}", faults_among(said))
            some = {name: people[name] for name in list(people)[:_LOOKED_FOR]}
            tally.note(f"rebuild {tally.rounds}", remains(data, some))
    return tally


def _rebuild(_: Connection, say: Connection, data: Path) -> None:
    vid = opened(data)
    vid.index.rebuild()
    say.send(("ready",))
    while True:
        vid.index.rebuild()
        say.send(("done",))


def _ask(_: Connection, say: Connection, data: Path, truth: checks.Truth, seed: int) -> None:
    vid = opened(data)
    for status in vid.index.status():
        if status.state == "damaged":
            say.send((FAULT, f"a kill left a damaged file: {status}"))
    for fault in truth.wrong_answers(vid, seed):
        say.send((FAULT, fault))
    vid.close()
