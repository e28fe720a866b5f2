"""How fast a gallery is imported: embeddings made elsewhere, an exported file, and out again.

    python -m benchmarks.importing [--rows N] [--million] [--no-files] [--folder DIR]

Each import is a process of its own, whose peak memory is its own.  Vectors are random: to the
database a voice is a vector like any other.  `to the disk` ends when all is committed and the log
is folded into the database; the whole command, start and index included, comes last.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.tables import markdown
from voiceid import VoiceID, exchange
from voiceid.exchange import EmbeddingFacts
from voiceid.protection import Trusted
from voiceid.store import Store

DIM = 192
PARQUET = importlib.util.find_spec("pyarrow") is not None
PROGRAM = (sys.executable, "-m", "benchmarks.importing")
_AT_ONCE = 50_000


def write_array(folder: Path, n: int) -> tuple[Path, Path]:
    """Write ``n`` random vectors (n, 192) float32, and as many random names in no order."""
    array = np.lib.format.open_memmap(
        folder / "vectors.npy", mode="w+", dtype=np.float32, shape=(n, DIM)
    )
    rng = np.random.default_rng(0)
    with (folder / "names.txt").open("w", encoding="utf-8") as names:
        for start in range(0, n, _AT_ONCE):
            part = array[start : start + _AT_ONCE]
            part[:] = rng.standard_normal(part.shape, dtype=np.float32)
            names.writelines(f"Person {secrets.token_hex(6)}\n" for _ in part)
    array.flush()
    return folder / "vectors.npy", folder / "names.txt"


def write_table(folder: Path, n: int) -> Path:
    """Write the same as a table of Parquet, as pyarrow groups its rows."""
    import pyarrow as pa  # noqa: PLC0415 - an optional library
    import pyarrow.parquet as pq  # noqa: PLC0415

    array = np.load(folder / "vectors.npy", mmap_mode="r")
    schema = pa.schema([("name", pa.string()), ("embedding", pa.list_(pa.float32(), DIM))])
    with pq.ParquetWriter(folder / "people.parquet", schema) as out:
        for start in range(0, n, 1 << 18):
            part = np.ascontiguousarray(array[start : start + (1 << 18)])
            vectors = pa.FixedSizeListArray.from_arrays(pa.array(part.reshape(-1)), DIM)
            names = pa.array([f"Person {secrets.token_hex(6)}" for _ in part])
            out.write_table(pa.table([names, vectors], schema=schema))
    return folder / "people.parquet"


def to_the_disk(what: str, folder: Path, database: Path) -> None:
    """Do one thing, in this process, and print its rows, seconds, CPU seconds and peak MiB."""
    with VoiceID.open(folder) as vid:
        model = vid._session.model.speaker_model  # noqa: SLF001 - as the import has it
    facts = EmbeddingFacts(model.space.id, net_speech_s=12.0)
    store = Store.open(database)
    files: dict[str, Callable[[], exchange.SealedSpeakers]] = {
        "array": lambda: exchange.read_embeddings(
            model, folder / "vectors.npy", folder / "names.txt", facts
        ),
        "table": lambda: exchange.read_embeddings(model, folder / "people.parquet", None, facts),
        "file": lambda: exchange.read_gallery(model, folder / "people.jsonl", Trusted(None)),
    }
    started, cpu = time.perf_counter(), time.process_time()
    if what == "export":
        with store.read() as reader:
            done = exchange.export(reader, model.space, (), folder / "people.jsonl")
    else:
        with files[what]() as speakers, store.write() as writer:
            done = speakers.add_to(writer, append=False, trust=True)
    store.erase_remains()
    seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    print(done.samples, seconds, cpu_s, peak_mib())


def peak_mib() -> float:
    """Return the peak memory of this process; ``ru_maxrss`` has that of who started it in it."""
    facts = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(facts["VmHWM"].split()[0]) / 1024


def measured(what: str, label: str, folder: Path, database: Path) -> list[str]:
    """Return the row of one thing, done in a process of its own."""
    done = subprocess.run(
        [*PROGRAM, "--do", what, "--folder", folder, "--database", database],
        capture_output=True,
        text=True,
        check=True,
    )
    rows, seconds, cpu_s, peak_mib = map(float, done.stdout.split())
    return [label, f"{seconds:.1f}", f"{cpu_s:.1f}", f"{rows / seconds:.0f}", f"{peak_mib:.0f}"]


def whole_command(folder: Path, n: int, space: str) -> list[str]:
    """Return the row of the command as it is typed, from its start to its end."""
    program = Path(sys.executable).with_name("voiceid")
    said = ("--trust", "--ids", folder / "names.txt", "--space", space, "--net-speech-s", "12")
    started = time.perf_counter()
    process = subprocess.Popen(
        [program, "--data", folder / "whole", "speakers", "import", folder / "vectors.npy", *said],
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)  # of this process alone
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"the import failed: {status}")
    label = "vectors.npy, the whole command with its index, --trust"
    return [label, f"{seconds:.1f}", "-", f"{n / seconds:.0f}", f"{used.ru_maxrss / 1024:.0f}"]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--million", action="store_true", help="1 000 000 rows: 10 GB of disk")
    parser.add_argument("--no-files", action="store_true", help="no exported files: they are slow")
    parser.add_argument("--folder", type=Path, help="where to write; default: a temporary folder")
    parser.add_argument("--do", help=argparse.SUPPRESS)
    parser.add_argument("--database", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.do == "write":
        write_array(args.folder, args.rows)
        if PARQUET:
            write_table(args.folder, args.rows)
        return
    if args.do:
        to_the_disk(args.do, args.folder, args.database)
        return
    n = 1_000_000 if args.million else args.rows
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        subprocess.run(  # a process of its own: what it maps would count as memory of this one's
            [*PROGRAM, "--do", "write", "--rows", str(n), "--folder", folder], check=True
        )
        with VoiceID.open(folder) as vid:
            space = vid.models.space.id
        lines = [measured("array", "vectors.npy, to the disk", folder, folder / "a.sqlite3")]
        if PARQUET:
            lines.append(
                measured("table", "people.parquet, to the disk", folder, folder / "b.sqlite3")
            )
            (folder / "b.sqlite3").unlink()
        if not args.no_files:
            lines.append(measured("export", "export of everybody", folder, folder / "a.sqlite3"))
            lines.append(
                measured("file", "import of that file, to the disk", folder, folder / "c.sqlite3")
            )
        lines.append(whole_command(folder, n, space))
        size = (folder / "a.sqlite3").stat().st_size
    print(f"database of {size / 1e6:.0f} MB; load {load:.1f} before\n")
    headers = ["what", "s", "CPU s", "rows a second", "peak MiB"]
    print(markdown(f"{n} speakers, one embedding of {DIM} dimensions each", headers, lines))


if __name__ == "__main__":
    main()
