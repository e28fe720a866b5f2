"""A large gallery at one revision, sealed in a file as codes: changes are applied on top.

A search names the few who may be nearest.  "compact" loses no speaker: all within twice the longest
residual of the k-th are named (Cauchy-Schwarz).  "two-stage" first selects some by shorter codes;
its loss of speakers is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from voiceid.domain import CentroidTable, Float32Array
from voiceid.index.base import GENUINE_COSINE, ROUNDING, Ids, MissRate, Tier, genuine_queries
from voiceid.index.codes import (
    TRAINED_ON,
    Bytes,
    Positions,
    Products,
    Scan,
    reach_of,
    use_one_thread,
)
from voiceid.index.sections import Array, Facts

if TYPE_CHECKING:  # it loads while the models do
    from voiceid.store import Reader

_SPARE = 256
"""Extra hits of a pass that loses no speaker, to find the bound."""
_FIRST_PASS = ((250, 350, 500, 700, 1000, 1400, 2000), (3000, 4000, 6000, 8000, 12_000, 16_000))
"""Numbers of hits of the first pass: the first that keeps the budget is used.  The second list
costs more to measure, and is tried only if the first has no such number."""
_SMALL_VIEW = 20_000
"""Members up to which a group is scanned by its 8-bit codes, whatever the tier."""
_QUERIES_AT_ONCE = 128
_LEAST_QUERIES, _MOST_QUERIES = 3000, 30_000

_THREADS = 2
"""Threads that make codes and measure: the machine has other work, and reading takes as long."""
_ROWS_AT_ONCE = 20_000
"""Rows in a transaction: a longer reader would keep removed rows in the database."""

Read: TypeAlias = "Callable[[], AbstractContextManager[Reader]]"
"""Opens a snapshot of the database."""
Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Rising positions (m,) of some sealed vectors, e.g. a group's, with a pass over them alone.

    ``loses`` says whether that pass can lose a speaker.
    """

    positions: Positions
    scan: Scan
    loses: bool


class Sealed:
    """The codes of a gallery, of the facts and arrays of :func:`seal` or of a file."""

    def __init__(self, facts: Facts, arrays: dict[str, Array]) -> None:
        self.ids: Ids = arrays["ids"]
        self.tier = Tier(facts["tier"])
        self._codes = arrays["bytes"]
        self._bytes = Bytes(arrays["low"], arrays["step"])
        self._margin = 2 * float(facts["residual"]) + ROUNDING
        self._reach = float(facts["reach"])
        self._count = int(facts["first_pass"])
        self._products: Products | None = None
        if self.tier is Tier.TWO_STAGE:
            self._products = Products(arrays["turn"], arrays["centroids"])
            self._product_codes = arrays["products"]
        self._all = self._view(np.arange(len(self.ids), dtype=np.int64), self._codes, whole=True)

    def __len__(self) -> int:
        return len(self.ids)

    def positions(self, ids: Ids) -> Positions:
        """Return the positions of the sealed ones of ``ids`` (rising)."""
        at: Positions = np.searchsorted(self.ids, ids)
        at = at[at < len(self.ids)]
        sealed: Positions = at[self.ids[at] == ids[: len(at)]]
        return sealed

    def view(self, positions: Positions) -> View:
        """Return a view of rising positions, with a copy of their codes."""
        return self._view(positions, self._codes[positions], whole=False)

    def candidates(
        self, query: Float32Array, k: int, gone: Mask, view: View | None = None
    ) -> Positions:
        """Return all who may be among the ``k`` nearest to (dim,), except those ``gone`` (n,)."""
        view = view or self._all
        size, least = len(view.positions), k
        if not size:
            return view.positions
        asked, far = k + _SPARE, -np.inf
        if view.loses:
            least = max(self._count, 4 * k)
            asked = least + least // 8  # some may be gone
        use_one_thread()
        while True:
            asked = min(asked, size)
            scores, rows = view.scan(query[None], asked)
            named = view.positions[rows[0]]
            there = np.sort(named[~gone[named]])  # in rising order the codes are read faster
            codes = self._codes[there]
            erased = ~codes.any(axis=1)  # removed by a process ahead of this snapshot
            cosines = np.where(erased, np.float32(-2), self._bytes.cosines(codes, query))
            kth = np.partition(cosines, -k)[-k] if len(there) > k else np.float32(-2)
            far = -np.inf if view.loses else scores[0, -1]  # every score above this bound is named
            if asked == size or (len(there) >= min(least, size) and far < kth - self._margin):
                likely: Positions = there[erased | (cosines >= kth - self._margin)]
                return likely
            asked *= 4

    def missed(
        self, queries: Float32Array, mates: Positions, counts: Sequence[int]
    ) -> npt.NDArray[np.int64]:
        """Return how many of (n, dim) queries lose their mates (n,), who are nearest to them.

        The answer has one number for each of ``counts``, rising: how many a first pass would name.
        A mate who was not named counts as lost, unless a speaker who was named is surely nearer.
        """
        _, named_rows = self._all.scan(queries, min(counts[-1], len(self)))
        lost = np.zeros(len(counts), dtype=np.int64)
        for names, query, mate in zip(named_rows, queries, mates, strict=True):
            where = np.flatnonzero(names == mate)
            if len(where) and where[0] < counts[0]:
                continue
            cosines = np.maximum.accumulate(self._bytes.cosines(self._codes[names], query))
            for number, count in enumerate(counts):
                named = len(where) and where[0] < count
                beaten = cosines[min(count, len(cosines)) - 1] >= GENUINE_COSINE + self._margin
                lost[number] += not (named or beaten)
        return lost

    def _view(self, positions: Positions, codes: Array, *, whole: bool) -> View:
        products = self._products
        if products is None or (not whole and len(positions) <= _SMALL_VIEW):
            return View(positions, self._bytes.scan(codes, self._reach), loses=False)
        chosen = self._product_codes if whole else self._product_codes[positions]
        return View(positions, products.scan(chosen), loses=True)


