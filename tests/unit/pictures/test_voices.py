from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from voiceid import pictures
from voiceid.pictures import VoiceMap, cosines, similarity, voice_map, voice_page
from voiceid.pictures.canvas import COLOURS, MARKERS, drawable
from voiceid.pictures.voices import look

Check = Callable[[Figure], None]
NASTY = '<script>alert("x")</script> & $x^2$ @notes@'


def scattered(
    speakers: int, clips: int, added: int = 0, names: list[str] | None = None
) -> VoiceMap:
    rng = np.random.default_rng(speakers)
    centres = rng.normal(size=(speakers, 2))
    owners = names or [f"speaker {i}" for i in range(speakers)]
    points = np.repeat(centres, clips, axis=0) + 0.06 * rng.normal(size=(speakers * clips, 2))
    whose: list[str | None] = [name for name in owners for _ in range(clips)]
    return VoiceMap(
        np.concatenate([points, rng.normal(size=(added, 2))]),
        [*whose, *[None] * added],
        [f"clip-{i}.wav" for i in range(speakers * clips + added)],
        ("principal component 1 (30 % of the variance)", "principal component 2 (20 %)"),
        "pca",
    )


def names_in(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.axes[0].texts}


@pytest.mark.parametrize(
    ("speakers", "clips", "added"), [(1, 1, 0), (1, 2, 1), (2, 1, 0), (8, 5, 2), (30, 3, 1)]
)
def test_every_speaker_and_every_added_clip_has_a_name(speakers, clips, added, legible: Check):
    voices = scattered(speakers, clips, added)
    figure = voice_map(voices)
    assert names_in(figure) == {*voices.names, *voices.clips[speakers * clips :]}
    dots = [c for c in figure.axes[0].collections if len(c.get_offsets()) and c.get_zorder() >= 3]
    assert sum(len(c.get_offsets()) for c in dots) == speakers * clips + added
    assert figure.axes[0].get_xlabel() == voices.axes[0]
    assert figure.axes[0].get_ylabel() == voices.axes[1]
    assert figure._suptitle.get_text() == voices.title
    legible(figure)


def test_of_two_hundred_speakers_names_are_left_out_and_counted_not_piled_up(
    legible: Check,
) -> None:
    figure = voice_map(scattered(200, 2))
    shown = len(names_in(figure))
    assert 30 < shown < 200
    assert f"no space for {200 - shown} of 200 names" in figure._suptitle.get_text()
    legible(figure)


def test_neighbouring_speakers_differ_in_grey() -> None:
    def grey(colour: str) -> float:
        return float(np.dot(to_rgb(colour), (0.299, 0.587, 0.114)))

    for number in range(100):
        (one, mark), (other, next_mark) = look(number), look(number + 1)
        assert mark != next_mark
        assert one != other
    looks = [look(number) for number in range(len(COLOURS) * len(MARKERS))]
    assert len(set(looks)) == len(looks) == 70
    assert len({round(grey(colour), 2) for colour in COLOURS}) == len(COLOURS)


def test_points_are_drawn_at_one_scale_on_both_axes() -> None:
    axes = voice_map(scattered(5, 3)).axes[0]
    zero, one = axes.transData.transform([[0, 0], [1, 1]])
    assert one[0] - zero[0] == pytest.approx(one[1] - zero[1])


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Zoë Müller", "Zoë Müller"),
        ("Ελένη", "Ελένη"),
        ("李雷", r"\u674e\u96f7"),
        ("देवी", r"\u0926\u0947\u0935\u0940"),
        ("a 🙂", r"a \U0001f642"),
        ("$x$", "$x$"),
        ("n" * 60, "n" * 27 + "…"),
    ],
)
def test_what_the_font_lacks_is_escaped(name: str, shown: str) -> None:
    assert drawable(name) == shown
    pictures.png(voice_map(scattered(1, 2, names=[name])))  # a missing glyph would warn


def test_a_picture_of_voices_is_the_same_each_time(png_size) -> None:
    one, again = (pictures.png(voice_map(scattered(12, 4, 1))) for _ in range(2))
    assert one == again
    assert png_size(one)[0] == 1080


# --- similarity -----------------------------------------------------------------------


def a_matrix(speakers: int, clips: int) -> tuple[np.ndarray, list[str], list[str]]:
    rng = np.random.default_rng(1)
    vectors = np.repeat(rng.normal(size=(speakers, 32)), clips, axis=0)
    vectors = (vectors + 0.5 * rng.normal(size=vectors.shape)).astype(np.float32)
    names = [f"speaker {i}" for i in range(speakers) for _ in range(clips)]
    return cosines(vectors), names, [f"{i}.wav" for i in range(len(names))]


