"""Measure whether a speaker's samples are better kept as one centroid, or as one per label.

    python -m benchmarks.labels [--model campplus] [--cache FOLDER]

Everybody is enrolled with six clips of two labels: a door (as recorded) and a phone (one of
`PHONES`, or each clip through another of them).  The ten speakers of test-other are enrolled
with every run of six of their ten utterances; every second speaker of train-clean-100 with six
pieces of their one utterance.  Cuts of 2.5, 5 and 10 s from the ten speakers' other utterances
and from the rest of train-clean-100 are the probes, through the door and through the phone.
A recording is never compared with an enrolment that holds it or a degraded copy of it.

The best of two scores is a higher score for strangers too.  So the rules are compared at equal
FMR: 0.1 %, and the FMR that one centroid has at the thresholds of the card, which all rules
use as they are, moved up or down together until that FMR is met.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks import trials
from benchmarks.centroids import (
    N_ENROLLED,
    ONE,
    RULES,
    Judged,
    Pair,
    Rule,
    identify,
    join,
    judge,
    runs,
)
from benchmarks.corpora import corpora_argument, test_other, train_clean
from benchmarks.tables import markdown, percent
from benchmarks.trials import Floats, Voice
from benchmarks.voices import Ear, Hearing, model_store
from voiceid import metrics
from voiceid.audio.coding import Coding
from voiceid.decision.rule import DecisionRule
from voiceid.evaluation.degradations import CONDITIONS, Clip, cut, noisy, split, telephone

GSM = Coding("WAV", "GSM610")

PHONES: Mapping[str, Callable[[Clip], Clip]] = {
    "8 kHz": CONDITIONS["8 kHz"],
    "mu-law 64 kbit/s": CONDITIONS["mu-law 64 kbit/s"],
    "GSM 13 kbit/s": CONDITIONS["GSM 13 kbit/s"],
    "opus 6 kbit/s": CONDITIONS["opus 6 kbit/s"],
    "mp3 33 kbit/s, wideband": CONDITIONS["mp3 33 kbit/s"],
    "noise 10 dB, GSM": lambda clip: telephone(noisy(clip, 10.0), GSM),
}
"""What a clip of the label "phone" went through, by name."""

T = TypeVar("T")

MIXED = "each clip another"
MIXES = {"3+3": 3, "5+1": 5, "1+5": 1}
"""Clips through the door and through the phone, and how many are the door's."""

CUTS_S = (2.5, 5.0, 10.0)
TARGET = 0.001

N_UTTERANCES = 10
TURNS = (0, 5)
"""Of a speaker's ten runs of six, those whose galleries are searched, with other probes each."""


@dataclass(frozen=True, slots=True)
class Key:
    """What a group of comparisons has in common."""

    phone: str
    mix: str
    probe: str
    seconds: float


