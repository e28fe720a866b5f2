"""Both laws of G.711, byte by byte, with FFmpeg as the oracle."""

from __future__ import annotations

import av
import numpy as np
import pytest

from voiceid.audio.companding import COMPANDED


@pytest.mark.parametrize("law", COMPANDED)
def test_every_byte_stands_for_what_it_does_in_ffmpeg(law: str) -> None:
    decoder = av.CodecContext.create(f"pcm_{law}", "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    [frame] = decoder.decode(av.Packet(bytes(range(256))))
    assert np.array_equal(COMPANDED[law], frame.to_ndarray()[0])
