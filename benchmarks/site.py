"""Write the recordings of a site: LibriSpeech test-other through rooms, lines and noise.

    python -m benchmarks.site FOLDER [--corpora FOLDER]

Two manifests of five speakers each, ``one-half.csv`` and ``other-half.csv``: of every utterance
three cuts of 2 to 8 s, each in another condition.  No speaker is in both, so that what was fitted
on one half can be judged on the other, as docs/calibrating.md does.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.corpora import corpora_argument, test_other
from voiceid.evaluation.degradations import CONDITIONS, Clip, cut

HEARD = ("clean", "noise 10 dB", "room 0.3 s", "opus 20 kbit/s", "8 kHz", "GSM 13 kbit/s")
PER_UTTERANCE = 3
SECONDS = (2.0, 8.0)


def write(clip: Clip, path: Path) -> Path:
    """Write a clip as it would be handed over, and return the file."""
    source = clip.source
    if isinstance(source, bytes):
        path = path.with_suffix(".ogg" if source[:4] == b"OggS" else ".wav")
        path.write_bytes(source)
    else:
        path = path.with_suffix(".flac")
        soundfile.write(path, *source)
    return path


def main() -> None:
    """Write both manifests and their recordings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    corpora_argument(parser)
    args = parser.parse_args()
    clips = test_other(args.corpora)
    speakers = sorted({clip.speaker for clip in clips})
    (args.folder / "clips").mkdir(parents=True, exist_ok=True)
    halves: list[list[str]] = [[], []]
    rng = np.random.default_rng(0)
    for clip in clips:
        for number, name in enumerate(rng.choice(HEARD, PER_UTTERANCE, replace=False)):
            piece = cut(clip, float(rng.uniform(*SECONDS)), float(rng.uniform()))
            path = write(
                CONDITIONS[name](piece), args.folder / "clips" / f"{clip.recording}-{number}"
            )
            row = f"{clip.speaker},clips/{path.name},{clip.recording},{name}"
            halves[speakers.index(clip.speaker) % 2].append(row)
    for half, rows in zip(("one-half", "other-half"), halves, strict=True):
        lines = ["speaker,path,session,condition", *rows]
        (args.folder / f"{half}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
