"""Listeners on the emitters of blinker and pyee."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING, Any

import blinker
import pytest
from pyee.asyncio import AsyncIOEventEmitter
from pyee.base import EventEmitter

from pytest_resource_hygiene.trackers.listeners import (
    ListenerTracker,
)

if TYPE_CHECKING:
    from collections.abc import Callable
from hygiene.trackers.listeners.probe import Component, Probe, functions_of, on_event


class TestBlinker:
    def test_connected_receiver_is_added_with_its_origin(self, probe: Probe) -> None:
        """A receiver left on a signal is listed, named, and knows where it was connected."""
        signal = blinker.NamedSignal("saved")
        signal.connect(on_event)

        [(key, value)] = probe.added().items()

        assert probe.has_new_reading()
        assert probe.tracker.describe(key, value).summary == (
            f"listener {on_event.__module__}.on_event on blinker signal 'saved'"
        )
        assert functions_of(probe.tracker.creation(key, value))[0] == (
            "test_connected_receiver_is_added_with_its_origin"
        )
        assert probe.tracker.anchor(key, value) is on_event

    @pytest.mark.parametrize(
        "disconnect",
        [
            pytest.param(lambda signal: signal.disconnect(on_event), id="from-all"),
            pytest.param(lambda signal: signal.disconnect(on_event, "sender"), id="from-one"),
            pytest.param(lambda signal: signal._clear_state(), id="cleared"),
        ],
    )
    def test_disconnected_receiver_is_gone(
        self, probe: Probe, disconnect: Callable[[blinker.Signal], None]
    ) -> None:
        """However a receiver is disconnected, it is no longer listed."""
        signal = blinker.Signal()
        signal.connect(on_event, sender="sender")
        assert probe.added()

        disconnect(signal)

        assert not probe.added()

    def test_decorator_and_context_manager_pass_through_the_wrap(self, probe: Probe) -> None:
        """connect_via() and connected_to() are connections like any other."""
        signal = blinker.Signal()

        signal.connect_via("sender")(on_event)
        with signal.connected_to(Component().on_event):
            inside = len(probe.added())

        assert inside == 2
        assert len(probe.added()) == 1

    def test_one_receiver_of_two_senders_is_two_listeners(self, probe: Probe) -> None:
        """Each (sender, receiver) counts, and connecting the same pair twice changes nothing."""
        signal = blinker.Signal()

        for sender in ("one", "two", "two"):
            signal.connect(on_event, sender=sender)

        assert len(probe.added()) == 2
        assert not [limit for limit in probe.limits() if "blinker" in limit[0]]

    def test_weak_receiver_that_died_is_gone(self, probe: Probe) -> None:
        """A receiver connected weakly is free to die, and not listed afterwards."""
        signal = blinker.Signal()
        component = Component()
        signal.connect(component.on_event)
        assert len(probe.added()) == 1
        ref = weakref.ref(component)

        del component

        assert ref() is None
        assert not probe.added()

    def test_receiver_from_before_is_nobodys(self) -> None:
        """What was connected before we watched does not appear when the signal is next used."""
        signal = blinker.Signal()
        signal.connect(on_event)
        probe = Probe(ListenerTracker())
        try:
            signal.connect(print, weak=False)

            assert len(probe.added()) == 1
            assert ("blinker.base.Signal", "anonymous", 2) in probe.limits()
        finally:
            probe.recorder.stop()

    def test_reconnected_receiver_is_a_new_registration(self, probe: Probe) -> None:
        """A swap is seen: the id of one that is gone does not stand for the next one."""
        signal = blinker.Signal()
        signal.connect(on_event)
        probe.rebase()

        signal.disconnect(on_event)
        signal.connect(on_event)

        assert len(probe.added()) == 1

    def test_signal_dies_with_its_strong_receivers(self, probe: Probe) -> None:
        """We keep neither a signal nor its receivers alive."""
        signal, component = blinker.Signal(), Component()
        signal.connect(component.on_event, weak=False)
        listed = probe.listed()
        refs = weakref.ref(signal), weakref.ref(component)

        del signal, component

        assert [ref() for ref in refs] == [None, None]
        assert not probe.added()
        assert listed

    def test_unknown_release_is_a_blind_spot(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where the library lacks what we need, nothing is wrapped and the canary says so."""
        monkeypatch.delattr("blinker.base.make_id")
        connect = blinker.Signal.connect
        probe = Probe(ListenerTracker())
        try:
            assert blinker.Signal.connect is connect
            assert "blinker" in (probe.tracker.blind_spot() or "")
        finally:
            probe.recorder.stop()


