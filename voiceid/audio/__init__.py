"""Audio in: any source, any format, to blocks of 16 kHz mono.

`media` opens a source, checks its size and makes it seekable; `decoding` takes libsndfile, else
FFmpeg, else an array; `stream` does channel, clipping, hash, limits and the rate.  A block is
decoded, used and dropped, so memory does not grow with the length of the recording.

libsndfile, soxr and FFmpeg are loaded when a source first needs them: together they cost as much
as embedding a clip.
"""

from voiceid.audio.arrivals import Arrivals
from voiceid.audio.decoding import codec_versions
from voiceid.audio.kept import KeptAudio, Tape
from voiceid.audio.live_sources import LiveSource, LiveSourceName, live_source
from voiceid.audio.media import AudioOptions, AudioSource, Spans
from voiceid.audio.stream import TARGET_RATE_HZ, AudioStream, Tap, open_audio

__all__ = [
    "TARGET_RATE_HZ",
    "Arrivals",
    "AudioOptions",
    "AudioSource",
    "AudioStream",
    "KeptAudio",
    "LiveSource",
    "LiveSourceName",
    "Spans",
    "Tap",
    "Tape",
    "codec_versions",
    "live_source",
    "open_audio",
]
