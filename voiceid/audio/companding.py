"""Samples of telephony as one byte each (ITU-T G.711), to 16 bits."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt


def _mulaw() -> npt.NDArray[Any]:
    code = ~np.arange(256) & 0xFF
    size = (((code & 0x0F) << 3) + 0x84 << ((code & 0x70) >> 4)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.int16)


def _alaw() -> npt.NDArray[Any]:
    code = np.arange(256) ^ 0x55
    step, segment = (code & 0x0F) << 4, (code & 0x70) >> 4
    size = np.where(segment, step + 0x108 << np.maximum(segment - 1, 0), step + 8)
    return np.where(code & 0x80, size, -size).astype(np.int16)


COMPANDED: Mapping[str, npt.NDArray[Any]] = MappingProxyType({"mulaw": _mulaw(), "alaw": _alaw()})
"""What each byte stands for: (256,) int16, by the name of the law; as Sun's ``g711.c`` has them."""
