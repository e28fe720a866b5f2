"""Live sound: who speaks, while they speak.

`endpointing` finds where a turn begins and ends, `live_turn` holds what was heard of one,
`voice_change` ends it where another voice goes on, `looks` says when to look who it is and when
the answer is certain, and `listener` puts them together; `live_stream` reads a source for it.
"""

from voiceid.listening.listener import Decide, Listener, LiveOptions
from voiceid.listening.live_stream import LiveStream

__all__ = ["Decide", "Listener", "LiveOptions", "LiveStream"]
