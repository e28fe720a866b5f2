"""Sounds for the tests, made on the spot and encoded in any format."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import soundfile
from av.stream import Disposition

from voiceid.audio import AudioOptions, AudioSource, AudioStream, open_audio

Float32Array = npt.NDArray[np.float32]

RATE = 16_000


def melody(seconds: float = 2.0, rate: int = RATE, seed: int = 0) -> Float32Array:
    """Return harmonics of a gliding tone with a little noise: codecs keep it well."""
    t = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * (220 * t + 15 * np.sin(2 * np.pi * t))
    tones = sum(np.sin(k * phase) / k for k in range(1, 6))
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return (0.15 * tones + 0.001 * noise).astype(np.float32)


def encode(samples: Float32Array, file_format: str, rate: int = RATE, **settings: Any) -> bytes:
    """Encode through libsndfile."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=file_format, **settings)
    return file.getvalue()


def encode_ffmpeg(
    samples: Float32Array,
    container: str,
    codec: str,
    rate: int = RATE,
    *,
    muxer: dict[str, str] | None = None,
    file: io.BytesIO | None = None,
    **encoder: str,
) -> bytes:
    """Encode (n,) or (n, 2) samples of that rate through FFmpeg, with options of its parts.

    An encoder's ``pause_s``: by so much the second half comes later.
    """
    pause_s = float(encoder.pop("pause_s", "0"))
    channels = samples.reshape(len(samples), -1)
    file = io.BytesIO() if file is None else file
    with av.open(file, "w", format=container, options=muxer or {}) as output:
        track = output.add_stream(codec, rate=rate, options=encoder)
        track.layout = "mono" if channels.shape[1] == 1 else "stereo"
        if codec == "wmav2":
            track.bit_rate = 64_000  # its default is no rate that it knows
        pcm = np.round(np.clip(channels, -1, 1) * 32767).astype(np.int16)
        for start in range(0, len(pcm), 1024):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(pcm[start : start + 1024]).reshape(1, -1),
                format="s16",
                layout=track.layout,
            )
            frame.sample_rate = rate
            frame.pts = start + (round(pause_s * rate) if start > len(pcm) // 2 else 0)
            frame.time_base = Fraction(1, rate)
            output.mux(track.encode(frame))
        output.mux(track.encode(None))
    return file.getvalue()


class Pipe(io.BytesIO):
    """What an encoder writes into and cannot go back in."""

    def seekable(self) -> bool:
        return False

    seek = None  # type: ignore[assignment]


def streamed(container: str, codec: str, rate: int = RATE, seconds: float = 1.0) -> bytes:
    """Encode a melody through FFmpeg into a pipe: what needs to go back is not written."""
    return encode_ffmpeg(melody(seconds, rate), container, codec, rate, file=Pipe())


def tracks(
    sounds: Sequence[Float32Array], default: int | None = None, languages: Sequence[str] = ()
) -> bytes:
    """Return a Matroska file with a track of 16 kHz PCM for each sound, one flagged as default."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska", options={"default_mode": "passthrough"}) as output:
        streams = [output.add_stream("pcm_s16le", rate=RATE) for _ in sounds]
        for number, stream in enumerate(streams):
            stream.layout = "mono"
            stream.disposition = Disposition.default if number == default else Disposition(0)
        for stream, language in zip(streams, languages, strict=False):
            stream.metadata["language"] = language
        for stream, sound in zip(streams, sounds, strict=True):
            pcm = np.round(sound * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
            frame.sample_rate = RATE
            output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    return file.getvalue()


def silent_film() -> bytes:
    """Return a video file with pictures and no sound."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        track = output.add_stream("mpeg4", rate=25)
        track.width, track.height, track.pix_fmt = 64, 64, "yuv420p"
        for _ in range(10):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            output.mux(track.encode(picture))
        output.mux(track.encode(None))
    return file.getvalue()


def decoded(
    source: AudioSource, options: AudioOptions | None = None, **how: Any
) -> tuple[Float32Array, AudioStream]:
    """Return all samples of a source at 16 kHz, and its exhausted stream."""
    with open_audio(source, options, **how) as stream:
        blocks = list(stream.blocks())
    return np.concatenate([*blocks, np.empty(0, np.float32)]), stream


def delay(heard: Float32Array, sent: Float32Array, most: int = 2000) -> int:
    """Return by how many samples ``heard`` lags behind ``sent``."""
    middle = sent[most : len(sent) - most]
    return int(np.argmax(np.correlate(heard, middle, "valid"))) - most


def film(container: str, codec: str, seconds: float, *, rate: int, n_pictures: int) -> bytes:
    """Return black pictures, so many a second, with the sound of a melody."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        pictures = output.add_stream("mpeg4", rate=rate)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
        sound = output.add_stream(codec, rate=RATE)
        sound.layout = "mono"
        for _ in range(n_pictures):
            black = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            output.mux(pictures.encode(black))
        output.mux(pictures.encode(None))
        pcm = np.round(melody(seconds) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="mono")
        frame.sample_rate = RATE
        output.mux(sound.encode(frame))
        output.mux(sound.encode(None))
    return file.getvalue()
