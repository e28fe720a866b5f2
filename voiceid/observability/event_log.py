"""Events: one for each decision, change and error, through the standard `logging`.

The logger is called ``voiceid``.  A record's message is the event as text; its fields are also
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
LOG.addHandler(logging.NullHandler())  # without it Python writes warnings to standard error

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
"""The fields of each event, in order; fields that do not apply are None.  See docs/observing.md."""


class ChangeKind(enum.StrEnum):
    """The kinds of changes and exports."""

    ENROLL = "enroll"
    """A new speaker."""
    APPEND = "append"
    """Samples were added to a speaker."""
    REPLACE = "replace"
    """The samples of a speaker were replaced."""
    EDIT = "edit"
    """Groups, metadata, expiry or consents changed, or the speaker was disabled or enabled."""
    WITHDRAW = "withdraw"
    """The consent was withdrawn, and the speaker disabled."""
    RENAME = "rename"
    """The name changed; ``other`` is the old name."""
    REMOVE = "remove"
    """A speaker was erased."""
    MERGE = "merge"
    """The samples of ``other`` were moved to the speaker."""
    SPLIT = "split"
    """Samples of the speaker were moved to the new speaker ``other``."""
    REMOVE_SAMPLES = "remove_samples"
    """Samples of a speaker were erased."""
    IMPORT = "import"
    """Speakers were imported from a file."""
    EXPORT = "export"
    """Speakers were written to a file."""
    EXPORT_AUDIT = "export_audit"
    """The audit chain was written to a file."""
    CALIBRATE = "calibrate"
    """A calibration was fitted."""
    USE_CALIBRATION = "use_calibration"
    """A calibration is now in use; without a number: none."""
    REMOVE_CALIBRATION = "remove_calibration"
    """A calibration was removed."""
    ADAPT = "adapt"
    """An adaptation was learned, and is now in use."""
    USE_ADAPTATION = "use_adaptation"
    """An adaptation is now in use; without a number: none."""
    REMOVE_ADAPTATION = "remove_adaptation"
    """An adaptation was removed."""
    UPGRADE = "upgrade"
    """`voiceid database upgrade` upgraded the database to this program's schema."""
    BACKUP = "backup"
    """The database was copied."""
    COPY = "copy"
    """The contents of a database were copied to another database."""
    RESTORE = "restore"
    """A backup replaced the database."""
    REBUILD_INDEX = "rebuild_index"
    """`voiceid index rebuild` rebuilt the index files."""
    INSTALL_MODEL = "install_model"
    """A model was installed."""
    FIT_MODEL = "fit_model"
    """A compensation, operating points and LLRs were fitted for a model."""
    REMOVE_MODEL = "remove_model"
    """A model was removed."""
    PREPARE_SWITCH = "prepare_switch"
    """Another model made embeddings of the kept audio; it is not in use yet."""
    SWITCH_MODEL = "switch_model"
    """The prepared model is now in use."""
    CANCEL_SWITCH = "cancel_switch"
    """The prepared samples of another model were removed."""
    FINISH_SWITCH = "finish_switch"
    """The samples of the earlier models were removed."""
    ENROLL_WORDS = "enroll_words"
    """The words for the codes of a speaker were enrolled, and replaced the earlier words."""
    FORGET_WORDS = "forget_words"
    """The words of a speaker were erased."""
    CREATE_KEY = "create_key"
    """A key to the service was made."""
    REMOVE_KEY = "remove_key"
    """A key to the service was removed."""
    PROTECT = "protect"
    """The gallery was sealed, or its vectors were rotated."""
    UNPROTECT = "unprotect"
    """The protection of the gallery was removed."""
    RENEW_TEMPLATES = "renew_templates"
    """All vectors got another secret rotation."""
    CHANGE_GALLERY_KEY = "change_gallery_key"
    """The key of the gallery was changed."""
    LOCK = "lock"
    """After too many failed attempts no decisions are made for some time."""
    UNLOCK = "unlock"
    """Failed attempts were deleted."""


def emit(event: str, facts: Mapping[str, object], level: int = logging.INFO) -> None:
    """Log an event, if a handler wants this level."""
    if LOG.isEnabledFor(level):
        values = {**dict.fromkeys(KEYS[event]), **facts}
        LOG.log(level, "%s", _words(event, values), extra={"event": event, **values})


def _words(event: str, values: Mapping[str, object]) -> str:
    """Return an event as logfmt, without fields that do not apply."""
    fields = (f"{key}={_word(value)}" for key, value in values.items() if value is not None)
    return " ".join([event, *fields])


def _word(value: object) -> str:
    text = str(value)
    plain = text and not any(ch in ' ="\\' for ch in text)
    return text if plain else json.dumps(text, ensure_ascii=False)


class EventFormatter(logging.Formatter):
    """Formats each event as one line of JSON, for any handler of the logger ``voiceid``.

    - `command`: the value of the field ``command``: the program or subcommand that runs.
    - `ascii_only`: escape all other characters, for a stream that cannot encode them.
    """

    def __init__(self, command: str | None = None, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._command = command
        self._ascii_only = ascii_only

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a record that is not an event has its message in it."""
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
