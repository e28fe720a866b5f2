"""What an operator sees: events in the log, counters and latencies, Prometheus text.

`observer` receives what happens, `event_log` logs it and `counters` counts it; `stats` is the
sum, `galleries` what is in a gallery, and `prometheus` the text of both for Prometheus.
No event and no figure holds audio, vectors, contents of files or names of recordings.
"""

from voiceid.observability.counters import Counters
from voiceid.observability.event_log import KEYS, ChangeKind, EventFormatter
from voiceid.observability.observer import Observer

__all__ = ["KEYS", "ChangeKind", "Counters", "EventFormatter", "Observer"]
