"""Looks at any object of the process without running code of that object.

``isinstance`` asks for ``__class__``, and attribute access for anything: a weak proxy whose object
is gone raises at that, and so does a framework's "current request" outside of a request. A walk over
everything meets both.
"""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from functools import partial
from itertools import islice
from types import FunctionType, MappingProxyType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.compiled import speedups
from pytest_resource_hygiene.system import System

if TYPE_CHECKING:
    import weakref
    from collections.abc import Iterable, Iterator, Mapping
    from types import CodeType

__all__ = [
    "all_of_type",
    "answer_of",
    "attribute_of",
    "attributes_of",
    "code_of",
    "collector_paused",
    "defined_in",
    "file_of",
    "globals_of",
    "instances_of",
    "is_a",
    "is_idle",
    "is_within",
    "items_of",
    "module_name",
    "pass_by",
    "pending",
    "referents",
]

_CHUNK = 20_000
# A metaclass may answer anything, or raise, when its classes are asked for these by name.
_get_bases = type.__dict__["__mro__"].__get__
_get_namespace = type.__dict__["__dict__"].__get__
_get_module = type.__dict__["__module__"].__get__
_get_globals = vars(ModuleType)["__dict__"].__get__


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the collector from walking, again and again, the many objects that are about to be made."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def pass_by(things: Iterable[object]) -> None:
    """Have the collector pass these objects by from now on, where that can be had.

    For thousands of our own that live long: each full collection in somebody's test would walk them.
    Whoever holds them has to drop them, for a cycle through one is never found.
    """
    if speedups is not None:
        for thing in things:
            speedups.untrack(thing)


def pending(records: list[tuple[weakref.ref[Any], Any]], method: str, /) -> list[weakref.ref[Any]]:
    """Drop the records whose object is gone, or says that it is over; return the other references.

    Args:
        records: pairs that begin with a weak reference.
        method: the name of the objects' method that says so, as ``done`` does.
    """
    records[:] = [
        one for one in records if (thing := one[0]()) is not None and not getattr(thing, method)()
    ]
    return [one[0] for one in records]


def is_idle(
    records: list[tuple[weakref.ref[Any], Any]], method: str, thing: Any, names: tuple[str, ...], /
) -> bool:
    """Return whether nothing hangs on a thing: no record is pending, and it has nothing by a name.

    Args:
        records: see `pending`; those that are over are dropped.
        method: as there.
        thing: anything, such as an event loop.
        names: attributes in which it keeps what hangs on it, if it has them at all.
    """
    return not pending(records, method) and not any(getattr(thing, name, None) for name in names)


if not TYPE_CHECKING and speedups is not None:
    pending, is_idle = speedups.pending, speedups.is_idle


def is_a(obj: object, classes: type | tuple[type, ...]) -> bool:
    """Return whether the object's real type is one of the classes, or derived from one."""
    return issubclass(type(obj), classes)


def attribute_of(obj: Any, name: str, default: Any = None) -> Any:
    """Return an attribute that nearly every function has; the default if asking for it fails.

    A framework's "current app" raises `RuntimeError` when it is asked for anything out of place.
    """
    try:
        return getattr(obj, name, default)
    except Exception:  # noqa: BLE001 - the user's ``__getattr__`` may do anything
        return default


def answer_of(obj: Any, method: str, default: Any = None) -> Any:
    """Return what a method without arguments returns; the default if it raises, or is not there."""
    try:
        return getattr(obj, method)()
    except Exception:  # noqa: BLE001 - a class derived from Python's own may do anything
        return default


def attributes_of(obj: object) -> Mapping[str, Any]:
    """Return the object's own dictionary; empty if it has none."""
    try:
        found = object.__getattribute__(obj, "__dict__")
    except Exception:  # noqa: BLE001 - a proxy may define it as a property, which may do anything
        return {}
    if type(found) is dict or type(found) is MappingProxyType:
        return found
    return dict(items_of(found)) if is_a(found, dict) else {}


def items_of(mapping: dict[Any, Any]) -> list[tuple[Any, Any]]:
    """Return the pairs that a dictionary really has, whatever its class makes of ``items``."""
    return list(dict.items(mapping))


