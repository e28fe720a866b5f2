"""What is learned of a model, where the truth is known: speakers, an offset of the line, nuisance.

A made-up embedding is a speaker's own direction, an offset if it came over a telephone, a step of
its own size in the direction of its condition, and noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from voiceid import metrics
from voiceid.decision.compensation import Compensation
from voiceid.decision.embeddings import centroid, unit
from voiceid.decision.operating_points import thresholds_at
from voiceid.domain import Float32Array
from voiceid.evaluation import model_fit
from voiceid.evaluation.learning import Heard, compensated, learn
from voiceid.evaluation.model_fit import BUCKETS_S, Comparisons, Fitted, Part, compare, fit

DIM = 48
CONDITIONS = {"clean": False, "noise": False, "codec": True, "radio": True}
"""And whether they are telephones."""
WORLD = np.random.default_rng(11)
AXES = np.linalg.qr(WORLD.normal(size=(DIM, 5)))[0].T
OFFSET, STEPS = AXES[0], dict(zip(CONDITIONS, AXES[1:], strict=True))
PAIRS = (("clean", "noise"), ("clean", "radio"), ("codec", "radio"), ("radio", "radio"))
TARGETS = (0.1, 0.03, 0.01, 0.001)


def heard(
    seed: int, prefix: str, speakers: int = 14, recordings: int = 4, spread: float = 0.6
) -> Heard:
    """Every recording of every speaker through all conditions: whole, and two pieces of it."""
    rng = np.random.default_rng(seed)
    rows: list[tuple[str, str, str, str, str, bool, bool, float, float]] = []
    found = []
    for s in range(speakers):
        own = rng.normal(size=DIM) / np.sqrt(DIM)
        for r in range(recordings):
            voice = own + spread * rng.normal(size=DIM) / np.sqrt(DIM)
            for condition, telephone in CONDITIONS.items():
                for whole, net_speech_s in ((True, 6.0), (False, 2.5), (False, 1.5)):
                    rows.append(
                        (
                            *(f"{prefix}{s}", "FM"[s % 2], *2 * (f"{prefix}{s}-{r}",), condition),
                            *(telephone, whole, net_speech_s + 0.4 * rng.random(), 20.0),
                        )
                    )
                    noise = 0.8 / np.sqrt(net_speech_s) * rng.normal(size=DIM) / np.sqrt(DIM)
                    step = rng.normal(0.4, 0.4) * STEPS[condition]
                    found.append(voice + 1.2 * telephone * OFFSET + step + noise)
    vectors = unit(np.array(found, dtype=np.float32))
    return Heard(*(np.array(column) for column in zip(*rows, strict=True)), vectors)


def over_two_lines(one: Heard, vectors: Float32Array) -> float:
    """Return the mean cosine of a speaker's clean recordings and others of theirs by radio."""
    scores = vectors @ vectors.T
    rows = (one.condition[:, None] == "clean") & (one.condition == "radio")
    rows &= (one.speaker[:, None] == one.speaker) & (one.recording[:, None] != one.recording)
    return float(scores[rows].mean())


def all_parts(one: Heard, compensation: Compensation) -> list[Part]:
    """Of enrolments of one size and of another, as if they were other conditions."""
    vectors, telephone = compensated(one, compensation)
    return [
        Part(
            (a, f"{b} {size}"),
            CONDITIONS[a] and CONDITIONS[b],
            size,
            compare(one, vectors, telephone, (a, b), size),
        )
        for a, b in PAIRS
        for size in (1, 3)
    ]


@pytest.fixture(scope="module")
def learned() -> Compensation:
    return learn(heard(1, "learned", speakers=40), directions=(2, 4))


@pytest.fixture(scope="module")
def judging() -> Heard:
    return heard(2, "judging")


@pytest.fixture(scope="module")
def parts(learned: Compensation, judging: Heard) -> list[Part]:
    return all_parts(judging, learned)


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Fit LLRs to fewer trials than the product does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_fit, "_FITTED", 8_000)
        yield


@pytest.fixture(scope="module")
def fitted(parts: list[Part]) -> Fitted:
    return fit(parts, TARGETS)


def test_the_line_is_taken_out_for_speakers_who_were_not_learned_from(
    learned: Compensation, judging: Heard
) -> None:
    before, after = judging.vectors, learned.apply(judging.vectors)
    assert over_two_lines(judging, before) < 0.4
    assert over_two_lines(judging, after) > 0.55
    # Strangers on one telephone were alike by the line alone.
    apart = judging.speaker[:, None] != judging.speaker
    phones = judging.over_telephone[:, None] & judging.over_telephone
    assert float((before @ before.T)[apart & phones].mean()) > 0.3
    assert abs(float((after @ after.T)[apart & phones].mean())) < 0.05


