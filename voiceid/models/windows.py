"""Windows of a clip, cut at run time, and the mean of their embeddings, as graph nodes."""

from __future__ import annotations

import numpy as np

from voiceid.models.cards import Windowing
from voiceid.models.frontends import HOP
from voiceid.models.graph import Graph


class Windows:
    """The windows of the graph's input ``waveform`` (N, samples); see `Windowing`."""

    def __init__(self, graph: Graph, windowing: Windowing) -> None:
        self.graph = graph
        self.windowing = windowing
        beyond = graph.ints(0, 0, 0, windowing.window_frames * HOP)
        self.padded = graph.op("Pad", "waveform", beyond)
        """(N, samples): with zeros to the end of the last window."""

    def cut(self, features: str) -> str:
        """(N, bins, frames) of the padded waveform -> (N, bins, windows, window_frames)."""
        g = self.graph
        self._starts = self._first_frames()
        within = g.const(np.arange(self.windowing.window_frames)[None], np.int64)
        return str(g.op("Gather", features, g.op("Add", self._starts, within), axis=2))

    def mean(self, vectors: str, dim: int) -> str:
        """(N windows, dim) -> (N, dim): the mean of vectors of unit length, to unit length."""
        g = self.graph
        vectors = g.unit_length(vectors)
        count = g.op("Shape", self._starts, start=0, end=1)
        shape = g.op("Concat", g.ints(-1), count, g.ints(dim), axis=0)
        mean = g.op("ReduceMean", g.op("Reshape", vectors, shape), axes=[1], keepdims=0)
        return g.unit_length(mean)

    def _first_frames(self) -> str:
        """Return (windows, 1) int64: the first frame of each window.

        The rule of the published GE2E encoder: windows start every ``step`` frames while the
        one before has not reached the end; all arithmetic is in whole numbers of samples.
        """
        g, window, step = self.graph, self.windowing.window_frames, self.windowing.step_frames
        samples = g.op("Shape", "waveform", start=1, end=2)
        frames = g.op("Div", g.op("Add", samples, g.ints(HOP)), g.ints(HOP))
        reach = g.op("Max", g.op("Sub", frames, g.ints(window - step - 1)), g.ints(1))
        count = g.op("Div", g.op("Add", reach, g.ints(step - 1)), g.ints(step))
        before_last = g.op("Sub", count, g.ints(1))
        audio = g.op("Sub", samples, g.op("Mul", before_last, g.ints(step * HOP)))
        needed = int(np.ceil(self.windowing.min_coverage * window * HOP))
        too_little = g.op("Cast", g.op("Less", audio, g.ints(needed)), to=7)
        count = g.op("Max", g.op("Sub", count, too_little), g.ints(1))
        last = g.op("Squeeze", count)
        numbers = g.op("Range", g.const(0, np.int64), last, g.const(1, np.int64))
        return str(g.op("Unsqueeze", g.op("Mul", numbers, g.ints(step)), g.ints(1)))
