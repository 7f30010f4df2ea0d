"""What the emitters of a library have in common: `_blinker_signals` and `_pyee_emitters` extend it.

Registrations pass through one method each, which is wrapped. A listener gets a serial number there:
identity without a reference to it, and without trusting ``id()``, which the next object may get.
What was registered before the wrap has no number and is nobody's growth; it counts towards the
limit all the same. The libraries are never imported from here.
"""

from __future__ import annotations

import weakref
from collections import Counter
from typing import TYPE_CHECKING, Any

from pytest_resource_hygiene.trackers._emitters import Listener
from pytest_resource_hygiene.trackers._names import class_name, name_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from pytest_resource_hygiene.recorder import Creation, Recorder
    from pytest_resource_hygiene.tracker import Description
    from pytest_resource_hygiene.trackers._emitters import Limit

__all__ = ["LibraryEmitters"]


class _Registered(Listener):
    """A listener that was seen when it was registered with an emitter of a library."""

    __slots__ = ("_creation", "_emitter", "_source", "serial", "slot")

    def __init__(
        self,
        source: LibraryEmitters,
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


class LibraryEmitters:
    """Emitters of one library.

    A *slot* says where on its emitter a listener sits. It must be hashable and hold no reference.

    Attributes:
        blind: why its listeners are not seen; empty if they are.
    """

    blind = ""

    def __init__(self) -> None:
        """Know no emitter."""
        self.events = 0
        self._emitters: dict[int, _Emitter] = {}

    def start(self, recorder: Recorder) -> None:
        """Hear of registrations; the library has been imported."""
        raise NotImplementedError

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
