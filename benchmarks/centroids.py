"""Ways to make centroids of the samples of one speaker that carry two labels.

What each way scores, and against which threshold, is what `benchmarks.labels` measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks import trials
from benchmarks.trials import Enrolled, Flags, Floats, Voice
from voiceid.decision.embeddings import centroid
from voiceid.decision.rule import DecisionRule

N_ENROLLED = 6
"""Samples of a speaker, of both labels together."""

Pair = tuple[Sequence[Voice], Sequence[Voice]]
"""One speaker's enrolled voices, of the door and of the phone."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How many centroids a speaker has, and which of them judges a clip.

    Parameters
    ----------
    name : str
    centroids : callable
        From the voices of one speaker by label to what is compared with the clip.
    by_lead : bool
        Whether the centroid is chosen by the score less its threshold, which accepts when
        any centroid does, or by the score.
    """

    name: str
    centroids: Callable[[Pair], list[Enrolled]]
    by_lead: bool = False


def together(pair: Pair) -> list[Enrolled]:
    """Return one centroid in which all samples weigh the same."""
    return [trials.enroll([*pair[0], *pair[1]])]


def apart(pair: Pair) -> list[Enrolled]:
    """Return a centroid for each label; each knows all recordings, to be kept from them."""
    recordings = together(pair)[0].recordings
    return [replace(trials.enroll(voices), recordings=recordings) for voices in pair]


def by_label(pair: Pair) -> list[Enrolled]:
    """Return one centroid in which each label weighs the same."""
    parts = apart(pair)
    share = float(np.mean([part.telephone for part in parts]))
    mean = centroid(np.stack([part.vector for part in parts]))
    return [replace(together(pair)[0], vector=mean, telephone=share)]


ONE = Rule("one centroid", together)
RULES = (
    ONE,
    Rule("per label, best score", apart),
    Rule("per label, best lead", apart, by_lead=True),
    Rule("mean of the labels", by_label),
)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Comparisons as columns of one length.

    Parameters
    ----------
    score : (n,) float64
        Cosine to the centroid that judges.
    lead : (n,) float64
        The score less that centroid's threshold: 0 and more is accepted.
    genuine, same_sex : (n,) bool
    enrolled, speaker : (n,) int
    """

    score: Floats
    lead: Floats
    genuine: Flags
    same_sex: Flags
    enrolled: trials.Ids
    speaker: trials.Ids


def judge(
    card: DecisionRule, rule: Rule, gallery: Sequence[Pair], voices: Sequence[Voice]
) -> Judged:
    """Compare each voice with everybody enrolled, by the centroid that the rule chooses."""
    entries = [rule.centroids(pair) for pair in gallery]
    tables = [trials.compare(part, voices) for part in zip(*entries, strict=True)]
    score = np.stack([table.score for table in tables])
    lead = score - np.stack([card.thresholds(table.given) for table in tables])
    chosen = np.argmax(lead if rule.by_lead else score, axis=0)[None]
    first = tables[0]
    return Judged(
        score=np.take_along_axis(score, chosen, axis=0)[0],
        lead=np.take_along_axis(lead, chosen, axis=0)[0],
        genuine=first.genuine,
        same_sex=first.same_sex,
        enrolled=first.enrolled.astype(np.uint32),
        speaker=first.speaker.astype(np.uint32),
    )


def join(parts: Iterable[Judged]) -> Judged:
    """Return the rows of all."""
    found = list(parts)
    return Judged(
        *(np.concatenate([getattr(one, name) for one in found]) for name in Judged.__slots__)
    )


def runs(door: Sequence[Voice], phone: Sequence[Voice], n_door: int) -> list[Pair]:
    """Return each speaker's runs of six recordings, round and round: first the door's.

    ``phone`` holds the same recordings in the same order.  Speakers with a recording that
    gave no vector are left out.
    """
    copies = zip(trials.by_speaker(door).values(), trials.by_speaker(phone).values(), strict=True)
    found: list[Pair] = []
    for own, degraded in copies:
        if any(voice.vector is None for voice in [*own, *degraded]):
            continue
        for start in range(len(own)):
            turn = [(start + k) % len(own) for k in range(N_ENROLLED)]
            found.append(([own[i] for i in turn[:n_door]], [degraded[i] for i in turn[n_door:]]))
    return found


def identify(
    card: DecisionRule, rule: Rule, gallery: Sequence[Pair], voices: Sequence[Voice]
) -> tuple[Flags, Flags, Flags]:
    """Return whether each voice is enrolled, is ranked first, and would be accepted.

    Of the gallery's own recordings none is judged.
    """
    used = {trials.base(v.recording) for pair in gallery for label in pair for v in label}
    heard = [v for v in voices if v.vector is not None and trials.base(v.recording) not in used]
    judged = judge(card, rule, gallery, heard)
    shape = len(heard), len(gallery)
    lead, own = judged.lead.reshape(shape), judged.genuine.reshape(shape)
    rows = np.arange(len(heard))
    best = np.argmax(lead if rule.by_lead else judged.score.reshape(shape), axis=1)
    return np.any(own, axis=1), own[rows, best], lead[rows, best] >= 0
