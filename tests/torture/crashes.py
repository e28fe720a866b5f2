"""SIGKILL at random moments: what was acknowledged is there, whole, and found.

In each round some workers change one database, one or all of them are killed, and then a process
that was there all the time and one that is new must both see every acknowledged change.  A change
that was under way may be there or not; half of it may not.
"""

from __future__ import annotations

import contextlib
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from torture import checks
from torture.changes import Change, Gallery, Known, after, make, next_changes
from torture.processes import FAULT, Worker, faults_among, start
from torture.servers import gallery_folder, has_server, kill_server, settle
from torture.tally import Tally
from torture.voices import SEALED, centroid, opened, remains, sealed
from voiceid import EmbeddedClip, VoiceID
from voiceid.errors import ErasureIncomplete, StoreError, StoreUnreachable

_SHARED = ["shared 0", "shared 1"]
_WORKERS = 4
_ROUNDS_OF_A_DATABASE = 25
_LONGEST_S = 0.6


def crash(rounds: int, seed: int) -> Tally:
    """Kill workers in the middle of changes, ``rounds`` times."""
    rng, tally = np.random.default_rng(seed), Tally()
    while tally.rounds < rounds:
        with gallery_folder() as folder:
            _one_database(folder, min(rounds, tally.rounds + _ROUNDS_OF_A_DATABASE), rng, tally)
    return tally


def _one_database(folder: Path, until: int, rng: np.random.Generator, tally: Tally) -> None:
    data, known = folder / "data", Gallery()
    if SEALED[0]:
        tally.note("sealing", faults_among(start(sealed, data).rest()))
    server = start(checks.serve, data)
    while tally.rounds < until:
        tally.rounds += 1
        where = f"round {tally.rounds}"
        workers = [
            (f"w{slot} ", start(work, data, f"w{slot} ", known, int(rng.integers(1 << 30))))
            for slot in range(int(rng.integers(1, _WORKERS + 1)))
        ]
        said = _killed([worker for _, worker in workers], rng, tally)
        seed = int(rng.integers(1 << 30))
        server.tell(seed)
        views = [server.hear(), start(checks.look, data, seed).rest()[0]]
        for view in views:
            tally.note(where, view[2] if view[0] == "seen" else list(view[1:]))
        for messages in said:
            tally.note(where, faults_among(messages))
        found = views[1][1] if views[1][0] == "seen" else known
        prefixes = [prefix for prefix, _ in workers]
        tally.note(where, _compared(known, found, dict(zip(prefixes, said, strict=True)), tally))
        if views[0][0] == "seen" and views[0][1] != found:
            tally.note(where, ["two processes see two galleries"])
        known = found
        people = {name: one.clips for name, one in known.items()}
        tally.note(where, remains(data, people))
    server.kill()
    server.rest()


def work(
    orders: Connection, say: Connection, data: Path, prefix: str, known: Gallery, seed: int
) -> None:
    """Change and ask until a stop is sent, or it is killed; say each change before and after."""
    with contextlib.suppress(StoreUnreachable), opened(data) as vid:  # the server may be killed
        rng, exports = np.random.default_rng(seed), data.parent / "exports"
        mine = {name: known[name] for name in known if name.startswith(prefix)}
        exports.mkdir(exist_ok=True)
        while not orders.poll():
            for change in list(next_changes(rng, mine, prefix, _SHARED, exports)):
                say.send(("begin", change))
                try:
                    make(vid, change)
                except ErasureIncomplete:  # the change was made, and the next one goes on with it
                    pass
                except StoreError as error:  # the server was killed
                    if not isinstance(error, StoreUnreachable) and "is not known" not in str(error):
                        raise
                    if isinstance(error, StoreUnreachable):  # it says that nothing was changed
                        say.send(("refused", change))
                    return
                say.send(("done", change))
                mine = mine if _of_all(change) else after(mine, change)
            for name in sorted(mine)[-1:]:  # only this process changes them
                if fault := _not_found(vid, name, mine):
                    say.send((FAULT, fault))


