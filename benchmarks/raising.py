"""The effect of a rate that was raised without a filter on the false match rate.

Programs that give each sample twice, or draw straight lines between samples, leave an image of the
speech above half of its old rate.  It is the same in the speech of all, so strangers become alike.
`benchmarks.accuracy` prints the table.  One third of an utterance is enrolled and a cut asks, both
changed in the same way, of every fourth speaker of train-clean-100: of those, no card learned.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import soundfile

from benchmarks import trials
from benchmarks.attacks import HEADERS, TARGET, stranger_cells
from benchmarks.tables import markdown
from benchmarks.trials import Floats
from benchmarks.voices import Listener
from voiceid.audio.coding import Coding, resampled
from voiceid.decision.aims import Target
from voiceid.decision.rule import DecisionRule
from voiceid.domain import Float32Array
from voiceid.evaluation.degradations import Clip, cut, split

CUT_S = 2.5
MU_LAW, GSM = Coding("WAV", "ULAW"), Coding("WAV", "GSM610")

Raise = Callable[[Floats, int, int], Floats]
"""From samples (n,), their rate in Hz and another to samples of that."""


def nearest(samples: Floats, rate_hz: int, to_hz: int) -> Floats:
    """Return the last sample at each time: each twice, where the rate is doubled."""
    times = np.arange(len(samples) * to_hz // rate_hz) * rate_hz // to_hz
    return samples[times]


def lines(samples: Floats, rate_hz: int, to_hz: int) -> Floats:
    """Return straight lines between the samples."""
    times = np.arange(len(samples) * to_hz // rate_hz) * (rate_hz / to_hz)
    return np.asarray(np.interp(times, np.arange(len(samples)), samples), dtype=np.float64)


def filtered(samples: Floats, rate_hz: int, to_hz: int) -> Floats:
    """Return the samples as they should be raised, with nothing above half of their rate."""
    return resampled(samples.astype(np.float32), rate_hz, to_hz).astype(np.float64)


def zeros(samples: Floats, rate_hz: int, to_hz: int) -> Floats:
    """Return the samples with zeros between; ``to_hz`` is a multiple of the rate."""
    result = np.zeros(len(samples) * to_hz // rate_hz)
    result[:: to_hz // rate_hz] = samples
    return result


def cubic(samples: Floats, _rate_hz: int, _to_hz: int) -> Floats:
    """Return Catmull and Rom's curves through the samples, at twice the rate."""
    before, own, after, last = (np.roll(samples, -k) for k in (-1, 0, 1, 2))
    return np.stack([own, (9 * (own + after) - before - last) / 16], axis=1).ravel()


def smoothed(raising: Raise, samples: Floats, rate_hz: int, to_hz: int) -> Floats:
    """Return what was raised, each sample the mean of it and of the result before it."""
    response = 0.5 ** np.arange(1, 41)
    raised = raising(samples, rate_hz, to_hz)
    return np.convolve(raised, response)[: len(raised)]


def raised(
    clip: Clip,
    raising: Raise,
    rate_hz: int = 8000,
    to_hz: int = 16_000,
    coding: Coding | None = None,
    *,
    aliased: bool = False,
) -> Clip:
    """Return a clip of 16 kHz at a lower rate, coded there, and raised again.

    - `aliased`: whether it was lowered without a filter too, to half of its rate.
    """
    low = clip.samples[::2] if aliased else resampled(clip.samples, clip.rate_hz, rate_hz)
    if coding is not None:
        low = _decoded(coding.encode(low, rate_hz))
    high = np.clip(raising(low.astype(np.float64), rate_hz, to_hz), -1.0, 1.0)
    return replace(clip, samples=high.astype(np.float32), rate_hz=to_hz)


def _decoded(data: bytes) -> Float32Array:
    return np.asarray(soundfile.read(io.BytesIO(data), dtype="float32")[0])


WAYS: Mapping[str, Callable[[Clip], Clip]] = {
    "8 kHz, each sample twice": partial(raised, raising=nearest),
    "8 kHz, straight lines": partial(raised, raising=lines),
    "8 kHz, zeros between": partial(raised, raising=zeros),
    "8 kHz, each sample twice, smoothed": partial(raised, raising=partial(smoothed, nearest)),
    "8 kHz, zeros between, smoothed": partial(raised, raising=partial(smoothed, zeros)),
    "8 kHz, cubic": partial(raised, raising=cubic),
    "8 kHz, each sample six times": partial(raised, raising=nearest, to_hz=48_000),
    "8 kHz, straight lines to 48 kHz": partial(raised, raising=lines, to_hz=48_000),
    "8 kHz, nearest sample at 44.1 kHz": partial(raised, raising=nearest, to_hz=44_100),
    "8 kHz, every second sample twice": partial(raised, raising=nearest, aliased=True),
    "mu-law, each sample twice": partial(raised, raising=nearest, coding=MU_LAW),
    "mu-law, straight lines": partial(raised, raising=lines, coding=MU_LAW),
    "GSM, each sample twice": partial(raised, raising=nearest, coding=GSM),
    "11,025 Hz, nearest sample": partial(raised, raising=nearest, rate_hz=11_025),
    "11,025 Hz, straight lines": partial(raised, raising=lines, rate_hz=11_025),
    "10 kHz, nearest sample": partial(raised, raising=nearest, rate_hz=10_000),
    "12 kHz, nearest sample": partial(raised, raising=nearest, rate_hz=12_000),
    "12 kHz, straight lines": partial(raised, raising=lines, rate_hz=12_000),
    "14 kHz, nearest sample": partial(raised, raising=nearest, rate_hz=14_000),
    "12 kHz, with a filter": partial(raised, raising=filtered, rate_hz=12_000),
}


def raised_rows(
    rule: DecisionRule, listener: Listener, clips: Sequence[Clip]
) -> Iterator[list[object]]:
    """Yield a row for each way: what becomes of strangers of one sex whose clips came that way."""
    aimed = rule.aimed(Target(TARGET))
    for name, change in WAYS.items():
        enrolled = listener.hear([change(split(clip, 3)[1]) for clip in clips])
        gallery = [trials.enroll([voice]) for voice in enrolled if voice.vector is not None]
        asking = listener.hear([change(cut(clip, CUT_S)) for clip in clips])
        strangers = trials.compare(gallery, asking).other
        yield [name, *stranger_cells(aimed, strangers)]


def raised_table(rule: DecisionRule, listener: Listener, clips: Sequence[Clip]) -> str:
    """Return the false match rates of strangers whose clips were raised without a filter."""
    speakers = sorted({clip.speaker for clip in clips})[1::4]
    own = [clip for clip in clips if clip.speaker in speakers]
    title = f"{rule.model}: rates raised without a filter, on both sides"
    headers = ["how", *HEADERS[3:]]
    return markdown(title, headers, raised_rows(rule, listener, own))
