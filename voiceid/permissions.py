"""Write permissions of other users for the data, the models and the settings.

A user who may write there decides who is accepted.  A path that every user may write to is exposed.
So is one that belongs to another user: root may be the owner, and root may use what others own.  So
is one that a group may write to, unless it is the owner's private group, in which many systems
create all files.  The sticky bit of a folder (as of ``/tmp``) prevents other users from replacing
its files, but not from adding some.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_ROOT = 0


@dataclass(frozen=True, slots=True)
class Exposure:
    """A path that other users may write to; `grave`: every user may, not only some."""

    path: Path
    grave: bool
    message: str
    hint: str


def exposures(paths: Iterable[Path]) -> list[Exposure]:
    """Return the paths that other users may write to, also among the folders above them.

    Where a path is a link, these are also the folders above what it points to.

    A missing path is left out, and so are all paths on a system without POSIX permissions.
    """
    if os.name != "posix":
        return []
    exposed_paths: dict[Path, Exposure] = {}
    above: set[Path] = set()
    for path in paths:
        above.update(path.parents, Path(os.path.realpath(path)).parents)
        if exposed := _exposed(path):
            exposed_paths[path] = exposed
    for folder in above - exposed_paths.keys():
        status = _status(folder)
        if status and status.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            message = f"every user may replace what is in {folder}"
            hint = f"If that is not meant: chmod o-w {folder}"
            exposed_paths[folder] = Exposure(folder, grave=False, message=message, hint=hint)
    return list(exposed_paths.values())


def _exposed(path: Path) -> Exposure | None:
    if (status := _status(path)) is None:
        return None
    mode, owner = status.st_mode, status.st_uid
    if mode & stat.S_IWOTH:
        message = f"every user of this machine may write to {path}, and so decide who is accepted"
        is_ours = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
        hint = f"Run: chmod o-w {path}" if is_ours else "It is not a file: use a file instead."
        return Exposure(path, grave=True, message=message, hint=hint)
    if _ROOT not in {owner, user := os.geteuid()} and owner != user:
        message = f"{path} belongs to the user {_user(owner)}, who so decides who is accepted"
        hint = "If that is not meant: run voiceid as this user, or chown it."
        return Exposure(path, grave=False, message=message, hint=hint)
    if mode & stat.S_IWGRP and (group := _shared_group(status)) is not None:
        message = f"the group {group} may write to {path}, and so decide who is accepted"
        hint = f"If that is not meant: chmod g-w {path}"
        return Exposure(path, grave=False, message=message, hint=hint)
    return None


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - called for every decision, and faster
    except OSError:
        return None


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415 - not on every system

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # as in containers
        return str(uid)


def _shared_group(status: os.stat_result) -> str | None:
    """Return the group of a path, or None for the private group of its owner."""
    import grp  # noqa: PLC0415 - not on every system

    try:
        group = grp.getgrgid(status.st_gid)
    except KeyError:  # a group id without a name
        return str(status.st_gid)
    owner = _user(status.st_uid)
    private = group.gr_name == owner and set(group.gr_mem) <= {owner}
    return None if private else group.gr_name
