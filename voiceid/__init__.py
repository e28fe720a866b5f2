"""Enrol people by voice and tell who is speaking.

    from voiceid import VoiceID

    with VoiceID.open(home="/srv/door") as vid:
        vid.enroll("alice", ["a1.wav", "a2.wav", "a3.wav"])
        decision = vid.identify("door.mp3")
        if decision.accepted and decision.speaker.name == "alice":
            ...

``import voiceid`` loads nothing: a name is imported from its module at its first use
(PEP 562), so that a program which only needs the name of an exception does not wait for an
inference engine.  The public names and their modules are the imports of ``__init__.pyi``, which
type checkers read too.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

__version__ = "0.1.0"

_MODULES = {}
for _line in Path(__file__).with_suffix(".pyi").read_text("utf-8").splitlines():
    if _line.startswith("from "):  # from voiceid.module import Name as Name
        _, _module, _, _name, *_ = _line.split()
        _MODULES[_name] = _module

__all__ = sorted(_MODULES)  # noqa: PLE0605 - a list of strings


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value  # the next lookup does not call this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
