"""Tells objects of forks without keeping anything alive for it.

What `os.register_at_fork` gets stays for the life of the interpreter, and with a function stays all
that the globals of its module lead to. So there are two such functions, whatever asks how often, in
a module whose globals lead nowhere.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import MethodType

__all__ = ["after_in_child", "after_in_parent"]


class _Listeners:
    """Objects, each with the name of its method, for as long as they live.

    No `weakref.WeakMethod`, which complains on standard error if its object outlives it, as when the
    interpreter ends.
    """

    def __init__(self) -> None:
        self._methods: weakref.WeakKeyDictionary[object, str] = weakref.WeakKeyDictionary()

    def add(self, method: MethodType) -> None:
        self._methods[method.__self__] = method.__name__

    def call(self) -> None:
        for listener, name in list(self._methods.items()):
            getattr(listener, name)()


_in_child = _Listeners()
_in_parent = _Listeners()
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_in_child.call, after_in_parent=_in_parent.call)


def after_in_child(method: Callable[[], None]) -> None:
    """Call a bound method in each child that is forked, while its object lives; one for each object."""
    _in_child.add(cast("MethodType", method))


def after_in_parent(method: Callable[[], None]) -> None:
    """Call a bound method in this process after each fork, while its object lives; one for each."""
    _in_parent.add(cast("MethodType", method))
