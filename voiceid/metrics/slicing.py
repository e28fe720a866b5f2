"""Slices of trials: by net speech, SNR, bandwidth, condition or other attributes."""

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
"""Where the numeric attributes are cut: doublings of speech, as the operating points are; below
5 dB the product warns of noise."""

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
    """Cut trials by each attribute in turn; empty slices are left out.

    Every trial is in one slice of each attribute.

    - `attributes`, mapping of (n,) arrays: numbers for those that `EDGES` names; of the others
      every value is a slice.
    """
    for name, attribute in attributes.items():
        if name in EDGES:
            values = np.asarray(attribute, dtype=np.float64)
            labels = _labels(EDGES[name])
            places = np.searchsorted(np.asarray(EDGES[name]), values, side="right")
            places[np.isnan(values)] = len(labels) - 1
        else:
            texts = np.asarray(attribute).astype(str)
            names, places = np.unique(texts, return_inverse=True)
            labels = [text or UNKNOWN for text in names.tolist()]
        for place in np.unique(places):
            yield Slice(name, labels[place], places == place)


def _labels(edges: Sequence[float]) -> list[str]:
    between = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return [f"below {edges[0]:g}", *between, f"{edges[-1]:g} and more", UNKNOWN]
