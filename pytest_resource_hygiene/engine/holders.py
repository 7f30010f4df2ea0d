"""Follows references: from a suspect up to who keeps it, and from a fixture's value down.

Both are walks over the garbage collector's graph, far too dear for the happy path: they run for
suspects that outlived their grace period, with a budget.
"""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from contextlib import suppress
from contextvars import Context
from functools import partial
from types import FrameType, FunctionType, MethodDescriptorType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_resource_hygiene.engine.kept_unseen import (
    is_node_of_context,
    kept_in_c,
    variable_with,
)
from pytest_resource_hygiene.model import Holder
from pytest_resource_hygiene.objects import attributes_of, is_a, referents
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

__all__ = ["Holder", "executor_of", "find_holder", "has_seat", "reachable"]

_MAX_DEPTH = 7
_MAX_DEPTH_IN_POOL = 3  # a set of workers, a dictionary of attributes, the pool
_MAX_WIDTH = 200
_MAX_REACHED = 100_000

# Modules that list everything of a kind: being in such a list holds nothing and says nothing.
_REGISTRIES = (
    "threading", "_threading_local", "weakref", "_weakrefset", "atexit", "gc", "warnings",
    "asyncio", "_asyncio", "subprocess", "selectors", "signal", "concurrent.futures", "logging",
    "multiprocessing.process", "multiprocessing.util", "contextvars", "functools", "linecache",
    "builtins", "abc", "_abc", "typing", "contextlib", "tempfile", "uvloop",
)  # fmt: skip
_ENDS = tuple(
    getattr(os, name) for name in ("close", "kill", "killpg", "waitpid") if hasattr(os, name)
)
_OWN = "pytest_resource_hygiene"
_OWN_FOLDER = __file__.rpartition("/engine/")[0] + "/"
_TEST_RUNNER = ("_pytest", "pluggy", "pytest")


class _Node(NamedTuple):
    obj: Any
    label: str
    towards: _Node | None


class _TellsNumber(dict[type, bool]):
    """Whether a class has a ``fileno`` written in C, as epolls and connections of drivers have.

    One in Python is not called: it may do anything, also to what another thread is using.
    """

    def __missing__(self, cls: type) -> bool:
        found = next((vars(one)["fileno"] for one in cls.__mro__ if "fileno" in vars(one)), None)
        answer = self[cls] = isinstance(found, MethodDescriptorType)
        return answer


def find_holder(target: Any, counts: Callable[[str], bool] = lambda module: True) -> Holder | None:
    """Return the shortest way from a module's global, or from a running function, to an object.

    Args:
        target: the object behind a resource.
        counts: whether a module counts as a holder, by its name.

    Returns:
        None if nothing but lists of everything refers to it, within the budget.
    """
    names = {id(vars(module)): name for name, module in _modules()}
    in_c = {id(obj): holder for holder, obj in kept_in_c()}
    level = [_Node(target, _label(target), None)]
    seen = {id(target), id(level)}
    for _ in range(_MAX_DEPTH):
        level = _referrers(level, seen)
        roots = (_root_at(node, target, names, in_c, counts) for node in level)
        found = next((root for root in roots if root is not None), None)
        if found is not None:
            return found
        for node in level:
            if is_a(node.obj, FrameType) and not _is_ours(node.obj):
                code = node.obj.f_code
                return Holder("", _path(node, f"running {code.co_qualname}()"))
        level = [node for node in level if id(node.obj) not in names and _may_pass(node.obj)]
        if not level:
            return None
    return None


def _root_at(
    node: _Node,
    target: Any,
    names: dict[int, str],
    in_c: dict[int, Holder],
    counts: Callable[[str], bool],
) -> Holder | None:
    """Return who keeps the target if the way up has reached the end, and that end counts."""
    obj = node.obj
    name = names.get(id(obj), "")
    if name and not name.startswith((_OWN, *_TEST_RUNNER)) and counts(name):
        # A global of `multiprocessing.util` is kept by that module, unlike what it lists.
        direct = node.towards is not None and node.towards.obj is target
        return Holder(name, _path(node, name)) if direct or not _is_registry(name) else None
    if _is_listed_logger(obj) and counts(obj.name):
        return Holder(obj.name, _path(node, f"logger {obj.name!r}"))
    if id(obj) in in_c and counts(in_c[id(obj)].module):
        return _led_by(in_c[id(obj)], node)
    if is_a(obj, Context):
        value = _value_in_context(node)
        root = variable_with(obj, value.obj, _modules(), counts)
        return _led_by(root, value) if root is not None else None
    return None


def _led_by(root: Holder, node: _Node) -> Holder:
    return Holder(root.module, (*root.path, *_path(node, _label(node.obj))))


def _value_in_context(node: _Node) -> _Node:
    inner = node.towards
    while inner is not None and inner.towards is not None and is_node_of_context(inner.obj):
        inner = inner.towards
    return inner or node


