"""Listeners on the emitters of libraries: blinker's signals and pyee's emitters.

Registrations pass through one method each, which is wrapped. A listener gets a serial number there:
identity without a reference to it, and without trusting ``id()``, which the next object may get.
What was registered before the wrap has no number and is nobody's growth; it counts towards the
limit all the same. The libraries are never imported from here.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.tracker import Description
from pytest_resource_hygiene.trackers._emitters import Listener
from pytest_resource_hygiene.trackers._names import class_name, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping

    from pytest_resource_hygiene.recorder import Creation, Recorder
    from pytest_resource_hygiene.trackers._emitters import Limit

__all__ = ["BlinkerSignals", "PyeeEmitters"]


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
            receiver = _alive(emitter.receivers.get(number))
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


def _senders(signal: Any) -> Mapping[Any, Any]:
    """Return receivers' ids with those of the senders that they are connected to now."""
    senders: Mapping[Any, Any] = signal._by_receiver  # noqa: SLF001 - nothing public has it
    return senders


def _events(emitter: Any) -> Mapping[Any, Any]:
    events: Mapping[Any, Any] = emitter._events  # noqa: SLF001 - `listeners` asks event by event
    return events


def _alive(receiver: Any) -> Any:
    return receiver() if isinstance(receiver, weakref.ref) else receiver
