"""The secret that signs the sessions of the console: a file in the data folder.

It is not in the database, so a copy of the database does not allow to sign sessions.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from voiceid.errors import ConfigError
from voiceid.whole_files import alone_in, whole_file

_NAME = "console.secret"
_BYTES = 32


def signing_secret(folder: Path) -> bytes:
    """Return the secret of a data folder, which all processes over it share.

    It is created on first use.  Raises ConfigError if it cannot be stored or is damaged.
    """
    path = folder / _NAME
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with alone_in(folder):
                if not path.exists():
                    with whole_file(path) as file:
                        file.write(secrets.token_bytes(_BYTES))
        secret = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path}, which signs sessions of the console, cannot be stored: {error.strerror}",
            hint="Let the service read and write its data folder.",
        ) from error
    if len(secret) != _BYTES:
        raise ConfigError(
            f"{path}, which signs sessions of the console, is damaged",
            hint="Remove it: a new one is created, and all users must sign in again.",
        )
    return secret
