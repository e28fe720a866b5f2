"""Live sound: who speaks, while they speak.

`endpointing` finds where a turn begins and ends, `live_turn` holds what was heard of one, and
`listener` puts them together.  `early_listener` decides within a turn: `voice_change` ends it where
another voice goes on, `looks` says when to look who it is and when the answer is certain.
`code_listener` asks for spoken codes.  `live_stream` reads a source for a listener.
"""

from voiceid.listening.code_listener import CodeListener
from voiceid.listening.early_listener import Decider, EarlyListener
from voiceid.listening.listener import Listener, LiveOptions
from voiceid.listening.live_stream import LiveStream

__all__ = ["CodeListener", "Decider", "EarlyListener", "Listener", "LiveOptions", "LiveStream"]
