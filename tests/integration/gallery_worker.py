"""A process (or thread) that enrolls, removes and searches; run as a program by the tests.

python gallery_worker.py work DATABASE KIND SEED ROUNDS   prints who stays enrolled, as JSON
python gallery_worker.py crash DATABASE KIND SEED         goes on until it is killed
python gallery_worker.py fill DATABASE BYTES              goes on until the disk is full
python gallery_worker.py serve DATABASE KIND SEED         answers a line with who is enrolled
python gallery_worker.py change DATABASE SEED N HOME      changes speakers as a program does
python gallery_worker.py restore DATABASE BYTES FILE...   restores the files in turn until it is
                                                          killed or the disk is full
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from itertools import count, cycle
from pathlib import Path

import numpy as np
from random_voices import DIM, SPACE, random_unit, sample

from voiceid import VoiceID
from voiceid.domain import DatabaseUrl, SpeakerDetails, database_at
from voiceid.errors import StoreError
from voiceid.index.base import Gallery, IndexOptions
from voiceid.index.gallery import GalleryIndex
from voiceid.index.server_gallery import ServerGallery
from voiceid.store import Store
from voiceid.store.restore import restore


def open_gallery(database: Path | DatabaseUrl, kind: str) -> Gallery:
    if isinstance(database, DatabaseUrl):
        return ServerGallery(SPACE.id, DIM, str(database), lambda: Store.open(database).write())
    return GalleryIndex(
        SPACE.id, DIM, database.parent / "index" / f"{SPACE.id}.index", IndexOptions(kind)
    )


def enroll(store: Store, index: Gallery, name: str, vectors: np.ndarray) -> int:
    """Enroll as the program does, the file of the index included; return the centroid's id."""
    with store.write() as writer:
        speaker = writer.speakers.find(name) or writer.speakers.add(name)
        index.search(writer, vectors[0], 2)
        writer.samples.add(speaker.id, SPACE, [sample(v) for v in vectors])
        owned = writer.centroids.owners(writer.centroids.table(SPACE.id).ids.tolist())
    with store.read() as reader:
        index.sync(reader)
    index.save()
    return next(i for i, owner in owned.items() if owner.speaker.id == speaker.id)


def remove(store: Store, index: Gallery, name: str) -> None:
    with store.write() as writer:
        writer.speakers.remove(writer.speakers.get(name).id)
    with store.read() as reader:
        index.sync(reader)


def found(store: Store, index: Gallery, vector: np.ndarray, k: int) -> list[tuple[int, float]]:
    """Search, and compare with what the same snapshot of the database holds."""
    with store.read() as reader:
        hits = index.search(reader, vector, k)
        table = reader.centroids.table(SPACE.id)
        scores = dict(zip(table.ids.tolist(), (table.vectors @ vector).tolist(), strict=True))
        assert len(hits) == min(k, len(scores)), "a search missed somebody"
        for centroid_id, score in hits:
            assert centroid_id in scores, "somebody who is not enrolled was found"
            assert abs(score - scores[centroid_id]) < 1e-5, "a stale vector was found"
        return hits


def work(store: Store, index: Gallery, seed: int, rounds: int) -> dict[str, int]:
    """Enroll many, remove some, search all the time; return who stays with how many samples."""
    rng, kept = np.random.default_rng(seed), {}
    for number in range(rounds):
        name, vectors = f"worker {seed} speaker {number}", random_unit(rng, 2)
        centroid_id = enroll(store, index, name, vectors[:1])
        assert found(store, index, vectors[0], 3)[0][0] == centroid_id, "the newest was not found"
        kept[name] = 1
        what = rng.integers(3)
        if what == 0:
            enroll(store, index, name, vectors[1:])
            kept[name] = 2
        elif what == 1:
            remove(store, index, name)
            hits = found(store, index, vectors[0], 1000)
            assert centroid_id not in [i for i, _ in hits], "a removed voice was found"
            del kept[name]
    return kept


def opened(database: Path | DatabaseUrl, home: Path, **settings: object) -> VoiceID:
    """Open a gallery as a program does."""
    if isinstance(database, DatabaseUrl):
        settings["database_url"] = database.text
        return VoiceID.open(home / "data", home=home, overrides=settings)
    return VoiceID.open(database.parent, home=home, overrides=settings)


def _change(database: Path | DatabaseUrl, home: Path, seed: int, times: int) -> Iterator[str]:
    """Add speakers, count edits in their metadata, remove some: each says that it is done."""
    with opened(database, home) as vid:
        for number in range(times):
            name = f"changed {seed} {number}"
            vid.speakers.add(name)
            yield "add"
            for edits in range(1, 3):
                vid.speakers.edit(name, SpeakerDetails(metadata={"edits": str(edits)}))
                yield "edit"
            if number % 2:
                vid.speakers.remove(name)
                yield "remove"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _crash(store: Store, index: Gallery, seed: int) -> Iterator[str]:
    rng = np.random.default_rng(seed)
    for number in count():
        name = f"crash {seed} {number}"
        enroll(store, index, name, random_unit(rng, 3))
        yield name
        if number % 2:
            enroll(store, index, name, random_unit(rng, 2))
            yield name
        if number % 3 == 0:
            remove(store, index, name)
            yield name


def _fill(database: Path, limit: int) -> None:
    store = Store.open(database)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    rng, committed = np.random.default_rng(1), 0
    try:
        for number in range(10_000):
            with store.write() as writer:
                alice = writer.speakers.add(f"s{number}").id
                writer.samples.add(alice, SPACE, [sample(v) for v in random_unit(rng, 20)])
            committed += 1
    except StoreError as error:
        _say(json.dumps({"committed": committed, "hint": error.hint}))
        with store.read() as reader:  # the same process goes on with what there is
            assert len(reader.speakers.all()) == committed
    store.close()


def _serve(store: Store, index: Gallery, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in sys.stdin:
        for query in random_unit(rng, 3):
            found(store, index, query, 5)
        with store.read() as reader:
            _say(json.dumps([speaker.name for speaker in reader.speakers.all()]))


def _restore(database: Path, limit: int, files: list[Path]) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    for file in cycle(files):
        try:
            restore(database, file)
        except StoreError as error:
            _say(json.dumps([error.message, error.hint]))
            return
        _say(f"restored {file}")


def main() -> None:
    """Do as the command line says."""
    what, database = sys.argv[1], database_at(sys.argv[2])
    _say("ready")
    sys.stdin.readline()
    if what == "fill":
        _fill(database, int(sys.argv[3]))
        return
    if what == "restore":
        _restore(database, int(sys.argv[3]), list(map(Path, sys.argv[4:])))
        return
    if what == "change":
        home = Path(sys.argv[5])
        for done in _change(database, home, int(sys.argv[3]), int(sys.argv[4])):
            _say(done)
        return
    index, seed = open_gallery(database, sys.argv[3]), int(sys.argv[4])
    store = Store.open(database)
    if what == "work":
        _say(json.dumps(work(store, index, seed, int(sys.argv[5]))))
    elif what == "serve":
        _serve(store, index, seed)
    else:
        for name in _crash(store, index, seed):
            _say(f"committed {name}")
    store.close()


if __name__ == "__main__":
    main()
