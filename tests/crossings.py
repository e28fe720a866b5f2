"""Counting how often a call goes from one file of the package to another."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import voiceid

PACKAGE = str(Path(voiceid.__file__).parent)


def crossings(
    call: Callable[[], Any], *, outside: tuple[str, ...] = ()
) -> Counter[tuple[str, str]]:
    """Return (from file, to file) of every call of a function in another file, in this thread.

    The caller is the nearest frame of the package, through whatever library lies between.  Calls
    into or out of what is ``outside`` are left out: folders, files, or ``file:function``.
    """
    counts: Counter[tuple[str, str]] = Counter()

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(PACKAGE):
            return
        caller = frame.f_back
        while caller is not None and not caller.f_code.co_filename.startswith(PACKAGE):
            caller = caller.f_back
        if caller is None:
            return
        pair = _short(caller), _short(frame)
        if pair[0] != pair[1] and not any(
            _name(one).startswith(outside) for one in (caller, frame)
        ):
            counts[pair] += 1

    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
    return counts


def _name(frame: FrameType) -> str:
    return f"{_short(frame)}:{frame.f_code.co_name}"


def _short(frame: FrameType) -> str:
    return str(Path(frame.f_code.co_filename).relative_to(PACKAGE))