def test_a_telephone_is_told_by_the_embedding(learned: Compensation, judging: Heard) -> None:
    _, telephone = compensated(judging, learned)
    assert np.mean((telephone > 0.5) == judging.over_telephone) > 0.97
    louder = replace(judging, vectors=3.0 * judging.vectors)
    np.testing.assert_allclose(compensated(louder, learned)[1], telephone, atol=1e-5)


def projections(learned: Compensation) -> list[np.ndarray]:
    """Return what is left of wideband speech, and of a telephone's: two matrices (DIM, DIM)."""
    both = (learned.wideband_directions, learned.telephone_directions)
    return [np.eye(axes.shape[1]) - axes.T.astype(float) @ axes for axes in both]


def test_the_directions_that_are_removed_are_those_of_the_conditions(learned: Compensation) -> None:
    steps = np.stack(list(STEPS.values())).T
    left = []
    for matrix, removed in zip(projections(learned), (2, 4), strict=True):
        expected = [0.0] * removed + [1.0] * (DIM - removed)
        np.testing.assert_allclose(np.linalg.eigvalsh(matrix), expected, atol=1e-5)
        left.append(np.sum((matrix @ steps) ** 2))
        other = WORLD.normal(size=(200, DIM))
        kept = np.linalg.norm(other @ matrix, axis=1) / np.linalg.norm(other, axis=1)
        assert kept.mean() > 0.9
    # Only how conditions differ can be seen: not the sum of all, nor what the line's mean took.
    assert left[1] < left[0] < 2.5


def test_no_directions_leave_the_line_s_mean_alone(judging: Heard) -> None:
    plain = learn(judging, directions=(0, 0))
    rows = judging.where(~judging.over_telephone)
    expected = np.mean(
        [rows.vectors[rows.speaker == name].mean(axis=0) for name in np.unique(rows.speaker)],
        axis=0,
    )
    np.testing.assert_allclose(plain.means[0], expected, atol=1e-6)
    share = plain.telephone(judging.vectors)[:, None]
    moved = judging.vectors - (1.0 - share) * plain.means[0] - share * plain.means[1]
    np.testing.assert_allclose(plain.apply(judging.vectors), unit(moved), atol=1e-6)


def test_every_speaker_weighs_the_same_in_the_lines(judging: Heard) -> None:
    twice = np.concatenate(
        [np.arange(len(judging.speaker)), *[np.flatnonzero(judging.speaker == "judging0")] * 20]
    )
    more, once = learn(judging.where(twice)), learn(judging)
    np.testing.assert_allclose(more.means, once.means, atol=1e-5)
    np.testing.assert_allclose(more.weights, once.weights, rtol=1e-3, atol=1e-3)


def test_no_more_directions_are_removed_than_there_are() -> None:
    """Of two conditions one speaker's means differ in one direction; the mean of all is gone."""
    few = heard(6, "few", speakers=3)
    rows = np.isin(few.condition, ["clean", "codec"])
    assert len(learn(few.where(rows)).telephone_directions) == 2
    small = replace(few, vectors=unit(few.vectors[:, :24]))
    assert len(learn(small).telephone_directions) == 2  # a twelfth


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("pair", [("clean", "noise"), ("radio", "radio")])
def test_comparisons_are_those_of_a_loop(
    learned: Compensation, pair: tuple[str, str], size: int
) -> None:
    one = heard(3, "few", speakers=3)
    vectors, telephone = compensated(one, learned)
    found = compare(one, vectors, telephone, pair, size)
    expected = []
    for name in np.unique(one.speaker):
        own = np.flatnonzero((one.speaker == name) & (one.condition == pair[0]) & one.whole)
        for start in range(4):
            run = [own[(start + i) % 4] for i in range(size)]
            for clip in np.flatnonzero(one.condition == pair[1]):
                if one.recording[clip] in one.recording[run]:
                    continue
                expected.append(
                    (
                        float(centroid(vectors[run]) @ vectors[clip]),
                        bool(one.speaker[clip] == name),
                        bool(one.sex[clip] == one.sex[run[0]]),
                        float(telephone[run].mean() * telephone[clip]),
                        float(one.net_speech_s[run].sum()),
                        float(one.net_speech_s[clip]),
                    )
                )
    given = found.conditions
    columns = (found.scores, found.genuine, found.same_sex, given.telephone)
    columns += (given.enrolled_speech_s, given.net_speech_s)
    np.testing.assert_allclose(np.array(columns).T, np.array(expected, dtype=float), atol=1e-5)
    assert (found.conditions.n_enrolled == size).all()
    assert ((found.speakers[:, 0] == found.speakers[:, 1]) == found.genuine).all()


