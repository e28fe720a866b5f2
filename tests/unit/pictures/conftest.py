"""What can be said of a picture without looking at its pixels."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox


def texts_of(figure: Figure) -> list[Text]:
    """Every text that is drawn: ticks outside the limits are not."""
    shown = []
    for text in figure.findobj(Text):
        axis = getattr(text.axes, "xaxis", None)
        if text.get_text().strip() and text.get_visible() and axis is not False:
            shown.append(text)
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            drawn = set(map(id, axis._update_ticks()))
            for tick in (*axis.majorTicks, *axis.minorTicks):
                if id(tick) not in drawn or not tick.label1.get_visible():
                    hidden.add(id(tick.label1))
                hidden.add(id(tick.label2))
            if not axis.get_tick_params().get("labelbottom", True):
                hidden.update(id(tick.label1) for tick in axis.majorTicks)
    return [text for text in shown if id(text) not in hidden]


def boxes_of(figure: Figure) -> list[tuple[str, Bbox]]:
    renderer = figure.canvas.get_renderer()
    return [(t.get_text(), Text.get_window_extent(t, renderer)) for t in texts_of(figure)]


@pytest.fixture
def legible() -> Callable[[Figure], None]:
    """Check that no text lies over another one or over the edge of the picture."""

    def check(figure: Figure) -> None:
        found = boxes_of(figure)
        width, height = figure.bbox.width, figure.bbox.height
        for text, box in found:
            inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
            assert inside, f"{text!r} is cut off: {box}"
        for (one, a), (other, b) in itertools.combinations(found, 2):
            assert not a.overlaps(b), f"{one!r} lies over {other!r}"

    return check


@pytest.fixture
def png_size() -> Callable[[bytes], tuple[int, int]]:
    """Check the chunks of a PNG file to the last one, and return its width and height."""

    def read(data: bytes) -> tuple[int, int]:
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        at, kinds = 8, []
        while at < len(data):
            (length,) = struct.unpack(">I", data[at : at + 4])
            body = data[at + 4 : at + 8 + length]
            (crc,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
            assert zlib.crc32(body) == crc
            kinds.append(body[:4])
            at += 12 + length
        assert kinds[0] == b"IHDR"
        assert kinds[-1] == b"IEND"
        assert b"tIME" not in kinds
        assert not any(kind in kinds for kind in (b"tEXt", b"iTXt", b"zTXt"))
        return struct.unpack(">II", data[16:24])

    return read