def _not_found(vid: VoiceID, name: str, mine: Gallery) -> str | None:
    # Of a speaker merged from many voices a clip may be like no other; the centroid is not.
    asked = centroid(mine[name].clips).astype(np.float32)
    found = [one.speaker.name for one in vid.search(EmbeddedClip(asked, vid.models.space))]
    return None if name in found else f"{name} is enrolled, and found were {found}"


def _of_all(change: Change | None) -> bool:
    """Whether a change is of a speaker whom every worker changes."""
    return change is not None and len(change) > 1 and change[1] in _SHARED


def _own(gallery: Gallery, prefix: str) -> Gallery:
    return {name: one for name, one in gallery.items() if name.startswith(prefix)}


def _killed(workers: list[Worker], rng: np.random.Generator, tally: Tally) -> list[list[Any]]:
    """Kill one of the workers, or all, at a random moment; return what each had said."""
    if rng.integers(4):  # else perhaps while they open or make the database
        workers[0].said.poll(_LONGEST_S * 10)
    time.sleep(float(rng.uniform(0, _LONGEST_S)))
    victims = workers if rng.integers(2) else [workers[0]]
    if has_server() and rng.integers(2):
        kill_server(rng)
        victims = []
        tally.kills += 1
    for victim in victims:
        victim.kill()
    tally.kills += len(victims)
    if len(victims) < len(workers):
        time.sleep(float(rng.uniform(0, _LONGEST_S / 2)))  # the others go on where one has died
    for worker in workers:
        worker.tell("stop")
    said = [worker.rest() for worker in workers]
    settle()
    return said


def _compared(
    known: Gallery, found: Gallery, said: dict[str, list[Any]], tally: Tally
) -> list[str]:
    """Compare what is there with what was acknowledged; a change under way may be there or not."""
    faults, everybodys = [], {name: known.get(name, Known(frozenset())) for name in _SHARED}
    open_clips: set[int] = set()
    for prefix, messages in said.items():
        done, pending = _acknowledged(messages)
        tally.changes.update(change[0] for change in done)
        tally.under_way += pending is not None
        want = _own(known, prefix)
        for change in done:
            if _of_all(change):
                everybodys = after(everybodys, change)
            else:
                want = after(want, change)
        there = _own(found, prefix)
        if _of_all(pending):
            open_clips |= set(pending[2]) if pending[0] == "enroll" else set()
            pending = None
        if there != want and (pending is None or there != after(want, pending)):
            faults.append(f"of {prefix}: {there} is there, acknowledged was {want} then {pending}")
        faults += _lost_marks(everybodys, found, prefix, messages)
    for name, one in everybodys.items():
        clips = found.get(name, Known(frozenset())).clips
        if not one.clips <= clips <= one.clips | open_clips:
            faults.append(f"clips of {name} were lost: {one.clips - clips}, or came of nothing")
    others = [name for name in found if name not in _SHARED and not name.startswith("w")]
    return faults + [f"{name} was never enrolled" for name in others]


def _acknowledged(messages: list[Any]) -> tuple[list[Change], Change | None]:
    done = [change for kind, change in messages if kind == "done"]
    begun = [change for kind, change in messages if kind == "begin"]
    refused = [change for kind, change in messages if kind == "refused"]
    return done, begun[-1] if len(begun) > len(done) + len(refused) else None


def _lost_marks(wanted: Gallery, found: Gallery, prefix: str, messages: list[Any]) -> list[str]:
    """Each worker marks the speakers of all under a key of its own: no other may undo that."""
    _, pending = _acknowledged(messages)
    faults = []
    for name, one in wanted.items():
        mark = found.get(name, Known(frozenset())).marks.get(prefix.strip())
        may = {one.marks.get(prefix.strip())}
        if pending is not None and pending[:2] == ("mark", name):
            may.add(pending[3])
        if mark not in may:
            faults.append(f"the mark of {prefix} on {name} is {mark}, acknowledged was {may}")
    return faults
