"""Whether two clips come from one recording, even after codecs, noise, rooms or cuts.

After Haitsma and Kalker (A highly robust audio fingerprinting system, ISMIR 2002): each frame
gives 32 bits, the signs of differences of band energies in frequency and time.  The differences:

- All bands are narrow and frames long, so that the pitch counts: otherwise the same words of one
  speaker would match.  A frame is longer than most of the echo of a room.
- Only the clearest bits of the probe clip are compared: noise changes them least.
- Along each alignment a piece loses a point for each wrong bit and gains some for each bit that is
  compared, as in a local alignment of sequences.  So a part that was cut out, or joined with
  others, is found.
- The clip is compared unchanged, a little faster and slower, and backwards.
- Clips with some likeness are compared again by all bits, which finds short pieces.

docs/attacks.md has the rates of copies found, and of different recordings taken for one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from voiceid.domain import Float32Array, Speech

Words = npt.NDArray[np.uint32]

_ENOUGH, _OF_ALL, _LEAST = 80, 0.6, 44
"""The points a piece needs; in a short clip this share of the most possible, but at least that."""
_FRAME, _HOP = 8192, 512
"""Samples at 16 kHz: 512 and 32 ms."""
_BANDS, _APART, _EDGES_HZ = 36, 4, (300.0, 3000.0)
_LAG = 3
"""Frames: 96 ms."""
_POWER = 0.25
_SILENT_DB = 50.0
"""Frames this far below the loudest are not compared."""
_CLEAR = 0.4
"""Share of the bits of a probe clip that are compared."""
_SPEEDS = (1.0, 1.025, 0.975)
_LONGEST_GAP = 16
"""Frames: longer pauses are shortened to this, about 0.5 s."""
_LONGEST = 3750
"""Frames: 120 s.  The rest is not compared."""
_KEPT_EVERY, _STEP = 2, 4
"""Steps in frames: between the words of a kept clip, and between the compared words."""
_POINTS, _MOST_WRONG = 4, 0.17
"""Points that a wrong bit costs, and the share of wrong bits at which a piece gains nothing."""
_ALIKE, _ENOUGH_OF_ALL_BITS = 20, 56
"""Points that a piece needs to be compared again, and then by all bits."""
_AT_ONCE = 10_000
"""Kept words that are compared at a time: they fit into the processor's cache."""
_WINDOW = np.hanning(_FRAME).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """The parts of a probe clip that are compared.

    - `words` (ways, n) uint32: the bits of a frame each 32 ms.
    - `clear` (ways, n) uint32: those that are compared.
    - `present` (ways, n) uint32: those that a clip with some likeness is compared by.
    """

    words: Words
    clear: Words
    present: Words

    @classmethod
    def of(cls, speech: Speech) -> Fingerprint:
        """Return the fingerprint of the speech of a clip; the audio cannot be restored from it."""
        samples = _in_time(speech)
        energies = [_energies(samples, speed) for speed in _SPEEDS]
        looks = [_rises(band) for band in (*energies, energies[0][::-1])]
        n = min(map(len, looks))
        rises = np.stack([look[:n] for look in looks])
        sizes = np.abs(rises)
        present = sizes > 0.0
        clear = present & (sizes >= np.quantile(sizes[0], 1.0 - _CLEAR))
        return cls(_packed(rises > 0.0), _packed(clear), _packed(present))

    @property
    def kept(self) -> bytes:
        """The bytes that are kept: four for each 64 ms."""
        return self.words[0, ::_KEPT_EVERY].astype("<u4").tobytes()

    @property
    def enough(self) -> int:
        """Points that a piece needs to be of one recording."""
        all_of_it = int(_most(_steps(self.clear[:1])[:, :1]).sum())
        return max(_LEAST, min(_ENOUGH, round(_OF_ALL * all_of_it)))

    def finds(self, kept: Sequence[bytes]) -> list[bool]:
        """Return for each kept clip whether it has a piece in common with this one."""
        gains = np.array(self.gains(kept), np.int64)
        matches: npt.NDArray[np.bool_] = gains >= self.enough
        is_alike = ~matches & (gains >= _ALIKE)
        by_all_bits = replace(self, clear=self.present)
        alike = by_all_bits.gains(list(itertools.compress(kept, is_alike)))
        matches[is_alike] = np.array(alike, np.int64) >= _ENOUGH_OF_ALL_BITS
        return list(map(bool, matches))

    def gains(self, kept: Sequence[bytes]) -> list[int]:
        """Return the most points that a piece gains in each of some kept clips."""
        gains: list[int] = []
        clips: list[Words] = []
        size = 0
        for words in kept:
            clip = np.frombuffer(words, "<u4")
            if clips and size + len(clip) > _AT_ONCE:
                gains += self._gains(clips)
                clips, size = [], 0
            clips.append(clip)
            size += len(clip)
        return gains + (self._gains(clips) if clips else [])

    def _gains(self, clips: Sequence[Words]) -> list[int]:
        between = np.zeros(_STEP // _KEPT_EVERY, np.uint32)
        row = np.concatenate([part for clip in clips for part in (between, clip)])
        starts = np.cumsum([0] + [len(clip) + len(between) for clip in clips])[:-1]
        words, clear = _steps(self.words), _steps(self.clear)
        shape = words.shape[1], len(row)
        most = np.full(shape, np.iinfo(np.int16).max, np.int16)
        for at in range(len(between)):
            most[:, starts + at] = 0
        # Everything is done in place, and with arrays: scalar limits take ten times as long.
        # Points fit into one byte without overflow: 32 wrong bits cost 128.
        differ, lost = np.empty(shape, np.uint32), np.empty(shape, np.uint8)
        gained, best, nothing = (np.zeros(shape, np.int16) for _ in range(3))
        run = np.zeros((shape[0], len(between) + len(row)), np.int16)
        gains = zip(words, clear, _most(clear), strict=True)
        for own, asked, gain in ((each[:, None] for each in step) for step in gains):
            np.bitwise_and(np.bitwise_xor(own, row, out=differ), asked, out=differ)
            np.multiply(np.bitwise_count(differ, out=lost), _POINTS, out=lost)
            np.subtract(run[:, : -len(between)], lost, out=gained)
            gained += gain
            np.minimum(np.maximum(gained, nothing, out=gained), most, out=gained)
            np.maximum(best, gained, out=best)
            run[:, len(between) :] = gained
        return [int(most) for most in np.maximum.reduceat(best.max(axis=0), starts)]


def _most(clear: Words) -> npt.NDArray[np.int16]:
    """Return what each word gains without a wrong bit."""
    return np.rint(np.bitwise_count(clear) * (_POINTS * _MOST_WRONG)).astype(np.int16)


def _steps(words: Words) -> Words:
    """Return words (ways, n) as (steps, alignments): the kept ones are two frames apart."""
    n = words.shape[1] // _STEP
    own = words[:, : n * _STEP].reshape(len(words), n, _STEP)[..., :_KEPT_EVERY]
    return np.ascontiguousarray(own.transpose(1, 0, 2).reshape(n, -1))


def _in_time(speech: Speech) -> Float32Array:
    """Return the speech (n,) with its pauses, which are silent."""
    gaps = np.diff(speech.frames, prepend=speech.frames[:1])
    at = np.cumsum(np.minimum(gaps, _LONGEST_GAP))
    at = at[at < _LONGEST]
    samples = np.zeros((int(at[-1]) + 1 if len(at) else 1, _HOP), np.float32)
    spoken = speech.samples[: len(at) * _HOP]
    spoken = np.pad(spoken, (0, -len(spoken) % _HOP)).reshape(-1, _HOP)
    samples[at[: len(spoken)]] = spoken
    return samples.reshape(-1)


def _energies(samples: Float32Array, speed: float) -> Float32Array:
    """Return the energies of bands (n, 36), in samples that may be played faster."""
    whole = np.pad(samples, (_FRAME // 2, _FRAME // 2 + _LAG * _HOP), mode="edge")
    n = (len(whole) - _FRAME) // (_HOP * speed)
    starts = np.rint(np.arange(max(n, _LAG + _STEP)) * (_HOP * speed)).astype(np.intp)
    frames = np.lib.stride_tricks.sliding_window_view(whole, _FRAME)[
        np.minimum(starts, len(whole) - _FRAME)
    ]
    spectrum = np.fft.rfft(frames * _WINDOW, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    edges_hz = np.geomspace(*_EDGES_HZ, _BANDS + 1) / speed
    edges = np.rint(edges_hz * (_FRAME / 16_000)).astype(np.intp)
    energies: Float32Array = np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1)
    return energies


def _rises(energies: Float32Array) -> Float32Array:
    """Return how the differences of bands rise (n, 32)."""
    loudness = energies.sum(axis=1, keepdims=True)
    floor = loudness.max() * 10 ** (-_SILENT_DB / 10) + np.finfo(np.float32).tiny
    raised = (energies + floor / _BANDS) ** _POWER
    tilts = raised[:, :-_APART] - raised[:, _APART:]
    rises: Float32Array = tilts[_LAG:] - tilts[:-_LAG]
    rises[(np.minimum(loudness[_LAG:], loudness[:-_LAG]) <= floor)[:, 0]] = 0.0
    return rises


def _packed(bits: npt.NDArray[np.bool_]) -> Words:
    return np.packbits(bits, axis=-1, bitorder="little").view("<u4")[..., 0].astype(np.uint32)
