"""Which Python object owns a descriptor: one walk over everything answers for all of them.

The kernel knows numbers, the collector knows objects, and nothing leads from one to the other but
asking every object. In a large process that takes tens of milliseconds, and a test that leaks
thirty descriptors would pay it thirty times: so a walk remembers what it saw, weakly, until the
records are forgotten, and whatever it remembers is asked again before it is believed.
"""

from __future__ import annotations

import io
import select
import socket
import weakref
from selectors import BaseSelector
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import all_of_type, attributes_of, instances_of, module_name

if TYPE_CHECKING:
    from pytest_resource_hygiene.recorder import Recorder

__all__ = ["NumberedObjects"]

_OWNERS = (io.FileIO, socket.socket, BaseSelector)
_EPOLL = "epoll"


class NumberedObjects:
    """Finds files, sockets and epolls by their number; one instance serves all kinds."""

    def __init__(self, recorder: Recorder) -> None:
        """Know nothing; the recorder tells whether anything was made since the last walk."""
        self._recorder = recorder
        self._pulse: object = None
        self._seen: dict[int, list[weakref.ref[Any]]] | None = None
        self._pollers: set[int] | None = None

    def close(self) -> None:
        """Forget everything."""
        self.forget()

    def forget(self) -> None:
        """Drop what was seen: it is asked for within one judgement, and never again."""
        self._seen = None
        self._pollers = None

    def file(self, fd: int) -> Any:
        """Return the raw file of that number, or None."""
        return self._find(fd, io.FileIO)

    def socket(self, fd: int) -> Any:
        """Return the socket of that number, or None."""
        return self._find(fd, socket.socket)

    def poller(self, fd: int) -> Any:
        """Return the ``select.epoll`` of that number, or None.

        It has no weak references and the collector knows only who refers to it, which is a selector
        most of the time. For the others everything that anything refers to has to be looked at.
        """
        selector = self._find(fd, BaseSelector)
        if selector is not None:
            return _poller_of(selector)
        if self._pollers is not None and fd not in self._pollers:
            return None
        # Only the numbers are kept: what is referred to from here would not go away.
        pollers = {_number(obj): obj for cls in _epolls() for obj in all_of_type(cls)}
        self._pollers = set(pollers)
        return pollers.get(fd)

    def _find(self, fd: int, cls: type) -> Any:
        if self._seen is None or self._pulse != self._recorder.pulse:
            self._pulse = self._recorder.pulse
            self._pollers = None
            self._seen = _look()
        for ref in self._seen.get(fd, ()):
            obj = ref()
            if obj is not None and cls in type(obj).__mro__ and _number(obj) == fd:
                return obj
        return None


def _look() -> dict[int, list[weakref.ref[Any]]]:
    seen: dict[int, list[weakref.ref[Any]]] = {}
    for obj in instances_of(*_OWNERS):
        number = _number(obj)
        if number >= 0:
            seen.setdefault(number, []).append(weakref.ref(obj))  # all owners allow it
    return seen


def _poller_of(selector: Any) -> Any:
    return attributes_of(selector).get("_selector")


def _epolls() -> list[type]:
    """Return the class, and those of copies of `select`, as eventlet imports one for its hubs."""
    if not hasattr(select, _EPOLL):
        return []
    classes = type.__subclasses__(object)
    return [cls for cls in classes if cls.__name__ == _EPOLL and module_name(cls) == "select"]


def _number(obj: Any) -> int:
    """Return the number of an object, or -1 if it has none any more."""
    if BaseSelector in type(obj).__mro__:
        obj = _poller_of(obj)
    if obj is None or (type(obj).__name__ == _EPOLL and getattr(obj, "closed", False)):
        return -1
    try:
        return int(obj.fileno())
    except Exception:  # noqa: BLE001 - closed, or a subclass that may do anything here
        return -1
