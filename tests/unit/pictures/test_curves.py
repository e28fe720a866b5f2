from __future__ import annotations

import threading
from collections.abc import Callable
from statistics import NormalDist

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from voiceid import metrics, pictures
from voiceid.pictures.curves import _wilson

Check = Callable[[Figure], None]
rng = np.random.default_rng(7)
GENUINE, IMPOSTOR = rng.normal(0.7, 0.1, 400), rng.normal(0.1, 0.13, 9_000)
WEAK = (rng.normal(0.5, 0.2, 300), rng.normal(0.2, 0.2, 3_000))
CARD = {f"net speech ≥ {s} s": t for s, t in ((1, 0.51), (2, 0.53), (4, 0.55), (8, 0.57))}


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def percents(axis) -> dict[str, float]:
    return dict(
        zip((t.get_text() for t in axis.get_ticklabels()), axis.get_ticklocs(), strict=True)
    )


def test_a_det_curve_is_drawn_on_axes_of_normal_deviates(legible: Check) -> None:
    figure = pictures.det({"campplus": (GENUINE, IMPOSTOR)}, {"threshold 0.5": 0.5})
    [axes] = figure.axes
    assert axes.get_xlabel() == "FMR (%): strangers who are accepted"
    assert axes.get_ylabel() == "FNMR (%): right speakers who are refused"
    for axis in (axes.xaxis, axes.yaxis):
        ticks = percents(axis)
        assert ticks["5"] == pytest.approx(NormalDist().inv_cdf(0.05))
        assert ticks["20"] == pytest.approx(-0.8416212)  # tables of the normal distribution
    curve = axes.lines[0]
    fmr, fnmr = metrics.error_rates(GENUINE, IMPOSTOR, 0.5)
    mark = next(line for line in axes.lines if "threshold" in str(line.get_label()))
    assert mark.get_xdata()[0] == pytest.approx(NormalDist().inv_cdf(fmr))
    assert mark.get_ydata()[0] == pytest.approx(NormalDist().inv_cdf(fnmr))
    assert np.min(np.hypot(*(curve.get_xydata() - mark.get_xydata()[0]).T)) < 0.02
    legible(figure)


def test_a_det_picture_is_16_9_and_names_its_data_and_their_counts(legible: Check) -> None:
    draw = [pictures.det({"campplus": (GENUINE, IMPOSTOR)}, title="a $set$.csv") for _ in "12"]
    width, height = draw[0].get_size_inches()
    assert width * 9 == pytest.approx(height * 16)
    assert draw[0].axes[0].get_title(loc="left") == "Detection error trade-off: a $set$.csv"
    words = " ".join(legend_of(draw[0])[0].split())
    assert words == "campplus (400 genuine, 9,000 impostor comparisons)"
    legible(draw[0])
    first, again = map(pictures.svg, draw)
    assert first == again
    assert first.startswith(b"<?xml")


def test_the_equal_error_rate_is_marked_where_both_rates_are_equal(legible: Check) -> None:
    figure = pictures.det({"a": (GENUINE, IMPOSTOR), "b": WEAK}, CARD)
    rates = [metrics.equal_error_rate(GENUINE, IMPOSTOR), metrics.equal_error_rate(*WEAK)]
    told = [text.strip() for text in legend_of(figure) if "EER" in text]
    assert told == [f"EER {100 * rate:.3g} %" for rate in rates]
    for line in figure.axes[0].lines:
        if "EER" in str(line.get_label()):
            assert line.get_xdata()[0] == line.get_ydata()[0]
    legible(figure)


@pytest.mark.parametrize(
    "scores",
    [
        (np.array([0.9, 0.8]), np.array([0.1, 0.2])),  # separated without an error
        (np.array([0.5]), np.array([0.5])),  # tied
        (np.array([0.1, 0.2]), np.array([0.9])),  # the wrong way round
    ],
)
def test_a_det_curve_of_a_few_scores_is_drawn_too(scores, legible: Check) -> None:
    legible(pictures.det({"few": scores}))


