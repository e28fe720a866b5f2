"""Progress of a download, a build, many files or a long one, on standard error."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from voiceid.cli.text import megabytes, printable, width

_REDRAW_S = 0.1
_BAR_COLUMNS = 24


class ProgressBar:
    """Draws one updated line on a terminal, or one plain line per stage elsewhere."""

    def __init__(self, write: Callable[[str], None], *, terminal: bool) -> None:
        self._write = write
        self._terminal = terminal
        self._stage: str | None = None
        self._drawn_columns = 0
        self._next_draw = 0.0

    def show(
        self, stage: str, done: int, total: int | None, amount: Callable[[int], str] = megabytes
    ) -> None:
        """Show that ``done`` of ``total`` (None: unknown) of a stage are done, as amounts."""
        new_stage = stage != self._stage
        self._stage = stage
        if not self._terminal:
            if new_stage:
                size = f" ({amount(total)})" if total else ""
                self._write(f"{printable(stage)}{size}\n")
            return
        now = time.monotonic()
        if new_stage or done == total or now >= self._next_draw:
            self._next_draw = now + _REDRAW_S
            self._draw(bar(printable(stage), done, total, amount))

    def clear(self) -> None:
        """Clear the line on the terminal, so that other text can be printed."""
        if self._drawn_columns:
            self._write("\r" + " " * self._drawn_columns + "\r")
            self._drawn_columns = 0

    def _draw(self, line: str) -> None:
        # A wrapped line cannot be overwritten.
        line = line[: shutil.get_terminal_size().columns - 1]
        columns = width(line)
        self._write("\r" + line + " " * max(0, self._drawn_columns - columns))
        self._drawn_columns = columns


def duration(at_s: int) -> str:
    """Return seconds as ``1:02:03``."""
    return f"{at_s // 3600}:{at_s // 60 % 60:02}:{at_s % 60:02}"


def bar(stage: str, done: int, total: int | None, amount: Callable[[int], str] = megabytes) -> str:
    """Return e.g. ``download campplus  [######------]  45 %  36.5 MB of 81.0 MB``."""
    if not total:
        return f"{stage}  {amount(done)}" if done else stage
    share = min(1.0, done / total)
    full = int(share * _BAR_COLUMNS)
    drawn = "#" * full + "-" * (_BAR_COLUMNS - full)
    return f"{stage}  [{drawn}] {int(share * 100):3d} %  {amount(done)} of {amount(total)}"
