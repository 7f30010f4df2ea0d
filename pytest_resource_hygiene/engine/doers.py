"""Whose method a thread, a task or a timer runs: a client that starts a thread works for itself."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import answer_of, attribute_of, defined_in, referents

if TYPE_CHECKING:
    from pytest_resource_hygiene.engine.entries import Entry

__all__ = ["doer_of"]

_CALLED = ("_target", "function", "_callback")  # of a thread, a `threading.Timer`, an asyncio timer


def doer_of(entry: Entry) -> Any:
    """Return the object whose method it runs, or None."""
    if entry.tracker.kind == "tasks":
        return _self_of(answer_of(entry.value, "get_coro"))
    if entry.tracker.kind not in {"threads", "timers"}:
        return None
    for name in _CALLED:
        called = attribute_of(entry.value, name)
        if called is not None:
            return attribute_of(called, "__self__")
    return None


def _self_of(coroutine: Any) -> Any:
    """Return the object of which a coroutine is a method; its variables are not asked for by name.

    Up to Python 3.12 that would make a copy of them, which keeps them alive.
    """
    code, name = attribute_of(coroutine, "cr_code"), attribute_of(coroutine, "__name__", "")
    if code is None:
        return None
    for one in referents(coroutine):
        method = defined_in(type(one), name)
        if type(method) is FunctionType and method.__code__ is code:
            return one
    return None
