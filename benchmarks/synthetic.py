"""Where synthetic and changed speech lies: how like a speaker it is, and how often it is accepted.

    python -m benchmarks.synthetic [--corpora FOLDER] [--cache FOLDER] [--picture FILE.png]

Enrolled are the ten speakers of LibriSpeech test-other, three utterances each.  Of their other
utterances copies are made, and programs that speak a text are asked about all ten.  The program
says what is not installed, and how to install it; what is missing is left out.  Similarities are
cosines: to the speaker's centroid, and to the mean of 251 speakers of train-clean-100, the centre
of all speech, as the encoder makes the vectors (compensation moves that centre away).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks import copies, trials
from benchmarks.corpora import corpora_argument, test_other, train_clean
from benchmarks.tables import markdown, percent
from benchmarks.trials import Enrolled, Floats, Table, Voice
from benchmarks.voices import Ear, Hearing, model_store
from voiceid.decision.aims import Target
from voiceid.evaluation.bounds import rate_by_speaker
from voiceid.evaluation.degradations import Clip, cut
from voiceid.metrics import Rate

ENROLLED, COPIED, CUT_S = 3, 4, 6.0
"""Utterances of each speaker that are enrolled, and of which copies are made; the longest."""
REAL, STRANGERS = "the speaker, other recordings", "other people of the same sex"
HEADERS = (
    "what is heard",
    "clips",
    "trials",
    "cosine to the speaker: mean (5 to 95 %)",
    "farther than real, %",
    "to the centre of all speech: mean",
    "farther than real, %",
    "accepted",
    "% (95 % bounds)",
)


@dataclass(frozen=True, slots=True, eq=False)
class Species:
    """The results for one kind.

    - `table`: comparisons with those whom it imitates.
    - `central`: (n,) cosine of each clip to the centre of all speech.
    """

    name: str
    n_clips: int
    table: Table
    accepted: Rate
    central: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """The enrolled speakers, and the centre of all speech."""

    gallery: Sequence[Enrolled]
    ear: Ear
    raw: Ear
    centre: Floats

    def species(self, name: str, clips: Sequence[Clip], *, of_all: bool = False) -> Species:
        """Return what clips of a kind come to; ``of_all``: they are asked about everybody."""
        table = trials.compare(self.gallery, self.ear.hear(clips))
        if name == STRANGERS:
            table = table.where(~table.genuine & table.same_sex)
        elif not of_all:
            table = table.same
        rule = model_store().card("campplus").rule.aimed(Target(0.001))
        accepted = table.score >= rule.thresholds(table.conditions)
        pairs = np.stack([table.enrolled, table.speaker], axis=1)
        rate = rate_by_speaker(accepted, pairs.astype(np.int64))
        return Species(name, len(clips), table, rate, self.central(self.raw.hear(clips)))

    def central(self, voices: Sequence[Voice]) -> Floats:
        """Return the cosine of each voice to the centre of all speech."""
        return np.array(
            [voice.vector @ self.centre for voice in voices if voice.vector is not None]
        )


def scene(folder: Path, cache: Path | None) -> tuple[Scene, dict[str, list[Clip]]]:
    """Return who is enrolled, and each speaker's other utterances, cut."""
    ear, raw = Ear(Hearing(), cache), Ear(Hearing(), cache and cache / "raw", raw=True)
    people: dict[str, list[Clip]] = {}
    for clip in test_other(folder):
        people.setdefault(clip.speaker, []).append(clip)
    gallery = [trials.enroll(ear.hear(own[:ENROLLED])) for own in people.values()]
    rest = {speaker: [cut(c, CUT_S) for c in own[ENROLLED:]] for speaker, own in people.items()}
    heard = raw.hear([cut(clip, CUT_S) for clip in train_clean(folder)])
    mean = np.mean([voice.vector for voice in heard if voice.vector is not None], axis=0)
    return Scene(gallery, ear, raw, mean / np.linalg.norm(mean)), rest


