"""What was done to a gallery, and what broke."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts of what was tried, and the faults that were found."""

    rounds: int = 0
    kills: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    """Acknowledged and checked, by kind."""
    under_way: int = 0
    """Changes in whose middle a process was killed."""
    faults: list[str] = field(default_factory=list)

    def note(self, where: str, faults: list[str]) -> None:
        """Take faults in, and tell them at once on standard error."""
        for fault in faults:
            self.faults.append(f"{where}: {fault}")
            sys.stderr.write(f"FAULT {self.faults[-1]}\n")
