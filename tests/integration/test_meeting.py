"""The minutes of `examples/meeting.py`: who said what, and what is said without a known voice."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from examples import meeting

JSON = """{"segments": [
 {"start": 0.5, "end": 6.3, "text": " Good morning."},
 {"start": 3.0, "end": 6.4, "text": " <b>We</b> begin."},
 {"start": 7.2, "end": 11.0, "text": " Yes, &c."},
 {"start": 90.0, "end": 91.0, "text": " Hm."}
]}"""


def test_the_minutes_say_who_said_what(home: Path, ami, capsys: pytest.CaptureFixture[str]) -> None:
    turns = [ami.samples("alice-3"), ami.samples("stranger")]
    soundfile.write(home / "talk.wav", np.concatenate(turns), 16_000)
    (home / "talk.json").write_text(JSON)
    assert meeting.main(str(home), "talk.wav", "talk.json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "# talk.wav"
    assert [line.split(": ")[0] for line in lines[2:4]] == ["- alice", "- unknown-1"]
    assert "`voiceid enroll NAME talk.wav --voice unknown-1`" in lines[5]
    assert lines[7] == "**alice** (0:00:00): Good morning. &lt;b&gt;We&lt;/b&gt; begin."
    assert lines[9] == "**unknown-1** (0:00:07): Yes, &amp;c."
    assert lines[11] == "**somebody** (0:01:30): Hm."
    assert "1 of 4 segments begin after the recording ends" in lines[13]


def test_files_that_are_none_are_told_apart(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "talk.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello.\n")
    assert meeting.main(str(home), "none.wav", "talk.srt") == 23
    assert meeting.main(str(home), "none.wav", "none.srt") == 63
    assert capsys.readouterr().out == ""


def test_a_time_is_one_of_a_clock() -> None:
    assert meeting.clock(3723.9) == "1:02:03"
    assert meeting.clock(0) == "0:00:00"
    assert meeting.clock(math.nan) == "?"
