from __future__ import annotations

import pytest

from voiceid.cli.progress import ProgressBar, bar, duration


def test_elsewhere_than_on_a_terminal_a_stage_is_one_plain_line() -> None:
    written: list[str] = []
    progress = ProgressBar(written.append, terminal=False)
    for done in range(0, 81_000_001, 9_000_000):
        progress.show("download campplus", done, 81_000_000)
    progress.show("build campplus", 0, None)
    assert written == ["download campplus (81.0 MB)\n", "build campplus\n"]


def test_on_a_terminal_one_line_renews_itself_and_clears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    written: list[str] = []
    progress = ProgressBar(written.append, terminal=True)
    progress.show("download", 0, 100)
    progress.show("download", 100, 100)
    progress.clear()
    progress.clear()
    assert "\n" not in "".join(written)
    assert "100 %" in written[1]
    assert written[2:] == ["\r" + " " * len(written[1].strip("\r")) + "\r"]


def test_a_line_is_cut_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    written: list[str] = []
    ProgressBar(written.append, terminal=True).show("download " + "x" * 50, 1, 2)
    assert len(written[0].strip("\r")) < 20


def test_the_bar_is_full_when_all_is_done_and_shows_bytes_when_the_total_is_unknown() -> None:
    assert "[########################] 100 %" in bar("x", 81, 81)
    assert "[########################] 100 %" in bar("x", 99, 81)
    assert "  0 %" in bar("x", 0, 81)
    assert bar("x", 5_000_000, None) == "x  5.0 MB"
    assert bar("x", 0, None) == "x"


def test_of_a_recording_time_is_shown_also_where_its_length_is_not_known() -> None:
    written: list[str] = []
    progress = ProgressBar(written.append, terminal=False)
    progress.show("listening to talk.wav", 60, 3723, duration)
    progress.show("listening to talk.wav", 120, 3723, duration)
    progress.show("listening to pipe", 60, None, duration)
    assert written == ["listening to talk.wav (1:02:03)\n", "listening to pipe\n"]
    progress = ProgressBar(written.append, terminal=True)
    progress.show("listening", 1861, 3723, duration)
    assert written[-1].endswith("49 %  0:31:01 of 1:02:03")
    progress = ProgressBar(written.append, terminal=True)
    progress.show("listening", 125, None, duration)
    assert written[-1] == "\rlistening  0:02:05"