def executor_of(target: Any) -> Any:
    """Return the pool of threads that has this one as its worker, or None."""
    level = [_Node(target, "", None)]
    seen = {id(target), id(level)}
    for _ in range(_MAX_DEPTH_IN_POOL):
        level = _referrers(level, seen)
        for node in level:
            if _is_executor(node.obj):
                return node.obj
        level = [node for node in level if not is_a(node.obj, (ModuleType, FrameType))]
    return None


def has_seat(target: Any) -> bool:
    """Return whether an object is itself a module's global, or an attribute of a module's class.

    Such a seat holds one object: two that have seats are two singletons, and no growth. A list or
    a dict in the same place can grow.
    """
    module_dicts = {id(vars(module)) for _, module in _modules()}
    for namespace in System.get_referrers(target):
        if not is_a(namespace, dict) or _only_lists(namespace, target):
            continue
        if id(namespace) in module_dicts:
            return True
        if any(_is_modules_class(one) for one in System.get_referrers(namespace)):
            return True
    return False


def _is_modules_class(obj: Any) -> bool:
    if not is_a(obj, type):
        return False
    found: Any = sys.modules.get(obj.__module__)
    for name in obj.__qualname__.split("."):
        found = vars(found).get(name) if is_a(found, (ModuleType, type)) else None
    return found is obj


def _modules() -> list[tuple[str, Any]]:
    """Return what is imported; anybody may put anything, None included, into ``sys.modules``."""
    modules: list[tuple[str, Any]] = list(sys.modules.items())
    return [(name, module) for name, module in modules if is_a(module, ModuleType)]


def _referrers(level: list[_Node], seen: set[int]) -> list[_Node]:
    wanted = {id(node.obj): node for node in level[:_MAX_WIDTH]}
    objects = [node.obj for node in wanted.values()]
    found: list[_Node] = []
    internals = {id(level), id(objects), id(wanted), id(found)}
    for referrer in System.get_referrers(*objects):
        if id(referrer) in seen or id(referrer) in internals or is_a(referrer, _Node):
            continue
        seen.add(id(referrer))
        # A greenlet that may run is asked for its references in vain (`tp_is_gc`).
        for child in referents(referrer) or [attributes_of(referrer)]:
            node = wanted.get(id(child))
            if node is not None and not _only_lists(referrer, child):
                found.append(_Node(referrer, _step(referrer, child), node))
                break
    return found


def _only_lists(referrer: Any, child: Any) -> bool:
    """Return whether a reference notes that something exists, not that it should."""
    if is_a(child, logging.Logger):
        # All loggers refer to their parents; what one handler holds would be held by them all.
        attributes = referrer if is_a(referrer, dict) else attributes_of(referrer)
        return attributes.get("parent") is child and "propagate" in attributes
    # A registry keyed by the thing itself.
    return is_a(referrer, dict) and not any(v is child for v in list(referrer.values()))


def _is_listed_logger(obj: Any) -> bool:
    """Return whether everybody can get the logger by its name, so that nobody in particular has it."""
    if not is_a(obj, logging.Logger):
        return False
    return obj is logging.root or logging.root.manager.loggerDict.get(obj.name) is obj


def _may_pass(obj: Any) -> bool:
    if is_a(obj, (ModuleType, FrameType, logging.Manager)):
        return False
    return not type(obj).__module__.startswith(_OWN)


def _is_registry(module: str) -> bool:
    return any(module == name or module.startswith(name + ".") for name in _REGISTRIES)


