"""Timers of asyncio that set themselves again each time they ring: a chain is what its first was.

On a loop that several tests share, a callback goes on in the midst of later tests, and the context
in which it does tells nothing: a test runner lets all tests of a loop share one.
"""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import attribute_of, code_of

if TYPE_CHECKING:
    from collections.abc import Hashable
    from types import CodeType

    from pytest_resource_hygiene.recorder import Creation

__all__ = ["TimerChains"]

_LOOP_CALLS = ("_run", "/asyncio/events.py")
_MAX_CHAINS = 1_000  # of one loop, which may serve all tests: each record names one
_LATER = object()  # what the record of a later link tells


class TimerChains:
    """Remembers the first link of each chain, but for those not looked at for long."""

    def __init__(self) -> None:
        """Know of none."""
        self._first: weakref.WeakKeyDictionary[Any, dict[Hashable, Creation]] = (
            weakref.WeakKeyDictionary()
        )

    def creation(self, timer: Any, creation: Creation | None) -> Creation | None:
        """Return how a timer was made, for whoever has begun its chain."""
        callback = attribute_of(timer, "_callback")
        loop, code = attribute_of(timer, "_loop"), code_of(callback)
        if creation is None or loop is None or code is None:
            return creation
        owner = attribute_of(callback, "__self__")
        chains = self._first.setdefault(loop, {})
        key = code, id(callback if owner is None else owner)
        first = chains.pop(key, None)
        if first is None or not _is_set_by_itself(code, creation):
            first = creation
        chains[key] = first  # the latest comes last
        if len(chains) > _MAX_CHAINS:
            del chains[next(iter(chains))]
        if first is creation:
            return creation
        stack = creation.stack or first.stack
        begun_by = first.window
        return first._replace(stack=stack, owner=begun_by, parent=first, what=_LATER)

    @staticmethod
    def goes_on(creation: Creation | None) -> bool:
        """Return whether a chain only goes on whose beginning was judged with somebody who has ended."""
        return (
            creation is not None
            and creation.what is _LATER
            and creation.window is not None
            and creation.window.closed
        )


def _is_set_by_itself(callback: CodeType, creation: Creation) -> bool:
    """Return whether a loop ran the callback when it was scheduled; also if nobody saw it."""
    codes = creation.stack[::2]
    callers = (caller for code, caller in itertools.pairwise(codes) if code is callback)
    name, file = _LOOP_CALLS
    return not codes or any(
        caller.co_name == name and caller.co_filename.endswith(file) for caller in callers
    )
