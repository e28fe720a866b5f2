"""Kill, crowd and feed a gallery, and print what came of it; exits with 1 on any fault."""

from __future__ import annotations

import os

os.environ.update(
    OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1"
)  # a process of one thread is forked

import argparse
import math
import sys
import time
from collections.abc import Callable

from torture.crashes import crash
from torture.crowd import Crowd, crowd
from torture.fuzz import fuzz
from torture.hostility import meet
from torture.lifetimes import crash_lifetimes
from torture.mixtures import mix
from torture.rebuilds import crash_rebuilds
from torture.servers import under_a_server
from torture.tally import Tally
from torture.voices import SEALED, warm_up

_SEALED_SHARE = 1 / 3
"""So much again with sealed galleries, on a server, and both."""
_LEAST_S = 10.0
_COLUMNS = "{:<24}{:>8}{:>8}{:>9}{:>11}{:>8}{:>9}"


def main() -> int:
    """Run every part that is asked for, and some again with sealed galleries and on a server."""
    parser = argparse.ArgumentParser(prog="torture", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="in which workers are killed")
    parser.add_argument("--rebuilds", type=int, default=100, help="killed while they write a file")
    parser.add_argument("--speakers", type=int, default=2000, help="in that file")
    parser.add_argument("--seconds", type=float, default=60.0, help="of many processes at once")
    parser.add_argument("--pairs", type=int, default=8, help="of them: a writer and a reader each")
    parser.add_argument("--mixtures", type=float, default=60.0, help="seconds of mixed voices")
    parser.add_argument("--fuzz", type=float, default=60.0, help="seconds of damaged files")
    parser.add_argument("--hostile", type=int, default=3, help="rounds of all hostile files")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of all that is random")
    said = parser.parse_args()
    warm_up()
    _print(f"seed {said.seed}")
    _print(_COLUMNS.format("", "rounds", "kills", "changes", "cut short", "faults", "took"))
    parts: dict[str, Callable[[], Tally]] = {
        "crashes": lambda: crash(said.rounds, said.seed),
        "rebuilds": lambda: crash_rebuilds(said.rebuilds, said.seed, said.speakers),
        "crowd": lambda: crowd(said.seconds, said.seed, said.pairs),
        "mixtures": lambda: mix(said.mixtures, said.seed),
        "fuzz": lambda: fuzz(said.fuzz, said.seed),
        "hostile": lambda: meet(said.hostile, said.seed),
    }
    shares: dict[str, Callable[[], Tally]] = {
        "crashes": lambda: crash(_part(said.rounds), said.seed),
        "crowd": lambda: crowd(_part_s(said.seconds), said.seed, said.pairs),
        "rebuilds": lambda: crash_rebuilds(_part(said.rebuilds), said.seed, said.speakers),
        "mixtures": lambda: mix(_part_s(said.mixtures), said.seed),
    }
    on_server = {name: shares[name] for name in ("crashes", "crowd")}
    faulty = sum(_ran(part, run) for part, run in parts.items())
    with under_a_server():
        faulty += sum(_ran(f"server_{part}", run) for part, run in on_server.items())
    SEALED[0] = True
    lifetimes = {"lifetimes": lambda: crash_lifetimes(_part(said.rounds), said.seed)}
    shares |= lifetimes
    on_server |= lifetimes
    faulty += sum(_ran(f"sealed_{part}", run) for part, run in shares.items())
    with under_a_server():
        faulty += sum(_ran(f"sealed_server_{part}", run) for part, run in on_server.items())
    return int(faulty > 0)


def _part(n: int) -> int:
    return math.ceil(n * _SEALED_SHARE)


def _part_s(seconds: float) -> float:
    return min(seconds, max(_LEAST_S, seconds * _SEALED_SHARE))


def _ran(part: str, run: Callable[[], Tally]) -> bool:
    """Run a part and print its row; return whether it found a fault."""
    started = time.monotonic()
    tally = run()
    took = f"{time.monotonic() - started:.0f} s"
    counts = tally.rounds, tally.kills, tally.changes.total(), tally.under_way, len(tally.faults)
    _print(_COLUMNS.format(part, *counts, took))
    _print("  " + ", ".join(f"{kind} {n}" for kind, n in tally.changes.most_common()))
    if isinstance(tally, Crowd):
        _print(f"  {tally.latencies()}")
    return bool(tally.faults)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
