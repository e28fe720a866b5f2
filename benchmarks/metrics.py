"""The cost of error rates of ten million trials: time, memory, and the ratio to scikit-learn.

    make bench          (python -m benchmarks.metrics [--runs N])

Each run is a process of its own (`benchmarks.timed.metrics_trials`), which makes up the trials
before the clock starts.  Its memory counts the trials.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from typing import Any

from benchmarks.speed import Line, ratios, run
from benchmarks.tables import markdown

WHAT = ("report", "det", "scikit-learn")


def measured(what: str) -> dict[str, Any]:
    """Return what one process printed."""
    said: dict[str, Any] = json.loads(
        run(sys.executable, "-m", "benchmarks.timed.metrics_trials", what)[1]
    )
    return said


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=3, help="counted runs of each")
    args = parser.parse_args()
    rounds = [[measured(what) for what in WHAT] for _ in range(args.runs + 1)][1:]
    whole, own, peer = (list(column) for column in zip(*rounds, strict=True))
    for ours, theirs in zip(own, peer, strict=True):
        if not math.isclose(ours["rate"], theirs["rate"], rel_tol=1e-9):
            raise RuntimeError("the two DET curves differ, so their times say nothing")
    own_s, peer_s = ([run["seconds"] for run in runs] for runs in (own, peer))
    lines = [
        Line("all error rates, with bounds", [run["seconds"] for run in whole], "s", 15),
        Line("its peak memory", [run["peak_mib"] for run in whole], "MiB", 2048),
        Line("DET curve, voiceid", own_s, "s", None),
        Line("DET curve, scikit-learn", peer_s, "s", None),
        Line("DET curve, scikit-learn / voiceid", ratios(peer_s, own_s), "times", 1, at_least=True),
        Line("peak memory of it, voiceid", [run["peak_mib"] for run in own], "MiB", None),
        Line("peak memory of it, scikit-learn", [run["peak_mib"] for run in peer], "MiB", None),
    ]
    headers = ["what", "median", "least", "most", "target", ""]
    title = f"10 million trials of 250 speakers, {args.runs} counted runs each"
    print(markdown(title, headers, [line.cells() for line in lines]))
    parts = [
        [name, f"{statistics.median(run['parts'][name] for run in whole):.2f}"]
        for name in whole[0]["parts"]
    ]
    print(markdown("Seconds of each part, median", ["part", "s"], parts))


if __name__ == "__main__":
    main()
