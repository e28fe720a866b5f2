"""Write permissions of other users for the data, the models and the settings.

A user who may write there decides who is accepted.  A path that every user may write to is exposed;
so is one that a group may write to, unless it is the owner's private group, in which many systems
create all files.  The sticky bit of a folder (as of ``/tmp``) prevents other users from replacing
its files, but not from adding some.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Exposure:
    """A path that other users may write to; `grave`: every user may, not only a group."""

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
        if _mode(folder) & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            message = f"every user may replace what is in {folder}"
            hint = f"If that is not meant: chmod o-w {folder}"
            exposed_paths[folder] = Exposure(folder, grave=False, message=message, hint=hint)
    return list(exposed_paths.values())


def _exposed(path: Path) -> Exposure | None:
    mode = _mode(path)
    if mode & stat.S_IWOTH:
        message = f"every user of this machine may write to {path}, and so decide who is accepted"
        is_ours = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
        hint = f"Run: chmod o-w {path}" if is_ours else "It is not a file: use a file instead."
        return Exposure(path, grave=True, message=message, hint=hint)
    if mode & stat.S_IWGRP and (group := _shared_group(path)) is not None:
        message = f"the group {group} may write to {path}, and so decide who is accepted"
        hint = f"If that is not meant: chmod g-w {path}"
        return Exposure(path, grave=False, message=message, hint=hint)
    return None


def _mode(path: Path) -> int:
    try:
        return os.stat(path).st_mode  # noqa: PTH116 - called for every decision, and faster
    except OSError:
        return 0


def _shared_group(path: Path) -> str | None:
    """Return the group of a path, or None for the private group of its owner."""
    import grp  # noqa: PLC0415 - not on every system
    import pwd  # noqa: PLC0415 - as above

    status = path.stat()
    try:
        group, owner = grp.getgrgid(status.st_gid), pwd.getpwuid(status.st_uid)
    except KeyError:  # a group id without a name, as in containers
        return str(status.st_gid)
    private = group.gr_name == owner.pw_name and set(group.gr_mem) <= {owner.pw_name}
    return None if private else group.gr_name
