"""The barest sherpa-onnx program: one clip to one embedding.

python sherpa_clip.py MODEL.onnx CLIP
"""

import sys

import sherpa_onnx
import soundfile


def main(model: str, clip: str) -> None:
    """Print the embedding's numbers."""
    samples, rate = soundfile.read(clip, dtype="float32", always_2d=True)
    config = sherpa_onnx.SpeakerEmbeddingExtractorConfig(model=model, num_threads=1)
    extractor = sherpa_onnx.SpeakerEmbeddingExtractor(config)
    stream = extractor.create_stream()
    stream.accept_waveform(rate, samples[:, 0])
    stream.input_finished()
    print(*extractor.compute(stream))


if __name__ == "__main__":
    main(*sys.argv[1:3])
