"""A large gallery at one revision, sealed in a file as codes: the base that changes lie over.

A search names the few who may be nearest; whoever asked scores them again from the database.
With the tier "compact" nobody is lost: a code's cosine is off by at most the length of what the
code left of its vector (Cauchy-Schwarz), the longest of which is measured when it is made, and
everybody within twice that of the k-th is named.  With "two-stage" a first pass over shorter
codes picks some, so somebody can be lost; how many are is measured when it is made.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from voiceid.domain import CentroidTable, Float32Array
from voiceid.index import sections
from voiceid.index.base import (
    GENUINE_COSINE,
    ROUNDING,
    CentroidSource,
    Ids,
    MissRate,
    Tier,
    genuine_queries,
)
from voiceid.index.codes import (
    TRAINED_ON,
    Bytes,
    Positions,
    Products,
    Scan,
    reach_of,
    use_one_thread,
)

_SPARE = 256
"""Asked for beyond k of a pass that loses nobody, to see where the bound lies."""
_FIRST_PASS = ((250, 350, 500, 700, 1000, 1400, 2000), (3000, 4000, 6000, 8000, 12_000, 16_000))
"""How many the first pass names: the first that keeps the budget; the second list costs more to
measure, and is looked at where the first has none."""
_SMALL_VIEW = 20_000
"""Members up to which a group is scanned by its 8-bit codes, whatever the tier."""
_QUERIES_AT_ONCE = 128
_LEAST_QUERIES, _MOST_QUERIES = 3000, 30_000

_THREADS = 2
"""That make codes and measure; the machine has other work, and reading takes as long as two."""

T = TypeVar("T")
R = TypeVar("R")
Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Some of the sealed vectors, e.g. a group's, with a pass over them alone.

    Parameters
    ----------
    positions : (m,) int64
        Rising.
    scan : Scan
    loses : bool
        Whether the pass is one that somebody can be lost in.
    """

    positions: Positions
    scan: Scan
    loses: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be sealed.

    Parameters
    ----------
    space_id : str
    dim : int
    tier : Tier
        Compact or two-stage.
    max_miss_rate : float
        Above it a first pass is not used: the tier becomes compact.
    facts : dict
        For the header.
    """

    space_id: str
    dim: int
    tier: Tier
    max_miss_rate: float
    facts: dict[str, Any]


def positions_of(ids: Ids, kept: Ids) -> Positions:
    """Return the positions in ``kept`` (n,) of those of ``ids`` that are there; both rise."""
    at: Positions = np.searchsorted(kept, ids)
    at = at[at < len(kept)]
    found: Positions = at[kept[at] == ids[: len(at)]]
    return found


def code_bytes(dim: int) -> dict[str, int]:
    """Return the bytes of a vector's codes, by the section that they are in."""
    return {"bytes": dim, "products": Products.code_bytes(dim)}