Results = dict[Key, Judged]


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Voices by what they went through: ``door``, a phone's name, or `MIXED`.

    Parameters
    ----------
    whole : dict of list of Voice
        The utterances of the ten speakers.
    pieces : dict of list of Voice
        Those of the other enrolled speakers, six of one utterance each.
    probes : dict of dict of list of Voice
        By length of the cut in seconds, and then by what they went through.
    """

    whole: dict[str, list[Voice]]
    pieces: dict[str, list[Voice]]
    probes: dict[float, dict[str, list[Voice]]]

    def gallery(self, phone: str, mix: str) -> tuple[list[Pair], list[Pair]]:
        """Return the ten speakers' enrolments, one for each run, and the others'."""
        n_door = MIXES[mix]
        ten = runs(self.whole["door"], self.whole[phone], n_door)
        pieces = runs(self.pieces["door"], self.pieces[phone], n_door)
        return ten, pieces[::N_ENROLLED]

    def results(self, card: DecisionRule, rule: Rule) -> Results:
        """Return all comparisons."""
        return {
            Key(phone, mix, probe, seconds): judge(card, rule, [*ten, *others], heard[through])
            for phone in [*PHONES, MIXED]
            for mix in MIXES
            for ten, others in [self.gallery(phone, mix)]
            for seconds, heard in self.probes.items()
            for probe, through in (("door", "door"), ("phone", phone))
        }


def listen(ear: Ear, other: Sequence[Clip], clean: Sequence[Clip]) -> Material:
    """Hear everything, through the door and through all phones."""
    pieces = [piece for clip in clean[::2] for piece in split(clip, N_ENROLLED)]
    strangers = clean[1::2]
    return Material(
        whole=_through(ear, other),
        pieces=_through(ear, pieces),
        probes={
            s: _through(ear, [cut(c, s) for c in [*other, *strangers] if c.duration_s >= s])
            for s in CUTS_S
        },
    )


def _through(ear: Ear, clips: Sequence[Clip]) -> dict[str, list[Voice]]:
    heard = {name: ear.hear([change(clip) for clip in clips]) for name, change in PHONES.items()}
    return {"door": ear.hear(clips), **heard, MIXED: in_turn(heard)}


def in_turn(lists: Mapping[str, Sequence[T]]) -> list[T]:
    """Return as many as one of the lists has: the first of the first, the second of the next."""
    columns = list(lists.values())
    return [columns[i % len(columns)][i] for i in range(len(columns[0]))]


def select(results: Results, **wanted: object) -> Judged:
    """Return the comparisons whose keys have these values."""
    return join(
        judged
        for key, judged in results.items()
        if all(getattr(key, name) == value for name, value in wanted.items())
    )


HEADERS = [
    "rule",
    "EER %",
    "FNMR % at FMR 0.1 %",
    "same, card moved",
    "FNMR % at the FMR of one centroid",
    "card: FMR %",
    "card: FMR %, same sex",
    "card: FNMR %",
    "refused / genuine",
    "accepted / impostor",
]


def rule_rows(found: Mapping[str, Results], **wanted: object) -> Iterator[list[object]]:
    """Return a row for each rule on the comparisons whose keys have these values."""
    one = select(found[ONE.name], **wanted)
    fmr_of_one = float(np.mean(one.lead[~one.genuine] >= 0))
    for name, results in found.items():
        yield [name, *_rates(select(results, **wanted), fmr_of_one)]


def _rates(judged: Judged, fmr_of_one: float) -> list[object]:
    score, strangers = judged.score[judged.genuine], judged.score[~judged.genuine]
    lead, strange_lead = judged.lead[judged.genuine], judged.lead[~judged.genuine]
    close = judged.lead[~judged.genuine & judged.same_sex]
    fmr, fnmr = metrics.error_rates(lead, strange_lead, 0.0)
    return [
        percent(metrics.equal_error_rate(score, strangers)),
        percent(fnmr_at(score, strangers, TARGET)),
        percent(fnmr_at(lead, strange_lead, TARGET)),
        percent(fnmr_at(lead, strange_lead, fmr_of_one)),
        percent(fmr),
        percent(float(np.mean(close >= 0))),
        percent(fnmr),
        f"{np.sum(lead < 0)} / {len(lead)}",
        f"{np.sum(strange_lead >= 0)} / {len(strange_lead)}",
    ]


def fnmr_at(genuine: Floats, impostor: Floats, fmr: float) -> float:
    """Return the FNMR at the smallest threshold that keeps an FMR."""
    return float(np.mean(genuine < metrics.threshold_at_fmr(impostor, fmr)))


def grouped_table(title: str, found: Mapping[str, Results], by: Sequence[str]) -> str:
    """Return the rates of every rule for every combination of some fields of the keys."""
    keys = {tuple(getattr(key, name) for name in by): None for key in found[ONE.name]}
    rows = [
        [*values, *row]
        for values in keys
        for row in rule_rows(found, **dict(zip(by, values, strict=True)))
    ]
    return markdown(title, [*by, *HEADERS], rows)


def own_thresholds_table(model: str, found: Mapping[str, Results]) -> str:
    """Return the FNMR when every phone, mix and probe has a threshold of its own."""
    headers = ["mix", "probe", *(rule.name for rule in RULES)]
    rows = []
    for mix in MIXES:
        for probe in ("door", "phone"):
            wanted = {"mix": mix, "probe": probe}
            rows.append([mix, probe, *(_own_thresholds(found[r.name], wanted) for r in RULES)])
    title = f"{model}: FNMR % at FMR {percent(TARGET)} % for each phone, mean (largest)"
    return markdown(title, headers, rows)


def _own_thresholds(results: Results, wanted: Mapping[str, str]) -> str:
    parts = [select(results, phone=phone, **wanted) for phone in (*PHONES, MIXED)]
    rates = [fnmr_at(p.score[p.genuine], p.score[~p.genuine], TARGET) for p in parts]
    return f"{percent(float(np.mean(rates)))} ({percent(max(rates))})"


def gains_table(model: str, found: Mapping[str, Results]) -> str:
    """Return how much each rule's FNMR differs from one centroid's at the same FMR."""
    gain = ["points", "95 %", "speakers better / equal / worse"]
    headers = ["rule", "mix", "probe", *gain, *(f"card moved: {name}" for name in gain)]
    groups = [(mix, probe) for mix in (*MIXES, "all") for probe in ("door", "phone", "both")]
    rows = []
    for rule in RULES[1:]:
        for mix, probe in groups:
            fields = {"mix": mix, "probe": probe}
            wanted = {k: v for k, v in fields.items() if v not in ("all", "both")}
            one, other = (select(found[name], **wanted) for name in (ONE.name, rule.name))
            gains = [*_gain(one, other, "score"), *_gain(one, other, "lead")]
            rows.append([rule.name, mix, probe, *gains])
    title = f"{model}: FNMR at FMR {percent(TARGET)} % less that of one centroid"
    return markdown(title, headers, rows)


def _gain(one: Judged, other: Judged, by: str) -> list[str]:
    refused = []
    for judged in (one, other):
        values = getattr(judged, by)
        needed = metrics.threshold_at_fmr(values[~judged.genuine], TARGET)
        refused.append(values[judged.genuine] < needed)
    more = refused[1].astype(float) - refused[0]
    speaker = one.speaker[one.genuine].astype(np.intp)
    low, high = interval(more, speaker)
    means = np.array([np.mean(more[speaker == name]) for name in np.unique(speaker)])
    counts = [np.sum(means < 0), np.sum(means == 0), np.sum(means > 0)]
    return [
        f"{100 * np.mean(more):+.2f}",
        f"{100 * low:+.2f} to {100 * high:+.2f}",
        " / ".join(map(str, counts)),
    ]


def interval(values: Floats, speaker: trials.Ids) -> tuple[float, float]:
    """Return the 95 % interval of a mean over genuine trials, from drawing speakers again.

    The thresholds stay: impostors are needed by the bootstrap, but not by the mean.
    """
    names = np.unique(speaker)
    genuine = metrics.Trials(values, np.stack([speaker, speaker], axis=1))
    pairs = np.stack([names, np.roll(names, 1)], axis=1)
    impostor = metrics.Trials(np.zeros(len(pairs)), pairs)
    return metrics.bootstrap_by_speaker(lambda same, _: float(np.mean(same)), genuine, impostor)


def one_kind_table(card: DecisionRule, material: Material) -> str:
    """Return the rates of one centroid when all six samples and the probe are of one kind."""
    rows = []
    for through in ("door", *PHONES, MIXED):
        ten, others = (
            runs(voices[through], voices[through], N_ENROLLED)
            for voices in (material.whole, material.pieces)
        )
        gallery = [*ten, *others[::N_ENROLLED]]
        parts = [judge(card, ONE, gallery, heard[through]) for heard in material.probes.values()]
        judged = join(parts)
        fmr = float(np.mean(judged.lead[~judged.genuine] >= 0))
        rows.append([through, *_rates(judged, fmr)])
    headers = ["all through", *HEADERS[1:]]
    return markdown(f"{card.model}: one kind of clip, one centroid", headers, rows)


def identification_table(card: DecisionRule, material: Material) -> str:
    """Return open-set identification among ten speakers and every second of train-clean-100."""
    headers = ["rule", "mix", "probe", "rank-1 %", "FNIR %", "FPIR %", "known / unknown clips"]
    rows = [
        [rule.name, mix, probe, *_identified(card, rule, material, mix, probe)]
        for mix in MIXES
        for probe in ("door", "phone")
        for rule in RULES
    ]
    return markdown(
        f"{card.model}: open-set identification at the card's thresholds", headers, rows
    )


def _identified(
    card: DecisionRule, rule: Rule, material: Material, mix: str, probe: str
) -> list[object]:
    found = []
    for phone in [*PHONES, MIXED]:
        ten, others = material.gallery(phone, mix)
        for heard in material.probes.values():
            voices = heard["door" if probe == "door" else phone]
            # Each turn's gallery holds one enrolment of every speaker.
            found += [
                identify(card, rule, [*ten[turn::N_UTTERANCES], *others], voices) for turn in TURNS
            ]
    known, first, accepted = (np.concatenate(column) for column in zip(*found, strict=True))
    return [
        percent(float(np.mean(first[known]))),
        percent(float(np.mean(~(first & accepted)[known]))),
        percent(float(np.mean(accepted[~known]))),
        f"{np.sum(known)} / {np.sum(~known)}",
    ]


def main() -> None:
    """Measure everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    corpora_argument(parser)
    parser.add_argument("--model", default="campplus")
    parser.add_argument("--cache", type=Path, help="folder that keeps vectors between runs")
    args = parser.parse_args()
    ear = Ear(Hearing(args.model), args.cache)
    material = listen(ear, test_other(args.corpora), train_clean(args.corpora))
    card = model_store().card(args.model).rule
    found = {rule.name: material.results(card, rule) for rule in RULES}
    name = args.model
    print(markdown(f"{name}: all comparisons", HEADERS, rule_rows(found)))
    print(own_thresholds_table(name, found))
    print(gains_table(name, found))
    print(grouped_table(f"{name}: by enrolment and probe", found, ["mix", "probe"]))
    print(grouped_table(f"{name}: by length of the probe", found, ["probe", "seconds"]))
    print(grouped_table(f"{name}: by phone", found, ["phone", "probe"]))
    print(one_kind_table(card, material))
    print(identification_table(card, material))


if __name__ == "__main__":
    main()
