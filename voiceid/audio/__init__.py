"""Audio in: any source, any format, to blocks of 16 kHz mono.

::

    source (path, bytes, file object, array, "-")
      -> media       opened, size checked, made seekable       (Media)
      -> decoding    libsndfile, else FFmpeg, else an array    (Decoder)
      -> stream      channel, clipping, hash, limits, 16 kHz   (AudioStream)

Everything streams: a block is decoded, used and dropped, so memory does not grow with the
length of the recording.  Whatever is wrong with the input comes out as an
:class:`voiceid.errors.AudioError`.

Importing this package loads none of libsndfile, soxr and FFmpeg: each is loaded when a
source first needs it, because together they cost as much as embedding a clip.
"""

from voiceid.audio.codecs import codec_versions
from voiceid.audio.kept import KeptAudio, Tape
from voiceid.audio.media import AudioOptions, AudioSource
from voiceid.audio.stream import TARGET_RATE_HZ, AudioStream, Tap, open_audio

__all__ = [
    "TARGET_RATE_HZ",
    "AudioOptions",
    "AudioSource",
    "AudioStream",
    "KeptAudio",
    "Tap",
    "Tape",
    "codec_versions",
    "open_audio",
]
