"""Slices of trials: by net speech, SNR, bandwidth, condition, or whatever else is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

EDGES: Mapping[str, Sequence[float]] = {
    "net_speech_s": (1.0, 2.0, 4.0, 8.0),
    "snr_db": (5.0, 10.0, 20.0, 30.0),
}
"""Where the numeric attributes are cut: doublings of speech, as the operating points are; 5 dB
is what the product calls noisy."""

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """The trials that share a value of an attribute.

    - `label`: the value, or "below 1", "1 to 2" (the upper edge left out), "8 and more"; "unknown"
      where a number is missing (NaN) or a text is empty.
    - `rows` (n,) bool.
    """

    attribute: str
    label: str
    rows: npt.NDArray[np.bool_]


def slices(attributes: Mapping[str, npt.ArrayLike]) -> Iterator[Slice]:
    """Cut trials by each attribute in turn; slices that hold nothing are left out.

    The slices of one attribute hold every trial once.

    - `attributes`, mapping of (n,) arrays: numbers for those that `EDGES` names; of the others
      every value is a slice.
    """
    for name, given in attributes.items():
        if name in EDGES:
            values = np.asarray(given, dtype=np.float64)
            labels = _labels(EDGES[name])
            places = np.searchsorted(np.asarray(EDGES[name]), values, side="right")
            places[np.isnan(values)] = len(labels) - 1
        else:
            texts = np.asarray(given).astype(str)
            found, places = np.unique(texts, return_inverse=True)
            labels = [text or UNKNOWN for text in found.tolist()]
        for place in np.unique(places):
            yield Slice(name, labels[place], places == place)


def _labels(edges: Sequence[float]) -> list[str]:
    between = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return [f"below {edges[0]:g}", *between, f"{edges[-1]:g} and more", UNKNOWN]
