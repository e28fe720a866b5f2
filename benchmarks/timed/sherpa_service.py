"""A service as it is usually put together: FastAPI around sherpa-onnx, for `benchmarks.server`.

sherpa_service.py MODEL PORT ENROLLED...   Runs in the environment of the peers.
"""

from __future__ import annotations

import io
import sys

import sherpa_onnx
import soundfile
import uvicorn
from fastapi import FastAPI, UploadFile

THRESHOLD = 0.5


def main(model: str, port: str, enrolled: list[str]) -> None:
    """Enrol alice, and answer POST /verify."""
    config = sherpa_onnx.SpeakerEmbeddingExtractorConfig(model=model, num_threads=1)
    extractor = sherpa_onnx.SpeakerEmbeddingExtractor(config)
    manager = sherpa_onnx.SpeakerEmbeddingManager(extractor.dim)

    def embedding(file: io.BufferedIOBase | str) -> list[float]:
        samples, rate_hz = soundfile.read(file, dtype="float32")
        stream = extractor.create_stream()
        stream.accept_waveform(sample_rate=rate_hz, waveform=samples)
        stream.input_finished()
        found: list[float] = extractor.compute(stream)
        return found

    manager.add("alice", [embedding(path) for path in enrolled])
    app = FastAPI()

    @app.post("/verify")
    def verify(audio: UploadFile) -> dict[str, bool]:
        vector = embedding(io.BytesIO(audio.file.read()))
        return {"accepted": manager.verify("alice", vector, THRESHOLD)}

    @app.get("/readyz")
    def readyz() -> dict[str, str]:
        return {"status": "ready"}

    uvicorn.run(app, port=int(port), log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
