"""Executes the few pickle instructions that a checkpoint of tensors needs.

Python's own unpickler can limit the names that are looked up, but nothing else that a hostile
file does: a tuple nested a million times and used as a key overflows the C stack and
kills the process, a memo slot numbered in billions reserves that much memory, and BUILD
writes into objects.  So the standard library only decodes the instructions here
(:func:`pickletools.genops`, which calls nothing), and the ones that PyTorch writes (pickle
protocol 2) are carried out below.  Any other instruction ends the reading.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from typing import Any, BinaryIO

_MAX_STEPS = 1_000_000
"""Limit of instructions; CAM++, with its 937 tensors, has 29,000."""

_LITERALS = frozenset({"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"})
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], object]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Refused(ValueError):
    """A pickle asks for something that a checkpoint of tensors does not need."""


class Note:
    """Replaces an object that is not needed: it has no attributes, and keeps nothing."""

    __slots__ = ()


class PickleReader:
    """Reads one pickle.

    ``find`` takes ``"module name"`` and returns its replacement, or raises :class:`Refused`; a
    pickle can call nothing else.  ``refer`` does the same for a persistent reference.
    """

    def __init__(self, find: Callable[[str], object], refer: Callable[[object], object]) -> None:
        self._find = find
        self._refer = refer
        self._stack: list[Any] = []
        self._marked: list[list[Any]] = []
        self._memo: dict[int, Any] = {}

    def read(self, file: BinaryIO) -> object:
        """Return the object of the pickle at the file's position; leave the file after it.

        Raises Refused for an unknown instruction, name or call; ValueError, IndexError, KeyError
        or TypeError for damage.
        """
        for steps, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if opcode.name == "STOP":
                break
            if steps >= _MAX_STEPS:
                raise Refused("it has more instructions than any checkpoint here")
            self._step(opcode.name, argument)
        [result] = self._stack
        return result

    def _step(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            self._stack.append(tuple(self._pop(_TUPLES[name])))
        elif name in {"BINPUT", "LONG_BINPUT"}:
            self._memo[argument] = self._stack[-1]
        elif name in {"BINGET", "LONG_BINGET"}:
            self._stack.append(self._memo[argument])
        elif name != "PROTO":
            self._act(name, argument)

    def _act(self, name: str, argument: Any) -> None:
        match name:
            case "GLOBAL":
                self._stack.append(self._find(argument))
            case "BINPERSID":
                self._stack.append(self._refer(self._stack.pop()))
            case "MARK":
                self._marked.append(self._stack)
                self._stack = []
            case "TUPLE":
                marked = tuple(self._pop_marked())  # takes the stack back
                self._stack.append(marked)
            case "REDUCE" | "NEWOBJ":
                function, arguments = self._pop(2)
                self._stack.append(_call(function, arguments))
            case "BUILD":
                self._pop(1)  # attributes, such as versions; no tensors
                _require(self._stack[-1], (dict, Note))
            case "SETITEM" | "SETITEMS":
                self._set(self._pop(2) if name == "SETITEM" else self._pop_marked())
            case "APPEND" | "APPENDS":
                items = self._pop(1) if name == "APPEND" else self._pop_marked()
                _require(self._stack[-1], list).extend(items)
            case _:
                raise Refused(f"it uses the instruction {name}, which no checkpoint needs")

    def _set(self, items: list[Any]) -> None:
        target = _require(self._stack[-1], dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in {str, int}:  # nothing nested: hashing it would recurse
                raise Refused("a key that is neither a text nor a number")
            target[key] = value

    def _pop(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise IndexError("it takes more values than there are")
        items = self._stack[-count:]
        del self._stack[-count:]
        return items

    def _pop_marked(self) -> list[Any]:
        items, self._stack = self._stack, self._marked.pop()
        return items


def _call(function: Any, arguments: object) -> object:
    if not callable(function):  # only results of `find` can be called
        raise Refused("it calls something that is not a function")
    return function(*_require(arguments, tuple))


def _require(value: object, kind: type | tuple[type, ...]) -> Any:
    if not isinstance(value, kind):
        expected = kind[0] if isinstance(kind, tuple) else kind
        raise Refused(f"a {type(value).__name__} where a {expected.__name__} belongs")
    return value
