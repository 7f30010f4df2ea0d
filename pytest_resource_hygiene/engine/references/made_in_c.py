"""Singletons of C extensions: what a library keeps for the process, and C code opened things for.

``zmq.Context.instance()`` opens five eventfds, two epolls and two threads in C. No Python object
has their numbers, so no reference leads from them to who keeps them. What does tell is the object
itself: an instance of a class written in C, with a way to close it, that an installed package has
put into a global or a class attribute *in the very window* in which the descriptors appeared.
"""

from __future__ import annotations

import sys
import weakref
from contextlib import contextmanager
from importlib.machinery import EXTENSION_SUFFIXES
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.model import Holder
from pytest_resource_hygiene.objects import file_of, globals_of, is_a, module_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_resource_hygiene.engine.inventory.entries import Entry
    from pytest_resource_hygiene.engine.inventory.owners import Owner
    from pytest_resource_hygiene.engine.origins.places import Places

__all__ = [
    "MADE_IN_C",
    "OwnerClasses",
    "SingletonsInC",
    "is_unseen",
    "is_written_in_c",
    "kept_in_c",
]

MADE_IN_C = frozenset({"fds", "sockets", "native_threads"})

_OWN = __name__.partition(".")[0]
_SUFFIXES = tuple(EXTENSION_SUFFIXES)
_PLAIN = frozenset({str, int, float, bytes, bool, dict, list, tuple, set, frozenset, type(None)})
_PLAIN |= {FunctionType, BuiltinFunctionType, ModuleType}
# Singletons that no global of Python's refers to, and the function that returns them, or None.
_ACCESSORS = (("gevent._hub_local", "get_hub_if_exists"),)
_WAYS_TO_END = ("close", "term", "terminate", "destroy", "shutdown", "stop", "release", "quit")


class SingletonsInC:
    """Tells which singletons are new since it was last asked.

    Args:
        places: to tell installed packages from the user's own code.
    """

    def __init__(self, places: Places) -> None:
        """Take what exists as given."""
        self._places = places
        self._known: dict[int, weakref.ref[Any]] = {}
        self._of_setups: weakref.WeakKeyDictionary[Owner, list[Holder]] = (
            weakref.WeakKeyDictionary()
        )
        self.take_new()

    def take_new(self) -> list[Holder]:
        """Return who keeps those that have come since the last call."""
        new = []
        for holder, obj in self._iter_singletons():
            known = self._known.get(id(obj))
            if known is not None and known() is obj:
                continue
            self._known[id(obj)] = weakref.ref(obj)
            new.append(holder)
        return new

    def known(self) -> list[Any]:
        """Return the singletons themselves, as far as they were seen."""
        return [obj for ref in self._known.values() if (obj := ref()) is not None]

    def setup_ended(self, fixture: Owner) -> None:
        """Remember what came while a fixture was set up, if C code opened anything meanwhile."""
        if any(is_unseen(entry) for entry in fixture.held):
            self._of_setups[fixture] = self.take_new()

    def new_of(self, owner: Owner) -> list[Holder]:
        """Return who keeps what has come in the window of an owner that is being judged."""
        return [*self._of_setups.pop(owner, ()), *self.take_new()]

    @contextmanager
    def keeping(self, owner: Owner) -> Iterator[None]:
        """Have what is asked of an owner inside be answered the same way once more."""
        new = self.new_of(owner)
        self._of_setups[owner] = new
        try:
            yield
        finally:
            self._of_setups[owner] = new

    def _iter_singletons(self) -> Iterator[tuple[Holder, Any]]:
        packages = self._packages_with_c()
        classes: set[int] = set()
        may_own = OwnerClasses()
        for name, module in list(sys.modules.items()):
            if not is_a(module, ModuleType) or name.partition(".")[0] not in packages:
                continue
            for attribute, value in list(globals_of(module).items()):
                if is_a(value, type):
                    if id(value) not in classes and _package_of(value) in packages:
                        classes.add(id(value))
                        yield from _in_class(name, value, may_own)
                elif may_own[type(value)]:
                    yield Holder(name, (f"module {name}", f"{name}.{attribute}")), value
        yield from kept_in_c()

    def _packages_with_c(self) -> set[str]:
        found = set()
        for name, module in list(sys.modules.items()):
            is_plain = type(module) is ModuleType  # nearly always, and the cheaper question
            file = vars(module).get("__file__") if is_plain else file_of(module)
            if isinstance(file, str) and file.endswith(_SUFFIXES):
                top = name.partition(".")[0]
                skipped = top == _OWN or top in sys.stdlib_module_names or top in found
                if not skipped and self._places.is_library_module(name):
                    found.add(top)
        return found


def kept_in_c() -> Iterator[tuple[Holder, Any]]:
    """Yield the singletons of this thread that libraries keep in variables of C."""
    for module, function in _ACCESSORS:
        found = _call(module, function)
        if found is not None:
            yield Holder(module, (f"module {module}", f"{module}.{function}()")), found


def _call(module: str, function: str) -> Any:
    found = sys.modules.get(module)
    if not is_a(found, ModuleType):
        return None
    try:
        return globals_of(found).get(function, lambda: None)()  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001 - another release may want arguments
        return None


def is_unseen(entry: Entry) -> bool:
    """Return whether C code made something and nobody saw it."""
    return entry.creation is None and entry.change == "added" and entry.tracker.kind in MADE_IN_C


def _package_of(cls: type) -> str:
    return module_name(cls).partition(".")[0]


def _in_class(module: str, cls: type, may_own: OwnerClasses) -> Iterator[tuple[Holder, Any]]:
    for attribute, value in list(vars(cls).items()):
        if may_own[type(value)]:
            path = (
                f"module {module}",
                f"class {cls.__qualname__}",
                f"{cls.__qualname__}.{attribute}",
            )
            yield Holder(module, path), value


class OwnerClasses(dict[type, bool]):
    """Whether C code may have opened things for the objects of a class; asked once for each.

    Args:
        weak: whether objects count only if they can be remembered without being kept.
    """

    def __init__(self, *, weak: bool = True) -> None:
        super().__init__()
        self._weak = weak

    def __missing__(self, cls: type) -> bool:
        try:
            answer = _may_own(cls) and (cls.__weakrefoffset__ != 0 or not self._weak)
        except Exception:  # noqa: BLE001 - a metaclass may do anything when it is asked
            answer = False
        self[cls] = answer
        return answer


def _may_own(cls: type) -> bool:
    if cls in _PLAIN or issubclass(cls, type):
        return False
    if not any(hasattr(cls, name) for name in _WAYS_TO_END):
        return False
    return any(is_written_in_c(base) for base in cls.__mro__[:-1])


def is_written_in_c(cls: type) -> bool:
    """Return whether a class is that of an extension module."""
    file = file_of(sys.modules.get(module_name(cls)))
    return file is not None and file.endswith(_SUFFIXES)
