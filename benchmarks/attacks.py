"""The effect of sounds added to a clip on the false match rate: tones, beeps, hiss.

`benchmarks.accuracy` prints the table.  Enrolled are the speakers of train-clean-100, three thirds
of their one utterance each, as recorded; all others of the same sex ask with cuts of theirs.  The
rates are those of the card: its compensation was learned from half of these speakers, and its
thresholds are of the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from benchmarks import trials
from benchmarks.tables import markdown, percent
from benchmarks.trials import Flags, Floats, Table
from benchmarks.voices import Listener
from voiceid import metrics
from voiceid.decision.aims import Target
from voiceid.decision.rule import DecisionRule
from voiceid.domain import Float32Array
from voiceid.evaluation.degradations import Clip, cut, split

TARGET = 0.001
CUTS_S = (2.5, 6.0)
TONE_HZ = 3200.0
BEEP_HZ, BEEPS_PER_S = 3100.0, 1.0
"""A smoke alarm, silent for half of the time."""
SWEEP_HZ = (1000.0, 7000.0)
HISS_DB = 20.0


def added(clip: Clip, sound: Floats, below_db: float = 0.0) -> Clip:
    """Return the clip with a sound (n,) whose power is so far below that of its speech."""
    gain = speech_level(clip.samples) / np.sqrt(np.mean(sound**2)) * 10 ** (-below_db / 20)
    mixed = clip.samples + gain * sound
    peak = max(1.0, float(np.max(np.abs(mixed))))
    return replace(clip, samples=(mixed / peak).astype(np.float32))


def speech_level(samples: Float32Array) -> float:
    """Return the RMS of the louder half of the frames of 512: of the speech."""
    power = (samples[: len(samples) // 512 * 512].reshape(-1, 512).astype(np.float64) ** 2).mean(1)
    return float(np.sqrt(power[power >= np.median(power)].mean()))


def with_tone(clip: Clip) -> Clip:
    """Return the clip with a tone as loud as the speech."""
    return added(clip, np.sin(2 * np.pi * TONE_HZ * _seconds(clip)))


def with_beeps(clip: Clip) -> Clip:
    """Return the clip with beeps; over beeps and gaps they have the power of the speech."""
    seconds = _seconds(clip)
    sounds = seconds * BEEPS_PER_S % 1.0 < 0.5
    return added(clip, np.sin(2 * np.pi * BEEP_HZ * seconds) * sounds)


def with_sweep(clip: Clip) -> Clip:
    """Return the clip with a tone as loud as the speech that rises through its band."""
    seconds = _seconds(clip)
    low_hz, high_hz = SWEEP_HZ
    turns = low_hz * seconds + (high_hz - low_hz) / (2 * max(seconds[-1], 1e-3)) * seconds**2
    return added(clip, np.sin(2 * np.pi * turns))


def with_following_tone(clip: Clip) -> Clip:
    """Return the clip with a tone of the speech's power that grows and falls with the speech."""
    n = round(0.025 * clip.rate_hz)
    power = np.convolve(clip.samples.astype(np.float64) ** 2, np.ones(n) / n, "same")
    return added(clip, np.sin(2 * np.pi * TONE_HZ * _seconds(clip)) * np.sqrt(np.abs(power)))


def with_hiss(clip: Clip) -> Clip:
    """Return the clip with white noise below its speech."""
    rng = np.random.default_rng(len(clip.samples))
    return added(clip, rng.standard_normal(len(clip.samples)), HISS_DB)


def _seconds(clip: Clip) -> Floats:
    return np.arange(len(clip.samples)) / clip.rate_hz


ATTACKS: Mapping[str, Callable[[Clip], Clip]] = {
    "nothing": lambda clip: clip,
    f"tone of {TONE_HZ / 1000:g} kHz, as loud as the speech": with_tone,
    f"beeps of {BEEP_HZ / 1000:g} kHz, as loud as the speech": with_beeps,
    f"tone of {TONE_HZ / 1000:g} kHz that follows the speech": with_following_tone,
    f"tone that rises from {SWEEP_HZ[0] / 1000:g} to {SWEEP_HZ[1] / 1000:g} kHz": with_sweep,
    f"white noise {HISS_DB:g} dB below the speech": with_hiss,
}

HEADERS = (
    "added to the clip",
    "clips",
    "without a score, %",
    "FMR %, same sex",
    "95 % upper",
    "accepted / compared",
    "threshold, mean",
    "telephone on both sides, mean",
)


def attack_rows(
    rule: DecisionRule, listener: Listener, clips: Sequence[Clip]
) -> Iterator[list[object]]:
    """Yield a row for each attack, the first without any: what it does to strangers of one sex."""
    thirds = trials.by_speaker(listener.hear([third for c in clips for third in split(c, 3)]))
    usable = [own for own in thirds.values() if all(v.vector is not None for v in own)]
    gallery = [trials.enroll(own) for own in usable]
    aimed = rule.aimed(Target(TARGET))
    for name, attack in ATTACKS.items():
        for seconds in CUTS_S:
            voices = listener.hear([attack(cut(clip, seconds)) for clip in clips])
            unheard = percent(float(np.mean([voice.vector is None for voice in voices])))
            strangers = trials.compare(gallery, voices).other
            yield [name, f"cut to {seconds:g} s", unheard, *stranger_cells(aimed, strangers)]


def stranger_cells(rule: DecisionRule, strangers: Table) -> list[str]:
    """Return what strangers of the same sex come to; dashes where there are none."""
    close = strangers.where(strangers.same_sex)
    if not len(close.score):
        return ["-"] * 5
    needed = rule.thresholds(close.conditions)
    accepted = close.score >= needed
    return [
        percent(float(np.mean(accepted))),
        percent(fmr_upper(accepted, close.trials.speakers)),
        f"{np.sum(accepted)} / {len(accepted)}",
        f"{np.mean(needed):.3f}",
        f"{np.mean(close.conditions.telephone):.3f}",
    ]


def fmr_upper(accepted: Flags, speakers: npt.NDArray[np.integer]) -> float:
    """Return the upper 95 % bound of an FMR of (n,) trials of (n, 2) speakers.

    By a bootstrap over speakers, or by the rule of three where none was accepted.
    """
    if not accepted.any():
        return metrics.rate_upper_bound(0, len(accepted))
    return metrics.false_match_interval(accepted, speakers)[1]


def attacks_table(rule: DecisionRule, listener: Listener, clips: Sequence[Clip]) -> str:
    """Return the false match rates of strangers before and under each attack."""
    title = f"{rule.model}: sounds added to strangers' clips, target FMR {100 * TARGET:g} %"
    return markdown(title, HEADERS, attack_rows(rule, listener, clips))
