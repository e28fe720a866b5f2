"""Who else may write to what decides: the data, the models, the settings.

A user who may write there decides who is accepted.  What every user may write to is exposed; so is
what a group may write to, unless it is its owner's private one, in which many systems make all
files.  The sticky bit of a folder (as of ``/tmp``) keeps others from replacing what is in it, and
not from adding to it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Exposure:
    """A path that others may write to; `grave`: every user may, and not a group alone."""

    path: Path
    grave: bool
    message: str
    hint: str


def exposures(paths: Iterable[Path]) -> list[Exposure]:
    """Return those of some paths that others may write to, and of the folders above.

    A path that is not there is left out, and so is all where permissions are not POSIX's.
    """
    if os.name != "posix":
        return []
    found: dict[Path, Exposure] = {}
    above: set[Path] = set()
    for path in paths:
        above.update(path.parents)
        if exposed := _exposed(path):
            found[path] = exposed
    for folder in above - found.keys():
        if _mode(folder) & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
            message = f"every user may put another folder in the place of one in {folder}"
            hint = f"If that is not meant: chmod o-w {folder}"
            found[folder] = Exposure(folder, grave=False, message=message, hint=hint)
    return list(found.values())


def _exposed(path: Path) -> Exposure | None:
    mode = _mode(path)
    if mode & stat.S_IWOTH:
        message = f"every user of this machine may write to {path}, and so decide who is accepted"
        is_ours = stat.S_ISREG(mode) or stat.S_ISDIR(mode)
        hint = f"Run: chmod o-w {path}" if is_ours else "It is no file: name one in its place."
        return Exposure(path, grave=True, message=message, hint=hint)
    if mode & stat.S_IWGRP and (group := _shared_group(path)) is not None:
        message = f"the group {group} may write to {path}, and so decide who is accepted"
        hint = f"If that is not meant: chmod g-w {path}"
        return Exposure(path, grave=False, message=message, hint=hint)
    return None


def _mode(path: Path) -> int:
    try:
        return os.stat(path).st_mode  # noqa: PTH116 - asked with every decision, and quicker
    except OSError:
        return 0


def _shared_group(path: Path) -> str | None:
    """Return the group of a path, or None for the private group of its owner."""
    import grp  # noqa: PLC0415 - not on every system
    import pwd  # noqa: PLC0415 - as above

    found = path.stat()
    try:
        group, owner = grp.getgrgid(found.st_gid), pwd.getpwuid(found.st_uid)
    except KeyError:  # a number without a name, as in containers
        return str(found.st_gid)
    private = group.gr_name == owner.pw_name and set(group.gr_mem) <= {owner.pw_name}
    return None if private else group.gr_name
