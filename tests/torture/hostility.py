"""Hostile files, each against the command that reads it: refused, within its bounds, with a reason.

The cases are those of `tests/cli/hostile.py`, made on the spot.  They run in a process of its own,
one after another, in an order that the seed decides, so that what one leaves behind meets the next.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

from hostile import CASES, fault

from torture.tally import Tally
from torture.voices import REPO

_LONGEST_S = 600.0


def meet(rounds: int, seed: int) -> Tally:
    """Run all cases as many times as is said."""
    tally = Tally()
    for number in range(rounds):
        names = list(CASES)
        Random(seed + number).shuffle(names)
        with tempfile.TemporaryDirectory(prefix="voiceid-torture-") as folder:
            tally.note("hostile", _faults(_outcomes(names, Path(folder)), names, tally))
        tally.rounds += 1
    return tally


def _outcomes(names: list[str], folder: Path) -> str:
    """Return what the program printed of the cases before it ended or was stopped."""
    places = {"VOICEID_HOME": str(folder), "VOICEID_MODELS": str(REPO / "models")}
    command = [sys.executable, str(REPO / "tests" / "cli" / "hostile.py"), str(folder), *names]
    with (folder / "printed").open("w+b") as printed:
        with subprocess.Popen(
            command, stdout=printed, env={**os.environ, **places, "VOICEID_OFFLINE": "true"}
        ) as process:
            try:
                process.wait(_LONGEST_S)
            except subprocess.TimeoutExpired:
                process.kill()
        return (folder / "printed").read_text(encoding="utf-8")


def _faults(printed: str, names: list[str], tally: Tally) -> list[str]:
    came = dict(json.loads(line) for line in printed.splitlines() if line.endswith("]"))
    tally.changes["refused"] += len(came)
    missing = [name for name in names if name not in came]
    faults = [f"the process died or hung at {missing[0]}"] if missing else []
    return faults + [wrong for name in came if (wrong := fault(name, came[name]))]
