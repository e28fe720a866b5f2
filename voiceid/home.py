"""The home: the folder that relative paths start from.

It is the folder of ``--home`` or ``$VOICEID_HOME``; else the checkout that this program runs from,
if the current folder is in it; else the platform's user data folder.  A ``config.yaml`` in the
current folder is not used for that reason alone: any user may have put it there.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from voiceid.errors import ConfigError
from voiceid.shipped import checkout

ENV_PREFIX = "VOICEID_"
"""``VOICEID_DECISION__MARGIN=0.1`` sets ``decision.margin``."""


def find_home(home: str | os.PathLike[str] | None = None) -> Path:
    """Return the absolute home folder (see the top of this module); it may not exist yet."""
    if given_home := home or os.environ.get(ENV_PREFIX + "HOME"):
        return absolute(given_home)
    if (root := checkout()) is not None and current_folder().is_relative_to(root):
        return root
    return _users_folder()


def _users_folder() -> Path:
    """Return the platform's folder for this user's data."""
    cause: RuntimeError | None = None
    try:
        folder = Path(platformdirs.user_data_dir("voiceid", appauthor=False))
        if folder.is_absolute():
            return folder
    except RuntimeError as error:
        cause = error
    raise ConfigError(
        "no home was found: this user has no home folder",
        hint="Choose a folder: set VOICEID_HOME, or use --home.",
    ) from cause


def absolute(path: str | os.PathLike[str], base: Path | None = None) -> Path:
    """Return an absolute path, relative to a folder or the current one; ``~`` is expanded."""
    try:
        expanded = Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{path}: the home folder for `~` is unknown", hint="Write the full path."
        ) from error
    return expanded if expanded.is_absolute() else (base or current_folder()) / expanded


def current_folder() -> Path:
    """Return the current folder."""
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError(
            f"the current folder cannot be used: {error.strerror}",
            hint="It was removed, or may not be read: change to another folder.",
        ) from error