def test_a_small_matrix_has_its_numbers_and_the_name_of_each_clip(legible: Check) -> None:
    matrix, speakers, clips = a_matrix(3, 4)
    figure = similarity(matrix, speakers, clips)
    axes, bar = figure.axes
    written = [float(text.get_text()) for text in axes.texts]
    assert written == pytest.approx(matrix.ravel(), abs=0.00501)
    assert "-0.00" not in {text.get_text() for text in axes.texts}
    assert [t.get_text() for t in axes.get_yticklabels()] == [
        f"{who}: {clip}" for who, clip in zip(speakers, clips, strict=True)
    ]
    assert bar.get_ylabel() == "cosine (0 and less: darkest)"
    assert axes.images[0].get_clim() == (0.0, 1.0)
    legible(figure)


@pytest.mark.parametrize(("speakers", "clips"), [(1, 2), (6, 4), (9, 5), (90, 4)])
def test_a_matrix_of_any_size_is_legible(speakers, clips, legible: Check) -> None:
    figure = similarity(*a_matrix(speakers, clips))
    shown = len(figure.axes[0].get_yticklabels())
    wanted = speakers * clips if speakers * clips <= 24 else speakers
    left_out = figure.axes[0].get_title(loc="left")
    assert left_out == (f"no space for {wanted - shown} of {wanted} names" * (shown < wanted))
    legible(figure)


# --- the page -------------------------------------------------------------------------


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.starts: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs) -> None:
        self.starts.append((tag, dict(attrs)))
        if tag != "meta" and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs) -> None:
        self.starts.append((tag, dict(attrs)))

    def handle_data(self, data) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))

    def within(self, tag: str) -> list[str]:
        return [text for where, text in self.texts if where == tag]


def test_the_page_tells_the_speaker_and_the_clip_of_each_mark() -> None:
    voices = scattered(9, 4, 2)
    page = Page(voice_page(voices))
    assert page.open == []
    marks = [attrs for tag, attrs in page.starts if tag == "use" and "tabindex" in attrs]
    told = {
        f"{name or 'added audio'}: {clip}"
        for name, clip in zip(voices.speakers, voices.clips, strict=True)
    }
    assert len(marks) == 38
    assert {mark["aria-label"] for mark in marks} == told
    assert told <= set(page.within("title"))
    assert page.within("bdi") == voices.names
    assert set(voices.axes) <= set(page.within("text"))


def test_the_page_refers_to_nothing_outside_itself() -> None:
    text = voice_page(scattered(3, 3, 1))
    page = Page(text)
    ids = {attrs["id"] for _, attrs in page.starts if "id" in attrs}
    for tag, attrs in page.starts:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "image", "a"}
        for name, value in attrs.items():
            assert name != "src"
            assert not name.startswith("on")
            if "href" in name:
                assert value[0] == "#"
                assert value[1:] in ids
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    assert "@import" not in text
    [policy] = [a["content"] for _, a in page.starts if a.get("http-equiv")]
    assert policy.startswith("default-src 'none'")


def test_a_name_is_text_whatever_it_looks_like() -> None:
    page = Page(voice_page(scattered(2, 2, names=[NASTY, "bob"])))
    assert sum(tag == "script" for tag, _ in page.starts) == 1
    assert NASTY in page.within("bdi")
    assert f"{NASTY}: clip-0.wav" in page.within("title")


def test_a_file_name_that_is_no_unicode_is_escaped_in_the_page() -> None:
    voices = scattered(1, 1)
    odd = VoiceMap(voices.points, voices.speakers, ["\udcff.wav"], voices.axes, "pca")
    assert b"\\udcff.wav" in voice_page(odd).encode()


def test_every_mark_lies_within_the_frame_and_where_the_points_are() -> None:
    voices = scattered(6, 5, 1)
    page = Page(voice_page(voices))
    marks = [attrs for tag, attrs in page.starts if tag == "use" and "tabindex" in attrs]
    at = np.array([[float(mark["x"]), float(mark["y"])] for mark in marks])
    assert np.all(at >= [64, 12])
    assert np.all(at <= [868, 588])
    points = np.concatenate([voices.points[voices.of(name)] for name in [*voices.names, None]])
    for one, other in itertools.combinations(range(0, len(at), 5), 2):
        ratio = np.linalg.norm(at[one] - at[other]) / np.linalg.norm(points[one] - points[other])
        assert ratio == pytest.approx(np.ptp(at[:, 0]) / np.ptp(points[:, 0]), rel=0.02)


def test_the_script_reads_names_as_text_only() -> None:
    script = re.search(r"<script>(.*)</script>", voice_page(scattered(1, 1)), re.DOTALL)[1]
    for way_to_markup in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval"):
        assert way_to_markup not in script