def test_a_det_curve_of_very_many_scores_keeps_its_shape_in_few_points() -> None:
    genuine, impostor = rng.normal(2, 1, 50_000), rng.normal(0, 1, 500_000)
    [curve, *_] = pictures.det({"many": (genuine, impostor)}).axes[0].lines
    assert len(curve.get_xdata()) < 5_000
    # Two normal distributions, 2 apart, of one width: a straight line on these axes.
    inside = np.abs(curve.get_xdata() + 1) < 1
    sums = (curve.get_xdata() + curve.get_ydata())[inside]
    assert np.allclose(sums, -2, atol=0.05)


def test_a_mark_that_lies_far_out_lies_within_the_axes(legible: Check) -> None:
    figure = pictures.det({"a": (GENUINE, IMPOSTOR)}, {"strict": 0.85, "lax": 0.0, "none": 2.0})
    [axes] = figure.axes
    for line in axes.lines:
        if ":" in str(line.get_label()):
            for at, (low, high) in (
                (line.get_xdata(), axes.get_xlim()),
                (line.get_ydata(), axes.get_ylim()),
            ):
                assert low <= at[0] <= high
    assert "none: FMR 0 %, FNMR 100 %" in [text.strip() for text in legend_of(figure)]
    legible(figure)


def test_open_set_rates_cross_and_thresholds_are_labelled(legible: Check) -> None:
    at = np.append(np.linspace(-0.2, 1, 200), np.inf)
    fpir = np.array([1 - (1 - metrics.error_rates(GENUINE, IMPOSTOR, t)[0]) ** 20 for t in at])
    fnir = np.array([metrics.error_rates(GENUINE, IMPOSTOR, t)[1] for t in at])
    figure = pictures.open_set(at, fpir, fnir, CARD)
    [axes] = figure.axes
    assert axes.get_xlabel() == "threshold (cosine)"
    assert axes.get_ylabel() == "error rate (%)"
    assert legend_of(figure) == ["FPIR", "FNIR"]
    assert {t.get_text() for t in axes.texts} == {f"{k}: {v:.3g}" for k, v in CARD.items()}
    assert axes.lines[0].get_linestyle() != axes.lines[1].get_linestyle()
    legible(figure)


def test_a_cmc_rises_from_rank_1_to_rank_10(legible: Check) -> None:
    curves = {"campplus": 1 - 0.05 * 0.6 ** np.arange(10), "ge2e": 1 - 0.4 * 0.8 ** np.arange(10)}
    figure = pictures.cmc(curves)
    [axes] = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("rank", "identification rate (%)")
    assert list(axes.get_xticks()) == list(range(1, 11))
    assert legend_of(figure) == ["campplus: 95 % at rank 1", "ge2e: 60 % at rank 1"]
    assert axes.get_ylim() == (50, 100)
    legible(figure)


def test_calibrated_probabilities_lie_on_the_diagonal(legible: Check) -> None:
    # Normal scores of one width, 2 widths apart: twice the score is the LLR.
    genuine, impostor = 2 * rng.normal(1, 1, 5_000), 2 * rng.normal(-1, 1, 15_000)
    figure = pictures.reliability(metrics.reliability(genuine, impostor))
    upper, lower = figure.axes
    points = upper.containers[0].lines[0]
    assert len(points.get_xdata()) == 10
    assert np.allclose(points.get_xdata(), points.get_ydata(), atol=0.06)
    counts = {bars.get_label(): [bar.get_height() for bar in bars] for bars in lower.containers}
    assert {name: sum(heights) for name, heights in counts.items()} == {
        "impostor": 15_000,
        "genuine": 5_000,
    }
    assert lower.get_xlabel() == "predicted probability of one voice, of which 50 % are"
    assert [bool(bars[0].get_hatch()) for bars in lower.containers] == [True, False]
    legible(figure)


@pytest.mark.parametrize("p_target", [0.5, 0.01])
def test_the_bars_of_calibration_hold_the_measured_share(p_target: float, legible: Check) -> None:
    genuine, impostor = rng.normal(2, 2, 300), rng.normal(-2, 2, 9_000)
    found = metrics.reliability(genuine, impostor, p_target=p_target)
    figure = pictures.reliability(found, p_target=p_target)
    [bars] = figure.axes[0].containers[0].lines[2]
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    assert np.all(ends[:, 0] <= found.observed + 1e-9)
    assert np.all(found.observed <= ends[:, 1] + 1e-9)
    assert np.all((ends >= 0) & (ends <= 1))
    legible(figure)


