"""Follows references up: from an object to who keeps it.

A walk over the garbage collector's graph, far too dear for the happy path: it is done for suspects
that outlived their grace period, with a budget.
"""

from __future__ import annotations

import logging
import sys
from contextvars import Context
from types import FrameType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import ReferenceType

from pytest_resource_hygiene.engine.references.context_variables import (
    is_node_of_context,
    variable_with,
)
from pytest_resource_hygiene.engine.references.landmarks import (
    ReactorClasses,
    is_executor,
    is_listed_logger,
    is_runners,
    modules,
)
from pytest_resource_hygiene.engine.references.made_in_c import kept_in_c
from pytest_resource_hygiene.model import Holder
from pytest_resource_hygiene.objects import (
    attributes_of,
    globals_of,
    is_a,
    items_of,
    module_name,
    referents,
)
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_DEPTH", "executor_of", "find_holder", "has_seat"]

MAX_DEPTH = 7
_MAX_DEPTH_IN_POOL = 3  # a set of workers, a dictionary of attributes, the pool
_MAX_WIDTH = 200

# Modules that list everything of a kind: being in such a list holds nothing and says nothing.
_REGISTRIES = (
    "threading", "_threading_local", "weakref", "_weakrefset", "atexit", "gc", "warnings",
    "asyncio", "_asyncio", "subprocess", "selectors", "signal", "concurrent.futures", "logging",
    "multiprocessing.process", "multiprocessing.util", "contextvars", "functools", "linecache",
    "builtins", "abc", "_abc", "typing", "contextlib", "tempfile", "uvloop",
    "tornado.ioloop", "tornado.platform.asyncio", "twisted.logger", "twisted.python.log",
)  # fmt: skip
_frames = sys._current_frames  # noqa: SLF001 - it has no other name
_COPY = "__original_module_"  # what eventlet calls its own of the standard library's
_OWN = __name__.partition(".")[0]


class _Node(NamedTuple):
    obj: Any
    label: str
    towards: _Node | None


def find_holder(
    target: Any,
    counts: Callable[[str], bool] | None = None,
    max_depth: int = MAX_DEPTH,
) -> Holder | None:
    """Return the shortest way from a module's global, or from a running function, to an object.

    Args:
        target: the object behind a resource.
        counts: whether a module counts as a holder, by its name. Without it the way is for a reader:
            it also leads through functions that have ended, whose frames an exception keeps.
        max_depth: how many references up to go.

    Returns:
        None if nothing but lists of everything refers to it, within the budget.
    """
    is_for_reader, counts = counts is None, counts or _any_module
    last_resort: Holder | None = None  # a generator's function, which is on no stack
    names = {id(globals_of(module)): name for name, module in modules()}
    in_c = {id(obj): holder for holder, obj in kept_in_c()}
    level = [_Node(target, _label(target), None)]
    seen = {id(target), id(level)}
    is_reactor = ReactorClasses()
    for _ in range(max_depth):
        level = _referrers(level, seen)
        roots = (_root_at(node, target, names, in_c, counts) for node in level)
        found = next((root for root in roots if root is not None), None)
        if found is not None:
            return found
        frames = [one for one in level if is_a(one.obj, FrameType) and not _is_ours(one.obj)]
        running = next((one for one in frames if _is_running_for_somebody(one.obj)), None)
        if running is not None:
            return _running(running)
        if frames and not is_for_reader:
            return None
        stopped = [one for one in frames if not _is_running(one.obj)]
        ended = {id(one.obj) for one in stopped}
        last_resort = last_resort or next(map(_running, stopped), None)
        level = [
            node
            for node in level
            if id(node.obj) not in names
            and (_may_pass(node.obj) or id(node.obj) in ended)
            and (not is_reactor[type(node.obj)] or _is_reactors_own(node))
        ]
        if not level:
            break
    return last_resort


def _any_module(name: str) -> bool:
    return True


def _running(node: _Node) -> Holder:
    return Holder("", _path(node, f"running {node.obj.f_code.co_qualname}()"))


def _is_running_for_somebody(frame: FrameType) -> bool:
    """Return whether a function runs that does not only go through a list of everything."""
    name = frame.f_globals.get("__name__")
    return _is_running(frame) and not (isinstance(name, str) and _is_registry(name))


def _is_running(frame: FrameType) -> bool:
    """Return whether a frame is on the stack of a thread."""
    for top in _frames().values():
        inner: FrameType | None = top
        while inner is not None:
            if inner is frame:
                return True
            inner = inner.f_back
    return False


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
    if name and not is_runners(name) and counts(name):
        # A global of `multiprocessing.util` is kept by that module, unlike what it lists.
        direct = node.towards is not None and node.towards.obj is target
        return Holder(name, _path(node, name)) if direct or not _is_registry(name) else None
    if is_listed_logger(obj) and counts(obj.name):
        return Holder(obj.name, _path(node, f"logger {obj.name!r}"))
    if id(obj) in in_c and counts(in_c[id(obj)].module):
        return None if _leads_through_greenlet(node) else _led_by(in_c[id(obj)], node)
    if is_a(obj, Context):
        value = _value_in_context(node)
        root = variable_with(obj, value.obj, modules(), counts)
        return _led_by(root, value) if root is not None else None
    return None


