"""The enrolled voices as a page to explore: one file that only needs a browser.

The drawing is inline SVG.  Its names are text, never markup: each is escaped, and the script
reads them back as text.  A content security policy forbids the page to load anything.
"""

from __future__ import annotations

import html
from pathlib import Path as PagePath
from string import Template

import numpy as np
import numpy.typing as npt
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from voiceid.pictures.canvas import MARKERS
from voiceid.pictures.plane import VoiceMap
from voiceid.pictures.voices import ADDED, look

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _EDGE = 880, 640, 64, 52, 12
_RADIUS = 6.0
_ADDED_RADIUS = 11.0
_MARGIN = 0.06
"""Margin around the outermost points, as a share of the larger extent."""


def voice_page(voices: VoiceMap) -> str:
    """Return the clips of speakers in the plane as an HTML page of one file.

    Each mark shows the speaker and the clip under the mouse or the keyboard's focus; the list
    of names can show one speaker alone.
    """
    low, scale = _frame(voices.points)
    at = (voices.points - low) * scale
    at[:, 1] = _HEIGHT - _BOTTOM - _EDGE - at[:, 1]
    at += [_LEFT, _EDGE]
    groups = [_group(voices, at, number, name) for number, name in enumerate(voices.names)]
    parts = {
        "symbols": "\n".join(_symbol(marker) for marker in (*MARKERS, ADDED)),
        "frame": _axes(voices, low, scale),
        "groups": "\n".join([*groups, *_added(voices, at)]),
        "legend": "\n".join(_entry(number, name) for number, name in enumerate(voices.names)),
        "title": _text(voices.title),
        "notes": _text("".join(f"{note[:1].upper()}{note[1:]}. " for note in voices.notes)),
        "width": str(_WIDTH),
        "height": str(_HEIGHT),
    }
    page = PagePath(__file__).with_suffix(".html").read_text("utf-8")
    return Template(page).substitute(parts)


def _text(text: str) -> str:
    """Return text that is safe between tags and in attributes, and that UTF-8 can hold."""
    return html.escape(text.encode("utf-8", "backslashreplace").decode())


def _frame(points: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], float]:
    """Return the lower left corner, and the scale of both axes in pixels."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * float(np.max(high - low)) or 0.1
    size = np.array([_WIDTH - _LEFT - _EDGE, _HEIGHT - _BOTTOM - _EDGE])
    scale = float(np.min(size / (high - low + 2 * margin)))
    return (low + high) / 2 - size / scale / 2, scale


def _axes(voices: VoiceMap, low: npt.NDArray[np.float64], scale: float) -> str:
    right, bottom = _WIDTH - _EDGE, _HEIGHT - _BOTTOM
    lines = []
    high = low + np.array([right - _LEFT, bottom - _EDGE]) / scale
    for value in MaxNLocator(6).tick_values(low[0], high[0]):
        if low[0] <= value <= high[0]:
            x = _LEFT + (value - low[0]) * scale
            lines.append(f'<path class="grid" d="M{x:.1f} {_EDGE}V{bottom}"/>')
            lines.append(
                f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{value:g}</text>'
            )
    for value in MaxNLocator(6).tick_values(low[1], high[1]):
        if low[1] <= value <= high[1]:
            y = bottom - (value - low[1]) * scale
            lines.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>')
            lines.append(
                f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
            )
    x_name, y_name = map(_text, voices.axes)
    middle_x, middle_y = (_LEFT + right) / 2, (_EDGE + bottom) / 2
    turn = f'transform="translate(14 {middle_y}) rotate(-90)"'
    return "\n".join(
        [
            *lines,
            f'<path class="frame" fill="none" d="M{_LEFT} {_EDGE}V{bottom}H{right}"/>',
            f'<text x="{middle_x}" y="{_HEIGHT - 8}" text-anchor="middle">{x_name}</text>',
            f'<text {turn} text-anchor="middle">{y_name}</text>',
        ]
    )


def _symbol(marker: str) -> str:
    style = MarkerStyle(marker)
    outline = style.get_path().transformed(style.get_transform())
    radius = _ADDED_RADIUS if marker == ADDED else _RADIUS
    reach = float(np.abs(outline.get_extents().get_points()).max())
    vertices = np.asarray(outline.vertices) * (radius / reach) * [1.0, -1.0]  # y points down
    shapes = map(np.asarray, Path(vertices, outline.codes).to_polygons(closed_only=False))
    d = "".join("M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in shape) + "Z" for shape in shapes)
    return f'<path id="{_id(marker)}" d="{d}"/>'


def _id(marker: str) -> str:
    return f"m{[*MARKERS, ADDED].index(marker)}"


def _group(voices: VoiceMap, at: npt.NDArray[np.float64], number: int, name: str) -> str:
    colour, marker = look(number)
    rows = voices.of(name)
    mean_x, mean_y = at[rows].mean(axis=0)
    spokes = "".join(f"M{at[i, 0]:.1f} {at[i, 1]:.1f}L{mean_x:.1f} {mean_y:.1f}" for i in rows)
    dots = [_dot(at[i], marker, colour, f"{name}: {voices.clips[i]}") for i in rows]
    head = f'<g data-speaker="{number}">', f'<path class="spoke" stroke="{colour}" d="{spokes}"/>'
    return "\n".join([*head, *dots, "</g>"])


def _added(voices: VoiceMap, at: npt.NDArray[np.float64]) -> list[str]:
    return [
        _dot(at[i], ADDED, "#fff", f"added audio: {voices.clips[i]}", " added")
        for i in voices.of(None)
    ]


def _dot(at: npt.NDArray[np.float64], marker: str, colour: str, title: str, kind: str = "") -> str:
    label = _text(title)
    return (
        f'<use href="#{_id(marker)}" class="dot{kind}" x="{at[0]:.1f}" y="{at[1]:.1f}"'
        f' fill="{colour}" tabindex="0" role="img" aria-label="{label}">'
        f"<title>{label}</title></use>"
    )


def _entry(number: int, name: str) -> str:
    colour, marker = look(number)
    mark = f'<use href="#{_id(marker)}" class="dot" fill="{colour}"/>'
    return (
        f'<li><button type="button" data-speaker="{number}" aria-pressed="false">'
        f'<svg width="16" height="16" viewBox="-8 -8 16 16" aria-hidden="true">{mark}</svg>'
        f"<bdi>{_text(name)}</bdi></button></li>"
    )
