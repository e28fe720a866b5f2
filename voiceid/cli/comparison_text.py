"""The text of two models side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceid.cli.text import megabytes, table

if TYPE_CHECKING:
    from voiceid.evaluation.comparison import Comparison


def comparison_text(found: Comparison) -> str:
    """Return size, speed and error rate of each, and how alike their scores are."""
    rows = [
        [
            side.name,
            megabytes(side.size_bytes),
            f"{side.real_time:.0f} x real time",
            None if side.eer is None else f"{100 * side.eer:.2f} %",
        ]
        for side in (found.a, found.b)
    ]
    header = ["model", "size", "speed", "EER"]
    left_out = f", {found.left_out} left out: too little speech" if found.left_out else ""
    return (
        table(header, rows, right=set(header[1:]))
        + f"\n\n{found.b.name} is {found.speed_ratio:.2f} times as fast as {found.a.name}"
        f"   {found.clips} clips, {found.audio_s:.1f} s{left_out}\n"
        f"scores of {found.pairs} pairs   rank correlation {found.rank_correlation:.4f},"
        f" mean difference {found.mean_difference:+.4f}"
    )
