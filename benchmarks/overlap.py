"""Learn how two who speak at once differ from one voice in an encoder's frames, and measure it.

    python -m benchmarks.overlap [--model campplus] [--write]

The segmentation model takes an echo for another voice.  Where it finds speech at once, the mean and
the deviation of the encoder's frames are asked as well: Fisher's discriminant of clips of one
person and of two, learned from every second speaker of train-clean-100, in rooms, noises and over
telephones.  The limit is what leaves `KEPT` of the clips of two that the segmentation model finds,
each scored by what was learned from clips whose first speaker is another.  The other half and
test-other, in other rooms, judge, with babble, turns of AMI and digits of 8 kHz.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from benchmarks.corpora import ami_turns, corpora_argument, digits, test_other, train_clean
from benchmarks.tables import markdown
from benchmarks.voices import WORKERS, Hearing, model_store, open_embedder
from voiceid.domain import Float32Array
from voiceid.evaluation.degradations import (
    CONDITIONS,
    HALL,
    OFFICE,
    Clip,
    Room,
    is_telephone,
    room_response,
    unclipped,
)
from voiceid.models.cards import shipped_cards_folder
from voiceid.models.providers import EngineOptions
from voiceid.speech.pooling import statistics
from voiceid.speech.segmenter import Segmenter
from voiceid.speech.speaker_model import SECOND
from voiceid.speech.turns import MOST_OVERLAP, Voices

RATE_HZ = 16_000
LENGTHS_S = (1.5, 2.5, 4.0)
KEPT = 0.97
"""Share of the clips of two that the segmentation model finds."""
SHRINKAGE, LEAST_WEIGHT = 0.2, 0.2
FOLDS = 6
LEAST_S = 6.0
"""Of a recording."""
LEARNED, JUDGED = 2700, 1200
"""Clips."""
PLACES = 3
PARTLY, COVER = 0.4, (0.3, 1.0)
"""Clips of two in which the other speaks in a part, and the share of that part."""

Floats: TypeAlias = npt.NDArray[np.floating[Any]]


def _room(*size_m: float, t60_s: float) -> Room:
    """Return a room whose walls reflect so much by Eyring's formula."""
    x, y, z = size_m
    area = 2 * (x * y + y * z + x * z)
    return Room((x, y, z), float(np.exp(-0.161 * x * y * z / (2 * area * t60_s))), t60_s)


LEARNED_ROOMS = {
    f"room {t60_s:g} s": _room(*size_m, t60_s=t60_s)
    for size_m, t60_s in (
        ((3.0, 2.6, 2.4), 0.2),
        ((4.0, 3.2, 2.5), 0.3),
        ((5.2, 3.9, 2.7), 0.4),
        ((3.2, 5.5, 2.6), 0.5),
        ((7.0, 4.5, 2.8), 0.6),
        ((5.0, 2.2, 2.4), 0.7),
        ((9.0, 6.0, 3.0), 0.8),
        ((6.0, 6.0, 3.5), 0.9),
        ((11.0, 2.0, 2.5), 1.0),
        ((8.5, 5.0, 3.2), 1.1),
        ((12.0, 9.0, 4.0), 1.2),
        ((4.0, 3.5, 8.0), 1.2),
    )
}
JUDGED_ROOMS = {
    "room 0.25 s": Room((2.6, 4.8, 2.5), 0.817, 0.25),
    "room 0.3 s": OFFICE,
    "room 0.4 s": Room((6.5, 5.1, 2.9), 0.828, 0.4),
    "room 0.6 s": Room((3.6, 2.9, 2.4), 0.929, 0.6),
    "room 0.8 s": HALL,
    "room 0.9 s": Room((10.0, 7.5, 3.6), 0.888, 0.9),
    "staircase 1.2 s": Room((4.5, 4.0, 9.0), 0.929, 1.2),
}
PHONES = [name for name in CONDITIONS if is_telephone(name)]
LEARNED_KINDS = {"clean": 0.1, "noise": 0.2, "telephone": 0.1, "room": 0.48, "room, noise": 0.12}
JUDGED_KINDS = {"clean": 0.1, "pink noise": 0.1, "babble": 0.1, "telephone": 0.1, "room": 0.6}


