"""Monitoring for an operator: events in the log, counters and latencies, Prometheus text.

`observer` receives events, `event_log` logs them and `counters` counts them; `stats` holds the
counts, `galleries` the contents of a gallery, and `prometheus` writes both for Prometheus.
No event and no figure holds audio, vectors, contents of files or names of recordings.
"""

from voiceid.observability.counters import Counters
from voiceid.observability.event_log import KEYS, ChangeKind, EventFormatter
from voiceid.observability.observer import Observer

__all__ = ["KEYS", "ChangeKind", "Counters", "EventFormatter", "Observer"]