def test_a_bin_without_comparisons_has_no_point(legible: Check) -> None:
    figure = pictures.reliability(metrics.reliability(np.array([9.0, 5.0]), np.array([-9.0])))
    assert len(figure.axes[0].containers[0].lines[0].get_xdata()) == 2
    legible(figure)


def test_rates_of_no_single_threshold_are_marked_where_they_are(legible: Check) -> None:
    figure = pictures.det({"a": WEAK}, points={"card": (0.02, 0.3), "site": (0.0, 0.9)})
    marks = {
        str(line.get_label()): line for line in figure.axes[0].lines if ":" in str(line.get_label())
    }
    assert set(marks) == {"card: FMR 2 %, FNMR 30 %", "site: FMR 0 %, FNMR 90 %"}
    card, site = marks.values()
    assert card.get_xdata()[0] == pytest.approx(NormalDist().inv_cdf(0.02))
    assert card.get_ydata()[0] == pytest.approx(NormalDist().inv_cdf(0.3))
    assert card.get_marker() != site.get_marker()
    assert figure.axes[0].get_ylim()[1] >= NormalDist().inv_cdf(0.9)
    legible(figure)


def test_the_interval_of_a_share_is_wilsons() -> None:
    low, high = _wilson(np.array([0.0, 0.5]), np.array([10, 100]))
    assert low == pytest.approx([0.0, 0.4038], abs=1e-4)  # R. G. Newcombe 1998 gives such tables
    assert high == pytest.approx([0.2775, 0.5962], abs=1e-4)


def test_histograms_are_shares_and_thresholds_are_labelled(legible: Check) -> None:
    figure = pictures.score_histograms(GENUINE, IMPOSTOR, CARD)
    [axes] = figure.axes
    assert axes.get_xlabel() == "score (cosine)"
    assert axes.get_ylabel() == "share of the comparisons (%)"
    assert [sum(p.get_data().values) for p in axes.patches] == pytest.approx([100, 100])
    assert legend_of(figure) == ["impostor (9,000 comparisons)", "genuine (400 comparisons)"]
    assert {t.get_text() for t in axes.texts} == {f"{k}: {v:.3g}" for k, v in CARD.items()}
    assert sorted(line.get_xdata()[0] for line in axes.lines) == sorted(CARD.values())
    assert [bool(p.get_hatch()) for p in axes.patches] == [True, False]
    legible(figure)


@pytest.mark.parametrize("scores", [([0.5], []), ([], [0.5]), ([1.0, 1.0], [1.0])])
@pytest.mark.parametrize("threshold", [-1.0, 0.0, 1.0])
def test_histograms_of_a_few_scores_are_drawn_too(scores, threshold, legible: Check) -> None:
    figure = pictures.score_histograms(*map(np.array, scores), {"set by hand": threshold})
    left, right = figure.axes[0].get_xlim()
    assert left < threshold < right
    legible(figure)


def test_a_png_is_whole_without_a_date_and_the_same_each_time(png_size) -> None:
    one = pictures.png(pictures.score_histograms(GENUINE, IMPOSTOR, CARD))
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):  # somebody's own settings
        again = pictures.png(pictures.score_histograms(GENUINE, IMPOSTOR, CARD))
    assert one == again
    width, height = png_size(one)
    assert width == 960
    assert height > 600


def test_drawing_leaves_the_settings_of_the_process_alone() -> None:
    before = dict(mpl.rcParams)
    pictures.png(pictures.cmc({"a": np.ones(3)}))
    assert dict(mpl.rcParams) == before


def test_many_threads_draw_at_once() -> None:
    found: list[bytes] = []

    def draw() -> None:
        found.append(pictures.png(pictures.cmc({"a": np.ones(3)})))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_the_colours_of_the_two_histograms_differ_in_grey() -> None:
    figure = pictures.score_histograms(GENUINE, IMPOSTOR)
    greys = [
        np.dot(to_rgb(p.get_facecolor()), (0.299, 0.587, 0.114)) for p in figure.axes[0].patches
    ]
    assert abs(greys[0] - greys[1]) > 0.2