@dataclass(frozen=True, slots=True)
class Trial:
    """The audio that is heard: the speaker, the length, and the line.

    - `softer_db`: by how much the other of two is; None: there is one.
    - `cover`: the share of the clip in which the other speaks.
    """

    speaker: str
    seconds: float
    softer_db: int | None
    condition: str
    cover: float = 0.0


Drawn: TypeAlias = Callable[[], tuple[Trial, Clip]]
"""Makes a clip when it is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """The result of hearing a clip.

    - `share`: of the speech in which two speak at once.
    - `statistics`: of the encoder's frames.
    """

    trial: Trial
    share: float
    statistics: Float32Array


class Draw:
    """Draws clips of one person and of two."""

    def __init__(self, clips: Sequence[Clip], *, learned: bool) -> None:
        self._speakers = dict[str, list[Clip]]()
        for clip in clips:
            if clip.duration_s > LEAST_S:
                self._speakers.setdefault(clip.speaker, []).append(clip)
        self._names, self._learned = sorted(self._speakers), learned

    def trials(self, count: int) -> list[Drawn]:
        """Return so many clips, the same each time."""
        return [partial(self._trial, number) for number in range(count)]

    def _trial(self, number: int) -> tuple[Trial, Clip]:
        rng = np.random.default_rng((number, self._learned))
        kinds = LEARNED_KINDS if self._learned else JUDGED_KINDS
        kind = str(rng.choice(list(kinds), p=list(kinds.values())))
        seconds = float(rng.choice(LENGTHS_S))
        one, other = (str(name) for name in rng.choice(self._names, 2, replace=False))
        rooms = LEARNED_ROOMS if self._learned else JUDGED_ROOMS
        name = str(rng.choice(list(rooms))) if "room" in kind else ""
        place, before = int(rng.integers(PLACES)), bool(rng.integers(2))
        wet = [
            self._in_room(self._piece(who, seconds, rng), rooms.get(name), place + i, before)
            for i, who in enumerate((one, other))
        ]
        softer = int(rng.choice((0, 5, 10), p=(0.5, 0.3, 0.2))) if rng.random() < 0.5 else None
        samples: Floats = wet[0]
        cover = 0.0
        if softer is not None:
            length = min(map(len, wet))
            samples, added = wet[0][:length], wet[1][:length]
            cover = float(rng.uniform(*COVER)) if rng.random() < PARTLY else 1.0
            start = int(rng.integers(0, round((1 - cover) * length) + 1))
            speaks = np.zeros(length)
            speaks[start : start + round(cover * length)] = 1.0
            samples = samples + added * speaks * _gain(samples, added, softer)
        if "noise" in kind or kind == "babble":
            samples = self._noisy(samples, kind, rng)
        clip = Clip(one, one, "", unclipped(samples), RATE_HZ)
        if kind == "telephone":
            clip = CONDITIONS[str(rng.choice(PHONES))](clip)
        return Trial(one, seconds, softer, name if kind == "room" else kind, cover), clip

    def _piece(
        self, speaker: str, seconds: float, rng: np.random.Generator
    ) -> tuple[Float32Array, int, int]:
        """Return a recording, and where a piece of it starts and ends."""
        clips = self._speakers[speaker]
        samples = clips[int(rng.integers(len(clips)))].samples
        length = round(seconds * RATE_HZ)
        start = int(rng.integers(max(1, len(samples) - length)))
        return samples, start, start + length

    def _in_room(
        self, piece: tuple[Float32Array, int, int], room: Room | None, place: int, before: bool
    ) -> Float32Array:
        """Return a piece, cut before it is heard in a room, or after."""
        samples, start, end = piece
        if room is None:
            return samples[start:end]
        heard = samples[start:end] if before else samples[max(0, start - RATE_HZ) : end]
        response = room_response(room, place % PLACES, RATE_HZ)
        n = len(heard) + len(response)
        wet = np.fft.irfft(np.fft.rfft(heard, n) * np.fft.rfft(response, n), n)
        first = int(np.argmax(np.abs(response)))
        wet = wet[first : first + len(heard)]
        wet *= _gain(heard, wet, 0)
        return np.asarray(wet[len(heard) - (end - start) if not before else 0 :])

    def _noisy(self, samples: Floats, kind: str, rng: np.random.Generator) -> Floats:
        if kind == "babble":
            names = rng.choice(self._names, 8, replace=False)
            pieces = (self._piece(str(name), len(samples) / RATE_HZ, rng) for name in names)
            noise = np.sum([np.resize(s[a:b], len(samples)) for s, a, b in pieces], axis=0)
        else:
            slope = 0.5 if kind == "pink noise" else rng.uniform(0.0, 1.0)
            spectrum = np.fft.rfft(rng.standard_normal(len(samples)))
            spectrum /= np.maximum(np.arange(len(spectrum)), 1.0) ** slope
            noise = np.fft.irfft(spectrum, len(samples))
        snr_db = rng.uniform(4.0, 20.0) if self._learned else float(rng.choice((5, 10)))
        return np.asarray(samples + noise * _gain(samples, noise, snr_db))


def _gain(one: Floats, other: Floats, softer_db: float) -> float:
    power = float(np.mean(np.square(one))), max(float(np.mean(np.square(other))), 1e-12)
    return float(np.sqrt(power[0] / power[1]) * 10 ** (-softer_db / 20))


def found_elsewhere(corpora: Path) -> Iterator[Drawn]:
    """Return turns of AMI and digits of 8 kHz, cut."""
    for seconds in LENGTHS_S:
        length = round(seconds * RATE_HZ)
        for clip in ami_turns():
            for start in range(0, len(clip.samples) - length + 1, length):
                piece = Clip("", clip.speaker, "", clip.samples[start : start + length], RATE_HZ)
                yield partial(_as_is, Trial(clip.speaker, seconds, None, "AMI"), piece)
        for clip in digits(corpora, seconds)[::3]:
            yield partial(_as_is, Trial(clip.speaker, seconds, None, "FSDD"), clip)


def _as_is(trial: Trial, clip: Clip) -> tuple[Trial, Clip]:
    return trial, clip


def hear(model: str, trials: Iterable[Drawn]) -> list[Row]:
    """Return what is heard in clips with enough speech."""
    embedder, store = open_embedder(Hearing(model)), model_store()
    segmenter = Segmenter.open(store.installed(SECOND), EngineOptions())
    voices = Voices(embedder.encoder, lambda: segmenter)

    def row(drawn: Drawn) -> Row | None:
        trial, clip = drawn()
        speech = embedder.with_speech(clip.source).speech
        if speech is None or speech.encoded is None:
            return None
        share = voices.at_once(speech.samples)[1]
        return Row(trial, share, statistics(speech.encoded))

    with ThreadPoolExecutor(WORKERS) as pool:
        return [found for found in pool.map(row, trials) if found is not None]


def fit(rows: Sequence[Row]) -> Floats:
    """Return weights of statistics, and of 1: above 0 are all but few of those of two."""
    weights = _discriminant(rows)
    fold = np.unique([row.trial.speaker for row in rows], return_inverse=True)[1] % FOLDS
    scores = np.zeros(len(rows))
    for held_out in range(FOLDS):
        others = [row for row, own in zip(rows, fold == held_out, strict=True) if not own]
        scores[fold == held_out] = scored(rows, _discriminant(others))[fold == held_out]
    found = [row.share >= MOST_OVERLAP and row.trial.softer_db is not None for row in rows]
    weights[-1] -= np.quantile(scores[found], 1.0 - KEPT)
    return weights.astype(np.float32)


def scored(rows: Sequence[Row], weights: Floats) -> Floats:
    """Return the scores (n,) of rows."""
    scores: Floats = np.stack([row.statistics for row in rows]) @ weights[:-1] + weights[-1]
    return scores


def _discriminant(rows: Sequence[Row]) -> Floats:
    """Return Fisher's discriminant of statistics in units of their deviation, (2 channels + 1,).

    One and two weigh the same; of each a clip weighs more, the more it seems to be of two.
    """
    values = np.stack([row.statistics for row in rows]).astype(np.float64)
    two = np.array([row.trial.softer_db is not None for row in rows])
    weight = np.array([LEAST_WEIGHT + row.share for row in rows])
    weight /= np.where(two, weight[two].sum(), weight[~two].sum())
    centre, scale = values.mean(axis=0), values.std(axis=0) + 1e-6
    values = (values - centre) / scale
    one_mean, two_mean = (weight[own] @ values[own] for own in (~two, two))
    values -= np.where(two[:, None], two_mean, one_mean)
    covariance = (values * weight[:, None]).T @ values / weight.sum()
    dim = len(covariance)
    shrunk = (1 - SHRINKAGE) * covariance
    shrunk += SHRINKAGE * np.trace(covariance) / dim * np.eye(dim)
    slopes = np.linalg.solve(shrunk, two_mean - one_mean)
    offset = -slopes @ (one_mean + two_mean) / 2 - (slopes / scale) @ centre
    return np.append(slopes / scale, offset)


def table(rows: Sequence[Row], weights: Floats) -> str:
    """Return how many clips are taken for two at once by the share alone, and with the frames."""
    alone = np.array([row.share for row in rows]) >= MOST_OVERLAP
    both = alone & (scored(rows, weights) > 0)
    kinds = [(row.trial.softer_db is not None, row.trial.condition) for row in rows]
    lines = []
    for kind in sorted(set(kinds)):
        line: list[object] = [("one", "two")[kind[0]], kind[1]]
        for seconds in LENGTHS_S:
            own = [
                k == kind and r.trial.seconds == seconds for k, r in zip(kinds, rows, strict=True)
            ]
            line += [sum(own), int(alone[own].sum()), int(both[own].sum())]
        lines.append(line)
    heads = [
        f"{seconds:g} s: {what}" for seconds in LENGTHS_S for what in ("clips", "share", "both")
    ]
    return markdown("Taken for two at once", ["voices", "heard in", *heads], lines)


def write(model: str, weights: Floats) -> None:
    """Put the weights beside the model's card, and their hash into it."""
    path = shipped_cards_folder() / f"{model}-overlap.npy"
    np.save(path, weights)
    card = path.with_name(f"{model}.toml")
    lines = card.read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("overlap_sha256")]
    place = next(i for i, line in enumerate(lines) if line.startswith("frontend ="))
    lines.insert(place, f'overlap_sha256 = "{hashlib.sha256(path.read_bytes()).hexdigest()}"')
    card.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Learn, measure, print, and write if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    corpora_argument(parser)
    parser.add_argument("--model", default="campplus")
    parser.add_argument("--write", action="store_true", help="beside the model's card")
    args = parser.parse_args()
    clean = train_clean(args.corpora)
    known = sorted({clip.speaker for clip in clean})[::2]
    learned = Draw([clip for clip in clean if clip.speaker in known], learned=True)
    weights = fit(hear(args.model, learned.trials(LEARNED)))
    if args.write:
        write(args.model, weights)
    others = [clip for clip in clean if clip.speaker not in known] + test_other(args.corpora)
    judged = Draw(others, learned=False).trials(JUDGED)
    rows = hear(args.model, itertools.chain(judged, found_elsewhere(args.corpora)))
    print(table(rows, weights))


if __name__ == "__main__":
    main()