def found_in(
    of: Scene, rest: Mapping[str, list[Clip]], tell: Callable[[str], None]
) -> Iterator[Species]:
    """Yield every kind: real speech first."""
    real = [clip for own in rest.values() for clip in own]
    yield of.species(REAL, real)
    yield of.species(STRANGERS, real)
    rest = {speaker: own[:COPIED] for speaker, own in rest.items()}
    copied = [clip for own in rest.values() for clip in own]
    makers = dict(copies.COPIES)
    if copies.has_world():
        makers |= copies.WORLD_COPIES
    else:
        tell("left out: WORLD; `pip install pyworld`")
    for name, make in makers.items():
        yield of.species(name, [make(clip) for clip in copied])
    yield of.species(
        "own recordings, joined every 0.4 s",
        [copies.joined(own, CUT_S, seed) for own in rest.values() for seed in range(len(own))],
    )
    if copies.has_world():
        yield of.species("WORLD, another's speech moved to the speaker", [*converted(rest)])
    for program in copies.PROGRAMS:
        if not program.is_installed:
            tell(f"left out: {program.name}; `{program.to_install}`")
            continue
        said = list(program.clips())
        for voice in dict.fromkeys(clip.speaker for clip in said):
            yield of.species(voice, [c for c in said if c.speaker == voice], of_all=True)


def converted(rest: Mapping[str, list[Clip]]) -> Iterator[Clip]:
    """Yield clips of the next speaker of the same sex, moved towards each speaker."""
    worlds = {
        speaker: [copies.World.of(copies.at_16_khz(clip)) for clip in own]
        for speaker, own in rest.items()
    }
    for speaker, own in rest.items():
        alike = [name for name, clips in rest.items() if clips[0].sex == own[0].sex]
        other = alike[(alike.index(speaker) + 1) % len(alike)]
        for i, world in enumerate(worlds[other]):
            samples = world.towards(worlds[speaker]).samples()
            clip = replace(own[0], recording=f"{other}-as-{speaker}-{i}", samples=samples)
            yield replace(clip, rate_hz=copies.RATE_HZ)


def farther(these: Floats, real: Floats) -> float:
    """Return how often one of these scores lower than a real one; 0.5: they are equal."""
    order = np.sort(real)
    return float(np.mean((np.searchsorted(order, these, "left") * -1.0 + len(order)) / len(order)))


def rows(found: Sequence[Species]) -> Iterator[list[object]]:
    """Yield the rows of the table."""
    real = found[0]
    for one in found:
        scores, rate = one.table.score, one.accepted
        low, high = np.percentile(scores, [5, 95])
        yield [
            one.name,
            one.n_clips,
            len(scores),
            f"{scores.mean():.3f} ({low:.3f} to {high:.3f})",
            percent(farther(scores, real.table.score)),
            f"{one.central.mean():.3f}",
            percent(farther(one.central, real.central)),
            f"{rate.errors} of {rate.trials}",
            f"{percent(rate.rate)} ({percent(rate.low)} to {percent(rate.high)})",
        ]


def draw(found: Sequence[Species], file: Path) -> None:
    """Draw the similarities of every kind, to the speaker and to the centre of all speech."""
    from matplotlib import pyplot as plt  # noqa: PLC0415 - for this alone

    figure, axes = plt.subplots(1, 2, figsize=(11, 0.3 * len(found) + 1.2), sharey=True)
    places = np.arange(len(found))[::-1]
    sides = (
        ("cosine to the speaker", [one.table.score for one in found]),
        ("cosine to the centre of all speech", [s.central for s in found]),
    )
    for axis, (title, values) in zip(axes, sides, strict=True):
        low, middle, high = np.array([np.percentile(v, [5, 50, 95]) for v in values]).T
        axis.hlines(places, low, high, color="#4477aa", lw=3)
        axis.plot(middle, places, "o", color="#aa3377")
        axis.axvline(middle[0], color="#bbbbbb", lw=1)
        axis.set_xlabel(title)
        axis.grid(axis="x", color="#eeeeee")
        axis.set_axisbelow(True)
    axes[0].set_yticks(places, [one.name for one in found])
    figure.suptitle("Median, and 5 to 95 % of the clips", fontsize="medium")
    figure.tight_layout()
    figure.savefig(file, dpi=100)


def main() -> None:
    """Print the table, and draw the picture if it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    corpora_argument(parser)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    of, rest = scene(given.corpora, given.cache)
    found = []
    for one in found_in(of, rest, print):
        print(one.name, file=sys.stderr, flush=True)
        found.append(one)
    title = "Synthetic and changed speech, at the card's thresholds for an FMR of 0.1 %"
    print(markdown(title, HEADERS, rows(found)))
    if given.picture is not None:
        draw(found, given.picture)


if __name__ == "__main__":
    main()
