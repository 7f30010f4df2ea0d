"""Registries of listeners that a project declares, in its settings or by a hook.

They cannot be wrapped, so they are counted and compared. No module is imported from here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from types import MethodType
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.tracker import Description, IdentityKey
from pytest_resource_hygiene.trackers._emitters import Listener, strong
from pytest_resource_hygiene.trackers._names import name_of

if TYPE_CHECKING:
    from pytest_resource_hygiene.trackers._emitters import Limit

__all__ = ["Declared", "Pairs"]

Pairs = Iterable[tuple[str, object]]
"""Events, each with one listener."""


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
        self._listeners = listeners
        self._before = set(self.scan())

    def listeners(self) -> list[tuple[str, object]]:
        """Return events, each with one listener.

        Raises:
            SettingsError: the project's own function or collection failed; says which.
        """
        try:
            return list(self._listeners())
        except SettingsError:
            raise
        except Exception as error:
            raise SettingsError(
                f"listener registry {self.name!r} cannot be listed: {type(error).__name__}: {error}"
            ) from error

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
    """The registries of a project, each under the name by which reports call it.

    Attributes:
        registries: by these names.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.registries: dict[str, _Registry] = {}

    def declare(self, name: str, listeners: Callable[[], Pairs]) -> Callable[[], None]:
        """Watch a registry from now on; return what undoes that."""
        if name in self.registries:
            raise SettingsError(
                f"listener registry {name!r} is declared twice; names must differ: "
                "undo the first declaration, or give one of them another name"
            )
        registry = self.registries[name] = _Registry(name, listeners)

        def undo() -> None:
            if self.registries.get(name) is registry:
                del self.registries[name]

        return undo

    def count(self) -> int:
        """Return how many listeners there are in all."""
        if not self.registries:
            return 0
        return sum(1 for one in list(self.registries.values()) for _ in one.listeners())

    def list_listeners(self) -> dict[Hashable, Listener]:
        """List what was not there when its registry was declared."""
        found: dict[Hashable, Listener] = {}
        for registry in list(self.registries.values()):
            found.update(registry.added())
        return found

    def iter_limits(self) -> Iterator[Limit]:
        """Count the listeners of each event."""
        for registry in list(self.registries.values()):
            for event, count in Counter(event for event, _ in registry.listeners()).items():
                if count > 1:
                    yield registry.name, event, count, None


def _callable_in(listener: object) -> Any:
    """Return the callable of a ``(priority, callback)`` pair, or what was given."""
    listener = strong(listener)
    if isinstance(listener, tuple):
        return next(filter(callable, map(strong, listener)), listener)
    return listener


def _identity(listener: object) -> Hashable:
    """Return what is equal for the same listener only, and keeps none alive.

    Registries may hand out new tuples, bound methods or weak references each time they are asked.
    """
    listener = strong(listener)
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
