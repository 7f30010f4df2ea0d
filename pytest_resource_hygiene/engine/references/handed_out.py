"""What an owner hands out open: a fixture's value that is a file, a socket or a loop.

Whoever hands such a thing out has to close it. That the test runner drops the last reference a
moment later ends most of them, and is nobody's merit: so these are kept until they are judged. What
merely lives inside a value, such as the workers of a pool, goes with it and was never leaked. And an
object with a finalizer of its own is closed by being dropped: to keep it would be to leak it.
"""

from __future__ import annotations

import sys
import weakref
from types import FunctionType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import attributes_of, defined_in, is_a, items_of, module_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from pytest_resource_hygiene.engine.inventory.entries import Entry

__all__ = ["still_open"]

_NUMBERED = frozenset({"fds", "sockets"})


def still_open(
    values: Iterable[Any], suspects: Collection[Entry], anchor_of: Callable[[Entry], Any]
) -> list[Any]:
    """Return the values that are what a suspect stands for, or have it in an attribute of their own.

    Args:
        values: what was handed out; lists, tuples and dicts are looked into, in attributes as well.
        suspects: entries of the ledger.
        anchor_of: returns the object behind an entry, which is dear: asked for databases.
    """
    values = list(_flat(values))
    numbers = {entry.value for entry in suspects if entry.tracker.kind in _NUMBERED}
    objects = {id(entry.value) for entry in suspects if entry.tracker.kind == "loops"}
    if any(module_name(type(value)) == "sqlite3" for value in values):
        objects |= {id(anchor_of(entry)) for entry in suspects if entry.tracker.kind == "fds"}
    objects.discard(id(None))  # what is gone, or has no object

    def is_meant(thing: Any) -> bool:
        return id(thing) in objects or _number(thing) in numbers

    return [
        value
        for value in values
        if is_meant(value)
        or (any(map(is_meant, _flat(attributes_of(value).values()))) and not _ends_by_itself(value))
    ]


def _ends_by_itself(value: Any) -> bool:
    """Return whether somebody has written what is to happen when the object is dropped."""
    finalizer = defined_in(type(value), "__del__")
    if is_a(finalizer, FunctionType):
        # Python's own only complain, as that of a `Popen` does.
        return module_name(type(value)).partition(".")[0] not in sys.stdlib_module_names
    finalizers: dict[Any, Any] = getattr(weakref.finalize, "_registry", {})
    return any(info.weakref() is value for info in list(finalizers.values()))


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if is_a(value, (list, tuple)):
            yield from _members(value)
        elif is_a(value, dict):
            yield from [one for _, one in items_of(value)]
        else:
            yield value


def _members(value: Any) -> list[Any]:
    """Return what a list or tuple really has, whatever its class makes of it."""
    return list((list if is_a(value, list) else tuple).__iter__(value))


def _number(thing: Any) -> int | None:
    # The type is asked, not the object: a mock has every method, and answers anything.
    if any(defined_in(type(thing), name) is None for name in ("fileno", "close")):
        return None
    try:
        return int(thing.fileno())
    except Exception:  # noqa: BLE001 - closed, detached, or a class that may do anything here
        return None
