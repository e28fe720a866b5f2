"""Checks of a clip that cost nothing, and what they are worth: false alarms and what they find.

    python -m benchmarks.consistency [--corpora FOLDER]

- the band ends where that of the claimed line does not: a wide one below the limit, a telephone's
  above it;
- digital silence: the same sample for so long, between the first and the last speech;
- the background changes: the quietest tenths of two neighbouring seconds differ by so much.

Each limit is set on 251 clips of LibriSpeech train-clean-100, so that 1 % of them are above it (for
telephones: on these clips through five codecs of telephones).  It is judged on others: LibriSpeech
test-other as it is, through rooms, noise and codecs, and turns of AMI meetings; and on speech
that was joined, or said by a program.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.challenge import LENGTH, Person, fresh
from benchmarks.challenge import people as digits
from benchmarks.copies import PROGRAMS, RATE_HZ, at_16_khz, joined
from benchmarks.corpora import ami_turns, corpora_argument, test_other, train_clean
from benchmarks.tables import markdown, percent
from benchmarks.trials import Floats
from voiceid.audio import open_audio
from voiceid.audio.mixing import ClippingCount
from voiceid.domain import Float32Array
from voiceid.evaluation.degradations import CONDITIONS, TELEPHONES, Clip, cut
from voiceid.metrics import Rate
from voiceid.speech.quality import QualityLimits, QualityMeter

ALARMS = 0.01
FRAME, MOST_S = 320, 8.0
FADE_S = 0.01


def heard(clip: Clip) -> Float32Array:
    """Return what is heard of a clip, at 16 kHz."""
    if not isinstance(clip.source, bytes):
        return at_16_khz(clip)
    with open_audio(clip.source) as stream:
        return np.concatenate(list(stream.blocks()))


def levels_db(samples: Float32Array) -> Floats:
    """Return the level of each frame of 20 ms (k,)."""
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    return np.asarray(10 * np.log10((frames**2).mean(axis=1) + 1e-12))


def bandwidth_hz(samples: Float32Array) -> float:
    """Return where the band ends, as the product measures it; the louder half is speech."""
    frames = samples[: len(samples) // 512 * 512].reshape(-1, 512)
    power = (frames**2).mean(axis=1)
    meter = QualityMeter(QualityLimits())
    meter.add(frames, power >= np.median(power))
    report = meter.report(len(samples) / RATE_HZ, RATE_HZ, ClippingCount(), truncated=False)
    return np.nan if report.bandwidth_hz is None else report.bandwidth_hz


def longest_silence_s(samples: Float32Array) -> float:
    """Return for how long a sample of 16 bits stays the same, within the speech."""
    level = levels_db(samples)
    loud = np.flatnonzero(level > level.max() - 30.0)
    whole = np.round(samples[loud[0] * FRAME : (loud[-1] + 1) * FRAME] * 32768)
    changes = np.flatnonzero(np.diff(whole)) + 1
    edges = np.concatenate([[0], changes, [len(whole)]])
    return float(np.max(np.diff(edges))) / RATE_HZ


def background_step_db(samples: Float32Array) -> float:
    """Return by how much the quietest tenths of neighbouring seconds differ at most."""
    level, n = np.maximum(levels_db(samples), -90.0), RATE_HZ // FRAME
    floors = [np.percentile(level[i : i + n], 10) for i in range(0, len(level) - n + 1, n // 2)]
    apart = [abs(b - a) for a, b in zip(floors, floors[2:], strict=False)]
    return max(apart, default=0.0)


@dataclass(frozen=True, slots=True)
class Check:
    """A measurement, and what it claims; an alarm is above the limit."""

    name: str
    measure: Callable[[Float32Array], float]
    unit: str
    sign: float = 1.0
    claims: str = ""  # of which line it is, if of one

    def applies_to(self, name: str) -> bool:
        """Whether a set of real clips is of the line that it is about."""
        return not self.claims or (self.claims == "telephone") == ("telephone" in name)


CHECKS = (
    Check("wide line: the band ends below", bandwidth_hz, "Hz", -1.0, "wide"),
    Check("telephone: the band ends above", bandwidth_hz, "Hz", 1.0, "telephone"),
    Check("digital silence of more than", longest_silence_s, "s"),
    Check("background changes by more than", background_step_db, "dB"),
)


def in_two(a: Clip, b: Clip, gap_s: float = 0.0) -> Clip:
    """Return halves of two clips, faded over 10 ms, with silence between."""
    first, second = at_16_khz(cut(a, MOST_S / 2)), at_16_khz(cut(b, MOST_S / 2))
    ramp = np.minimum(1.0, np.arange(len(first)) / (FADE_S * RATE_HZ))[::-1]
    gap = np.zeros(round(gap_s * RATE_HZ))
    made = np.concatenate([first * ramp, gap, second]).astype(np.float32)
    return replace(a, samples=made, rate_hz=RATE_HZ)


def spelled(person: Person, rng: np.random.Generator, gap_s: float) -> Clip:
    """Return a random code, put together of recordings of single digits."""
    gap = np.zeros(round(gap_s * RATE_HZ), np.float32)
    words = zip(rng.integers(0, 10, LENGTH).tolist(), fresh(rng), strict=True)
    samples = np.concatenate([part for word in words for part in (person.takes[word], gap)])
    return Clip("digits", person.name, "", samples, RATE_HZ)


def gated(clip: Clip) -> Clip:
    """Return a clip as a noise gate leaves it: frames 40 dB below the loudest are silent."""
    samples = at_16_khz(clip)
    level = levels_db(samples)
    kept = np.repeat(level > level.max() - 40.0, FRAME)
    return replace(clip, samples=samples[: len(kept)] * kept, rate_hz=RATE_HZ)


def real_sets(folder: Path) -> Iterator[tuple[str, Sequence[Clip]]]:
    """Yield real speech that no limit was set on."""
    other = [cut(clip, MOST_S) for clip in test_other(folder)]
    yield "test-other", other
    yield "AMI meetings", [cut(clip, MOST_S) for clip in ami_turns()]
    yield "test-other, a noise gate", [gated(clip) for clip in other]
    for name, change in CONDITIONS.items():
        if name != "clean" and name not in TELEPHONES:
            yield f"test-other, {name}", [change(clip) for clip in other]
    for name in TELEPHONES:
        yield f"test-other, telephone, {name}", [CONDITIONS[name](clip) for clip in other]


def false_sets(folder: Path) -> Iterator[tuple[str, Sequence[Clip]]]:
    """Yield what a check may find."""
    people: dict[str, list[Clip]] = {}
    for clip in test_other(folder):
        people.setdefault(clip.speaker, []).append(clip)
    own = list(people.values())
    yield "own words, joined every 0.4 s", [joined(c, 6.0, s) for c in own for s in range(6)]
    pairs = [(c[i], c[i + 1]) for c in own for i in range(len(c) - 1)]
    yield "halves of two recordings, joined", [in_two(a, b) for a, b in pairs]
    yield "the same, with 0.1 s of zeros between", [in_two(a, b, 0.1) for a, b in pairs]
    rng = np.random.default_rng(5)
    for name, gap_s in (("", 0.0), (" with 0.2 s of zeros between", 0.2)):
        spoken = [spelled(person, rng, gap_s) for person in digits(folder) for _ in range(20)]
        yield f"six digits of other recordings, joined{name}", spoken
    for program in PROGRAMS:
        if program.is_installed:
            yield program.name, list(program.clips())


def limits(folder: Path) -> Mapping[str, float]:
    """Return the limit of each check."""
    clips = [cut(clip, MOST_S) for clip in train_clean(folder)]
    codecs = list(TELEPHONES)
    lines = [CONDITIONS[codecs[i % len(codecs)]](clip) for i, clip in enumerate(clips)]
    found = {}
    for check in CHECKS:
        values = [
            check.sign * check.measure(heard(c))
            for c in (lines if check.claims == "telephone" else clips)
        ]
        found[check.name] = float(np.nanquantile(values, 1 - ALARMS, method="higher"))
    return found


def rows(
    sets: Iterator[tuple[str, Sequence[Clip]]], limit: Mapping[str, float], *, real: bool
) -> Iterator[list[object]]:
    """Yield how many clips of each set each check alarms of."""
    for name, clips in sets:
        samples = [heard(clip) for clip in clips]
        row: list[object] = [name, len(clips)]
        for check in CHECKS:
            if real and not check.applies_to(name):
                row.append("-")
                continue
            values = np.array([check.sign * check.measure(one) for one in samples])
            rate = Rate.of(int(np.sum(values > limit[check.name])), len(values))
            row.append(f"{percent(rate.rate)} ({percent(rate.low)} to {percent(rate.high)})")
        yield row


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    corpora_argument(parser)
    folder = parser.parse_args().corpora
    limit = limits(folder)
    names = [f"{c.name} {abs(limit[c.name]):.4g} {c.unit}" for c in CHECKS]
    headers = ("set", "clips", *names)
    print(
        markdown(
            "False alarms, % (95 % bounds)", headers, rows(real_sets(folder), limit, real=True)
        )
    )
    print(markdown("Found, % (95 % bounds)", headers, rows(false_sets(folder), limit, real=False)))


if __name__ == "__main__":
    main()