class TestPyee:
    @pytest.mark.parametrize("factory", [EventEmitter, AsyncIOEventEmitter])
    @pytest.mark.parametrize(
        "register",
        [
            pytest.param(lambda emitter: emitter.on("data", on_event), id="on"),
            pytest.param(lambda emitter: emitter.on("data")(on_event), id="decorator"),
            pytest.param(lambda emitter: emitter.once("data", on_event), id="once"),
            pytest.param(lambda emitter: emitter.add_listener("data", on_event), id="add"),
        ],
    )
    def test_every_way_to_register_is_seen_and_undone(
        self,
        probe: Probe,
        factory: Callable[[], EventEmitter],
        register: Callable[[EventEmitter], object],
    ) -> None:
        """A listener of any emitter class is listed until it is removed."""
        emitter = factory()
        register(emitter)
        [(key, value)] = probe.added().items()
        text = probe.tracker.describe(key, value)

        assert text.summary == (
            f"listener {on_event.__module__}.on_event for 'data' on pyee {type(emitter).__qualname__}"
        )
        assert "test_every_way_to_register_is_seen_and_undone" in functions_of(
            probe.tracker.creation(key, value)
        )
        assert probe.tracker.anchor(key, value) is on_event

        emitter.remove_listener("data", on_event)

        assert not probe.added()

    def test_listener_for_one_time_is_gone_after_its_event(self, probe: Probe) -> None:
        """A `once` listener that was called is no leak."""
        emitter = EventEmitter()
        emitter.once("data", on_event)
        assert probe.added()

        emitter.emit("data")

        assert not probe.added()

    def test_bound_method_registered_twice_is_one_listener(self, probe: Probe) -> None:
        """Equal listeners are kept once by pyee, and counted once by us."""
        emitter, component = EventEmitter(), Component()

        emitter.on("data", component.on_event)
        emitter.on("data", component.on_event)

        assert len(probe.added()) == 1

    def test_events_may_be_any_hashable(self, probe: Probe) -> None:
        """An event that is equal but not identical is the same event."""
        emitter = EventEmitter()
        emitter.on(("a", int("1")), on_event)  # type: ignore[call-overload]
        emitter.on(("a", int("1")), print)  # type: ignore[call-overload]

        assert len(probe.added()) == 2

    def test_emitter_without_weak_references_works_unseen(self, probe: Probe) -> None:
        """A class that cannot be referred to weakly keeps working; we are blind to it."""

        class Slotted:
            __slots__ = ("_events", "_lock")
            on = EventEmitter.on
            add_listener = EventEmitter.add_listener
            emit = EventEmitter.emit
            _call_handlers = EventEmitter._call_handlers
            _emit_handle_potential_error = EventEmitter._emit_handle_potential_error

            def __init__(self) -> None:
                self._events: dict[str, Any] = {}
                self._lock = threading.Lock()

            def _add_event_handler(self, *args: Any) -> None:
                EventEmitter._add_event_handler(self, *args)

        emitter = Slotted()
        emitter.on("data", on_event)

        assert on_event in emitter._events["data"]
        assert not probe.added()

    def test_emitter_in_a_cycle_is_free_to_die(self, probe: Probe) -> None:
        """We keep neither an emitter nor its listeners alive, even once they were listed."""
        component = Component()
        component.emitter = EventEmitter()  # type: ignore[attr-defined]
        component.emitter.on("data", component.on_event)  # type: ignore[attr-defined]
        listed = probe.listed()
        ref = weakref.ref(component)

        del component
        gc.collect()

        assert ref() is None
        assert not probe.added()
        assert listed

    def test_a_crowd_is_counted_by_emitter_and_event(self, probe: Probe) -> None:
        """Each event of each emitter is counted, with the newest listener's origin."""
        emitters = [EventEmitter(), EventEmitter()]
        for emitter in emitters:
            for _ in range(11):
                emitter.on("data", Component().on_event)
            emitter.on("end", on_event)

        limits = [limit for limit in probe.tracker.iter_limits() if limit[0].startswith("pyee")]

        assert [limit[:3] for limit in limits] == [
            ("pyee.base.EventEmitter", "data", 11),
            ("pyee.base.EventEmitter #2", "data", 11),
        ]
        assert "test_a_crowd_is_counted_by_emitter_and_event" in functions_of(limits[0][3])