class Sealed:
    """The codes of a file; see the top of this module.

    Parameters
    ----------
    facts, arrays
        Of :func:`voiceid.index.sections.read`.
    """

    def __init__(self, facts: dict[str, Any], arrays: dict[str, sections.Array]) -> None:
        self.ids: Ids = arrays["ids"]
        self.tier = Tier(facts["tier"])
        self._codes = arrays["bytes"]
        self._bytes = Bytes(arrays["low"], arrays["width"])
        self._margin = 2 * float(facts["residual"]) + ROUNDING
        self._reach = float(facts["reach"])
        self._count = int(facts["first_pass"])
        self._products: Products | None = None
        if self.tier is Tier.TWO_STAGE:
            self._products = Products(arrays["turn"], arrays["centroids"])
            self._product_codes = arrays["products"]
        everybody = np.arange(len(self.ids), dtype=np.int64)
        self._all = self._view(everybody, self._codes, whole=True)

    def __len__(self) -> int:
        return len(self.ids)

    def positions(self, ids: Ids) -> Positions:
        """Return the positions of those of ``ids`` (rising) that are sealed."""
        return positions_of(ids, self.ids)

    def view(self, positions: Positions) -> View:
        """Return a view of rising positions, whose codes it copies."""
        return self._view(positions, self._codes[positions], whole=False)

    def candidates(
        self, query: Float32Array, k: int, gone: Mask, view: View | None = None
    ) -> Positions:
        """Return the positions of all who may be among the ``k`` nearest to (dim,).

        ``gone`` (n,) says of each position whether it is left out.
        """
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
            found = view.positions[view.scan.nearest(query[None], asked)[0]]
            there = np.sort(found[~gone[found]])  # rising, the codes come from memory sooner
            cosines = self._bytes.cosines(self._codes[there], query)
            kth = np.partition(cosines, -k)[-k] if len(there) > k else np.float32(-2.0)
            if not view.loses:  # nobody who was not named can have a cosine above
                [far] = self._bytes.cosines(self._codes[found[-1:]], query)
                far += 2 * self._bytes.slack(query, self._reach)
            if asked == size or (len(there) >= min(least, size) and far < kth - self._margin):
                named: Positions = there[cosines >= kth - self._margin]
                return named
            asked *= 4

    def missed(
        self, queries: Float32Array, mates: Positions, counts: Sequence[int]
    ) -> npt.NDArray[np.int64]:
        """Return how many of (n, dim) queries lose their mates, who are nearest to them.

        A mate who was not named, though nobody who was is surely nearer, counts as lost.

        Parameters
        ----------
        queries : (n, dim) float32
        mates : (n,) int64
        counts : sequence of int
            How many a first pass would name, rising.

        Returns
        -------
        (len(counts),) int64
        """
        found = self._all.scan.nearest(queries, counts[-1])
        lost = np.zeros(len(counts), dtype=np.int64)
        for names, query, mate in zip(found, queries, mates, strict=True):
            where = np.flatnonzero(names == mate)
            if len(where) and where[0] < counts[0]:
                continue
            cosines = np.maximum.accumulate(self._bytes.cosines(self._codes[names], query))
            for number, count in enumerate(counts):
                named = len(where) and where[0] < count
                beaten = cosines[min(count, len(cosines)) - 1] >= GENUINE_COSINE + self._margin
                lost[number] += not (named or beaten)
        return lost

    def _view(self, positions: Positions, codes: sections.Array, *, whole: bool) -> View:
        products = self._products
        if products is None or (not whole and len(positions) <= _SMALL_VIEW):
            return View(positions, self._bytes.scan(codes), loses=False)
        chosen = self._product_codes if whole else self._product_codes[positions]
        return View(positions, products.scan(chosen), loses=True)


@contextmanager
def sealing(path: Path, source: CentroidSource, plan: Plan) -> Iterator[Path]:
    """Yield the name of a whole new file beside ``path``; see :func:`sections.writing`.

    Memory does not grow with the gallery, but for ids, and for the shorter codes while the loss
    is measured.

    Raises
    ------
    OSError
        The disk is full.
    StoreError
        A row is damaged.
    """
    ids = source.centroids.ids(plan.space_id)
    rng = np.random.default_rng(len(ids))
    rows = np.sort(rng.choice(len(ids), min(len(ids), TRAINED_ON), replace=False))
    sample = source.centroids.table(plan.space_id, ids[rows].tolist()).vectors
    use_one_thread()
    bytes_ = Bytes.trained(sample)
    products = Products.trained(sample) if plan.tier is Tier.TWO_STAGE else None
    trained = {"low": bytes_.low, "width": bytes_.width}
    if products is not None:
        trained |= {"turn": products.turn, "centroids": products.centroids}
    facts = {**plan.facts, "tier": str(plan.tier), "count": len(ids), "first_pass": 0}
    with sections.writing(path, facts, _shapes(len(ids), plan.dim, trained)) as (new, name):
        for key, array in trained.items():
            new.put(key, array)
        batches = source.centroids.batches(plan.space_id)
        facts |= _write_codes(new, batches, bytes_, products)
        new.finish()
        if products is not None:
            measured = _measured(name, sample, rows, plan.max_miss_rate)
            sections.overwrite(name, {}, **measured)
        yield name


