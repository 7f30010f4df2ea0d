"""For whom a thread, a task or a timer works: a client that starts a thread needs not keep it."""

from __future__ import annotations

from types import CodeType, FrameType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.engine.references.landmarks import LoopClasses
from pytest_resource_hygiene.objects import (
    answer_of,
    attribute_of,
    defined_in,
    is_a,
    module_name,
    referents,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_resource_hygiene.engine.inventory.entries import Entry

__all__ = ["doers_of"]

# What is called, and with what: of a thread, a `threading.Timer`, a timer of asyncio's.
_JOB = ("_target", "_args", "_kwargs", "function", "args", "kwargs", "_callback")
_MAX_DEPTH = 4  # a partial, a closure, its cell, the object
_MAX_VISITED = 300
# Who waits for an event or a queue of somebody's works for nobody by that.
_WAITED_FOR = frozenset({"threading", "_thread", "queue", "_queue", "builtins"})
# One for all pools of the process: "fork", "spawn".
_SHARED = frozenset({"multiprocessing.context", "multiprocess.context", "billiard.context"})
_ENDS = (type, CodeType, FrameType, ModuleType, str, bytes, int, float)


def doers_of(
    entry: Entry, anchor: Any, makers: Iterable[CodeType], site: Iterable[tuple[str, str]] = ()
) -> list[Any]:
    """Return whose method it runs, whose method has made it, and what of a library it works on.

    Args:
        entry: any.
        anchor: the object behind it; of a raw thread, the one whose method it runs.
        makers: the code of functions of the user's that were at work, within the test.
        site: files and functions of libraries that have.
    """
    kind = entry.tracker.kind
    if kind not in {"tasks", "threads", "timers"}:
        return []
    if kind == "tasks":
        job = [answer_of(entry.value, "get_coro")]
        code = attribute_of(job[0], "cr_code")
    else:
        job = [attribute_of(entry.value, name) for name in _JOB]
        code = None
    own = [anchor, *(attribute_of(one, "__self__") for one in job)]
    own = [one for one in own if module_name(type(one)) not in _WAITED_FOR]
    own += [one for some in job if type(some) is tuple for one in some if _is_of(site, one)]
    codes = {*makers} if code is None else {*makers, code}
    return [one for one in [*own, _with_method(job, codes)] if one is not None]


def _is_of(site: Iterable[tuple[str, str]], obj: Any) -> bool:
    """Return whether an object is of a package that has made something."""
    module = module_name(type(obj))
    if module in _SHARED:
        return False
    package = module.partition(".")[0]
    return any(f"/{package}/" in file.replace("\\", "/") for file, _ in site)


def _with_method(job: list[Any], codes: set[CodeType]) -> Any:
    """Return an object near a job whose class has one of these as the code of a method.

    The variables of a coroutine are not asked for by name: up to Python 3.12 that would make a copy
    of them, which keeps them alive.
    """
    is_loop = LoopClasses()
    level, seen = [one for one in job if one is not None], set(map(id, job))
    for _ in range(_MAX_DEPTH if codes else 0):
        found: list[Any] = []
        for one in (one for thing in level for one in _referents(thing)):
            if id(one) in seen or is_a(one, _ENDS) or len(seen) > _MAX_VISITED:
                continue
            if is_loop[type(one)]:
                continue
            if any(_has_method(type(one), code) for code in codes):
                return one
            seen.add(id(one))
            found.append(one)
        level = found
    return None


def _referents(thing: Any) -> list[Any]:
    if is_a(thing, FunctionType):  # not its globals: every function reaches its whole module
        return [*(thing.__closure__ or ()), thing.__defaults__]
    return referents(thing)


def _has_method(cls: type, code: CodeType) -> bool:
    method = defined_in(cls, code.co_name)
    return attribute_of(method, "__code__") is code if is_a(method, FunctionType) else False
