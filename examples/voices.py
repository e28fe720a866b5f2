"""Pictures of real voices: AMI speakers in the plane, a dot for each cut of 2 s or more.

    python -m examples.voices docs/voices.png

No speaker is enrolled for it: clips are embedded, placed by PCA and drawn, which is what
`voiceid plot speakers` does with the samples of a gallery.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from examples import ami
from voiceid import AudioError, VoiceID, pictures

CUT_S = 2.0
MOST_CUTS = 8
"""Of one speaker: those who speak longest should not fill the picture."""

Cut = tuple[str, str, tuple[npt.NDArray[np.float32], int]]
"""Speaker, recording, and (samples, sample rate in Hz)."""


def cuts(folder: Path = ami.FOLDER) -> Iterator[Cut]:
    """Yield pieces of the turns in which one speaker is alone; two or more of each speaker."""
    turns = ami.clean_turns(ami.fetch(folder), CUT_S)
    found = [
        (turn.speaker, turn.recording, (piece, rate))
        for turn in turns
        for samples, rate in [turn.samples(folder)]
        for piece in np.array_split(samples, int(turn.duration_s / CUT_S))
    ]
    total, taken = Counter(speaker for speaker, *_ in found), Counter[str]()
    for cut in found:
        taken[cut[0]] += 1
        if total[cut[0]] > 1 and taken[cut[0]] <= MOST_CUTS:
            yield cut


def place(vid: VoiceID, pieces: list[Cut]) -> pictures.VoiceMap:
    """Embed cuts and place them in the plane; those with too little speech are left out."""
    heard = vid.models.hear_all(audio for *_, audio in pieces)
    kept = [
        (speaker, recording, utterance.embedding.vector)
        for (speaker, recording, _), utterance in zip(pieces, heard, strict=True)
        if not isinstance(utterance, AudioError) and utterance.embedding is not None
    ]
    speakers, recordings, vectors = zip(*kept, strict=True)
    return pictures.map_voices(np.stack(vectors), speakers, recordings)


if __name__ == "__main__":
    with VoiceID.open() as voiceid:
        placed = place(voiceid, list(cuts()))
    Path(sys.argv[1]).write_bytes(pictures.png(pictures.voice_map(placed)))
    print(placed.title, "->", sys.argv[1])
