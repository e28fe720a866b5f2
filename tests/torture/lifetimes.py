"""SIGKILL in changes of a whole sealed gallery, and in erasures.

After each kill the gallery is whole, has everybody but the erased, and shows nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from torture.processes import faults_among, start
from torture.servers import gallery_folder, has_server, kill_server, settle
from torture.tally import Tally
from torture.voices import fill, new_clips, opened, remains, utterance, vector
from voiceid import VoiceID
from voiceid.decision.transforms import fit
from voiceid.domain import Embedding, NewSample
from voiceid.errors import ChangeRefused, StoreError

_ROUNDS_OF_A_GALLERY, _PEOPLE, _CLIPS = 8, 12, 3
_LONGEST_S, _PATIENCE_S = 1.5, 20.0
People = dict[str, list[int]]


def crash_lifetimes(rounds: int, seed: int) -> Tally:
    """Kill a process in one of these changes, ``rounds`` times."""
    rng, tally = np.random.default_rng(seed), Tally()
    while tally.rounds < rounds:
        with gallery_folder() as folder:
            data, shown = folder / "data", False
            names = [f"person {rng.integers(1 << 40)}" for _ in range(_PEOPLE)]
            people = {name: new_clips(rng, _CLIPS) for name in names}
            enrolled = dict(people)
            tally.note("filling", faults_among(start(fill, data, people).rest()))
            for _ in range(min(_ROUNDS_OF_A_GALLERY, rounds - tally.rounds)):
                tally.rounds += 1
                kind = str(rng.choice(list(_CHANGES)))
                shown |= kind == "off"
                where = f"{kind}, round {tally.rounds}"
                tally.note(where, _killed(data, kind, enrolled, rng, tally))
                # What a server wrote during `off` stays in its log: see docs/privacy.md.
                tally.note(where, remains(data, people, of_server=not shown))
    return tally


def _killed(
    data: Path, kind: str, enrolled: People, rng: np.random.Generator, tally: Tally
) -> list[str]:
    """Kill a process in a change; return the faults, and take the erased out of the enrolled."""
    name = min(enrolled)
    worker = start(_work, data, kind, name, enrolled)
    faults = faults_among([worker.hear()])
    if rng.integers(4):
        time.sleep(float(rng.uniform(0, _LONGEST_S)))
    else:  # right after the change, perhaps while the process closes the gallery
        worker.said.poll(_PATIENCE_S)
    if has_server() and rng.integers(2):
        kill_server(rng)
    else:
        worker.kill()
    tally.kills += 1
    said = worker.rest()
    settle()
    is_done = ("done",) in said
    tally.changes[kind] += is_done
    tally.under_way += not is_done
    [(_, numbers, problems), *others] = start(_look, data).rest() or [("none", {}, ["not seen"])]
    faults += [*faults_among(said), *faults_among(others), *problems]
    erases = kind in {"erase", "run"}
    if erases and (is_done or name not in numbers):
        del enrolled[name]
    if numbers != dict.fromkeys(enrolled, _CLIPS):
        faults.append(f"there are {numbers}, and should be {sorted(enrolled)}")
    return faults


def _work(_: Connection, say: Connection, data: Path, kind: str, name: str, people: People) -> None:
    with suppress(StoreError), opened(data) as vid:  # the server may be killed
        say.send(("ready",))
        _CHANGES[kind](vid, name, people)
        say.send(("done",))


def _look(_: Connection, say: Connection, data: Path) -> None:
    """Say how many samples each has, and what is wrong; a gallery after `off` is sealed again."""
    with opened(data) as vid:
        vid._session.keys.is_required = False
        if vid.keys.gallery.status().kind == "none":
            vid.keys.gallery.init()
        vid._session.store.erase_remains()
        faults = [*vid.database.check(), *vid.audit.verify().problems]
        with vid._session.store.read() as reader:
            space_id = reader.spaces.current(vid.models.space.id)
            numbers = {
                s.name: len(reader.samples.of(s.id, space_id)) for s in reader.speakers.all()
            }
        say.send(("seen", numbers, faults))


def _adapt(vid: VoiceID, _: str, __: People) -> None:
    space, rng = vid.models.space, np.random.default_rng()
    vectors = rng.standard_normal((60, space.dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    transform = fit(vectors, np.repeat(np.arange(20), 3), method="wccn", shrinkage=0.5)
    with vid._session.change("adapt") as change:
        change.writer.adaptations.add(space, transform, {}, "site")


def _switch(vid: VoiceID, _: str, people: People) -> None:
    """Prepare, commit and finish a switch to the other model, with what it would make of clips."""
    with suppress(ChangeRefused):  # none is open
        vid.models.switch.cancel()
    session, now = vid._session, vid.models.space
    target = session.speaker_model("campplus" if now.dim > len(vector(0)) else "ge2e").space
    longer = np.zeros(target.dim - len(vector(0)), np.float32)
    with session.change("prepare_switch") as change:
        switch = change.writer.switches.begin(now.id, target)
    for name, clips in people.items():
        heard = [utterance(clip, now) for clip in clips]
        embeddings = [Embedding(np.concatenate([vector(clip), longer]), target) for clip in clips]
        pairs = zip(heard, embeddings, strict=True)
        new = [NewSample(replace(one, embedding=embedding)) for one, embedding in pairs]
        with session.change("prepare_switch") as change:
            change.writer.samples.add(change.writer.speakers.get(name).id, target, new)
    with session.change("switch_model") as change:
        change.writer.switches.switch(switch)
    vid.models.switch.finish()


def _run(vid: VoiceID, name: str, _: People) -> None:
    vid.speakers.withdraw(name)
    at_once = {"privacy.erase_withdrawn_after_days": 0}
    with opened(vid._session.config.data, at_once) as other:
        other.privacy.run()


_CHANGES: dict[str, Callable[[VoiceID, str, People], object]] = {
    "adapt": _adapt,
    "switch": _switch,
    "off": lambda vid, *_: vid.keys.gallery.off(),
    "renew": lambda vid, *_: vid.keys.gallery.renew(),
    "rotate": lambda vid, *_: vid.keys.gallery.rotate(),
    "erase": lambda vid, name, _: vid.privacy.erase(name),
    "run": _run,
}
