"""Throughput of voiceid: audio files to embeddings, with speech detection and quality.

    python -m benchmarks.timed.voiceid_files MODEL WORKERS CLIP...

Prints the seconds that all clips took after one that warms up.
"""

import sys
import time

from benchmarks.voices import Hearing, open_embedder
from voiceid.domain import Utterance


def main(model: str, workers: int, clips: list[str]) -> None:
    """Embed the first clip, then all of them against the clock."""
    embedder = open_embedder(Hearing(model), workers)
    embedder.utterance(clips[0])
    started = time.perf_counter()
    heard = list(embedder.utterances(clips))
    elapsed_s = time.perf_counter() - started
    if not all(isinstance(one, Utterance) and one.embedding is not None for one in heard):
        raise RuntimeError("a clip gave no embedding, so the time says nothing")
    print(elapsed_s)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
