"""Timers that are part of a task: they wake it, or limit how long it may take."""

from __future__ import annotations

from typing import Any

from pytest_resource_hygiene.objects import answer_of, attribute_of, defined_in

__all__ = ["is_sleep"]

# The attribute in which what sets a limit has the task: asyncio's timeouts, anyio's cancel scopes.
_LIMITED = ("_task", "_host_task")


def is_sleep(timer: Any) -> bool:
    """Return whether a timer is for a task that waits: then the task is the finding."""
    callback = getattr(timer, "_callback", None)  # anybody's, which may refuse to be asked
    limit = attribute_of(callback, "__self__")
    if any(answer_of(attribute_of(limit, name), "done") is False for name in _LIMITED):
        return True
    for arg in getattr(timer, "_args", None) or ():
        # By its class, as asyncio itself looks for futures: a mock has every attribute.
        is_future = defined_in(type(arg), "_asyncio_future_blocking") is not None
        if is_future and attribute_of(arg, "_callbacks"):
            return True
    return False
