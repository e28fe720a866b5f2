"""The intercom of `examples/intercom.py`: a misspelt group is an error, no door that is shut."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples import intercom
from voiceid import SpeakerDetails, VoiceID


def test_it_opens_for_the_voices_of_a_group_that_there_is(
    home: Path, ami, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with VoiceID.open(home=home) as vid:
        vid.speakers.edit("alice", SpeakerDetails(groups=("Lobby",)))
    clip = str(ami.cut("alice-3", tmp_path / "a.wav"))
    assert intercom.main(str(home), "lobby", clip) == 0
    assert "open for alice" in capsys.readouterr().out
    assert intercom.main(str(home), "loby", clip) == 41
    assert "open" not in capsys.readouterr().out
