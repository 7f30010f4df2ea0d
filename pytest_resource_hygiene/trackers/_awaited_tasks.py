"""Tasks that another one waits for: whoever ends that one ends them as well.

As those of an `asyncio.TaskGroup`, of ``gather``, or, up to Python 3.11, what is in an
``asyncio.wait_for``.
"""

from __future__ import annotations

from types import CodeType, FrameType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import answer_of, attribute_of, is_a, referents

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["without_awaited"]

_ENDING = frozenset({"__aexit__", "wait_for"})  # coroutines that end what they wait for
_MAX_DEPTH = 4  # a task group, its attributes, a set, the task
_MAX_VISITED = 2_000
_ENDS = (type, CodeType, FrameType, FunctionType, ModuleType, str, bytes, int)


def without_awaited(records: list[tuple[Any, Any]], is_runners: Callable[[Any], bool]) -> list[Any]:
    """Return the tasks that no other one of them has made and waits for.

    Args:
        records: pending tasks, the first made first, each with the `Site` at which that was.
        is_runners: whether what was made at a site is the test runner's, who waits for everything.
    """
    makers: dict[CodeType, list[tuple[Any, Any]]] = {}
    for task, site in records:
        code = attribute_of(answer_of(task, "get_coro"), "cr_code")
        if code is not None and attribute_of(task, "_fut_waiter") is not None:
            makers.setdefault(code, []).append((task, site))
    return [
        task
        for task, site in records
        if not any(
            maker is not task and _waits_for(maker, task) and not is_runners(makers_site)
            for code in (site[0][::2] if makers else ())
            for maker, makers_site in makers.get(code, ())
        )
    ]


def _waits_for(task: Any, other: Any) -> bool:
    """Return whether a task has got to where its cancellation is that of another.

    That is so neither of ``asyncio.wait`` nor of a task that it only has in a variable.
    """
    waiter = attribute_of(task, "_fut_waiter")
    children = attribute_of(waiter, "_children")  # of ``gather``
    if waiter is other or (type(children) is list and any(one is other for one in children)):
        return True
    coroutine = answer_of(task, "get_coro")
    while coroutine is not None:
        code = attribute_of(coroutine, "cr_code")
        if attribute_of(code, "co_name") in _ENDING and _leads_to(coroutine, other, task):
            return True
        coroutine = attribute_of(coroutine, "cr_await")
    return False


def _leads_to(coroutine: Any, other: Any, task: Any) -> bool:
    level = [coroutine]
    seen = {id(answer_of(task, "get_loop")), id(task), id(coroutine)}
    for _ in range(_MAX_DEPTH):
        found: list[Any] = []
        for one in (one for thing in level for one in referents(thing)):
            if one is other:
                return True
            if id(one) not in seen and not is_a(one, _ENDS) and len(seen) < _MAX_VISITED:
                seen.add(id(one))
                found.append(one)
        level = found
    return False