def seal(
    space_id: str, read: Read, tier: Tier, max_miss_rate: float
) -> tuple[Facts, dict[str, Array]]:
    """Return the facts and the arrays of codes of a gallery, which `Sealed` takes.

    Rows are read in some transactions: some may be newer than the revision in the facts.
    """
    with read() as reader:
        revision, ids = reader.revision, reader.centroids.ids(space_id)
        rng = np.random.default_rng(len(ids))
        rows = np.sort(rng.choice(len(ids), min(len(ids), TRAINED_ON), replace=False))
        sample = reader.centroids.as_stored(space_id, ids[rows].tolist())
    use_one_thread()
    coder = _Coder(ids, sample.vectors, tier)
    facts: Facts = {"tier": str(tier), "count": len(ids), "first_pass": 0}
    facts |= {"revision": revision.number, "token": revision.token}
    with ThreadPoolExecutor(_THREADS) as pool:
        jobs: list[Future[tuple[float, float]]] = []
        for first in range(0, len(ids), _ROWS_AT_ONCE):
            with read() as reader:
                some = ids[first : first + _ROWS_AT_ONCE].tolist()
                table = reader.centroids.as_stored(space_id, some)
            jobs.append(pool.submit(coder.code, table))
            if len(jobs) > 2 * _THREADS:
                jobs[-2 * _THREADS].result()  # rows that are read but not coded take memory
        lengths = np.array([job.result() for job in jobs]).reshape(-1, 2).max(axis=0, initial=0.0)
    facts |= dict(zip(("residual", "reach"), lengths.tolist(), strict=True))
    if tier is Tier.TWO_STAGE:
        at = np.searchsorted(ids, sample.ids)
        facts |= _measured(Sealed(facts, coder.arrays), sample.vectors, at, max_miss_rate)
    return facts, coder.arrays


class _Coder:
    """Fills the arrays of codes, which it trains on some vectors (n, dim)."""

    def __init__(self, ids: Ids, sample: Float32Array, tier: Tier) -> None:
        n, dim = len(ids), sample.shape[1]
        self._bytes = trained = Bytes.trained(sample)
        self.arrays: dict[str, Array] = {"ids": ids, "low": trained.low, "step": trained.step}
        self.arrays["bytes"] = np.zeros((n, dim), dtype=np.uint8)
        self._products: Products | None = None
        if tier is Tier.TWO_STAGE:
            self._products = products = Products.trained(sample)
            self.arrays |= {"turn": products.turn, "centroids": products.centroids}
            self.arrays["products"] = np.zeros((n, products.code_bytes(dim)), dtype=np.uint8)

    def code(self, table: CentroidTable) -> tuple[float, float]:
        """Make the codes of rows; return the greatest lengths of residuals and of codes."""
        use_one_thread()
        at = np.searchsorted(self.arrays["ids"], table.ids)
        self.arrays["bytes"][at] = codes = self._bytes.encode(table.vectors)
        if self._products is not None:
            self.arrays["products"][at] = self._products.encode(table.vectors)
        left = np.linalg.norm(self._bytes.decode(codes) - table.vectors, axis=1)
        return float(left.max(initial=0.0)), reach_of(codes)


def _measured(sealed: Sealed, sample: Float32Array, rows: Positions, max_miss_rate: float) -> Facts:
    """Return the facts of the shortest first pass that keeps the budget, else of the tier compact.

    The upper bound of 95 % decides, not the rate: of 3000 none may be lost to show 0.1 %.  If some
    are lost, four times as many queries show whether they are too many.
    """
    n_queries = int(np.clip(np.ceil(3 / max(max_miss_rate, 1e-9)), _LEAST_QUERIES, _MOST_QUERIES))
    queries, mates = genuine_queries(sample, 4 * n_queries)

    def lost_from(first: int, counts: Sequence[int]) -> npt.NDArray[np.int64]:
        use_one_thread()
        some = slice(first, first + _QUERIES_AT_ONCE)
        return sealed.missed(queries[some], rows[mates[some]], counts)

    with ThreadPoolExecutor(_THREADS) as pool:
        for counts in _FIRST_PASS:
            lost, done = np.zeros(len(counts), dtype=np.int64), 0
            for end in (n_queries, len(queries)):
                firsts = range(done, end, _QUERIES_AT_ONCE)
                lost = np.sum([lost, *pool.map(partial(lost_from, counts=counts), firsts)], axis=0)
                done = min(firsts[-1] + _QUERIES_AT_ONCE, len(queries))
                for count, missed in zip(counts, lost.tolist(), strict=True):
                    if MissRate(missed, done).upper <= max_miss_rate:
                        return {"first_pass": count, "missed": missed, "queries": done}
    measured = {"first_pass": counts[-1], "missed": int(lost[-1]), "queries": done}
    return {"tier": str(Tier.COMPACT), **measured}
