"""What signs the sessions of the console: a file of the data folder, and nothing of the database.

Who has a copy of the database can therefore sign none.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from pathlib import Path

from voiceid.errors import ConfigError

_NAME = "console.secret"
_BYTES = 32


def signing_secret(folder: Path) -> bytes:
    """Return the secret of a data folder, which all processes over it share.

    It is made when it is first asked for.  Raises ConfigError: it cannot be kept, or is damaged.
    """
    path = folder / _NAME
    try:
        if not path.exists():
            _make(path)
        secret = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path}, which signs sessions of the console, cannot be kept: {error.strerror}",
            hint="Let the service read and write its data folder.",
        ) from error
    if len(secret) != _BYTES:
        raise ConfigError(
            f"{path}, which signs sessions of the console, is damaged",
            hint="Remove it: another is made, and everybody signs in again.",
        )
    return secret


def _make(path: Path) -> None:
    """Put a file of its owner alone (0600) in place, whole, unless another process was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, unfinished = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(unfinished, path)
    finally:
        Path(unfinished).unlink(missing_ok=True)
