"""A clock that tests set."""

from __future__ import annotations

from datetime import datetime

import pytest


def set_clock(monkeypatch: pytest.MonkeyPatch, moment: datetime, *modules: str) -> None:
    """Stop the clock of some modules at a moment."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return moment

    for module in modules:
        monkeypatch.setattr(f"{module}.datetime", Clock)