def _is_ours(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__", "")
    return str(name).startswith((_OWN, *_TEST_RUNNER))


def _path(node: _Node, root: str) -> tuple[str, ...]:
    """Put the way in words: ``module app``, ``app._pool``, ``ConnectionPool``, ``socket``."""
    if is_a(node.obj, dict):
        key = node.label
        steps = [f"module {root}", f"{root}.{key}"]
    else:
        steps = [root]
    inner = node.towards
    while inner is not None:
        if inner.towards is None or not is_a(inner.obj, (dict, tuple)):
            steps.append(_label(inner.obj) if inner.towards is None else inner.label)
        inner = inner.towards
    return tuple(dict.fromkeys(steps))


def _label(obj: Any) -> str:
    return type(obj).__qualname__


def _step(referrer: Any, child: Any) -> str:
    """Name how the referrer refers to the child."""
    if is_a(referrer, dict):
        for key, value in list(referrer.items()):
            if value is child:
                return str(key) if is_a(key, str) else f"[{type(key).__qualname__}]"
        return "{}"
    if is_a(referrer, type):
        return f"class {referrer.__qualname__}"
    if is_a(referrer, FunctionType):
        return f"function {referrer.__qualname__}"
    for name, value in list(attributes_of(referrer).items()):
        if value is child:
            return f"{type(referrer).__qualname__}.{name}"
    return type(referrer).__qualname__


def reachable(
    roots: Iterable[Any],
    targets: Collection[int],
    numbers: Collection[int],
    budget: int = _MAX_REACHED,
    loops: Collection[int] | None = None,
) -> set[int]:
    """Return which targets can be reached from the roots, without passing through a module.

    An event loop keeps whatever runs on it, no matter who made that, and everything that runs on it
    refers to the loop. So a walk passes through a loop to its executors at most, and not through
    loggers, which lead to each other and to everybody's handlers.

    Args:
        roots: values, e.g. of fixtures.
        budget: how many objects to visit at most.
        targets: ids of objects behind resources.
        numbers: descriptor numbers and process ids of resources without an object; an attribute
            that holds such a number under a name that says so counts as holding it.
        loops: ids of the event loops whose executors count; None to pass through every loop.
    """
    found: set[int] = set()
    in_c = _TellsNumber()
    module_dicts = {id(vars(module)) for _, module in _modules()}
    queue = deque(root for root in roots if root is not None and not _is_machinery(root))
    seen = {id(root) for root in queue}
    while queue and len(seen) < budget:
        obj = queue.popleft()
        if id(obj) in targets:
            found.add(id(obj))
        found |= _numbers_in(obj, numbers, in_c)
        others = _referents(obj)
        if loops is not None and _is_loop(obj):
            others = [one for one in _members(obj) if id(obj) in loops and _is_executor(one)]
        for other in others:
            if id(other) not in seen and id(other) not in module_dicts:
                seen.add(id(other))
                if _is_machinery(other):
                    continue
                if not is_a(other, (type, ModuleType, FrameType, str, bytes, int, float)):
                    queue.append(other)
    return found


def _is_loop(obj: Any) -> bool:
    return hasattr(type(obj), "run_until_complete") and hasattr(type(obj), "call_soon_threadsafe")


def _is_executor(obj: Any) -> bool:
    """Return whether an object has the methods of an executor, or of gevent's pool of threads."""
    cls = type(obj)
    return any(
        hasattr(cls, use) and hasattr(cls, end)
        for use, end in (("submit", "shutdown"), ("apply_async", "kill"))
    )


def _members(obj: Any) -> list[Any]:
    return [*referents(obj), *attributes_of(obj).values()]


def _is_machinery(obj: Any) -> bool:
    """Return whether an object reaches everything: ours, the test runner's, or a listed logger."""
    if _is_listed_logger(obj):
        return True
    if is_a(obj, FunctionType):
        return bool(obj.__code__.co_filename.startswith(_OWN_FOLDER))
    module = getattr(type(obj), "__module__", None)
    return isinstance(module, str) and module.startswith((_OWN, *_TEST_RUNNER))


def _referents(obj: Any) -> list[Any]:
    if is_a(obj, FunctionType):  # not its globals: every function reaches its whole module
        return [*(obj.__closure__ or ()), obj.__defaults__, obj.__kwdefaults__]
    return referents(obj)


def _numbers_in(obj: Any, numbers: Collection[int], in_c: _TellsNumber) -> set[int]:
    if not numbers:
        return set()
    found = {one for one in _ended_by(obj) if one in numbers}
    if in_c[type(obj)]:
        with suppress(Exception):  # closed; and that is all that it can tell
            found |= {obj.fileno()} & set(numbers)
    for name, value in list(attributes_of(obj).items()):
        if _says_number(name):
            found.update(one for one in _ints(value) if one in numbers)
    return found


def _ended_by(obj: Any) -> list[int]:
    """Return the numbers with which a callback calls what ends them: ``partial(os.close, 5)``.

    ``ExitStack.callback(os.close, 5)`` keeps function and arguments in a closure.
    """
    if is_a(obj, partial):
        return _ints(obj.args) if obj.func in _ENDS else []
    if is_a(obj, tuple):  # as unittest keeps it: function, arguments, named arguments
        return [n for one in obj for n in _ints(one)] if _has_end(obj) else []
    if not is_a(obj, FunctionType) or not obj.__closure__:
        return []
    values = []
    for cell in obj.__closure__:
        with suppress(ValueError):  # not filled yet
            values.append(cell.cell_contents)
    if {"os", "close"} <= set(obj.__code__.co_names) or _has_end(values):
        return [number for value in values for number in _ints(value)]
    return []


def _has_end(values: Iterable[Any]) -> bool:
    return any(one is end for one in values for end in _ENDS)


def _ints(value: Any) -> list[int]:
    if type(value) is int:
        return [value]
    if is_a(value, dict):
        value = [*value, *value.values()]
    if is_a(value, (list, tuple, set, frozenset)):
        return [one for one in value if type(one) is int]
    return []


def _says_number(name: Any) -> bool:
    plain = str(name).strip("_").lower().removesuffix("s")
    return plain.endswith(("fd", "fileno", "handle", "pid", "sock", "pipe"))
