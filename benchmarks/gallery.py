"""How a gallery is searched at scale: time, memory and who is lost, beside FAISS's own indexes.

    make bench-gallery      (python -m benchmarks.gallery [--n N] [--hnsw] [--sealed] ...)

One query at a time, on one thread.  The vectors are made up (see `crowds`); queries have a cosine
of 0.6 with somebody, and recall@1 is the share of them whose best answer is the one that all
float32 vectors give.  The second part is the program itself: a database of ``N`` speakers,
imported by its command, searched by a process that serves, changed by another, and asked by
`voiceid identify` in turn with a gallery of ten.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import faiss
import numpy as np
import soundfile

from benchmarks.corpora import ami_turns
from benchmarks.crowds import DIM, KINDS, Crowd, crowd, queries, unit
from benchmarks.importing import peak_mib
from benchmarks.tables import markdown, percent
from voiceid import EmbeddedClip, VoiceID
from voiceid.domain import Float32Array
from voiceid.index.base import IndexOptions
from voiceid.index.gallery import GalleryIndex
from voiceid.store import Reader

K = 5
N_QUERIES = 1000
N_TIMED = 300
GROUP = "one in a hundred"
PROGRAM = Path(sys.executable).with_name("voiceid")
_AT_ONCE = 50_000
_TRAINED_ON = 170_000
"""Vectors that FAISS's own indexes are trained on: it asks for 39 a centroid."""
_LARGE = 2_000_000
"""Speakers up to which the vectors are kept in float32, and everything is measured."""

Search = Callable[[Float32Array], Sequence[int]]


@dataclass(frozen=True)
class Asked:
    """Queries, and who is nearest of all, and of the group."""

    queries: Float32Array
    best: np.ndarray[Any, np.dtype[np.int64]]
    best_of_group: np.ndarray[Any, np.dtype[np.int64]]

    @classmethod
    def of(cls, people: Crowd) -> Asked:
        """Make the queries, and ask every float32 vector."""
        rows = np.random.default_rng(3).integers(0, people.n, N_QUERIES)
        made = queries(people.kind, people.vectors[rows].astype(np.float32))
        best, top = np.zeros(N_QUERIES, np.int64), np.full(N_QUERIES, -2.0, np.float32)
        for first in range(0, people.n, _AT_ONCE):
            scores = people.vectors[first : first + _AT_ONCE].astype(np.float32) @ made.T
            higher = scores.max(axis=0) > top
            best[higher] = first + scores.argmax(axis=0)[higher]
            top = np.maximum(top, scores.max(axis=0))
        group = np.arange(0, people.n, 100)
        scores = people.vectors[group].astype(np.float32) @ made.T
        return cls(made, best, group[scores.argmax(axis=0)])

    def cells(self, search: Search, best: np.ndarray[Any, np.dtype[np.int64]]) -> list[str]:
        """Return the median milliseconds of a search, and recall@1."""
        took, found = [], []
        for query in self.queries[:N_TIMED]:
            started = time.perf_counter()
            found.append(search(query)[0])
            took.append(time.perf_counter() - started)
        found += [search(query)[0] for query in self.queries[N_TIMED:]]
        recall = float(np.mean(np.array(found) == best))
        return [f"{1e3 * statistics.median(took):.2f}", f"{recall:.4f}"]


FAISS: dict[str, list[dict[str, int]]] = {
    "Flat": [{}],
    "SQfp16": [{}],
    "IVF4096,Flat": [{"nprobe": 64}, {"nprobe": 512}],
    "HNSW32": [{"efSearch": 64}, {"efSearch": 1024}],
}
"""FAISS's own indexes, by the names of its factory, and how each is searched."""


