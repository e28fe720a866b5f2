"""Kills a process in each kind of change of a sealed gallery, and looks for what can be read.

python crashed_changes.py HOME    prints, as JSON, what was found after each crash, and after the
                                  next change; HOME/data is copied for each

Each process is killed twice: when all is written and nothing is committed, and right after the
commit, before index files, kept audio and the log follow.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from private_galleries import opened
from random_voices import files_holding
from torture.processes import FAULT, faults_among, start
from torture.voices import new_clips, pcm_sha256, utterance, vector, warm_up

from voiceid import SpeakerDetails, VoiceID
from voiceid.decision.transforms import fit
from voiceid.domain import Embedding, NewSample
from voiceid.store import Store, Writer

NAMES = ("Alice Sealed", "Bob Sealed", "Carol Sealed")
TEXTS = ("Carla Sealed", "Sally Sealed", "badge-4711", "badge-0815", "label-of-a-phone")
CLIPS = {name: new_clips(np.random.default_rng(i), 3, i + 1) for i, name in enumerate(NAMES)}
NEW = new_clips(np.random.default_rng(9), 1, 1)[0]


def _heard(vid: VoiceID, *clips: int) -> list[Any]:
    return [utterance(clip, vid.models.space) for clip in clips]


def _adapt(vid: VoiceID) -> None:
    vectors = np.random.default_rng(4).standard_normal((60, 192)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    transform = fit(vectors, np.repeat(np.arange(20), 3), method="wccn", shrinkage=0.5)
    space = vid.models.space
    with vid._session.change("adapt") as change:
        number = change.writer.adaptations.add(space, transform, {}, "site")
        change.writer.adaptations.use(space.id, number)


def _switch(vid: VoiceID) -> None:
    """Let another model take the place of the one in use, with what it would make of the clips."""
    space, longer = vid._session.speaker_model("ge2e").space, np.zeros(64, np.float32)
    with vid._session.change("switch_model") as change:
        writer = change.writer
        switch = writer.switches.begin(vid.models.space.id, space)
        for name, clips in CLIPS.items():
            new = [
                NewSample(replace(heard, embedding=Embedding(data, space)))
                for heard, clip in zip(_heard(vid, *clips), clips, strict=True)
                for data in [np.concatenate([vector(clip), longer])]
            ]
            writer.samples.add(writer.speakers.get(name).id, space, new)
        writer.switches.switch(switch)


def _first_sample(vid: VoiceID) -> list[int]:
    return [vid.samples.list(NAMES[0])[0].id]


CHANGES: dict[str, Callable[[VoiceID], object]] = {
    "append": lambda vid: vid.enroll(NAMES[0], _heard(vid, NEW)),
    "replace": lambda vid: vid.enroll(NAMES[1], _heard(vid, *CLIPS[NAMES[1]][:2]), mode="replace"),
    "rename": lambda vid: vid.speakers.rename(NAMES[2], TEXTS[0]),
    "edit": lambda vid: vid.speakers.edit(
        NAMES[2], SpeakerDetails(metadata={"badge": "badge-0815"})
    ),
    "merge": lambda vid: vid.speakers.merge(NAMES[2], NAMES[1], force=True),
    "split": lambda vid: vid.speakers.split(NAMES[0], TEXTS[1], _first_sample(vid), force=True),
    "samples remove": lambda vid: vid.samples.remove(NAMES[0], _first_sample(vid)),
    "remove": lambda vid: vid.speakers.remove(NAMES[0]),
    "adapt": _adapt,
    "switch": _switch,
    "backup": lambda vid: vid.database.backup(vid._session.config.data / "backup.sqlite3"),
    "renew": lambda vid: vid.keys.gallery.renew(),
    "rotate": lambda vid: vid.keys.gallery.rotate(),
}


def _prepare(_: Connection, say: Connection, home: Path) -> None:
    details = SpeakerDetails(metadata={"badge": "badge-4711"}, groups=("lobby",))
    with opened(home, "plain") as vid:
        for name, clips in CLIPS.items():
            vid.enroll(name, _heard(vid, *clips), label="label-of-a-phone", details=details)
        vid.index.rebuild()
        if not files_holding(home / "data", needles()):
            say.send((FAULT, "a gallery that is plain has nothing to read"))
        vid.keys.gallery.init()


def _die(_: Connection, __: Connection, home: Path, kind: str, when: str) -> None:
    with opened(home, "sealed") as vid:
        written = Store.write

        @contextmanager
        def write(self: Store, *, synced: bool = True) -> Iterator[Writer]:
            with written(self, synced=synced) as writer:
                writer.connection.exec_driver_sql("PRAGMA cache_size=1")  # all of it to the file
                yield writer
                if when == "before":
                    os.kill(os.getpid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

        Store.write = write  # type: ignore[method-assign]
        CHANGES[kind](vid)


def _go_on(_: Connection, say: Connection, home: Path) -> None:
    with opened(home, "sealed") as vid:
        vid.speakers.edit(vid.speakers.list()[-1].name, SpeakerDetails(groups=("yard",)))
        for problem in (*vid.database.check(), *vid.audit.verify().problems):
            say.send((FAULT, problem))


def needles() -> list[bytes]:
    """Return the names, texts and pieces of vectors that must be in no file."""
    clips = [NEW, *(clip for own in CLIPS.values() for clip in own)]
    texts = [*NAMES, *TEXTS, *map(str.casefold, NAMES), *(f"{clip}.wav" for clip in clips)]
    texts += [pcm_sha256(clip) for clip in clips]
    vectors = [vector(clip).astype("<f4").tobytes() for clip in clips]
    return [t.encode() for t in texts] + [v[i : i + 16] for v in vectors for i in (0, 256)]


def main(home: Path) -> None:
    """Crash in each change, in a copy."""
    warm_up()
    found: dict[str, list[str]] = {"": faults_among(start(_prepare, home).rest())}
    everything = needles()
    for kind in CHANGES:
        for when in ("before", "after"):
            copy = home.with_name(f"{home.name}-copy")
            shutil.copytree(home, copy)
            died = start(_die, copy, kind, when)
            said = faults_among(died.rest())
            if died.process.exitcode != -signal.SIGKILL:
                said.append(f"the process ended with {died.process.exitcode}")
            said += sorted(files_holding(copy / "data", everything))
            said += faults_among(start(_go_on, copy).rest())
            said += sorted(files_holding(copy / "data", everything))
            found[f"{kind}, {when} the commit"] = said
            shutil.rmtree(copy)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
