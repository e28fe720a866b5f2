"""The program of Resemblyzer's own README: one clip to one embedding.

python resemblyzer_clip.py CLIP
"""

import sys

from resemblyzer import VoiceEncoder, preprocess_wav


def main(clip: str) -> None:
    """Print the embedding's numbers."""
    print(*VoiceEncoder("cpu", verbose=False).embed_utterance(preprocess_wav(clip)))


if __name__ == "__main__":
    main(sys.argv[1])
