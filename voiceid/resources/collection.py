"""The base of the collections of a client, and the attributes that create them on use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

if TYPE_CHECKING:
    from voiceid.session import Session

T = TypeVar("T")


class OfSession:
    """The base of classes that work on one open gallery."""

    def __init__(self, session: Session) -> None:
        self._session = session


class Collection(Generic[T]):
    """The collection of the attribute's name: of `voiceid.resources`, in the module of that name.

    It is imported on first use, and created once for each client.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, client: None, owner: type) -> Self: ...
    @overload
    def __get__(self, client: Any, owner: type) -> T: ...
    def __get__(self, client: Any, owner: type) -> T | Self:
        if client is None:
            return self
        module = import_module(f"voiceid.resources.{self._name}")
        session: Session = client._session  # noqa: SLF001 - it is a part of the client's class
        collection: T = getattr(module, self._name.capitalize())(session)
        client.__dict__[self._name] = collection  # the next look-up finds it there
        return collection