def _leads_through_greenlet(node: _Node) -> bool:
    """Return whether a hub has something only because it runs somebody's function."""
    inner = node.towards
    while inner is not None:
        if any(cls.__name__ == "greenlet" for cls in type(inner.obj).__mro__):
            return True
        inner = inner.towards
    return False


def _led_by(root: Holder, node: _Node) -> Holder:
    return Holder(root.module, (*root.path, *_path(node, _label(node.obj))))


def _value_in_context(node: _Node) -> _Node:
    inner = node.towards
    while inner is not None and inner.towards is not None and is_node_of_context(inner.obj):
        inner = inner.towards
    return inner or node


def _is_reactors_own(node: _Node) -> bool:
    """Return whether a reactor has the target itself in an attribute, or in an executor.

    In its tables is what runs on it, whosever that is.
    """
    inner, namespace = node.towards, attributes_of(node.obj)
    if inner is not None and inner.obj is namespace:
        inner = inner.towards
    if inner is not None and inner.towards is None:
        return True
    while inner is not None:
        if is_executor(inner.obj):
            return True
        inner = inner.towards
    return False


def executor_of(target: Any) -> Any:
    """Return the pool of threads that has this one as its worker, or None."""
    level = [_Node(target, "", None)]
    seen = {id(target), id(level)}
    for _ in range(_MAX_DEPTH_IN_POOL):
        level = _referrers(level, seen)
        for node in level:
            if is_executor(node.obj):
                return node.obj
        level = [node for node in level if not is_a(node.obj, (ModuleType, FrameType))]
    return None


def has_seat(target: Any) -> bool:
    """Return whether an object is itself a module's global, or an attribute of a module's class.

    Such a seat holds one object: two that have seats are two singletons, and no growth. A list or
    a dict in the same place can grow.
    """
    module_dicts = {id(globals_of(module)) for _, module in modules()}
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
    found: Any = sys.modules.get(module_name(obj))
    for name in obj.__qualname__.split("."):
        if is_a(found, ModuleType):
            found = globals_of(found).get(name)
        else:
            found = vars(found).get(name) if is_a(found, type) else None
    return found is obj


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
    return [_by_its_key(node, seen) for node in found]


def _by_its_key(node: _Node, seen: set[int]) -> _Node:
    """Go on from the key of a `weakref.WeakKeyDictionary`: its value is kept as long as the key is.

    A `threading.local` has such a table as well, by what stands for a thread that lives.
    """
    obj, child = node.obj, node.towards.obj if node.towards is not None else None
    if is_a(obj, dict):
        for key, value in items_of(obj):
            thing = key() if value is child and type(key) is ReferenceType else None
            if thing is not None and type(thing).__module__ != "_thread":
                seen.add(id(thing))
                return _Node(thing, _label(thing), node.towards)
    return node


def _only_lists(referrer: Any, child: Any) -> bool:
    """Return whether a reference notes that something exists, not that it should."""
    if is_a(child, logging.Logger):
        # All loggers refer to their parents; what one handler holds would be held by them all.
        attributes = referrer if is_a(referrer, dict) else attributes_of(referrer)
        return attributes.get("parent") is child and "propagate" in attributes
    # A registry keyed by the thing itself.
    return is_a(referrer, dict) and not any(value is child for _, value in items_of(referrer))


def _may_pass(obj: Any) -> bool:
    if is_a(obj, (ModuleType, FrameType, logging.Manager)):
        return False
    module = module_name(type(obj))
    # Each test module has pytest's loader, which leads to the session and from there to everything.
    return module.partition(".")[0] != _OWN and not module.startswith("_pytest.assertion.")


def _is_registry(module: str) -> bool:
    module = module.removeprefix(_COPY)
    return any(module == name or module.startswith(name + ".") for name in _REGISTRIES)


def _is_ours(frame: FrameType) -> bool:
    name = frame.f_globals.get("__name__")
    return isinstance(name, str) and is_runners(name)


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
        for key, value in items_of(referrer):
            if value is child:
                return str(key) if is_a(key, str) else f"[{type(key).__qualname__}]"
        return "{}"
    if is_a(referrer, type):
        return f"class {referrer.__qualname__}"
    if is_a(referrer, FunctionType):
        return f"function {referrer.__qualname__}"
    if is_a(referrer, FrameType):
        return f"{referrer.f_code.co_qualname}()"
    for name, value in list(attributes_of(referrer).items()):
        if value is child:
            return f"{type(referrer).__qualname__}.{name}"
    return type(referrer).__qualname__
