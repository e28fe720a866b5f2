"""Make each mutant of the list, run the tests that guard it, and print the score by module.

Exits with 1 when the tests fail without a mutant, when a mutant without a reason goes unnoticed,
or when less than 90 % are noticed.
"""

from __future__ import annotations

import os

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")  # a process of one thread forks

import argparse
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from mutation.mutants import Mutant, listed
from mutation.runs import Ended, Run, warm_up
from mutation.trees import copied, mistaken

_LEAST_SHARE = 0.9
_LIMIT_S, _SOUND_LIMIT_S = 60, 900
"""Of processor time, for the tests of a mutant, and for all of them without one."""
_NOTICED, _ENDLESS, _MISSED = "noticed", "endless", "UNNOTICED"
"""What becomes of a mutant; what ran into its limit is noticed, and is counted by itself."""
_COLUMNS = "{:<28}{:>9}{:>9}{:>9}{:>9}"


@dataclass(frozen=True)
class Job:
    """Tests to run, with a mutant or without."""

    mutant: Mutant | None
    tests: tuple[str, ...]


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument("--only", default="", help="a pattern of module and fault")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--unchecked", action="store_true", help="not the tests without a mutant")
    said = parser.parse_args()
    chosen = [mutant for mutant in listed() if re.search(said.only, str(mutant))]
    warm_up()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        trees = [copied(Path(folder, f"tree-{n}")) for n in range(said.workers)]
        if not said.unchecked and not _is_sound(trees, chosen):
            return 1
        became = {m: _told(m, ended) for m, ended in _ran(trees, _jobs(chosen)) if m}
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime
    _print(f"{time.monotonic() - started:.0f} s, {cpu_s:.0f} s of processor time")
    return _summed(became, whole=not said.only)


def _is_sound(trees: Sequence[Path], chosen: Sequence[Mutant]) -> bool:
    """Whether all the tests pass without a mutant; a share of them runs in each tree."""
    tests = sorted({test for mutant in chosen for test in mutant.tests})
    shares = [tuple(tests[n :: len(trees)]) for n in range(len(trees))]
    sound = True
    for _, ended in _ran(trees, [Job(None, share) for share in shares if share]):
        _print(f"{'passed' if ended.passed else 'FAILED'} without a mutant, {ended.took_s:.0f} s")
        if not ended.passed:
            sound = False
            _print(ended.said)
    return sound


def _jobs(chosen: Sequence[Mutant]) -> list[Job]:
    return [Job(mutant, mutant.tests) for mutant in chosen]


def _ran(trees: Sequence[Path], jobs: Sequence[Job]) -> Iterator[tuple[Mutant | None, Ended]]:
    """Run jobs, one in a tree at a time; yield them as they end."""
    waiting, free = list(jobs), list(trees)
    running: dict[int, tuple[Job, Run, Path, ExitStack]] = {}
    try:
        while waiting or running:
            while waiting and free:
                job, tree, stack = waiting.pop(0), free.pop(), ExitStack()
                if job.mutant is not None:
                    stack.enter_context(mistaken(tree, job.mutant))
                run = Run(tree, job.tests, _SOUND_LIMIT_S if job.mutant is None else _LIMIT_S)
                running[run.number] = job, run, tree, stack
            number, status = os.wait()
            job, run, tree, stack = running.pop(number)
            ended = run.ended(status)
            stack.close()
            free.append(tree)
            yield job.mutant, ended
    finally:
        for _, run, _, _ in running.values():
            run.end()


def _told(mutant: Mutant, ended: Ended) -> str:
    """Print what became of a mutant; return it in a word."""
    if not ended.passed and not ended.noticed:  # the tests did not run
        _print(ended.said)
    word = _ENDLESS if ended.endless else _NOTICED if ended.noticed else _MISSED
    _print(f"{word:<10}{ended.took_s:5.1f} s  {mutant}")
    return word


def _summed(became: Mapping[Mutant, str], *, whole: bool) -> int:
    """Print the score by module, and what was not noticed; return the exit code."""
    words = Counter((name, word) for m, word in became.items() for name in (m.module, "all"))
    _print("\n" + _COLUMNS.format("module", "mutants", "noticed", "endless", "share"))
    for module in [*sorted({mutant.module for mutant in became}), "all"]:
        noticed, endless, missed = (words[module, word] for word in (_NOTICED, _ENDLESS, _MISSED))
        n = noticed + endless + missed
        share = f"{100 * (noticed + endless) / max(n, 1):.0f} %"
        _print(_COLUMNS.format(module, n, noticed, endless, share))
    unnoticed = [mutant for mutant, word in became.items() if word == _MISSED]
    for mutant in unnoticed:
        _print(f"\nunnoticed: {mutant}\n  {mutant.reason or 'NO REASON IS GIVEN'}")
    for mutant, word in became.items():
        if mutant.reason and word != _MISSED:
            _print(f"\nnoticed, though the list has a reason why not: {mutant}")
    few = whole and len(became) - len(unnoticed) < _LEAST_SHARE * len(became)
    return int(any(not mutant.reason for mutant in unnoticed) or few)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
