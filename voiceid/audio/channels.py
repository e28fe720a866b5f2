"""What the channels of a recording have in common, measured while they are mixed."""

from __future__ import annotations

import numpy as np

from voiceid.domain import Float32Array

_CANCELLED = 0.25
"""A mix with less of the power that unrelated channels would leave (-6 dB) has lost its sound:
of channels that are one another's inverse nothing is left."""

_FAINT = 10**-3.5
"""A channel 35 dB below the loudest has nothing but crosstalk."""

_NEARLY_THE_SAME = 0.9
"""Correlation, 0 to 1, from which two channels are taken as one signal."""

_MOST_DISTINCT = 8
"""Channels that are compared; a microphone array has more, all of the same room."""


class ChannelMeter:
    """Adds up the products of the channels with each other."""

    def __init__(self, n_channels: int) -> None:
        self._products = np.zeros((n_channels, n_channels))

    def add(self, block: Float32Array) -> None:
        """Take a block (n, channels)."""
        self._products += block.T @ block

    @property
    def loudest(self) -> int:
        """The channel with the most power."""
        return int(np.argmax(np.diag(self._products)))

    @property
    def cancel(self) -> bool:
        """Whether the channels cancel each other in their mean."""
        apart = float(np.trace(self._products))
        return float(self._products.sum()) < _CANCELLED * apart

    def distinct(self) -> list[int]:
        """Return channels that are neither faint nor nearly the signal of a louder one."""
        power = np.diag(self._products)
        chosen: list[int] = []
        for channel in map(int, np.argsort(-power, kind="stable")):
            related = np.abs(self._products[channel, chosen])
            unlike = related < _NEARLY_THE_SAME * np.sqrt(power[channel] * power[chosen])
            if power[channel] > _FAINT * power.max() and unlike.all():
                chosen.append(channel)
        return chosen[:_MOST_DISTINCT]
