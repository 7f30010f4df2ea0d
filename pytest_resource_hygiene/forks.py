"""Tells objects of forks without keeping anything alive for it.

What `os.register_at_fork` gets stays for the life of the interpreter, and with a function stays all
that the globals of its module lead to. So there are two such functions, whatever asks how often, in
a module whose globals lead nowhere.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["after_in_child", "after_in_parent"]


class _Listeners:
    """Bound methods, for as long as their objects live."""

    def __init__(self) -> None:
        self._methods: set[weakref.WeakMethod[Callable[[], None]]] = set()

    def add(self, method: Callable[[], None]) -> None:
        self._methods.add(weakref.WeakMethod(method, self._methods.discard))

    def call(self) -> None:
        for reference in list(self._methods):
            method = reference()
            if method is not None:
                method()


_in_child = _Listeners()
_in_parent = _Listeners()
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_in_child.call, after_in_parent=_in_parent.call)


def after_in_child(method: Callable[[], None]) -> None:
    """Call a bound method in each child that is forked, while its object lives."""
    _in_child.add(method)


def after_in_parent(method: Callable[[], None]) -> None:
    """Call a bound method in this process after each fork, while its object lives."""
    _in_parent.add(method)