def test_a_speaker_s_only_recording_in_pieces_is_an_impostor_alone(learned: Compensation) -> None:
    one = heard(4, "single", speakers=4, recordings=1)
    thirds = replace(one, whole=np.ones(len(one.whole), dtype=bool))
    found = compare(thirds, *compensated(thirds, learned), ("clean", "noise"), 3)
    assert not found.genuine.any()
    assert len(found.scores) == 4 * 3 * 3  # one run each, against the pieces of three others


def test_no_enrolment_comes_twice(learned: Compensation) -> None:
    """Of as many recordings as are enrolled there is one run, and not one from each of them."""
    one = heard(7, "three", speakers=4, recordings=3)
    found = compare(one, *compensated(one, learned), ("clean", "noise"), 3)
    assert not found.genuine.any()
    assert len(found.scores) == 4 * 9 * 3  # four runs, against the pieces of three others


def test_of_very_many_comparisons_a_draw_is_made_of_all_speakers(
    learned: Compensation, judging: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_fit, "_COMPARED", 2000)
    found = compare(judging, *compensated(judging, learned), ("clean", "noise"), 1)
    assert 1000 < len(found.scores) <= 2000
    assert len(np.unique(found.speakers)) == 14
    assert found.genuine.any()


def test_a_condition_in_which_nothing_is_heard_has_no_comparisons(
    learned: Compensation, judging: Heard
) -> None:
    for pair in (("nothing", "clean"), ("clean", "nothing")):
        assert len(compare(judging, *compensated(judging, learned), pair, 3).scores) == 0


def test_who_is_of_no_known_sex_is_as_everybody(learned: Compensation) -> None:
    one = heard(5, "few", speakers=3)
    unknown = replace(one, sex=np.where(one.speaker == "few0", "", one.sex))
    found = compare(unknown, *compensated(unknown, learned), ("clean", "noise"), 1)
    of_unknown = (found.speakers == 0).any(axis=1)
    assert found.same_sex[of_unknown].all()
    assert (found.same_sex == found.genuine)[~of_unknown].sum() > 0


def strangers(part: Comparisons, bucket: tuple[float, float]) -> Comparisons:
    speech = part.conditions.net_speech_s
    return part.where(~part.genuine & part.same_sex & (speech >= bucket[0]) & (speech < bucket[1]))


def test_thresholds_keep_the_target_in_every_pair_of_conditions(
    fitted: Fitted, parts: list[Part]
) -> None:
    upper = dict(pairwise(BUCKETS_S))
    for point in fitted.points:
        step = point.min_net_speech_s
        rates = []
        for part in (part.comparisons for part in parts):
            own = strangers(part, (step, upper[step]))
            asked = thresholds_at(fitted.points, point.target_fmr, own.conditions)
            rates.append(float(np.mean(own.scores >= asked)))
        assert max(rates) <= point.target_fmr
        assert fitted.worst[point.target_fmr, step] == pytest.approx(max(rates))
        assert 0.1 < point.threshold <= point.telephone_threshold < 1.0
    # It is the smallest that does, but for the third digit: one pair is near the target.
    assert fitted.worst[0.1, 2.0] > 0.09


def test_of_one_point_the_rates_are_those_of_all_comparisons(
    fitted: Fitted, parts: list[Part]
) -> None:
    [point] = [p for p in fitted.points if (p.target_fmr, p.min_net_speech_s) == (0.01, 2.0)]
    wrong, refused, counts = 0, 0, [0, 0]
    for part in (part.comparisons for part in parts):
        net_speech_s = part.conditions.net_speech_s
        inside = part.where((net_speech_s >= 2.0) & (net_speech_s < 4.0))
        accepted = inside.scores >= thresholds_at([point], 0.01, inside.conditions)
        wrong += int((accepted & ~inside.genuine).sum())
        refused += int((~accepted & inside.genuine).sum())
        counts[0] += int((~inside.genuine).sum())
        counts[1] += int(inside.genuine.sum())
    assert [point.impostor_trials, point.genuine_trials] == counts
    assert point.fmr == pytest.approx(wrong / counts[0])
    assert point.fnmr == pytest.approx(refused / counts[1])


def test_thresholds_never_fall_as_rates_do(fitted: Fitted) -> None:
    for step in BUCKETS_S[:-1]:
        own = [point for point in fitted.points if point.min_net_speech_s == step]
        assert [p.target_fmr for p in own] == sorted({p.target_fmr for p in own}, reverse=True)
        for looser, stricter in pairwise(own):
            assert looser.threshold <= stricter.threshold
            assert looser.telephone_threshold <= stricter.telephone_threshold


