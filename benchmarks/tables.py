"""Markdown tables, and numbers as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown(title: str, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a titled table; numbers are given as text."""
    lines = [f"**{title}**", "", _row(headers), _row(["---"] * len(headers))]
    return "\n".join([*lines, *(_row(row) for row in rows), ""])


def percent(rate: float) -> str:
    """Return a rate, 0 to 1, as percent, with the digits that small rates need."""
    return f"{100 * rate:.3f}" if 0 < rate < 0.001 else f"{100 * rate:.2f}"


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
