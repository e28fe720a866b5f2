"""The contrast of the console's colours (WCAG 2.2, 1.4.3 and 1.4.11), in light and in dark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import voiceid.server.console

CSS = (Path(voiceid.server.console.__file__).parent / "static" / "console.css").read_text("utf-8")
TEXT = [
    *[(text, ground) for text in ("text", "hint", "link", "bad") for ground in ("page", "panel")],
    *[("on-link", "link"), ("page", "bad"), ("text", "page")],
    *[("good", "on-good"), ("bad", "on-bad"), ("warn", "on-warn"), ("link", "on-good")],
]
MARKS = [
    *[("edge", "page"), ("edge", "panel"), ("good", "on-good"), ("bad", "on-good")],
    *[("bad", "page"), ("good", "page"), ("hint", "page"), ("text", "on-good"), ("link", "page")],
    *[(f"voice-{number}", "panel") for number in range(6)],
]


def colours(scheme: str) -> dict[str, str]:
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return found | (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark)) if scheme == "dark" else {}
    )


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_marks_stand_out_from_their_ground(scheme: str) -> None:
    found = colours(scheme)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    weak = {
        (*pair, round(contrast(found[pair[0]], found[pair[1]]), 2))
        for pairs, least in ((TEXT, 4.5), (MARKS, 3.0))
        for pair in pairs
        if contrast(found[pair[0]], found[pair[1]]) < least
    }
    assert not weak


def test_every_colour_has_a_role_that_is_checked() -> None:
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", CSS)) <= {
        *colours("light").values(),
        *colours("dark").values(),
    }
    used = set(re.findall(r"var\(--([\w-]+)\)", CSS)) - {"rule"}  # lines that part what has room
    assert used <= {name for pair in (*TEXT, *MARKS) for name in pair}
