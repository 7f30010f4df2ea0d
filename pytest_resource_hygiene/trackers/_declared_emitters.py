"""Registries of listeners that a project declares, in its settings or by a hook.

They cannot be wrapped, so they are counted and compared. No module is imported from here.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeGuard

from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.tracker import Description, IdentityKey
from pytest_resource_hygiene.trackers._emitters import Listener
from pytest_resource_hygiene.trackers._names import class_name, name_of

if TYPE_CHECKING:
    from pytest_resource_hygiene.trackers._emitters import Limit

__all__ = ["Declared", "emitter_from", "load_emitter"]

Pairs = Iterable[tuple[str, object]]

_ATTRIBUTES = ("listeners", "_listeners", "_events", "receivers", "callbacks")


class _DeclaredListener(Listener):
    """A listener in a registry that the project declared."""

    __slots__ = ("_event", "_identity", "_name", "_registry")

    def __init__(self, registry: str, event: str, identity: Hashable, listener: object) -> None:
        self._registry = registry
        self._event = event
        self._identity = identity
        self._name = name_of(_callable_in(listener))

    def find(self) -> Any:
        identity = self._identity
        if isinstance(identity, tuple) and identity:
            identity = identity[0]
        return identity.ref() if isinstance(identity, IdentityKey) else None

    def describe(self) -> Description:
        event = f" for {self._event!r}" if self._event else ""
        return Description(
            summary=f"listener {self._name}{event} on {self._registry}",
            target=self._name,
            details={"emitter": self._registry, "event": self._event, "listener": self._name},
            hint=f"remove it from {self._registry} when done, in a `finally` or a teardown",
        )


class _Registry:
    """One declared registry, and what was in it when it was declared."""

    def __init__(self, name: str, listeners: Callable[[], Pairs]) -> None:
        self.name = name
        self.listeners = listeners
        self._before = set(self.scan())

    def scan(self) -> dict[Hashable, tuple[str, Hashable, object]]:
        seen: Counter[Hashable] = Counter()
        found: dict[Hashable, tuple[str, Hashable, object]] = {}
        for event, listener in self.listeners():
            identity = _identity(listener)
            # One function registered twice is called twice: each registration counts.
            seen[event, identity] += 1
            key = "declared", self.name, event, identity, seen[event, identity]
            found[key] = event, identity, listener
        return found

    def added(self) -> dict[Hashable, Listener]:
        found = self.scan()
        self._before &= found.keys()
        return {
            key: _DeclaredListener(self.name, *rest)
            for key, rest in found.items()
            if key not in self._before
        }


class Declared:
    """The registries of a project, each under the name by which reports call it."""

    def __init__(self) -> None:
        """Begin with none."""
        self._registries: dict[str, _Registry] = {}

    def declare(self, name: str, listeners: Callable[[], Pairs]) -> Callable[[], None]:
        """Watch a registry from now on; return what undoes that."""
        if name in self._registries:
            raise SettingsError(
                f"listener registry {name!r} is declared twice; names must differ: "
                "undo the first declaration, or give one of them another name"
            )
        registry = self._registries[name] = _Registry(name, listeners)

        def undo() -> None:
            if self._registries.get(name) is registry:
                del self._registries[name]

        return undo

    def count(self) -> int:
        """Return how many listeners there are in all."""
        if not self._registries:
            return 0
        return sum(1 for one in list(self._registries.values()) for _ in one.listeners())

    def list_listeners(self) -> dict[Hashable, Listener]:
        """List what was not there when its registry was declared."""
        found: dict[Hashable, Listener] = {}
        for registry in list(self._registries.values()):
            found.update(registry.added())
        return found

    def iter_limits(self) -> Iterator[Limit]:
        """Count the listeners of each event."""
        for registry in list(self._registries.values()):
            for event, count in Counter(event for event, _ in registry.listeners()).items():
                if count > 1:
                    yield registry.name, event, count, None


def _strong(listener: Any) -> Any:
    return listener() if isinstance(listener, weakref.ref) else listener


def _callable_in(listener: object) -> Any:
    """Return the callable of a ``(priority, callback)`` pair, or what was given."""
    listener = _strong(listener)
    if isinstance(listener, tuple):
        return next(filter(callable, map(_strong, listener)), listener)
    return listener


def _identity(listener: object) -> Hashable:
    """Return what is equal for the same listener only, and keeps none alive.

    Registries may hand out new tuples, bound methods or weak references each time they are asked.
    """
    listener = _strong(listener)
    if isinstance(listener, tuple):
        return tuple(map(_identity, listener))
    if isinstance(listener, MethodType):
        return _identity(listener.__self__), _identity(listener.__func__)
    if listener is None or isinstance(listener, (str, bytes, int, float)):
        return listener
    try:
        return IdentityKey(listener)
    except TypeError:
        return id(listener)


def emitter_from(spec: object) -> Callable[[], Pairs]:
    """Make the function that lists the listeners of a declared registry.

    Args:
        spec: a mapping of events to listeners, a collection of listeners, a function without
            arguments that returns one of these, or an object that keeps one of these in an
            attribute ``listeners``, ``_listeners``, ``_events``, ``receivers`` or ``callbacks``.

    Raises:
        SettingsError: if it is none of these; a function's result is looked at when it is called.
    """
    if _registry_in(spec) is not None or not _is_function(spec):
        _pairs(spec)
    return lambda: _pairs(spec)


def _is_function(spec: object) -> TypeGuard[Callable[[], object]]:
    return callable(spec) and not isinstance(spec, type)


def _registry_in(spec: object) -> Any:
    """Return the mapping or collection that is there, or that an attribute holds."""
    if _is_registry(spec):
        return spec
    for name in _ATTRIBUTES:
        value = getattr(spec, name, None)
        if _is_registry(value):
            return value
    return None


def _is_registry(value: object) -> bool:
    return isinstance(value, Collection) and not isinstance(value, (str, bytes, type))


def _pairs(spec: object) -> list[tuple[str, object]]:
    registry = _registry_in(spec)
    if registry is None and _is_function(spec):
        spec = spec()
        registry = _registry_in(spec)
    if registry is None:
        raise _no_registry(spec)
    if not isinstance(registry, Mapping):
        return [("", listener) for listener in list(registry)]
    return [
        (str(event), listener)
        for event, listeners in list(registry.items())
        for listener in _listeners(listeners)
    ]


def _listeners(value: Any) -> list[object]:
    value = _strong(value)
    if value is None:
        return []
    if _is_registry(value):
        return list(value)
    if callable(value):  # a mapping of names to one callback each
        return [value]
    raise _no_registry(value)


def _no_registry(value: object) -> SettingsError:
    return SettingsError(
        f"cannot list the listeners of {value!r} ({class_name(value)}); valid are a mapping of "
        "events to listeners, a collection of listeners, a function without arguments that "
        "returns one of these, or an object with one of these in an attribute "
        f"{', '.join(_ATTRIBUTES[:-1])} or {_ATTRIBUTES[-1]}: declare one of them, "
        "or a function that makes it"
    )


def load_emitter(spec: str) -> tuple[str, Callable[[], Pairs]]:
    """Read one line of settings, ``name = package.module:attribute`` (the name may be left out).

    The module is not imported for that: a registry that nobody has imported has no listeners.

    Returns:
        The name, and the function that lists the listeners, for `Declared.declare`.

    Raises:
        SettingsError: if the line is of another form; later, when the module is there, if it has
            no such attribute or that is no registry.
    """
    left, equals, right = spec.partition("=")
    path = (right if equals else left).strip()
    name = left.strip() if equals else path
    module, colon, attributes = path.partition(":")
    parts = [*module.split("."), *attributes.split(".")]
    if not (name and colon and all(part.isidentifier() for part in parts)):
        raise SettingsError(
            f"{spec!r} is no emitter. Write 'name = package.module:attribute' or "
            "'package.module:attribute', with dots for attributes of attributes."
        )
    return name, lambda: _loaded(spec, module, attributes)


def _loaded(spec: str, name: str, attributes: str) -> list[tuple[str, object]]:
    module = sys.modules.get(name)
    if module is None or getattr(getattr(module, "__spec__", None), "_initializing", False):
        return []
    found: Any = module
    for attribute in attributes.split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise SettingsError(
                f"the emitter {spec!r} names {attribute!r}, which {found!r} does not have: "
                "correct the line, or remove it"
            ) from None
    return _pairs(found)