def globals_of(module: ModuleType) -> dict[str, Any]:
    """Return the dictionary of a module, though it be one that is loaded when it is first asked.

    `importlib.util.LazyLoader` makes such, and they stand in ``sys.modules``: to ask each for its
    ``__dict__`` or ``__file__`` would import them all, whether or not they can be.
    """
    found: dict[str, Any] = _get_globals(module)
    return found


def file_of(module: object) -> str | None:
    """Return the file that a module says it is from, or what stands in for a module; None if none."""
    names = globals_of(module) if is_a(module, ModuleType) else attributes_of(module)  # type: ignore[arg-type]
    file = names.get("__file__")
    return file if isinstance(file, str) else None


def defined_in(cls: type, name: str) -> Any:
    """Return what a class or the nearest of its bases defines by that name, bound to nothing.

    Returns:
        None if none of them does; what a metaclass would answer does not count.
    """
    for base in _get_bases(cls):
        namespace = _get_namespace(base)
        if name in namespace:
            return namespace[name]
    return None


def module_name(cls: type) -> str:
    """Return the name of the module that a class says it is from; ``""`` if it says anything else."""
    try:
        name = _get_module(cls)
    except AttributeError:  # deleted
        return ""
    return name if isinstance(name, str) else ""


def code_of(function: object) -> CodeType | None:
    """Return the code of a function, of a method, or of what is in a partial; else None."""
    while is_a(function, (partial, MethodType)):
        name = "func" if is_a(function, partial) else "__func__"
        function = getattr(function, name)
    return function.__code__ if is_a(function, FunctionType) else None  # type: ignore[attr-defined]


def is_within(code: CodeType, outer: CodeType | None) -> bool:
    """Return whether code is that of a function which is written within another's body."""
    return (
        outer is not None
        and code.co_filename == outer.co_filename
        and code.co_qualname.startswith(f"{outer.co_qualname}.<locals>.")
    )


def instances_of(*classes: type) -> list[Any]:
    """Return the objects that the collector knows of whose real type is or derives from one of these.

    An abstract class is not asked whether it takes others for its own: that runs Python code.
    """
    if speedups is not None and sys.version_info >= (3, 12):
        live: list[Any] = speedups.live_instances(classes)
        return live
    objects = System.get_objects()
    if speedups is not None:
        found: list[Any] = speedups.instances(objects, classes)
        return found
    wanted, is_wanted = frozenset(classes), dict[type, bool]()
    for cls in set(map(type, objects)):
        is_wanted[cls] = not wanted.isdisjoint(cls.__mro__)
    return [obj for obj in objects if is_wanted[type(obj)]]


def referents(obj: object) -> list[Any]:
    """Return what an object refers to; of a module only its dictionary.

    A module written in C may show the collector its free list, as asyncio's does (CPython 3.12,
    ``module_traverse`` in Modules/_asynciomodule.c). What is in there is dead: taking a reference
    and dropping it frees it a second time, and the next collection never ends.
    """
    if is_a(obj, ModuleType):
        return [globals_of(obj)]  # type: ignore[arg-type]
    return System.get_referents(obj)


def all_of_type(cls: type) -> list[Any]:
    """Return the objects of just that type to which anything refers.

    Also those that the collector does not track itself. Of millions of references none is looked
    at by Python code, but for dictionaries, and the few in a chunk that has one.
    """
    objects = System.get_objects()
    modules = {one for one in set(map(type, objects)) if issubclass(one, ModuleType)}
    ordinary = [obj for obj in objects if type(obj) not in modules]  # see `referents`
    del objects
    if speedups is not None:
        return list({id(one): one for one in speedups.referred(ordinary, cls)}.values())
    rest = iter(ordinary)
    result: dict[int, Any] = {}
    while chunk := list(islice(rest, _CHUNK)):
        found = System.get_referents(*chunk)
        # Up to Python 3.13 it leaves out the attributes of an object that has but such.
        left_out = [one for one in found if type(one) is dict and not System.is_tracked(one)]
        found += System.get_referents(*left_out)
        if cls in set(map(type, found)):
            result.update((id(one), one) for one in found if type(one) is cls)
    return list(result.values())
