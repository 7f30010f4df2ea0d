"""What a wider fixture keeps: its value, the locals of its generator, and what it put elsewhere."""

from __future__ import annotations

import weakref
from contextlib import suppress
from types import (
    BuiltinMethodType,
    CellType,
    CodeType,
    FrameType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.objects import attribute_of, code_of, is_a, referents
from pytest_resource_hygiene.pytest_plugin.user_code import unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_EXITS = frozenset({"__exit__", "__aexit__"})

__all__ = ["Elsewhere", "is_runners", "kept_by"]


def kept_by(fixturedef: Any) -> list[Any]:
    """Return the fixture's value, and what its generator holds, which waits at its ``yield``.

    And what was registered to be called at its end, by whomever.
    """
    result = fixturedef.cached_result
    kept = [result[0]] if result is not None else []
    for finalizer in fixturedef._finalizers:  # noqa: SLF001 - nothing else leads to the generator
        if not is_runners(finalizer):
            kept.append(finalizer)
        arguments = attribute_of(finalizer, "args")  # of a partial, as pytest makes one
        for argument in arguments if isinstance(arguments, tuple) else ():
            if is_a(argument, GeneratorType):
                kept += [*_variables_of(argument), *_managers_of(argument)]
    if result is not None:
        kept += _members_of_local_class(result[0])
    # A class or a module is no value: what tests bind in it is not the fixture's.
    return [one for one in kept if not is_a(one, (type, ModuleType))]


def _variables_of(generator: Any) -> list[Any]:
    """Return what a generator has in its variables.

    Not by its frame's ``f_locals``: up to Python 3.12 that makes a copy, which stays with the frame
    and keeps what the generator drops when it goes on.
    """
    found = []
    managers = _managers_of(generator)
    for one in referents(generator):
        if is_a(one, CellType):
            with suppress(ValueError):  # not filled yet
                found.append(one.cell_contents)
        elif not is_a(one, (CodeType, FrameType, str)) and code_of(one) is not generator.gi_code:
            found.append(one)
    return [one for one in found if not any(one is method for method in managers)]


def _managers_of(generator: Any) -> list[Any]:
    """Return the ``__exit__`` of each `with` block that a generator is in: it has no name there."""
    methods = [one for one in referents(generator) if is_a(one, (MethodType, BuiltinMethodType))]
    return [one for one in methods if attribute_of(one, "__name__") in _EXITS]


def _members_of_local_class(value: Any) -> list[Any]:
    """Return what is in a class that a fixture has defined itself, and nobody else knows."""
    if not is_a(value, type) or "<locals>" not in value.__qualname__:
        return []
    return [*type.__getattribute__(value, "__dict__").values()]


def is_runners(finalizer: Any) -> bool:
    """Return whether a finalizer is pytest's own, and keeps nothing of anybody's."""
    function = attribute_of(finalizer, "func", finalizer)
    return str(attribute_of(function, "__module__", "")).startswith("_pytest.")


class Elsewhere:
    """What a fixture's setup has bound in its class or module: ``cls.client``, a ``global``.

    xunit functions have no other way to keep anything. And in the project's modules that the
    function names: ``db.init()`` makes the pool that ``db.close()`` closes.
    """

    def __init__(self, fixturedef: Any, request: Any) -> None:
        """Remember what is bound before the setup."""
        function = unwrapped(fixturedef.func)
        self._class = request.cls if fixturedef.scope == "class" else None
        self._spaces: list[Mapping[str, Any]] = []
        if fixturedef.scope == "class":
            self._spaces.append(vars(request.cls))
        elif fixturedef.scope == "module":
            self._spaces.append(vars(request.module))
        space = getattr(function, "__globals__", None)
        if space is not None and not any(space is one for one in self._spaces):
            self._spaces.append(space)
        for named in _spaces_named_by(function, str(request.config.rootpath)):
            if not any(named is one for one in self._spaces):
                self._spaces.append(named)
        self._before = [{name: id(value) for name, value in s.items()} for s in self._spaces]
        self._bound: list[dict[str, _Binding]] | None = None

    def setup_ended(self) -> None:
        """Note which names the setup has bound."""
        self._bound = [
            {
                name: _Binding(value)
                for name, value in space.items()
                if before.get(name) != id(value)
            }
            for space, before in zip(self._spaces, self._before, strict=True)
        ]
        self._before = []

    def values(self) -> list[Any]:
        """Return what was bound by the setup and still is, and what unittest ends with the class."""
        return [
            *getattr(self._class, "_class_cleanups", ()),  # those of ``addClassCleanup``
            *self._still_bound(),
        ]

    def _still_bound(self) -> list[Any]:
        return [
            space[name]
            for space, bound in zip(self._spaces, self._bound or (), strict=False)
            for name, binding in bound.items()
            if name in space and binding.holds(space[name])
        ]


class _Binding:
    """What a name stood for when the setup was over."""

    __slots__ = ("_class", "_find", "_identity")

    def __init__(self, value: Any) -> None:
        self._identity, self._class = id(value), type(value)
        try:
            self._find: Callable[[], Any] = weakref.ref(value)
        except TypeError:
            self._find = _is_unknown

    def holds(self, value: Any) -> bool:
        """Return whether it is the same, or has taken its place: one is gone, and another is there.

        A test may close a connection and bind another one: the teardown closes what it finds.
        """
        former = self._find()
        if former is _is_unknown:
            return id(value) == self._identity
        return former is value if former is not None else type(value) is self._class


def _is_unknown() -> object:
    """Say that there is something."""
    return _is_unknown


def _spaces_named_by(function: Any, root: str) -> Iterator[dict[str, Any]]:
    """Return the names of the project's modules that a function names, or whose functions."""
    space = attribute_of(function, "__globals__")
    names = attribute_of(attribute_of(function, "__code__"), "co_names", ())
    for thing in [space.get(name) for name in names] if isinstance(space, dict) else ():
        found = vars(thing) if is_a(thing, ModuleType) else attribute_of(thing, "__globals__")
        file = str(found.get("__file__")) if isinstance(found, dict) else ""
        if file.startswith(root) and "site-packages" not in file:
            yield found