def faiss_rows(people: Crowd, asked: Asked, *, hnsw: bool) -> list[list[str]]:
    """Measure FAISS's own indexes."""
    lines = []
    for name, settings in FAISS.items():
        if name == "HNSW32" and not hnsw:
            continue
        faiss.omp_set_num_threads(os.cpu_count() or 1)
        started = time.perf_counter()
        index: Any = faiss.index_factory(DIM, name, faiss.METRIC_INNER_PRODUCT)
        index.train(people.vectors[:_TRAINED_ON])
        index.add(people.vectors)
        built = f"{time.perf_counter() - started:.0f}"
        faiss.omp_set_num_threads(1)
        for given in settings:
            for key, value in given.items():
                faiss.ParameterSpace().set_index_parameter(index, key, value)
            label = " ".join([f"FAISS {name}", *(f"{key} {n}" for key, n in given.items())])
            cells = asked.cells(lambda q, i=index: i.search(q[None], K)[1][0], asked.best)  # type: ignore[misc]
            lines.append([label, *cells, "-", "-", built, "-", "-"])
    return lines


def tier_rows(people: Crowd, asked: Asked, folder: Path) -> list[list[str]]:
    """Measure the tiers, the exact score of the speakers that may be nearest included."""
    lines, reader = [], cast("Reader", people)
    kinds = ("compact", "two-stage") if people.n <= _LARGE else ("two-stage",)
    for kind in kinds:
        path = folder / f"{kind}.index"
        started = time.perf_counter()
        GalleryIndex("crowd", DIM, path, IndexOptions(kind)).rebuild(reader)
        built_s = time.perf_counter() - started
        index = GalleryIndex("crowd", DIM, path, IndexOptions(kind))
        started = time.perf_counter()
        index.search(reader, asked.queries[0], K)
        opened_s = time.perf_counter() - started

        def search(
            query: Float32Array, group: str | None, index: GalleryIndex = index
        ) -> list[int]:
            return [one for one, _ in index.search(reader, query, K, group)]

        status = index.status(reader)
        loss = "-" if status.miss_rate is None else percent(status.miss_rate)
        lines.append(
            [
                f"voiceid {kind}" + ("" if status.kind == kind else f" (became {status.kind})"),
                *asked.cells(lambda q: search(q, None), asked.best),
                *asked.cells(lambda q: search(q, GROUP), asked.best_of_group),
                f"{built_s:.0f}",
                f"{opened_s:.2f}",
                loss,
            ]
        )
        path.unlink()
    return lines


HEADERS = (
    *("index", "ms", "recall@1", "ms in a group of 1 %", "recall@1"),
    *("made in s", "opened in s", "lost %, measured when made"),
)


def part_of_indexes(n: int, folder: Path, *, hnsw: bool) -> None:
    """Print the first part: indexes alone, in this process."""
    for kind in KINDS if n <= _LARGE else KINDS[:1]:
        people = Crowd(kind, n)
        asked = Asked.of(people)
        before_mib = resident_mib()
        lines = tier_rows(people, asked, folder)
        print(f"memory of the index while it searched: {resident_mib() - before_mib:.0f} MiB")
        if n <= _LARGE:
            lines += faiss_rows(people, asked, hnsw=hnsw and kind == KINDS[0])
        print(markdown(f"{n:,} x {DIM}, {kind}, median of {N_TIMED}", HEADERS, lines), flush=True)


def resident_mib() -> float:
    """Return the memory of this process that is in use now."""
    facts = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(facts["VmRSS"].split()[0]) / 1024


def run(*command: object) -> float:
    """Run the program; return the seconds that it took."""
    started = time.perf_counter()
    subprocess.run([PROGRAM, *map(str, command)], check=True, capture_output=True)
    return time.perf_counter() - started


