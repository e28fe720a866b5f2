"""Prometheus text, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).

prometheus_client writes it from counters of its own, which belong to a whole process and not to one
gallery, and takes 0.1 s to load.  What is written here is held against its parser in the tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

Sample = tuple[str, Mapping[str, str], float]
"""Name, labels, value."""


@dataclass(frozen=True, slots=True)
class Family:
    """A metric.

    Parameters
    ----------
    name : str
    kind : str
        ``counter``, ``gauge`` or ``histogram``.
    told : str
        What it is, on one line.
    samples : tuple of Sample
    """

    name: str
    kind: str
    told: str
    samples: tuple[Sample, ...] = ()

    def of(self, values: Iterable[tuple[Mapping[str, str], float]]) -> Family:
        """Return it with a sample for each set of labels."""
        return replace(self, samples=tuple((self.name, labels, v) for labels, v in values))

    def over(self, parts: Iterable[Iterable[Sample]]) -> Family:
        """Return it with samples that bring their own names."""
        return replace(self, samples=tuple(sample for part in parts for sample in part))


def text(families: Iterable[Family]) -> str:
    """Return the text; a metric without samples is only described."""
    lines: list[str] = []
    for family in families:
        lines += [f"# HELP {family.name} {family.told}", f"# TYPE {family.name} {family.kind}"]
        lines += [
            f"{name}{_labels(labels)} {_number(value)}" for name, labels, value in family.samples
        ]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"
