"""What an operator sees: events in the log, counters and latencies, Prometheus text.

`observer` is told what happens, `events` logs it and `counters` counts it; `stats` is what they
came to, `galleries` what is in a gallery, and `prometheus` the text of both for Prometheus.
No event and no figure holds audio, vectors, contents of files or names of recordings.
"""

from voiceid.observability.counters import Counters
from voiceid.observability.events import KEYS, ChangeKind, EventFormatter
from voiceid.observability.observer import Observer

__all__ = ["KEYS", "ChangeKind", "Counters", "EventFormatter", "Observer"]
