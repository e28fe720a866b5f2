"""Throughput of sherpa-onnx on one thread: audio files to embeddings, nothing else.

    python sherpa_files.py MODEL.onnx CLIP...

Prints the seconds that all clips took after one that warms up.
"""

import sys
import time

import sherpa_onnx
import soundfile


def main(model: str, clips: list[str]) -> None:
    """Embed the first clip, then all of them against the clock."""
    config = sherpa_onnx.SpeakerEmbeddingExtractorConfig(model=model, num_threads=1)
    extractor = sherpa_onnx.SpeakerEmbeddingExtractor(config)

    def embed(clip: str) -> None:
        samples, rate = soundfile.read(clip, dtype="float32", always_2d=True)
        stream = extractor.create_stream()
        stream.accept_waveform(rate, samples[:, 0])
        stream.input_finished()
        extractor.compute(stream)

    embed(clips[0])
    started = time.perf_counter()
    for clip in clips:
        embed(clip)
    print(time.perf_counter() - started)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