def _shapes(n: int, dim: int, trained: dict[str, Float32Array]) -> sections.Shapes:
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {
        key: ("<f4", array.shape) for key, array in trained.items()
    }
    shapes["ids"] = ("<i8", (n,))
    for key, size in code_bytes(dim).items():
        if key != "products" or "turn" in trained:
            shapes[key] = ("|u1", (n, size))
    return shapes


def _write_codes(
    new: sections.Writing,
    batches: Iterator[CentroidTable],
    bytes_: Bytes,
    products: Products | None,
) -> dict[str, float]:
    """Write ids and codes; return how far off the 8 bits can be.

    Returns
    -------
    dict
        ``residual``, the greatest length of what they leave of a vector, and ``reach``, that of
        a code itself.
    """

    def coded(table: CentroidTable) -> tuple[dict[str, sections.Array], list[float]]:
        use_one_thread()
        made: dict[str, sections.Array] = {"ids": table.ids, "bytes": bytes_.encode(table.vectors)}
        if products is not None:
            made["products"] = products.encode(table.vectors)
        left = np.linalg.norm(bytes_.decode(made["bytes"]) - table.vectors, axis=1)
        return made, [float(left.max(initial=0.0)), reach_of(made["bytes"])]

    first, most = 0, [0.0, 0.0]
    with ThreadPoolExecutor(_THREADS) as pool:
        for made, lengths in _ahead(pool, coded, batches):
            for key, array in made.items():
                new.put(key, array, first)
            first += len(made["ids"])
            most = np.maximum(most, lengths).tolist()
    return dict(zip(("residual", "reach"), most, strict=True))


def _ahead(pool: Executor, act: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield what becomes of items, in order, a few of them in work at once."""
    under_way: deque[Future[R]] = deque()
    for item in items:
        under_way.append(pool.submit(act, item))
        if len(under_way) > 2 * _THREADS:
            yield under_way.popleft().result()
    for one in under_way:
        yield one.result()


def _measured(
    path: Path, sample: Float32Array, rows: Positions, max_miss_rate: float
) -> dict[str, Any]:
    """Return the facts of the least first pass that keeps the budget, else of the tier compact.

    The upper bound of 95 % decides, not the rate: of 3000 none may be lost to show 0.1 %.  If some
    are, four times as many queries tell whether they are too many.
    """
    wanted = int(np.clip(np.ceil(3 / max(max_miss_rate, 1e-9)), _LEAST_QUERIES, _MOST_QUERIES))
    facts, arrays = sections.read(path, {})
    queries, mates = genuine_queries(sample, 4 * wanted)
    sealed = Sealed(facts, arrays)

    def lost_from(first: int, counts: Sequence[int]) -> npt.NDArray[np.int64]:
        use_one_thread()
        some = slice(first, first + _QUERIES_AT_ONCE)
        return sealed.missed(queries[some], rows[mates[some]], counts)

    with ThreadPoolExecutor(_THREADS) as pool:
        for counts in _FIRST_PASS:
            lost, done = np.zeros(len(counts), dtype=np.int64), 0
            for end in (wanted, len(queries)):
                firsts = range(done, end, _QUERIES_AT_ONCE)
                some = pool.map(functools.partial(lost_from, counts=counts), firsts)
                lost = np.sum([lost, *some], axis=0)
                done = min(firsts[-1] + _QUERIES_AT_ONCE, len(queries))
                for count, missed in zip(counts, lost.tolist(), strict=True):
                    if MissRate(missed, done).upper <= max_miss_rate:
                        found = {"first_pass": count, "missed": missed, "queries": done}
                        return {"tier": str(Tier.TWO_STAGE), **found}
    found = {"first_pass": counts[-1], "missed": int(lost[-1]), "queries": done}
    return {"tier": str(Tier.COMPACT), **found}