def write_people(folder: Path, n: int) -> None:
    """Write vectors and names, of all and of a group of 1 %, as files to be imported."""
    counts = {"all": n - n // 100, "group": n // 100}
    for number, (what, count) in enumerate(counts.items()):
        names = (f"{what} {i:08d}\n" for i in range(count))
        (folder / f"{what}.txt").write_text("".join(names), encoding="utf-8")
        array = np.lib.format.open_memmap(
            folder / f"{what}.npy", mode="w+", dtype=np.float32, shape=(count, DIM)
        )
        first = 0
        for batch in crowd("speaker-like", count, seed=10 + number):
            array[first : first + len(batch)] = batch
            first += len(batch)


def imported(folder: Path, data: Path, what: str, space: str) -> float:
    """Import a file by the command, its voices unchecked; return its seconds."""
    group = ("--group", GROUP) if what == "group" else ()
    said = ("--ids", folder / f"{what}.txt", "--space", space, "--net-speech-s", 12, *group)
    return run("--data", data, "speakers", "import", folder / f"{what}.npy", "--trust", *said)


def serve(data: Path) -> None:
    """Open a gallery and answer: `time`, or whether the vector of a file is there."""
    with VoiceID.open(data) as vid:
        asked = queries("speaker-like", np.load(data / "mates.npy"))
        started = time.perf_counter()
        vid.search(EmbeddedClip(asked[0], vid.models.space), k=K)
        print(time.perf_counter() - started, flush=True)
        for line in sys.stdin:
            if line == "time\n":
                for group in (None, GROUP):
                    took = []
                    for query in asked:
                        started = time.perf_counter()
                        vid.search(EmbeddedClip(query, vid.models.space), k=K, group=group)
                        took.append(time.perf_counter() - started)
                    print(statistics.median(took), end=" ")
                print(peak_mib(), flush=True)
            else:
                vector = np.load(data / "newcomer.npy")
                started = time.perf_counter()
                best = vid.search(EmbeddedClip(vector[0], vid.models.space), k=1)[0]
                print(time.perf_counter() - started, best.score, flush=True)


def part_of_the_program(n: int, folder: Path, *, sealed: bool = False) -> None:
    """Print the second part: the program, with a database; then with the same one, sealed."""
    with VoiceID.open(folder) as vid:
        space = vid.models.space.id
    subprocess.run([*_SELF, "--write", folder, "--n", str(n)], check=True)
    lines = []
    many, ten = folder / "many", folder / "ten"
    seconds = imported(folder, many, "all", space)
    lines.append(
        [f"import of {n - n // 100:,} (--trust), the command with its index", f"{seconds:.1f} s"]
    )
    seconds = imported(folder, many, "group", space)
    lines.append([f"import of {n // 100:,} more, into a group, --trust", f"{seconds:.1f} s"])
    mates = np.load(folder / "all.npy", mmap_mode="r")[: N_TIMED * 7 : 7]
    np.save(many / "mates.npy", mates)
    np.save(folder / "small.npy", mates[:10])
    (folder / "small.txt").write_text("".join(f"small {i}\n" for i in range(10)))
    run(
        *("--data", ten, "speakers", "import", folder / "small.npy", "--ids", folder / "small.txt"),
        *("--space", space, "--net-speech-s", 12, "--trust"),
    )
    lines += used(many, ten, folder, space)
    print(markdown(f"The program with {n:,} speakers", ["what", "measured"], lines), flush=True)
    if sealed:
        os.environ["VOICEID_PRIVACY__KEY"] = f"file:{folder / 'gallery.key'}"
        run("--data", ten, "keys", "gallery", "init")
        seconds = run("--data", many, "keys", "gallery", "init")
        lines = [["`keys gallery init`, with all", f"{seconds:.1f} s"]]
        lines += used(many, ten, folder, space)
        print(
            markdown(f"The same, sealed: {n:,} speakers", ["what", "measured"], lines), flush=True
        )


def used(many: Path, ten: Path, folder: Path, space: str) -> list[list[str]]:
    """Measure the use of both galleries."""
    lines = served(many, folder, space)
    lines += identified(many, ten, folder)
    size = sum(path.stat().st_size for path in many.rglob("*") if path.is_file()) / 2**20
    return [*lines, ["database and index on the disk", f"{size:.0f} MiB"]]


def served(data: Path, folder: Path, space: str) -> list[list[str]]:
    """Measure a process that serves, while others change the database."""
    with subprocess.Popen(
        [*_SELF, "--serve", data], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None  # noqa: S101 - both are pipes
        assert server.stdout is not None  # noqa: S101

        def ask(line: str) -> list[float]:
            server.stdin.write(line + "\n")  # type: ignore[union-attr]
            server.stdin.flush()  # type: ignore[union-attr]
            return [float(word) for word in server.stdout.readline().split()]  # type: ignore[union-attr]

        opened_s = float(server.stdout.readline())
        alone, in_group, memory_mib = ask("time")
        newcomer = unit(np.random.default_rng(5).standard_normal((1, DIM), dtype=np.float32))
        np.save(data / "newcomer.npy", newcomer)
        (folder / "newcomer.txt").write_text("newcomer\n")
        said = ("--ids", folder / "newcomer.txt", "--space", space, "--net-speech-s", 12)
        add_s = run("--data", data, "speakers", "import", data / "newcomer.npy", *said)
        seen_s, there = ask("newcomer")
        remove_s = run("--data", data, "speakers", "remove", "newcomer", "--yes")
        gone_s, left = ask("newcomer")
        server.stdin.close()
    if not (there > 0.999 > left):
        raise SystemExit(f"a change was not seen: {there}, {left}")
    return [
        ["opened, and the first search answered", f"{opened_s:.2f} s"],
        ["search, median, with the database's snapshot and names", f"{1e3 * alone:.2f} ms"],
        ["search in a group of 1 %", f"{1e3 * in_group:.2f} ms"],
        ["peak memory of the process that searches", f"{memory_mib:.0f} MiB"],
        ["adding one, the whole command", f"{add_s:.1f} s"],
        ["the next search of another process, which finds them", f"{1e3 * seen_s:.1f} ms"],
        ["removing one, the whole command", f"{remove_s:.1f} s"],
        ["the next search of another process, which does not", f"{1e3 * gone_s:.1f} ms"],
    ]


def identified(many: Path, ten: Path, folder: Path) -> list[list[str]]:
    """Measure `voiceid identify` as a process, in turn with a gallery of ten."""
    clip, turn = folder / "clip.wav", ami_turns()[0]
    soundfile.write(clip, turn.samples, 16_000)
    took: dict[Path, list[float]] = {many: [], ten: []}
    for _ in range(11):
        for data, values in took.items():
            started = time.perf_counter()
            subprocess.run(
                [PROGRAM, "--data", data, "identify", clip], check=False, capture_output=True
            )
            values.append(time.perf_counter() - started)
    slower = [a - b for a, b in zip(took[many], took[ten], strict=True)]
    return [
        ["`voiceid identify`, with ten speakers", f"{statistics.median(took[ten]):.2f} s"],
        ["`voiceid identify`, with all", f"{statistics.median(took[many]):.2f} s"],
        ["slower by, median of pairs", f"{statistics.median(slower):.2f} s"],
    ]


_SELF = (sys.executable, "-m", "benchmarks.gallery")


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--hnsw", action="store_true", help="HNSW too: minutes to build")
    parser.add_argument(
        "--ten-million", action="store_true", help="ten million too: 6 GB of memory"
    )
    parser.add_argument("--sealed", action="store_true", help="the program sealed too")
    parser.add_argument("--only", choices=("indexes", "program"))
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        return
    if args.write:
        write_people(args.write, args.n)
        return
    with tempfile.TemporaryDirectory() as name:
        if args.only != "program":
            part_of_indexes(args.n, Path(name), hnsw=args.hnsw)
        if args.only != "indexes":
            part_of_the_program(args.n, Path(name), sealed=args.sealed)
        if args.ten_million:
            part_of_indexes(10_000_000, Path(name), hnsw=False)


if __name__ == "__main__":
    main()
