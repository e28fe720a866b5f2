"""Lossy codecs that samples are sent through, to hear what is left of a voice."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from voiceid.domain import Float32Array

_AMR = "libopencore_amrnb"


@dataclass(frozen=True, slots=True)
class Coding:
    """A codec of libsndfile; ``compression_level`` runs from 0 (most bits) to 1.

    None is for codecs of one rate.
    """

    format: str
    subtype: str
    compression_level: float | None = None

    @property
    def is_available(self) -> bool:
        """Whether the installed libsndfile writes it."""
        import soundfile  # noqa: PLC0415 - loaded where it is needed, as in all of `audio`

        return bool(soundfile.check_format(self.format, self.subtype))

    def encode(self, samples: Float32Array, rate_hz: int) -> bytes:
        """Return the file that the codec writes of (n,) samples, -1 to 1."""
        import soundfile  # noqa: PLC0415 - as above

        file = io.BytesIO()
        soundfile.write(file, samples, rate_hz, **asdict(self))
        return file.getvalue()


@dataclass(frozen=True, slots=True)
class Amr:
    """The narrowband codec of mobile telephones, 3GPP TS 26.071, by PyAV; 8 kHz only."""

    bit_rate: int

    @property
    def is_available(self) -> bool:
        """Whether the installed FFmpeg has an encoder for it: not all builds do."""
        import av  # noqa: PLC0415 - as above

        try:
            av.codec.Codec(_AMR, "w")
        except ValueError:
            return False
        return True

    def encode(self, samples: Float32Array, rate_hz: int) -> bytes:
        """Return the file that the codec writes of (n,) samples, -1 to 1."""
        import av  # noqa: PLC0415 - as above

        pcm = np.rint(np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16)
        file = io.BytesIO()
        with av.open(file, "w", format="amr") as container:
            stream: Any = container.add_stream(_AMR, rate=rate_hz, layout="mono")
            stream.bit_rate = self.bit_rate
            frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
            frame.sample_rate = rate_hz
            for part in (frame, None):
                container.mux(stream.encode(part))
        return file.getvalue()


def resampled(samples: Float32Array, from_hz: int, to_hz: int) -> Float32Array:
    """Return (m,) samples at another rate, of (n,)."""
    import soxr  # noqa: PLC0415 - as above

    return np.asarray(soxr.resample(samples, from_hz, to_hz), dtype=np.float32)
