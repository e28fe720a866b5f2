"""Records of the logger ``voiceid``: fields for machines, words for people."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from voiceid import ChangeKind, EventFormatter, SpeakerNotFound
from voiceid.observability import KEYS, Observer
from voiceid.observability.event_log import LOG, emit


def test_a_record_has_the_fields_of_its_event_and_says_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "voiceid")
    Observer().changed(ChangeKind.RENAME, speaker="Zoë von Ω", speaker_id=3, other='a "b"')
    [record] = caplog.records
    assert (record.name, record.levelname) == ("voiceid", "INFO")
    assert (record.event, record.kind, record.speaker) == ("change", "rename", "Zoë von Ω")
    assert record.samples is None
    assert record.getMessage() == (
        r'change kind=rename speaker="Zoë von Ω" speaker_id=3 other="a \"b\""'
    )


def test_a_line_of_json_has_every_key_in_order_whatever_applies() -> None:
    made = EventFormatter("enroll")
    for event, keys in KEYS.items():
        record = logging.LogRecord("voiceid", logging.INFO, "", 0, "words", None, None)
        vars(record).update({"event": event, **dict.fromkeys(keys)})
        line = json.loads(made.format(record))
        common = ["time", "level", "event", "pid", "uid", "command"]
        assert list(line) == [*common, *keys]
        assert (line["command"], line["event"], line["pid"]) == ("enroll", event, record.process)
        assert line["time"].endswith("+00:00")


def test_other_records_keep_their_message() -> None:
    record = logging.LogRecord("else", logging.ERROR, "", 0, "%s words", ("two",), None)
    line = json.loads(EventFormatter().format(record))
    assert (line["event"], line["level"], line["message"]) == ("message", "error", "two words")


def test_characters_that_a_stream_cannot_hold_are_escaped() -> None:
    record = logging.LogRecord("voiceid", logging.INFO, "", 0, "Zoë", None, None)
    assert "Zoë" in EventFormatter().format(record)
    assert json.loads(EventFormatter(ascii_only=True).format(record))["message"] == "Zoë"
    assert EventFormatter(ascii_only=True).format(record).isascii()


def test_of_an_error_the_class_is_reported_and_not_the_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    observer = Observer()
    observer.failed("verify", SpeakerNotFound("no speaker called 'my password' is enrolled"), 0.0)
    observer.failed("verify", ValueError("/home/alice/secret.wav"), 0.0)
    assert [(r.error, r.exit_code) for r in caplog.records] == [
        ("SpeakerNotFound", 41),
        ("ValueError", None),
    ]
    assert "password" not in caplog.text
    assert "secret" not in caplog.text
    assert observer.counters.stats(None).errors == {"SpeakerNotFound": 1, "ValueError": 1}


def test_a_program_that_sets_up_no_log_sees_nothing_on_its_streams() -> None:
    program = (
        "from voiceid.observability import Observer, ChangeKind\n"
        "observer = Observer()\n"
        "observer.failed('verify', ValueError('x'), 0.0)\n"
        "observer.changed(ChangeKind.REMOVE, speaker='alice')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_nothing_is_put_together_without_a_listener(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "voiceid")
    assert not LOG.isEnabledFor(logging.INFO)

    class Unreadable:
        def __str__(self) -> str:
            raise AssertionError("it was put into words")

    emit("change", {"speaker": Unreadable()})
    assert caplog.records == []
