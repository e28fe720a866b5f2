"""Throughput of voiceid: audio files to embeddings, with speech detection and quality.

    python -m benchmarks.timed.voiceid_files WORKERS CLIP...

Prints the seconds that all clips took after one that warms up.
"""

import sys
import time

from benchmarks.voices import Hearing, open_embedder
from voiceid.domain import Utterance


def main(workers: int, clips: list[str]) -> None:
    """Embed the first clip, then all of them against the clock."""
    embedder = open_embedder(Hearing(), workers)
    embedder.utterance(clips[0])
    started = time.perf_counter()
    heard = list(embedder.utterances(clips))
    elapsed_s = time.perf_counter() - started
    if not all(isinstance(one, Utterance) and one.embedding is not None for one in heard):
        raise RuntimeError("a clip gave no embedding, so the time says nothing")
    print(elapsed_s)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
