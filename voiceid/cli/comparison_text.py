"""The text of two models side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voiceid.cli.text import megabytes, table

if TYPE_CHECKING:
    from voiceid.evaluation.comparison import Comparison


def comparison_text(result: Comparison) -> str:
    """Return size, speed and error rate of each model, and the agreement of their scores."""
    rows = [
        [
            side.name,
            megabytes(side.size_bytes),
            f"{side.real_time:.0f} x real time",
            None if side.eer is None else f"{100 * side.eer:.2f} %",
        ]
        for side in (result.a, result.b)
    ]
    header = ["model", "size", "speed", "EER"]
    left_out = f", {result.left_out} left out: too little speech" if result.left_out else ""
    return (
        table(header, rows, right=set(header[1:]))
        + f"\n\n{result.b.name} is {result.speed_ratio:.2f} times as fast as {result.a.name}"
        f"   {result.clips} clips, {result.audio_s:.1f} s{left_out}\n"
        f"scores of {result.pairs} pairs   rank correlation {result.rank_correlation:.4f},"
        f" mean difference {result.mean_difference:+.4f}"
    )
