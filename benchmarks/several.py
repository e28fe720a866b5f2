"""Clips of two people: how many are accepted, and how many clips of one person are called several.

    python -m benchmarks.several [--corpora FOLDER] [--cache FILE] [--skip-times] [--other]

Enrolled are the ten speakers of LibriSpeech test-other, three utterances each.  Of every two, five
seconds each are joined, in both orders, and mixed at 0 dB; the clips are identified where the
first, the second, or both are enrolled.  The limits were chosen on train-clean-100.  With --other,
the clips are of two who alternate quickly, of two in little speech, and of three.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.corpora import ami_turns, corpora_argument, test_other
from benchmarks.live import EVERY_S, alternation
from benchmarks.tables import markdown, percent
from voiceid import VoiceID
from voiceid.decision.aims import Aim
from voiceid.domain import Float32Array, Solo, SpeakerDetails, Utterance
from voiceid.evaluation.degradations import CONDITIONS, Clip, cut
from voiceid.verification import Search

ENROLLED = 3
"""Utterances of each speaker."""
PART_S = 5.0
SHORT_S = (1.5, 2.0, 3.0, 4.0)
ROOMS = ("room 0.3 s", "room 0.8 s")
CHANGES = 4
"""Conditions in which each utterance is heard once more, in turn."""
SHORT_TALKS = {
    "3 s, then 0.8 s": (3.0, 0.8),
    "one, the other, the first again, 1 s each": (1.0, 1.0, 1.0),
    "2 s, then 0.8 s": (2.0, 0.8),
    "1.3 s each, the second 15 dB softer": (1.3, 1.3),
    "1 s each": (1.0, 1.0),
    "3 s, then 1.3 s": (3.0, 1.3),
    "three, 1 s each": (1.0, 1.0, 1.0),
    "2 s each": (2.0, 2.0),
}
"""Seconds of each part of a talk in which one speaks little, or all."""
GALLERIES = ("first", "second", "both")
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Pair:
    """A clip of two people."""

    kind: str
    first: str
    second: str
    clip: Clip

    def group(self, gallery: str) -> str:
        """Return the group that holds who is enrolled."""
        if gallery == "both":
            return "-".join(sorted((self.first, self.second)))
        return self.first if gallery == "first" else self.second


class Bench:
    """An open gallery, and the answers so far; those of a cache are not asked for again."""

    def __init__(self, vid: VoiceID, cache: Path | None) -> None:
        self._model = vid._session.loaded_model  # noqa: SLF001 - clips are heard once, and asked about often
        self._voices = self._model.speaker_model.voices()
        self._names = {speaker.name for speaker in vid.speakers.list()}
        self._cache = cache
        self._known: dict[str, list[bool]] = {}
        if cache is not None and cache.is_file():
            self._known = json.loads(cache.read_text())

    def hear(self, clip: Clip) -> Utterance:
        """Return what is heard of a clip, with its speech."""
        return self._model.hear(clip.source)

    def accepted(self, heard: Utterance, group: str | None, solo: Solo) -> bool:
        """Return whether a clip is accepted."""
        search = Search(Aim(solo=solo), group)
        return self._model.verifier.identify(lambda _: heard, b"", search).accepted

    def of_pair(self, pair: Pair) -> list[bool]:
        """Return whether a clip is accepted: in each gallery, without the check and with it."""

        def ask() -> Iterator[bool]:
            heard = self.hear(pair.clip)
            for gallery, solo in itertools.product(GALLERIES, (Solo.OFF, Solo.REQUIRE)):
                yield self.accepted(heard, pair.group(gallery), solo)

        return self._once(f"{pair.kind} {pair.first} {pair.second}", ask)

    def of_single(self, clip: Clip, what: str) -> list[bool]:
        """Return whether a clip of one person is called several; nothing where it is not accepted.

        Of who is not enrolled each clip is asked about that has a vector.
        """

        def ask() -> Iterator[bool]:
            heard = self.hear(clip)
            if clip.speaker not in self._names:
                if heard.speech is not None:
                    yield self._voices.several(heard.speech) is not None
            elif self.accepted(heard, clip.speaker, Solo.OFF):
                yield not self.accepted(heard, clip.speaker, Solo.REQUIRE)

        return self._once(f"{what} {clip.recording}", ask)

    def _once(self, key: str, ask: Callable[[], Iterator[bool]]) -> list[bool]:
        if key not in self._known:
            self._known[key] = list(ask())
            if self._cache is not None:
                self._cache.write_text(json.dumps(self._known))
        return self._known[key]


def by_speaker(clips: Sequence[Clip]) -> dict[str, list[Clip]]:
    """Return the utterances of each speaker, in order."""
    found: dict[str, list[Clip]] = {}
    for clip in clips:
        found.setdefault(clip.speaker, []).append(clip)
    return found


def enroll(vid: VoiceID, speakers: dict[str, list[Clip]]) -> None:
    """Enrol each speaker, in a group of their own and in one with each other."""
    for name, clips in speakers.items():
        pairs = ("-".join(sorted((name, other))) for other in speakers if other != name)
        details = SpeakerDetails(groups=(name, *pairs))
        sources = [clip.source for clip in clips[:ENROLLED]]
        vid.enroll(name, sources, details=details, force=True)


def pairs(speakers: dict[str, list[Clip]]) -> Iterator[Pair]:
    """Yield every two speakers, in turn in both orders, and at once."""
    halves = {
        name: [c for c in clips[ENROLLED:] if c.duration_s >= PART_S]
        for name, clips in speakers.items()
    }
    for number, (one, other) in enumerate(itertools.permutations(speakers, 2)):
        first, second = (
            cut(halves[name][(number + i) % len(halves[name])], PART_S, 0.0)
            for i, name in enumerate((one, other))
        )
        joined = np.concatenate([first.samples, second.samples])
        yield Pair("in turn", one, other, replace(first, samples=joined))
        if one < other:
            mixed = at_once(first.samples, second.samples)
            yield Pair("at once", one, other, replace(first, samples=mixed))


def other_pairs(speakers: dict[str, list[Clip]]) -> Iterator[Pair]:
    """Yield every two who alternate quickly, who speak for little, and with a third."""
    rng = np.random.default_rng(0)
    for number, (first, second) in enumerate(itertools.permutations(speakers, 2)):
        own, others = speakers[first][ENROLLED:], speakers[second][ENROLLED:]
        third = next(name for name in list(speakers)[number % 7 :] if name not in {first, second})
        samples = [
            max(clips, key=lambda clip: clip.duration_s).samples
            for clips in (own, others, speakers[third][ENROLLED:])
        ]
        sexes = "one sex" if own[0].sex == others[0].sex else "both sexes"
        every_s = EVERY_S[number % len(EVERY_S)]
        parts = {
            f"every {every_s:g} s, {sexes}": alternation(samples[0], samples[1], every_s, rng)[0],
            "in turn, 1.3 s each": np.concatenate([one[:20_800] for one in samples[:2]]),
            "three in turn, 2 s each": np.concatenate([one[:32_000] for one in samples]),
            "three in turn, 4 s each": np.concatenate([one[:64_000] for one in samples]),
        }
        if first < second:
            two = [
                replace(c[0], samples=s[:32_000])
                for c, s in zip((own, others), samples[:2], strict=True)
            ]
            parts["at once, 2 s"] = at_once(*(clip.samples for clip in two))
            in_room = [CONDITIONS["room 0.8 s"](clip).samples for clip in two]
            parts["at once, 2 s, room 0.8 s"] = at_once(*in_room)
        for kind, joined in parts.items():
            yield Pair(kind, first, second, replace(own[0], samples=joined))


def short_talks(speakers: dict[str, list[Clip]]) -> Iterator[Pair]:
    """Yield talks of every second of all two speakers, in which one speaks little, or all."""
    rng = np.random.default_rng(11)

    def piece(name: str, seconds: float) -> Float32Array:
        own = speakers[name][ENROLLED:]
        samples, n = own[rng.integers(len(own))].samples, round(seconds * 16_000)
        start = rng.integers(0, max(1, len(samples) - n))
        return samples[start : start + n]

    for kind, lengths_s in SHORT_TALKS.items():
        for number, (first, second) in enumerate(itertools.permutations(speakers, 2)):
            third = next(n for n in list(speakers)[number % 7 :] if n not in {first, second})
            who = (first, second, third if "three" in kind else first)[: len(lengths_s)]
            parts = [piece(name, s) for name, s in zip(who, lengths_s, strict=True)]
            if "softer" in kind:
                parts[1] = np.float32(0.18) * parts[1]
            if number % 2 == 0:
                clip = replace(speakers[first][ENROLLED], samples=np.concatenate(parts))
                yield Pair(f"in turn, {kind}", first, second, clip)


def at_once(one: Float32Array, other: Float32Array) -> Float32Array:
    """Return the sum of two clips, both as loud as the first."""
    n = min(len(one), len(other))
    gain = np.sqrt(np.mean(one[:n] ** 2) / np.mean(other[:n] ** 2))
    mixed = one[:n] + gain * other[:n]
    return np.asarray(mixed / max(1.0, float(np.abs(mixed).max())), np.float32)


def singles(clips: Sequence[Clip]) -> Iterator[tuple[str, Clip]]:
    """Yield clips of one person, with what they are: whole, changed, short, and AMI turns."""
    names = [name for name in CONDITIONS if name != "clean"]
    for number, clip in enumerate(clips):
        yield "whole utterances", clip
        for i in range(CHANGES):
            name = names[(number + i * len(names) // CHANGES) % len(names)]
            yield f"whole, {name}", CONDITIONS[name](clip)
        for seconds in SHORT_S:
            piece = cut(clip, seconds)
            yield f"cuts of {seconds:g} s", piece
            for room in ROOMS:
                yield f"cuts of {seconds:g} s, {room}", CONDITIONS[room](piece)
    for turn in ami_turns():
        yield "AMI turns of 1.5 s and more", turn


def pair_table(bench: Bench, found: Sequence[Pair]) -> str:
    """Return how many clips of two people are accepted, without the check and with it."""
    rows = []
    for kind in dict.fromkeys(pair.kind for pair in found):
        answers = np.array([bench.of_pair(pair) for pair in found if pair.kind == kind])
        for i, gallery in enumerate(GALLERIES):
            before, after = answers[:, 2 * i].sum(), answers[:, 2 * i + 1].sum()
            share = percent(after / len(answers))
            rows.append([kind, gallery, len(answers), before, after, share])
    headers = ["two people", "enrolled", "clips", "accepted, off", "accepted, require", "%"]
    return markdown("Two people in a clip", headers, rows)


def single_table(bench: Bench, clips: Sequence[Clip]) -> str:
    """Return how many clips of one person are called several."""
    counts: dict[str, list[int]] = {}
    for what, clip in singles(clips):
        called = bench.of_single(clip, what)
        count = counts.setdefault(what, [0, 0])
        count[0] += len(called)
        count[1] += sum(called)
    rows = [[what, n, called] for what, (n, called) in counts.items()]
    total, called = np.sum(list(counts.values()), axis=0).tolist()
    rows.append(["all", total, f"{called} ({percent(called / total)} %)"])
    return markdown("One person in a clip", ["clips", "heard", "called several"], rows)


def time_table(vid: VoiceID, speakers: dict[str, list[Clip]]) -> str:
    """Return how much longer an identification takes, where the clip is accepted, in CPU time."""
    ratios, sums = [], [0.0, 0.0]
    for clip in itertools.chain.from_iterable(clips[ENROLLED:] for clips in speakers.values()):
        if not vid.identify(clip.source, solo="off").accepted:
            continue
        took: list[list[float]] = [[], []]
        for _ in range(ROUNDS):
            for i, solo in enumerate(("off", "require")):
                started = time.process_time()
                vid.identify(clip.source, solo=solo)
                took[i].append(time.process_time() - started)
        off, require = (min(times) for times in took)
        ratios.append(require / off)
        sums = [sums[0] + off, sums[1] + require]
    longer = sum(ratio > 1.2 for ratio in ratios)
    quantiles = np.quantile(ratios, [0.5, 0.75, 0.9, 1.0])
    rows = [
        ["accepted clips", str(len(ratios))],
        ["took more than 1.2 times as long", str(longer)],
        ["all of them together, times as long", f"{sums[1] / sums[0]:.3f}"],
        [
            "one clip, times as long: median, 75 %, 90 %, most",
            ", ".join(f"{q:.2f}" for q in quantiles),
        ],
        ["one without the check, mean", f"{1e3 * sums[0] / len(ratios):.0f} ms"],
    ]
    return markdown("Cost in CPU time", ["what", "value"], rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    corpora_argument(parser)
    parser.add_argument("--cache", type=Path, help="keeps answers between runs")
    parser.add_argument("--skip-times", action="store_true")
    parser.add_argument("--other", action="store_true", help="other kinds of clips, alone")
    options = parser.parse_args()
    clips = test_other(options.corpora)
    speakers = by_speaker(clips)
    with (
        tempfile.TemporaryDirectory() as folder,
        VoiceID.open(folder, home=Path(__file__).resolve().parents[1]) as vid,
    ):
        enroll(vid, speakers)
        bench = Bench(vid, options.cache)
        if options.other:
            found = [*other_pairs(speakers), *short_talks(speakers)]
            print(pair_table(bench, sorted(found, key=lambda pair: pair.kind)))
            return
        print(pair_table(bench, list(pairs(speakers))), flush=True)
        print(single_table(bench, clips), flush=True)
        if not options.skip_times:
            print(time_table(vid, speakers))


if __name__ == "__main__":
    main()
