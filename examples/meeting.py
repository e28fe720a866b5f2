"""Minutes of a meeting, with names: a recording and its transcript in, Markdown out.

    python examples/meeting.py HOME RECORDING TRANSCRIPT > minutes.md

The transcript is SRT, WebVTT or JSON of any Whisper.  People who are enrolled in HOME have their
names; the others are numbered, and the minutes say how to enrol them.
"""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Iterator
from itertools import groupby

from voiceid import Diarization, NamedTranscript, Transcript, VoiceID, VoiceIDError

SOMEBODY = "somebody"
"""Says what no voice was heard for."""


def clock(at_s: float) -> str:
    """Return a time of the meeting: 1:02:03; ?: the transcript does not say."""
    if not math.isfinite(at_s):
        return "?"
    return f"{at_s // 3600:.0f}:{at_s // 60 % 60:02.0f}:{at_s // 1 % 60:02.0f}"


def minutes(recording: str, found: Diarization, named: NamedTranscript) -> Iterator[str]:
    """Yield the lines of the minutes; what a person says without a break is one paragraph."""
    yield f"# {html.escape(found.clip)}\n"
    for voice in found.voices:
        yield f"- {html.escape(voice.name)}: {clock(voice.speech_s)}"
    unknown = [voice.name for voice in found.voices if voice.speaker is None]
    if unknown:
        command = f"voiceid enroll NAME {recording} --voice {unknown[0]}"
        yield f"\nNot known yet: {', '.join(unknown)}. To name the first: `{command}`"
    for name, said in groupby(named.lines, lambda line: line.voice or SOMEBODY):
        lines = list(said)
        text = html.escape(" ".join(line.text for line in lines), quote=False)
        yield f"\n**{html.escape(name)}** ({clock(lines[0].start_s)}): {text}"
    for why in named.unused:
        yield f"\n*{html.escape(why)}*"


def main(home: str, recording: str, transcript: str) -> int:
    """Print the minutes; return the exit code."""
    try:
        words = Transcript.read(transcript)  # before the recording, which takes longer
        with VoiceID.open(home=home) as vid:
            found = vid.diarize(recording)
    except VoiceIDError as error:
        print(f"{error} {error.hint}", file=sys.stderr)
        return error.exit_code
    print("\n".join(minutes(recording, found, words.named(found))))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
