"""Events: one for each decision, change and error, through the standard `logging`.

The logger is called ``voiceid``.  A record's message is the event in words; its fields are also
attributes of the record, under the names in `KEYS`.  Without a handler nothing is written.
"""

from __future__ import annotations

import enum
import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime

LOG = logging.getLogger("voiceid")
LOG.addHandler(logging.NullHandler())  # else Python writes warnings to standard error

KEYS: Mapping[str, tuple[str, ...]] = {
    "decision": (
        *("task", "outcome", "reason", "speaker", "speaker_id", "score", "threshold", "llr"),
        *("calibration", "net_speech_s", "gallery_size", "group", "space", "elapsed_ms"),
    ),
    "change": (
        *("kind", "speaker", "speaker_id", "other", "speakers", "samples", "number", "model"),
        *("space", "key", "caller", "elapsed_ms"),
    ),
    "error": ("doing", "error", "exit_code", "elapsed_ms"),
}
"""The fields of each event, in order; what does not apply is None.  See docs/observing.md."""


class ChangeKind(enum.StrEnum):
    """What was changed, or left the gallery."""

    ENROLL = "enroll"
    """A new speaker."""
    APPEND = "append"
    """Samples beside those that there were."""
    REPLACE = "replace"
    """Samples in the place of those that there were, if any."""
    EDIT = "edit"
    """Groups, metadata, expiry, consents, or disabled or not."""
    WITHDRAW = "withdraw"
    """The consent was withdrawn, and the speaker disabled."""
    RENAME = "rename"
    """Another name; ``other`` is the one before."""
    REMOVE = "remove"
    """A speaker was erased."""
    MERGE = "merge"
    """The samples of ``other`` are the speaker's now."""
    SPLIT = "split"
    """Samples of the speaker are those of the new speaker ``other`` now."""
    REMOVE_SAMPLES = "remove_samples"
    """Samples of a speaker were erased."""
    IMPORT = "import"
    """Speakers came from a file."""
    EXPORT = "export"
    """Speakers were written to a file."""
    EXPORT_AUDIT = "export_audit"
    """The audit chain was written to a file."""
    CALIBRATE = "calibrate"
    """A calibration was fitted."""
    USE_CALIBRATION = "use_calibration"
    """A calibration decides now; without a number: none."""
    REMOVE_CALIBRATION = "remove_calibration"
    """A calibration was removed."""
    ADAPT = "adapt"
    """An adaptation was learned, and decides now."""
    USE_ADAPTATION = "use_adaptation"
    """An adaptation decides now; without a number: none."""
    REMOVE_ADAPTATION = "remove_adaptation"
    """An adaptation was removed."""
    UPGRADE = "upgrade"
    """The database was brought to this program's schema by `voiceid database upgrade`."""
    BACKUP = "backup"
    """The database was copied."""
    COPY = "copy"
    """All that is in a database was copied to another."""
    RESTORE = "restore"
    """A backup took the place of the database."""
    REBUILD_INDEX = "rebuild_index"
    """The index files were built again by `voiceid index rebuild`."""
    INSTALL_MODEL = "install_model"
    """A model was installed."""
    FIT_MODEL = "fit_model"
    """A compensation, operating points and LLRs were fitted to a model."""
    REMOVE_MODEL = "remove_model"
    """A model was removed."""
    PREPARE_SWITCH = "prepare_switch"
    """Another model heard the kept audio; it answers nothing yet."""
    SWITCH_MODEL = "switch_model"
    """The model that was prepared answers now."""
    CANCEL_SWITCH = "cancel_switch"
    """What another model had prepared was removed."""
    FINISH_SWITCH = "finish_switch"
    """The samples of the models before were removed."""
    ENROLL_WORDS = "enroll_words"
    """The words of which codes are made for a speaker, in the place of those that there were."""
    FORGET_WORDS = "forget_words"
    """The words of a speaker were erased."""
    CREATE_KEY = "create_key"
    """A key to the service was made."""
    REMOVE_KEY = "remove_key"
    """A key to the service was removed."""
    PROTECT = "protect"
    """The gallery was sealed, or its vectors rotated."""
    UNPROTECT = "unprotect"
    """The gallery was made plain."""
    RENEW_TEMPLATES = "renew_templates"
    """All vectors were turned by another secret rotation."""
    CHANGE_GALLERY_KEY = "change_gallery_key"
    """The key of the gallery was changed."""
    LOCK = "lock"
    """After too many failed attempts nothing is decided for a while."""
    UNLOCK = "unlock"
    """Failed attempts were forgotten."""


def emit(event: str, facts: Mapping[str, object], level: int = logging.INFO) -> None:
    """Log an event, if a handler wants this level."""
    if LOG.isEnabledFor(level):
        values = {**dict.fromkeys(KEYS[event]), **facts}
        LOG.log(level, "%s", _words(event, values), extra={"event": event, **values})


def _words(event: str, values: Mapping[str, object]) -> str:
    """Return an event as logfmt: what does not apply is left out."""
    given = (f"{key}={_word(value)}" for key, value in values.items() if value is not None)
    return " ".join([event, *given])


def _word(value: object) -> str:
    text = str(value)
    plain = text and not any(ch in ' ="\\' for ch in text)
    return text if plain else json.dumps(text, ensure_ascii=False)


class EventFormatter(logging.Formatter):
    """Makes one line of JSON of each event, for any handler of the logger ``voiceid``.

    - `command`: what to write under ``command``: the program, or its part, that asks.
    - `ascii_only`: escape every other character, for a stream that cannot hold it.
    """

    def __init__(self, command: str | None = None, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._command = command
        self._ascii_only = ascii_only

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; of a record that is not an event, its message."""
        event = getattr(record, "event", "message")
        facts = {key: getattr(record, key) for key in KEYS.get(event, ())}
        when = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": event,
            "pid": record.process,
            "uid": os.getuid() if hasattr(os, "getuid") else None,
            "command": self._command,
            **(facts or {"message": record.getMessage()}),
        }
        return json.dumps(line, ensure_ascii=self._ascii_only)