def test_a_rate_without_enough_trials_has_no_point(fitted: Fitted, parts: list[Part]) -> None:
    """By the rule of three: of each step the loosest rates, as far as the strangers reach."""
    for bucket in pairwise(BUCKETS_S):
        counts = [
            len(strangers(part, bucket).scores) for part in (part.comparisons for part in parts)
        ]
        assert len(set(counts)) == 1
        kept = {p.target_fmr for p in fitted.points if p.min_net_speech_s == bucket[0]}
        assert kept == {target for target in TARGETS if counts[0] >= 3.0 / target}
        assert kept
        assert 0.001 not in kept


def test_lines_without_strangers_have_no_points_at_all(parts: list[Part]) -> None:
    assert fit([part for part in parts if not part.telephones], TARGETS).points == ()
    assert fit([part for part in parts if part.telephones], TARGETS).points == ()


def moved(parts: list[Part], step: float, scale: float = 1.0) -> list[Part]:
    """Return the same comparisons with other scores."""
    return [
        replace(p, comparisons=replace(p.comparisons, scores=scale * p.comparisons.scores + step))
        for p in parts
    ]


def test_no_threshold_is_above_what_a_recording_reaches_and_none_misses_its_rate(
    parts: list[Part],
) -> None:
    """Where strangers come nearer than that, of either line, the rate has no point."""
    plain = {(p.target_fmr, p.min_net_speech_s) for p in fit(parts, TARGETS).points}
    near = fit(moved(parts, 0.6), TARGETS)
    assert {(p.target_fmr, p.min_net_speech_s) for p in near.points} < plain
    for point in near.points:
        assert max(point.threshold, point.telephone_threshold) <= 0.95
        assert near.worst[point.target_fmr, point.min_net_speech_s] <= point.target_fmr


def test_no_threshold_is_below_what_a_card_may_hold(parts: list[Part]) -> None:
    low = fit(moved(parts, -0.3, 0.5), TARGETS).points
    assert low
    assert min(p.threshold for p in low) == 0.1


def test_an_amount_of_speech_with_too_few_strangers_is_judged_with_the_next_smaller(
    parts: list[Part],
) -> None:
    """The threshold below it would hold for it: so its strangers judge that."""
    few = []
    for part in parts:
        long = part.comparisons.conditions.net_speech_s >= 4.0
        rows = ~long | (np.cumsum(long & ~part.comparisons.genuine) <= 20)
        comparisons = part.comparisons.where(rows)
        still = (comparisons.conditions.net_speech_s >= 4.0) & ~comparisons.genuine
        comparisons.scores[still] = 0.9
        few.append(replace(part, comparisons=comparisons))
    found = fit(few, (0.1,))
    assert [p.min_net_speech_s for p in found.points] == [1.0, 2.0]
    assert set(found.strangers) == {1.0, 2.0}
    upper = strangers(few[0].comparisons, (2.0, np.inf))
    asked = thresholds_at(found.points, 0.1, upper.conditions)
    assert (upper.conditions.net_speech_s >= 4.0).any()
    assert np.mean(upper.scores >= asked) <= 0.1


def test_the_llrs_are_of_both_lines_and_worth_believing(fitted: Fitted, parts: list[Part]) -> None:
    low, high = fitted.calibration.telephone
    assert low < 0.05
    assert high > 0.95
    assert fitted.held_out.cllr < min(0.9, 1.15 * fitted.held_out.min_cllr)
    assert fitted.held_out.speakers == 14
    for part in (part.comparisons for part in parts):
        llrs = fitted.calibration.llrs(part.scores, part.conditions)
        assert not np.isnan(llrs).any()
        assert llrs[part.genuine].mean() > 0.5 > -0.5 > llrs[~part.genuine].mean()


def test_held_out_llrs_say_of_which_part_they_are(fitted: Fitted, parts: list[Part]) -> None:
    llrs = fitted.llrs
    sides = llrs.values[llrs.genuine], llrs.values[~llrs.genuine]
    assert metrics.cllr(*sides) == pytest.approx(fitted.held_out.cllr)
    assert llrs.part.tolist() == sorted(llrs.part)
    for place, part in enumerate(parts):
        own = llrs.part == place
        for genuine in (True, False):  # of each kind the same share of what is drawn
            drawn = own & (llrs.genuine == genuine)
            there = int((part.comparisons.genuine == genuine).sum())
            assert drawn.sum() == min(there, 8_000 // len(parts))
        assert np.isin(llrs.speakers[own], part.comparisons.speakers).all()
        assert ((llrs.speakers[own, 0] == llrs.speakers[own, 1]) == llrs.genuine[own]).all()
