"""The figure and the style of every picture: the one door to matplotlib.

Figures are drawn without pyplot, whose state is global: any thread may draw.  The same
arrays give the same bytes: size, resolution and fonts are fixed, whatever the machine's own
settings of matplotlib are, and no date is written into a file.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias

from voiceid.errors import ExtraMissing

try:
    # It logs the list of fonts the first time on a machine, which is of no use.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ft2font import FT2Font
    from matplotlib.layout_engine import ConstrainedLayoutEngine
except ImportError as error:
    raise ExtraMissing("pictures need matplotlib, which is not installed") from error

P = ParamSpec("P")
Picture: TypeAlias = Figure

DPI = 120
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000")
"""Distinct for the colour-blind: M. Okabe and K. Ito, "Color Universal Design" (2008); without
their yellow, which is not visible on white paper."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "h")
"""Their number and that of the colours have no common factor: so 70 speakers differ."""
LINES = ("-", "--", "-.", ":", (0, (6, 2, 1, 2, 1, 2)), (0, (1, 4)))
"""Styles that tell lines apart in grey."""
FAINT = "#5f5f5f"
"""Grey of secondary text; its contrast against white is 6.4 to 1."""

_STYLE: dict[Any, object] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 10.0,
    "text.parse_math": False,  # a name with two dollar signs is not a formula
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12.0,
    "axes.titlelocation": "left",
    "grid.color": "#dddddd",
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "voiceid",  # the same ids each time
    "legend.frameon": False,
    "legend.fontsize": 9.0,
}
_NAME_CHARS = 28
_LEGEND_ROW_IN = 0.2
_PAD_IN = 0.1
_style = threading.RLock()


@contextlib.contextmanager
def _styled() -> Iterator[None]:
    """Draw in this package's style, and leave the global style unchanged."""
    with _style, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def drawn(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Return a function that draws in this package's style."""

    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with _styled():
            figure = draw(*args, **kwargs)
            settle(figure)
            return figure

    return styled


def sheet(width_in: float, height_in: float) -> Figure:
    """Return an empty figure, which makes room for the text around its axes."""
    layout = ConstrainedLayoutEngine(w_pad=_PAD_IN, h_pad=_PAD_IN)
    figure = Figure(figsize=(width_in, height_in), dpi=DPI, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def blank(width_in: float = 8.0, height_in: float = 5.5) -> tuple[Figure, Axes]:
    """Return a figure with one pair of axes."""
    figure = sheet(width_in, height_in)
    return figure, figure.add_subplot()


def settle(figure: Figure) -> None:
    """Fix the layout, so that labels placed by pixels stay in place."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def legend_below(figure: Figure, *axes: Axes, columns: int = 1) -> None:
    """Put the legend below the axes, where it covers no data; the figure grows by its height."""
    legends = [part.get_legend_handles_labels() for part in axes]
    handles = [handle for handles, _ in legends for handle in handles]
    labels = [label for _, labels in legends for label in labels]
    if handles:
        rows = -(-len(handles) // columns)
        figure.set_figheight(figure.get_figheight() + _LEGEND_ROW_IN * rows + 0.1)
        figure.legend(handles, labels, loc="outside lower left", ncols=columns)


def legend_beside(figure: Figure, axes: Axes, width_chars: int) -> None:
    """Put the legend to the right of the axes, its lines broken at a width."""
    handles, labels = axes.get_legend_handles_labels()
    lines = [textwrap.fill(label, width_chars, subsequent_indent="  ") for label in labels]
    figure.legend(handles, lines, loc="outside right upper")


def png(figure: Figure) -> bytes:
    """Return a picture as a PNG file; the same picture gives the same bytes."""
    file = io.BytesIO()
    with _styled():
        figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


def svg(figure: Figure) -> bytes:
    """Return a picture as an SVG file, its text as outlines; the same picture, the same bytes."""
    file = io.BytesIO()
    with _styled():
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def drawable(text: str, limit: int = _NAME_CHARS) -> str:
    r"""Return a name as it can be drawn: missing glyphs as ``\u4e2d``, and not too long."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    known = _characters()
    return "".join(c if ord(c) in known else c.encode("unicode_escape").decode() for c in text)


@functools.cache
def _characters() -> frozenset[int]:
    fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
    return frozenset(FT2Font(str(fonts / "DejaVuSans.ttf")).get_charmap())
