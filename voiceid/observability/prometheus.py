"""The only user of prometheus_client: metrics as Prometheus text, version 0.0.4.

The library's own counters belong to a process, not to one gallery, so its metric families are
filled with existing counts.  The library is loaded only when a text is needed: 0.1 s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from prometheus_client.core import Metric

Labels = TypeVar("Labels", bound=tuple[str, ...])
"""Values of labels; (): without labels."""


def text(metrics: Iterable[Metric]) -> str:
    """Return the text; a metric without values has only its description."""
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415

    registry = CollectorRegistry()
    registry.register(_Collected(list(metrics)))
    return generate_latest(registry).decode()


class _Collected:
    """Metrics as a collector."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.collect = metrics.__iter__


def gauge(name: str, description: str, values: Mapping[Labels, float], *labels: str) -> Metric:
    """Return a gauge with a value for each tuple of labels."""
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415

    metric = GaugeMetricFamily(f"voiceid_{name}", description, labels=labels)
    for key, value in values.items():
        metric.add_metric(key, value)
    return metric


def counter(name: str, description: str, values: Mapping[Labels, float], *labels: str) -> Metric:
    """Return a counter, whose name ends in ``_total``."""
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415

    metric = CounterMetricFamily(f"voiceid_{name}", description, labels=labels)
    for key, value in values.items():
        metric.add_metric(key, value)
    return metric


def histogram(
    name: str, description: str, values: Mapping[str, tuple[Mapping[str, int], float]], label: str
) -> Metric:
    """Return a histogram: for each label the cumulative buckets, and the sum."""
    from prometheus_client.core import HistogramMetricFamily  # noqa: PLC0415

    metric = HistogramMetricFamily(f"voiceid_{name}", description, labels=[label])
    for key, (at_most, total) in values.items():
        metric.add_metric([key], list(at_most.items()), total)
    return metric
