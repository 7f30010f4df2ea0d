"""Emitters that are no part of the standard library: blinker, pyee, and what a project declares.

Registrations with blinker and pyee pass through one method each, which is wrapped. A listener gets
a serial number there: identity without a reference to it, and without trusting ``id()``, which the
next object may get. What was registered before the wrap has no number and is nobody's growth; it
counts towards the limit all the same. The libraries are never imported from here.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeGuard

from pytest_resource_hygiene.errors import SettingsError
from pytest_resource_hygiene.tracker import Description, IdentityKey

if TYPE_CHECKING:
    from pytest_resource_hygiene.recorder import Creation, Recorder

__all__ = [
    "BlinkerSignals",
    "Declared",
    "Limit",
    "Listener",
    "PyeeEmitters",
    "emitter_from",
    "load_emitter",
    "name_of",
]

Limit = tuple[str, str, int, "Creation | None"]
Pairs = Iterable[tuple[str, object]]

_ATTRIBUTES = ("listeners", "_listeners", "_events", "receivers", "callbacks")


class Listener:
    """What stands at the key of a listener: it can be put in words, and keeps nothing alive.

    Two of them always compare equal: listeners are added or gone, never *replaced* at their key.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Listener)

    def __hash__(self) -> int:
        return 0

    @property
    def creation(self) -> Creation | None:
        """How it was registered, if that was seen."""
        return None

    def find(self) -> Any:
        """Return the listener itself while it is registered, else None."""
        return None

    def describe(self) -> Description:
        """Put it in words."""
        raise NotImplementedError


def name_of(listener: Any) -> str:
    """Name a callable by module and qualified name, any other object by its class."""
    if listener is None:
        return "that is gone by now"
    if isinstance(listener, str):  # a registry of names
        return repr(listener)
    while isinstance(listener, functools.partial):
        listener = listener.func
    name = getattr(listener, "__qualname__", None)
    module = getattr(listener, "__module__", None)
    if isinstance(name, str):
        return f"{module}.{name}" if isinstance(module, str) else name
    return f"{class_name(listener)} object"


def class_name(obj: object) -> str:
    """Name the class of an object by module and qualified name."""
    return f"{type(obj).__module__}.{type(obj).__qualname__}"


class _Registered(Listener):
    """A listener that was seen when it was registered with an emitter of a library."""

    __slots__ = ("_creation", "_emitter", "_source", "serial", "slot")

    def __init__(
        self,
        source: _Source,
        emitter: weakref.ref[Any],
        slot: Hashable,
        serial: int,
        creation: Creation,
    ) -> None:
        self._source = source
        self._emitter = emitter
        self._creation = creation
        self.slot = slot
        self.serial = serial

    @property
    def creation(self) -> Creation:
        return self._creation

    def find(self) -> Any:
        emitter = self._emitter()
        return None if emitter is None else self._source.live(emitter).get(self.slot, (None, ""))[0]

    def describe(self) -> Description:
        emitter = self._emitter()
        live = {} if emitter is None else self._source.live(emitter)
        listener, event = live.get(self.slot, (None, ""))
        return self._source.describe(emitter, event, name_of(listener))


class _Emitter:
    """An emitter on which somebody registered since we watch, and these registrations."""

    __slots__ = ("made", "ref")

    def __init__(self, ref: weakref.ref[Any]) -> None:
        self.ref = ref
        self.made: dict[Hashable, _Registered] = {}


class _Source:
    """Emitters of one library.

    A *slot* says where on its emitter a listener sits. It must be hashable and hold no reference.
    """

    def __init__(self) -> None:
        """Know no emitter."""
        self.events = 0
        self._emitters: dict[int, _Emitter] = {}

    def live(self, emitter: Any) -> dict[Hashable, tuple[Any, str]]:
        """Return what is registered now: slot to listener and event."""
        raise NotImplementedError

    def counts(self, emitter: Any) -> Mapping[str, int]:
        """Return how many listeners each event has."""
        return Counter(event for _, event in self.live(emitter).values())

    def label(self, emitter: Any) -> str:
        """Name an emitter for the sentence about its limit."""
        return class_name(emitter)

    def describe(self, emitter: Any, event: str, name: str) -> Description:
        """Put one of its listeners in words."""
        raise NotImplementedError

    def note(self, emitter: Any, slot: Hashable, creation: Creation) -> None:
        """Remember one registration."""
        entry = self._emitters.get(id(emitter))
        if entry is None or entry.ref() is not emitter:
            try:
                entry = self._watch(emitter)
            except TypeError:  # a subclass with __slots__ has no weak references: stay blind to it
                return
        self.events += 1
        entry.made[slot] = _Registered(self, entry.ref, slot, self.events, creation)

    def _watch(self, emitter: Any) -> _Emitter:
        emitters, number = self._emitters, id(emitter)

        def gone(ref: weakref.ref[Any]) -> None:
            entry = emitters.get(number)
            if entry is not None and entry.ref is ref:
                del emitters[number]

        entry = emitters[number] = _Emitter(weakref.ref(emitter, gone))
        return entry

    def list_listeners(self) -> dict[Hashable, Listener]:
        """List what was registered since we watch and still is; forget the rest."""
        found: dict[Hashable, Listener] = {}
        for number, entry in list(self._emitters.items()):
            emitter = entry.ref()
            live = self.live(emitter) if emitter is not None else {}
            for slot, listener in list(entry.made.items()):
                if slot in live:
                    found[type(self).__name__, listener.serial] = listener
                else:
                    entry.made.pop(slot, None)
            if not entry.made:
                self._emitters.pop(number, None)
        return found

    def iter_limits(self) -> Iterator[Limit]:
        """Count the listeners of each emitter on which somebody registered since we watch."""
        for entry in list(self._emitters.values()):
            emitter = entry.ref()
            if emitter is None:
                continue
            newest = self._newest(entry, emitter)
            for event, count in self.counts(emitter).items():
                if count > 1 and event in newest:
                    yield self.label(emitter), event, count, newest[event].creation

    def _newest(self, entry: _Emitter, emitter: Any) -> dict[str, _Registered]:
        live = self.live(emitter)
        newest: dict[str, _Registered] = {}
        for slot, listener in list(entry.made.items()):
            if slot in live:
                event = live[slot][1]
                if event not in newest or newest[event].serial < listener.serial:
                    newest[event] = listener
        return newest


