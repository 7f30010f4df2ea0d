"""Follows references down: what can be reached from values, as those of a fixture.

A walk over the garbage collector's graph, far too dear for the happy path: it is done for suspects
that outlived their grace period, with a budget.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from pathlib import Path
from types import (
    AsyncGeneratorType,
    CoroutineType,
    FrameType,
    FunctionType,
    GeneratorType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.references.held_numbers import HeldNumbers
from pytest_resource_hygiene.engine.references.landmarks import (
    FutureClasses,
    LoopClasses,
    ReactorClasses,
    is_executor,
    is_listed_logger,
    is_runners,
    modules,
)
from pytest_resource_hygiene.objects import (
    attribute_of,
    attributes_of,
    globals_of,
    is_a,
    is_within,
    module_name,
    referents,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from types import CodeType

__all__ = ["reachable"]

_MAX_REACHED = 100_000
# The thread of a pool of processes; until another one ends, it has in a variable the last that did.
_MANAGER, _OF_MANAGER = "_ExecutorManagerThread", "concurrent.futures.process"
_frames = sys._current_frames  # noqa: SLF001 - it has no other name
_OWN_FOLDER = str(Path(__file__).parents[2]) + os.sep
_RUNNING = (
    (CoroutineType, "cr_code"),
    (GeneratorType, "gi_code"),
    (AsyncGeneratorType, "ag_code"),
)
_ENDS_OF_WALK = (type, ModuleType, FrameType, str, bytes, int, float)


def reachable(
    roots: Iterable[Any],
    targets: Collection[int],
    numbers: Collection[int],
    budget: int = _MAX_REACHED,
    loops: Collection[int] | None = None,
    *,
    with_waiters: bool = True,
    stranger: CodeType | None = None,
    all_beyond_budget: bool = False,
) -> set[int]:
    """Return which targets can be reached from the roots, without passing through a module.

    An event loop keeps whatever runs on it, no matter who made that, and everything that runs on it
    refers to the loop. So a walk passes through a loop to its executors at most, and not through
    loggers, which lead to each other and to everybody's handlers.

    Args:
        roots: values, e.g. of fixtures.
        targets: ids of objects behind resources.
        numbers: descriptor numbers, and process ids by `of_process`, of resources without an object;
            an attribute that holds such a number under a name that says so counts as holding it.
        budget: how many objects to visit at most.
        loops: ids of the event loops whose executors count; None to pass through every loop.
        with_waiters: whether to go on from a future to what waits for it.
        stranger: code, such as a test's, whose coroutines are not looked into, nor those of functions
            that are written within it: what these have in their variables is its own.
        all_beyond_budget: return all targets if there is more to visit than the budget allows.
    """
    found: set[int] = set()
    held = HeldNumbers(numbers)
    is_loop, is_reactor, is_future = LoopClasses(), ReactorClasses(), FutureClasses()
    module_dicts = {id(globals_of(module)) for _, module in modules()}
    queue = deque(root for root in roots if root is not None and not _is_machinery(root))
    seen = {id(root) for root in queue}
    for root in queue:
        found |= held.of_value(root)
    while queue and len(seen) < budget:
        obj = queue.popleft()
        if id(obj) in targets:
            found.add(id(obj))
        found |= held.of(obj)
        if loops is not None and (is_loop[type(obj)] or is_reactor[type(obj)]):
            others = _executors_of(obj) if id(obj) in loops else []
        elif stranger is not None and _runs(obj, stranger):
            others = []
        elif not with_waiters and is_future[type(obj)]:
            others = _without_waiters(obj)
        else:
            others = _referents(obj)
        for other in others:
            if id(other) not in seen and id(other) not in module_dicts:
                seen.add(id(other))
                if not is_a(other, _ENDS_OF_WALK) and not _is_machinery(other):
                    queue.append(other)
    return {*targets} if queue and all_beyond_budget else found


def _runs(obj: Any, code: CodeType) -> bool:
    for cls, name in _RUNNING:
        if type(obj) is cls:
            own = getattr(obj, name)
            return own is code or is_within(own, code)
    return False


def _executors_of(loop: Any) -> list[Any]:
    return [one for one in (*referents(loop), *attributes_of(loop).values()) if is_executor(one)]


def _without_waiters(future: Any) -> list[Any]:
    callbacks = attribute_of(future, "_callbacks")
    callbacks = callbacks if type(callbacks) is list else []
    left_out = {id(one) for pair in callbacks if type(pair) is tuple for one in pair}
    return [
        one
        for one in referents(future)
        if id(one) not in left_out and not (type(one) is list and _lists_waiters(one, left_out))
    ]


def _lists_waiters(members: list[Any], waiters: set[int]) -> bool:
    pairs = [one for one in members if type(one) is tuple]
    return bool(pairs) and all(id(one) in waiters for pair in pairs for one in pair)


def _is_machinery(obj: Any) -> bool:
    """Return whether an object reaches everything: ours, the test runner's, or a listed logger."""
    if is_listed_logger(obj):
        return True
    if is_a(obj, FunctionType):
        return bool(obj.__code__.co_filename.startswith(_OWN_FOLDER))
    return is_runners(module_name(type(obj)))


def _referents(obj: Any) -> list[Any]:
    if is_a(obj, FunctionType):  # not its globals: every function reaches its whole module
        return [*(obj.__closure__ or ()), obj.__defaults__, obj.__kwdefaults__]
    if type(obj).__name__ == _MANAGER and module_name(type(obj)) == _OF_MANAGER:
        return [*referents(obj), *_variables_of(obj)]
    return referents(obj)


def _variables_of(thread: Any) -> list[Any]:
    """Return what a thread has in its variables: there is a process that it has waited for."""
    frame: FrameType | None = _frames().get(attribute_of(thread, "ident"))
    found: list[Any] = []
    while frame is not None:
        if frame.f_globals.get("__name__") == _OF_MANAGER:
            found += frame.f_locals.values()
        frame = frame.f_back
    return found