class BlinkerSignals(_Source):
    """Receivers of blinker signals, one for each sender that they are connected to.

    ``Signal.receivers`` alone would accuse the innocent: ``disconnect(receiver, sender)`` leaves
    the receiver in there, though nothing calls it any more.
    """

    blind = ""

    def start(self, recorder: Recorder) -> None:
        """Wrap ``Signal.connect``, through which every connection passes."""
        recorder.when_imported("blinker", lambda: self._wrap(recorder))

    def _wrap(self, recorder: Recorder) -> None:
        base: Any = sys.modules.get("blinker.base")
        id_of, any_id = getattr(base, "make_id", None), getattr(base, "ANY_ID", None)
        if id_of is None or any_id is None:
            self.blind = "this release of blinker is unknown: its receivers are not seen"
            return

        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def connect(self_: Any, receiver: Any, sender: Any = base.ANY, weak: Any = True) -> Any:
                slot = id_of(receiver), any_id if sender is base.ANY else id_of(sender)
                known = slot[1] in _senders(self_).get(slot[0], ())
                result = original(self_, receiver, sender, weak)
                if not known:
                    self.note(self_, slot, recorder.creation(None))
                return result

            return connect

        recorder.wrap(base.Signal, "connect", make)

    def live(self, emitter: Any) -> dict[Hashable, tuple[Any, str]]:
        """Return receivers by their own and their sender's id."""
        event = self._event(emitter)
        found: dict[Hashable, tuple[Any, str]] = {}
        for number, senders in list(_senders(emitter).items()):
            receiver = _strong(emitter.receivers.get(number))
            if receiver is not None:
                found.update({(number, sender): (receiver, event) for sender in list(senders)})
        return found

    def counts(self, emitter: Any) -> Mapping[str, int]:
        """Count receivers, whatever number of senders they listen to."""
        return {self._event(emitter): len({key[0] for key in self.live(emitter)})}  # type: ignore[index]

    def _event(self, emitter: Any) -> str:
        return str(getattr(emitter, "name", "anonymous"))

    def describe(self, emitter: Any, event: str, name: str) -> Description:
        """Say receiver and signal."""
        signal = f"blinker signal {event!r}" if hasattr(emitter, "name") else "a blinker signal"
        return Description(
            summary=f"listener {name} on {signal}",
            target=name,
            details={"emitter": signal, "event": event, "listener": name},
            hint="call signal.disconnect(receiver), or connect in a "
            "`with signal.connected_to(receiver):` block",
        )


class PyeeEmitters(_Source):
    """Listeners of pyee emitters of every class, those for one time included."""

    def start(self, recorder: Recorder) -> None:
        """Wrap the one method through which on, once, add_listener and listens_to pass."""
        recorder.when_imported("pyee.base", lambda: self._wrap(recorder))

    def _wrap(self, recorder: Recorder) -> None:
        def make(original: Callable[..., Any]) -> Callable[..., Any]:
            def _add_event_handler(self_: Any, event: Any, k: Any, v: Any) -> None:
                known = k in _events(self_).get(event, ())
                original(self_, event, k, v)
                if not known:
                    self.note(self_, (hash(event), id(k)), recorder.creation(None))

            return _add_event_handler

        emitter = getattr(sys.modules.get("pyee.base"), "EventEmitter", None)
        recorder.wrap(emitter, "_add_event_handler", make)

    def live(self, emitter: Any) -> dict[Hashable, tuple[Any, str]]:
        """Return listeners by event and id; the emitter keeps them, so that the id is theirs."""
        return {
            (hash(event), id(listener)): (listener, str(event))
            for event, listeners in list(_events(emitter).items())
            for listener in list(listeners)
        }

    def describe(self, emitter: Any, event: str, name: str) -> Description:
        """Say listener, event and the class of the emitter."""
        return Description(
            summary=f"listener {name} for {event!r} on pyee {type(emitter).__qualname__}",
            target=name,
            details={"emitter": class_name(emitter), "event": event, "listener": name},
            hint=f"call emitter.remove_listener({event!r}, listener) when done",
        )


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
    """The registries of a project. They cannot be wrapped, so they are counted and compared."""

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


def _senders(signal: Any) -> Mapping[Any, Any]:
    """Return receivers' ids with those of the senders that they are connected to now."""
    senders: Mapping[Any, Any] = signal._by_receiver  # noqa: SLF001 - nothing public has it
    return senders


def _events(emitter: Any) -> Mapping[Any, Any]:
    events: Mapping[Any, Any] = emitter._events  # noqa: SLF001 - `listeners` asks event by event
    return events


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
